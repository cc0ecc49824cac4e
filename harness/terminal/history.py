"""How a history looks in a terminal: a table of trends for each machine that is shown, and the others by name.

Texts are shown as they are, never read as markup. What is decided about a trend is `harness.history`'s job.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.history.metrics import Metric
from harness.history.trends import Direction, Trend, fewest
from harness.history.view import Seen, View
from harness.history.words import arrow, difference_text, meetings, place_text, size_text, sparkline
from harness.report.text import count
from harness.terminal.run import output_console

MOST_NAMES = 4
"""Series named for one place of change; the rest are counted."""
MOST_ROWS = 60
"""Trends of one machine in a table; the rest are counted."""
COLOURS = {
    Direction.WORSE: "bold red",
    Direction.BETTER: "green",
    Direction.STEADY: "bright_black",
    Direction.TOO_FEW: "yellow",
}


def print_history(view: View) -> None:
    """Print what a history says, on standard output."""
    console = output_console()
    console.print(Text(f"{view.metric.title} in {view.url}, {count(view.runs, 'run')}", style="bold"), soft_wrap=True)
    for seen in view.machines:
        if seen.is_shown:
            _print_machine(console, seen, view)
    others = [seen for seen in view.machines if not seen.is_shown]
    if others:
        console.print(
            Text("\nNot shown, since unlike machines are not compared (--all-machines shows each by itself):")
        )
    for seen in others:
        console.print(Text(f"  {place_text(seen)}, the last on {seen.latest:%Y-%m-%d}"), soft_wrap=True)
        console.print(Text(f"    {difference_text(seen)}", style="bright_black"), soft_wrap=True)


def _print_machine(console: Console, seen: Seen, view: View) -> None:
    own = [trend for trend in view.trends if trend.machine.id == seen.machine.id]
    console.print(Text(f"\n{place_text(seen)}"), soft_wrap=True)
    if not own:
        console.print(Text(f"No series with {view.metric.name!r} matches."))
        return
    console.print(_table(own[:MOST_ROWS], view.metric))
    for meeting in meetings(own):
        style = COLOURS[Direction.WORSE if meeting.worse else Direction.BETTER]
        console.print(Text(meeting.text[0].upper() + meeting.text[1:], style=style), soft_wrap=True)
        names = [trend.name for trend, _ in meeting.members]
        more = [f"and {len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
        for name in (*names[:MOST_NAMES], *more):
            console.print(Text(f"  {name}"), soft_wrap=True)
    if any(trend.direction is Direction.TOO_FEW for trend in own):
        console.print(Text(f"Too few: changes are looked for from {fewest(view.metric)} runs of a series on."))
    if len(own) > MOST_ROWS:
        rest = count(len(own) - MOST_ROWS, "further series", "further series")
        console.print(Text(f"{rest} not in the table: choose with -k, or use --json or --html."))


def _table(trends: list[Trend], metric: Metric) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("series", overflow="fold")
    for name in ("runs", "latest", "level"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("trend", no_wrap=True)
    table.add_column("", no_wrap=True, overflow="ellipsis")
    for trend in trends:
        size = f" {size_text(trend.changes[-1], trend.metric)}" if trend.changes else ""
        state = f"{arrow(trend)} {trend.direction}{size}".strip()
        table.add_row(
            Text(trend.name),
            str(len(trend.points)),
            metric.show(trend.latest.value),
            metric.show(trend.level),
            Text(sparkline(trend)),
            Text(state, style=COLOURS[trend.direction]),
        )
    return table
