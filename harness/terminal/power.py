"""How detection power looks in a terminal: fault by fault, how many were caught and by which checks."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.records import Run
from harness.report.power import PowerSummary, power_summary

_SURVIVORS_LISTED = 20


def print_power(run: Run, console: Console) -> None:
    """Print the matrix of faults and checks of a run, its survivors, and its detection power."""
    summary = power_summary(run)
    if summary is None:
        console.print("No faults were injected: no case has a right gradient.")
        return
    console.print(_table(summary))
    for case, fault, seen_by in summary.survivors[:_SURVIVORS_LISTED]:
        console.print(Text.assemble(("not noticed ", "yellow"), (case, "bold"), f": {fault}; it takes {seen_by}"))
    left = len(summary.survivors) - _SURVIVORS_LISTED
    if left > 0:
        console.print(f"… and {left} more that no check noticed")
    console.print(
        f"Detection power {summary.share:.1%}: {summary.caught} of {summary.injected} faults caught in {summary.cases} "
        f"cases; {summary.equivalent} more change nothing for their case."
    )


def _table(summary: PowerSummary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("fault", no_wrap=True)
    for name in ("caught", "of", "equivalent"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("noticed by (faults)", overflow="fold")
    for row in summary.faults:
        style = "green" if row.caught == row.injected else "yellow"
        numbers = (str(row.injected), str(row.equivalent or ""))
        table.add_row(Text(row.fault), Text(str(row.caught), style=style), *numbers, Text(row.checks))
    return table
