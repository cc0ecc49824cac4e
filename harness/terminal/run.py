"""How a run looks in a terminal: progress while it lasts, a table when it is over.

Progress goes to standard error and only to a terminal; the table goes to standard output, plain when that is a file or
a pipe. Everything a case file or a subject says is shown as text, never read as markup. What is computed from records
here is only which finding is the worst and what is left to say about a row.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from harness.records import BenchmarkRecord, CaseRecord, ConvergeRecord, Finding, Outcome, Run, VerifyRecord
from harness.run.changes import Change, Direction
from harness.run.plan import Job

COLOURS = {
    Outcome.PASS: "green",
    Outcome.SKIPPED: "bright_black",
    Outcome.VACUOUS: "yellow",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.TIMEOUT: "red",
    Outcome.CRASHED: "red",
    Outcome.ERROR: "magenta",
    Outcome.FAIL: "bold red",
}
PLAIN_WIDTH = 140
"""Columns of a table that no terminal limits."""
_FIGURES_WIDTH = 40
"""Columns of outcome, digits, detection limit and time together, with the gaps between them."""
_MESSAGE_AT_LEAST = 24
_NOT_RUN_LISTED = 20
_FEW = 20
"""Records that a brief table shows in full."""
_DIRECTIONS: dict[Direction, str] = {"worse": "bold red", "better": "green", "other": "yellow"}


class Reporter:
    """Shows a run while it lasts; its methods are the callbacks of `harness.run.run.run`."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._counts: Counter[Outcome] = Counter()
        self._finished: set[str] = set()

    def planned(self, jobs: tuple[Job, ...]) -> None:
        """Take note of how much there is to do."""
        self._progress.update(self._task, total=len(jobs))

    def recorded(self, record: CaseRecord) -> None:
        """Count a record; a job may have several."""
        self._counts[record.outcome] += 1
        self._finished.add(record.job)
        self._progress.update(self._task, completed=len(self._finished), counts=count_text(self._counts))

    def running(self, names: tuple[str, ...]) -> None:
        """Show what is being worked on."""
        self._progress.update(self._task, running=Text(", ".join(names), style="bright_black"))


@contextmanager
def progress() -> Iterator[Reporter]:
    """Show progress on standard error while the block runs; nothing at all where that is no terminal."""
    console = Console(stderr=True)
    columns = (
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        _Field("counts"),
        _Field("running"),
    )
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        yield Reporter(bar, bar.add_task("", total=None, counts=Text(), running=Text("starting")))


class _Field(TextColumn):
    """A column that shows a task's own text."""

    def __init__(self, name: str) -> None:
        super().__init__("")
        self._name = name

    def render(self, task: Task) -> Text:
        """Return the task's text, cut rather than wrapped."""
        text: Text = task.fields[self._name].copy()
        text.truncate(60, overflow="ellipsis")
        return text


def print_run(run: Run, directory: Path | None, *, brief: bool = False) -> None:
    """Print the table of a run, what did not run, and the counts of every outcome, on standard output.

    With `brief`, for a sweep of hundreds, the table leaves out what passed and what was skipped, and the reasons for
    skipping are counted.
    """
    console = output_console()
    shown = tuple(r for r in run.records if not brief or r.outcome not in (Outcome.PASS, Outcome.SKIPPED))
    if brief and len(run.records) <= _FEW:
        shown = run.records
    if shown:
        console.print(_table(shown, console.width))
    for record in run.records:
        if record.outcome not in (Outcome.PASS, Outcome.SKIPPED):
            console.print(_details(record))
    if brief:
        _print_skipped(console, run)
    console.print(_summary(run))
    if directory is not None:
        console.print(Text(f"Report: {directory / 'report.html'}"), soft_wrap=True)


def print_changes(changes: tuple[Change, ...]) -> None:
    """Print what is worse, better or other than in a baseline, on standard output."""
    console = output_console()
    for change in changes:
        before, after = (outcome.value if outcome is not None else "–" for outcome in (change.before, change.after))
        head = Text.assemble((f"{change.direction} ", _DIRECTIONS[change.direction]), (change.job, "bold"))
        console.print(Group(Text.assemble(head, f" {before} → {after}"), Padding(Text(change.message), (0, 0, 0, 2))))
    counts = Counter(change.direction for change in changes)
    parts = [Text(f"{counts[d]} {d}", style=style) for d, style in _DIRECTIONS.items()]
    console.print(Text.assemble("Against the baseline: ", Text(", ").join(parts)))


