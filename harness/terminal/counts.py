"""How blessed step counts look in a terminal: one line after a run, and what blessing changed as a table."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.records import Run
from harness.run.bless import Blessed, Blessing
from harness.run.blessed import comparison_words


def print_counts(run: Run, blessed: Blessed | None, baseline: Path, console: Console) -> None:
    """Print what blessing changed, or else in one line how a run's step counts compare with the blessed ones.

    Args:
        run: the run.
        blessed: what blessing changed; None where nothing was blessed.
        baseline: the file of blessed counts.
        console: where to print.
    """
    if blessed is None:
        words = comparison_words(run, baseline)
        if words is not None:
            console.print(Text(words), soft_wrap=True)
        return
    if blessed.changes:
        console.print(_table(blessed.changes))
    console.print(Text(f"Blessed: {blessed.path}, {blessed.same} descents as they were"), soft_wrap=True)


def _table(changes: tuple[Blessing, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("case", "run", "count"):
        table.add_column(name, overflow="fold")
    for name in ("old", "new", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for change in changes:
        seed = f" seed {change.seed}" if change.seed else ""
        table.add_row(
            Text(f"{change.case}[{change.entry}]{seed}"),
            Text(change.run),
            Text(change.what),
            Text(_number(change.old)),
            Text(_number(change.new)),
            Text(_change(change)),
            Text(change.note),
        )
    return table


def _number(count: float | None) -> str:
    return "–" if count is None else f"{count:g}"


def _change(change: Blessing) -> str:
    """Return the change in percent, "" where one of the two is missing."""
    if change.old is None or change.new is None or change.old == 0:
        return ""
    return f"{change.new / change.old - 1:+.0%}"
