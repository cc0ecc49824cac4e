"""How a run ends on the command line: its report, what is shown of it, where it is recorded, and the exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.errors import UsageError
from harness.records import ExitCode

if TYPE_CHECKING:
    from harness.records import Run
    from harness.run.changes import Change


def conclude(
    run: Run,
    directory: Path | None,
    *,
    as_json: bool,
    latest: bool,
    show: Callable[[], None],
    changes: tuple[Change, ...] | None = None,
    history: str | None = None,
) -> int:
    """Write a run's report, show the result, record it, and return the exit code.

    Args:
        run: the run.
        directory: its directory; None writes nothing.
        as_json: whether one JSON document is printed instead of what `show` shows.
        latest: whether the link `latest` is to lead to the directory.
        show: shows the result.
        changes: what differs from a baseline, for the JSON document.
        history: where the run is recorded, if at all.

    Raises:
        UsageError: the report cannot be written.
    """
    from harness.run.run import point_latest

    if directory is not None:
        write_report(run, directory)
        if latest:
            point_latest(directory)
    if as_json:
        _print_json(run, directory, changes)
    else:
        show()
    record(run, history, quiet=as_json)
    return run.footer.exit_code if run.footer is not None else ExitCode.FAILED


def until_interrupted(work: Callable[[], int]) -> int:
    """Do a command's work; an interrupt before the first job, or while the report is written, has its own exit code."""
    try:
        return work()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def write_report(run: Run, directory: Path) -> None:
    """Write a run's report, or say why that cannot be done."""
    from harness.report.write import write_report

    try:
        write_report(run, directory)
    except OSError as error:
        raise UsageError(
            f"Cannot write the report: directory={str(directory)!r} cannot be written to ({error.strerror or error}). "
            f"Make room for it, then run: harness report {shlex.quote(str(directory))}"
        ) from error


def history_of(option: str | None, command: str, *, has_out: bool) -> str | None:
    """Return where a run is to be recorded; a wrong setting is known before anything runs."""
    from harness.history.target import record_at

    return record_at(option, command=command, has_out=has_out, start=Path.cwd())


def record(run: Run, url: str | None, *, quiet: bool) -> None:
    """Record a run in a history; what was interrupted is not: half a run is no point of a trend."""
    if url is None or run.footer is None or run.footer.interrupted:
        return
    from harness.history.store import append

    path = append(run, url)
    if not quiet:
        typer.echo(f"History: {path}")


def _print_json(run: Run, directory: Path | None, changes: tuple[Change, ...] | None = None) -> None:
    """Print a run as one JSON document on standard output."""
    import json
    from collections import Counter
    from dataclasses import asdict

    from harness.run.journal import to_document

    document = {
        "run": to_document(run.header),
        "records": [to_document(record) for record in run.records],
        "end": None if run.footer is None else to_document(run.footer),
        "counts": dict(Counter(record.outcome.value for record in run.records)),
        "not_run": list(run.not_run),
        "directory": None if directory is None else str(directory),
    }
    if changes is not None:
        document["changes"] = [asdict(change) for change in changes]
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
