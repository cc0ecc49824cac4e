"""How a sweep over learning rates looks in a terminal: entry by entry, the basin of rates that work, then the best."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.records import Basin, Run, SweepRecord

MARKS = {"works": ("█", "green"), "diverges": ("×", "red"), "censored": ("·", "bright_black")}
"""How a rate is drawn, by its status."""


def print_sweeps(run: Run, console: Console) -> None:
    """Print one row per swept entry: every rate as a mark, the basin, its width and its best rate."""
    swept = [record for record in run.records if isinstance(record, SweepRecord) and record.rates]
    if not swept:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("sweep", "optimizer"):
        table.add_column(name, no_wrap=True)
    table.add_column("rates, ascending", no_wrap=True)
    for name in ("seeds", "basin", "decades", "best in it", "steps"):
        table.add_column(name, no_wrap=True, justify="right")
    for record in swept:
        marks = Text.assemble(*(MARKS[rate.status] for rate in record.rates))
        entry = Text(f"{record.case}[{record.entry}]")
        table.add_row(entry, Text(record.optimizer), marks, str(len(record.seeds)), *_basin(record.basin))
    console.print(table)
    legend = [Text.assemble((mark, style), f" {status}") for status, (mark, style) in MARKS.items()]
    console.print(Text("  ").join(legend))


def _basin(basin: Basin | None) -> tuple[str, str, str, str]:
    """Return a basin as cells; an end that is the grid's own has a sign before it."""
    if basin is None:
        return "none", "", "", ""
    low, high = "≤" * basin.open_low, "≥" * basin.open_high
    wide = "≥" if basin.open_low or basin.open_high else ""
    return (
        f"{low}{basin.low:.2g} … {high}{basin.high:.2g}",
        f"{wide}{basin.decades:.1f}",
        f"{basin.best_rate:.2g}",
        f"{basin.best_steps:g}",
    )
