"""How a gate looks in a terminal: progress while it lasts; then what got worse, what could not be told, and the counts.

Progress goes to standard error and only to a terminal. What a case file or a subject says is shown as text, never read
as markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from harness.bench.comparison import Decision
from harness.gate.options import OnProgress, Progress, Stage
from harness.gate.records import Compared, GateResult, VerificationChange
from harness.records import ExitCode
from harness.report import gate_words as words
from harness.report import text
from harness.terminal.run import output_console

DECISIONS = {
    Decision.SLOWER: "bold red",
    Decision.INCONCLUSIVE: "yellow",
    Decision.FASTER: "green",
    Decision.SAME: "bright_black",
}
_DIRECTIONS = {"worse": "bold red", "better": "green", "other": "yellow"}
_STAGES: dict[Stage, str] = {"verify": "verifying both sides", "screen": "timing", "confirm": "confirming"}
_LISTED = 30
"""Rows of a kind that are shown; the files have all of them."""


@contextmanager
def gate_progress() -> Iterator[OnProgress]:
    """Show progress on standard error while the block runs; nothing at all where that is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.fields[stage]}"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[doing]}", markup=False),
    )  # fmt: skip
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, stage="starting", doing="")

        def show(told: Progress) -> None:
            bar.update(task, total=told.total, completed=told.done, stage=_STAGES[told.stage], doing=told.text[:60])

        yield show


def print_gate(result: GateResult, directory: Path | None) -> None:
    """Print what a gate found on standard output."""
    console = output_console()
    console.print(Text(f"{result.base.shown} → {result.head.shown}"), soft_wrap=True)
    rows = words.ordered(result)
    if rows:
        console.print(_table(rows[:_LISTED]))
        _print_left_out(console, len(rows) - _LISTED, "workload")
    for row in rows:
        if row.decision in (Decision.SLOWER, Decision.INCONCLUSIVE):
            head = Text.assemble((f"{row.decision} ", DECISIONS[row.decision]), (row.workload.label, "bold"))
            console.print(Group(head, Padding(Text(row.message), (0, 0, 0, 2))))
    _print_counts(console, result)
    for change in result.changes:
        console.print(_change(change))
    for case in result.untimed[:_LISTED]:
        console.print(Text.assemble(("not timed ", "yellow"), (case.case, "bold"), f": {case.reason}"))
    _print_left_out(console, len(result.untimed) - _LISTED, "case not timed", "cases not timed")
    style = {ExitCode.FAILED: "bold red", ExitCode.PASSED: "green"}.get(result.exit_code, "yellow")
    console.print(Text.assemble((words.headline(result), style), f" in {text.seconds(words.duration_s(result))}"))
    if directory is not None:
        console.print(Text(f"Report: {directory / 'report.html'}"), soft_wrap=True)


def _table(rows: tuple[Compared, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("workload", overflow="fold")
    table.add_column("decision", no_wrap=True)
    for name in ("head against base", "interval", "detectable", "base takes"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(row.workload.label),
            Text(row.decision.value, style=DECISIONS[row.decision]),
            words.slowdown(row.judgement),
            words.interval(row.judgement),
            words.detectable(row.judgement),
            text.seconds(words.base_s(row)),
        )
    return table


def _print_counts(console: Console, result: GateResult) -> None:
    """Say which exact counts changed."""
    counts = words.count_rows(result)
    for row in counts[:_LISTED]:
        change = row.change
        detail = f" ({change.detail})" if change.detail else ""
        style = "yellow" if change.head > change.base else "green"
        said = f": {change.name} {change.base:,} → {change.head:,}{detail}"
        console.print(Text.assemble(("count ", style), (row.label, "bold"), said))
    _print_left_out(console, len(counts) - _LISTED, "count that changed", "counts that changed")


def _change(change: VerificationChange) -> Group:
    head = Text.assemble((f"{change.direction} ", _DIRECTIONS[change.direction]), (change.case, "bold"))
    return Group(Text.assemble(head, f" {change.before} → {change.after}"), Padding(Text(change.message), (0, 0, 0, 2)))


def _print_left_out(console: Console, number: int, noun: str, plural: str | None = None) -> None:
    if number > 0:
        console.print(f"… and {text.count(number, f'more {noun}', plural and f'more {plural}')}")