def output_console() -> Console:
    """Return standard output, as wide as its terminal, or wide enough for a table where it is none."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH
    return Console(width=width, highlight=False, emoji=False)


def _print_skipped(console: Console, run: Run) -> None:
    """Say how many were skipped for which reason, the most frequent first."""
    reasons = Counter(record.message for record in run.records if record.outcome is Outcome.SKIPPED)
    for reason, count in reasons.most_common():
        console.print(Text.assemble((f"{count} skipped  ", COLOURS[Outcome.SKIPPED]), reason))


def count_text(counts: Counter[Outcome]) -> Text:
    """Say how often each outcome came up, the good ones first."""
    parts = [Text(f"{counts[o]} {o.value}", style=COLOURS[o]) for o in Outcome if counts[o]]
    return Text(", ").join(parts)


def worst_finding(record: VerifyRecord) -> Finding | None:
    """Return what best says why a case is not green: of the findings with its outcome, the one furthest off its bar."""
    open_findings = [f for f in record.findings if f.excused is None and f.outcome is record.outcome]
    return max(open_findings, key=_excess, default=None)


def _excess(finding: Finding) -> float:
    """Return the error in units of its bar; an error without either counts as infinite, so that it is shown first."""
    if finding.error is None or finding.bar is None or finding.error != finding.error:
        return float("inf")
    return finding.error / finding.bar if finding.bar > 0 else float("inf")


def _table(records: tuple[CaseRecord, ...], width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("case", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("digits", no_wrap=True, justify="right")
    table.add_column("detects", no_wrap=True, justify="right")
    table.add_column("time", no_wrap=True, justify="right")
    room = max(_MESSAGE_AT_LEAST, width - _other_columns(records))
    table.add_column("message", width=room, no_wrap=True, overflow="ellipsis")
    for record in records:
        table.add_row(
            Text(_name(record)),
            Text(record.outcome.value, style=COLOURS[record.outcome]),
            Text(_digits(record)),
            Text(_detection_limit(record)),
            Text(f"{record.duration_s:.1f} s"),
            Text(" ".join(record.message.split())),
        )
    return table


def _other_columns(records: tuple[CaseRecord, ...]) -> int:
    """Return the columns that a row takes apart from its message."""
    return max(len(_name(record)) for record in records) + _FIGURES_WIDTH


def _name(record: CaseRecord) -> str:
    """Return the job's name; a descent's seed tells its records apart."""
    if isinstance(record, ConvergeRecord) and record.seed:
        return f"{record.job} seed {record.seed}"
    return record.job


def _digits(record: CaseRecord) -> str:
    """Return the fewest digits of agreement in float64 over the case's findings."""
    if not isinstance(record, VerifyRecord):
        return ""
    found = [f.digits for f in record.findings if f.digits is not None and f.dtype == "float64" and f.excused is None]
    return f"{min(found):.1f}" if found else ""


def _detection_limit(record: CaseRecord) -> str:
    """Return the smallest relative fault the case would have noticed."""
    if not isinstance(record, VerifyRecord) or record.detection_limit is None:
        return ""
    return f"{record.detection_limit:.0e}"


def _details(record: CaseRecord) -> RenderableType:
    """Say what is wrong with a row, and how to repeat it."""
    head = Text.assemble((f"{record.outcome.value} ", COLOURS[record.outcome]), (_name(record), "bold"))
    finding = worst_finding(record) if isinstance(record, VerifyRecord) else None
    body = [Text(record.message)]
    if finding is not None:
        body.append(Text.assemble((f"{_place(finding)}  ", "bright_black"), finding.message))
    if isinstance(record, BenchmarkRecord):
        body += [Text(f"{t.what} {t.variant}: {t.message}") for t in record.timings if t.outcome is record.outcome]
    if record.command is not None:
        body.append(Text(f"$ {record.command}", style="cyan"))
    return Group(head, *(Padding(line, (0, 0, 0, 2)) for line in body))


def _place(finding: Finding) -> str:
    """Say what was compared, and where."""
    parts = [
        finding.check,
        finding.point,
        finding.dims,
        finding.dtype,
        "" if finding.device == "cpu" else finding.device,
    ]
    return " · ".join(part for part in parts if part)


def _summary(run: Run) -> Text:
    """Say the counts of every outcome, what did not run, and how long it took."""
    counts = Counter(record.outcome for record in run.records)
    text = count_text(counts)
    if run.not_run:
        listed = ", ".join(run.not_run[:_NOT_RUN_LISTED])
        more = len(run.not_run) - _NOT_RUN_LISTED
        text = Text.assemble(text, ", " if counts else "", (f"{len(run.not_run)} not run", "yellow"))
        text.append(f" ({listed}{f' and {more} more' if more > 0 else ''})")
    if run.footer is not None:
        text.append(f" in {run.footer.duration_s:.1f} s")
        if run.footer.interrupted:
            text.append(" (interrupted)", style="yellow")
    return text
