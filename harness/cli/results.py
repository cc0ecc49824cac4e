"""The commands that read what is there: runs, gates, histories, and the schema of case files."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.conclude import write_report
from harness.cli.gate import write_files
from harness.cli.options import AsJson
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.history.fingerprint import Machine
    from harness.history.view import View


def report(directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")]) -> None:
    """Rebuild the report of a run from its results.jsonl, or of a gate from its gate.json."""
    from harness.report.write_gate import read_gate
    from harness.run.journal import read_run
    from harness.terminal.gate import print_gate
    from harness.terminal.run import print_run

    folder = directory if directory.is_dir() else directory.parent
    gated = read_gate(directory)
    if gated is not None:
        write_files(gated, folder)
        print_gate(gated, folder)
        return
    run = read_run(directory)
    write_report(run, folder)
    print_run(run, folder)


def history_(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]", help="Folder or URL of a history. (default: the project's, or reports/history)"
        ),
    ] = None,
    *,
    keyword: Annotated[
        str | None, typer.Option("-k", metavar="EXPR", help="Series whose name matches, as pytest's -k.")
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            metavar="M",
            help="time, first-call, memory, operators, flops, saved, digits, power or steps (to tolerance).",
        ),
    ] = "time",
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Runs from this day on; 30d: the last 30 days.")
    ] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="ID", help="Another machine's trends. (default: this one's, else the newest)")
    ] = None,
    all_machines: Annotated[
        bool, typer.Option("--all-machines", help="Every machine's trends, each by itself.")
    ] = False,
    json: AsJson = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the trends as one HTML page.")] = None,
    add: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="First record the run of this directory; repeatable.")
    ] = None,
) -> None:
    """Did anything change? Show trends and change points of recorded runs, for each kind of machine by itself."""
    from harness.history.document import history_json
    from harness.history.metrics import metric_named
    from harness.history.target import shown
    from harness.history.view import Question, since_when, view
    from harness.terminal.history import print_history

    question = Question(
        metric=metric_named(metric),
        keyword=keyword,
        since=None if since is None else since_when(since, datetime.now(UTC)),
        machine=machine,
        all_machines=all_machines,
    )
    where = shown(url, Path.cwd())
    _add(add or [], where)
    seen = view(where, question, _this_machine())
    for left in seen.left:
        sys.stderr.write(f"Left out {left.name}: {left.reason}\n")
    if html is not None:
        _write_page(seen, html)
    if json:
        sys.stdout.write(history_json(seen) + "\n")
    else:
        print_history(seen)


def schema() -> None:
    """Print the JSON Schema of case files."""
    from harness.case.jsonschema import schema_text

    sys.stdout.write(schema_text())


def _add(directories: list[Path], url: str) -> None:
    """Record runs that are on disk."""
    from harness.history.store import append
    from harness.report.write_gate import read_gate
    from harness.run.journal import read_run

    gates = [str(directory) for directory in directories if read_gate(directory) is not None]
    if gates:
        raise UsageError(
            f"Cannot record: add={gates[0]!r} holds a gate, and history keeps runs: a gate compares two versions, and "
            "is no point of a trend. Name the directory of a run."
        )
    for run in [read_run(directory) for directory in directories]:
        append(run, url)


def _this_machine() -> Machine:
    from harness.history.fingerprint import machine_of, place_of
    from harness.run.environment import environment

    return machine_of(place_of(environment()))


def _write_page(view: View, path: Path) -> None:
    """Write a view of a history as a page, or say why that cannot be done."""
    from harness.history.page import render_history
    from harness.report.write import replace

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, render_history(view).encode(errors="replace"))
    except OSError as error:
        raise UsageError(
            f"Cannot write the page: html={str(path)!r} cannot be written ({error.strerror or error}). "
            "Name another file."
        ) from error
