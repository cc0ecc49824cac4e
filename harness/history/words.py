"""Trends and machines in words and small pictures, alike in a terminal and on a page. Plain text only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.history.metrics import METRICS
from harness.history.trends import Change, Direction, Trend
from harness.history.view import Seen
from harness.report.text import count

BLOCKS = "▁▂▃▄▅▆▇█"
LONGEST = 24
"""Figures that a sparkline shows, the newest."""
LEAST_SPAN = 0.2
"""What the height of a sparkline stands for at least: a fifth, or of differences ten times the least one that matters,
so that noise looks like noise."""


def sparkline(trend: Trend) -> str:
    """Return the newest figures as bars."""
    heights = scaled(trend)[-LONGEST:]
    return "".join(BLOCKS[min(int(height * len(BLOCKS)), len(BLOCKS) - 1)] for height in heights)


def scaled(trend: Trend) -> list[float]:
    """Return a trend's figures on a scale from 0 to 1, on which a small spread stays small."""
    metric = METRICS[trend.metric]
    values = [math.log(point.value) if metric.relative else point.value for point in trend.points]
    span = max(max(values) - min(values), LEAST_SPAN if metric.relative else 10 * metric.least)
    middle = (max(values) + min(values)) / 2
    return [0.5 + (value - middle) / span for value in values]


def arrow(trend: Trend) -> str:
    """Return which way the level went at the last change: ↑, ↓ or →; nothing where there are too few runs."""
    if trend.direction is Direction.TOO_FEW:
        return ""
    if not trend.changes:
        return "→"
    return "↑" if trend.changes[-1].after > trend.changes[-1].before else "↓"


def size_text(change: Change, metric: str) -> str:
    """Return how much a level changed: ``+10.2 %``, or ``-1.5`` where differences are what counts."""
    known = METRICS[metric]
    if known.relative and change.ratio is not None:
        return f"{change.ratio - 1:+.1%}".replace("%", " %")
    if known.show(0.5).endswith("%"):
        return f"{100 * (change.after - change.before):+.0f} points"
    return f"{change.after - change.before:+.1f}"


def between(change: Change) -> str:
    """Return the two runs a change lies between, by commit and day."""
    last, first = change.last, change.first
    days = f"{last.started:%Y-%m-%d}", f"{first.started:%Y-%m-%d}"
    ends = [f"{point.commit or point.run} ({day})" for point, day in zip((last, first), days, strict=True)]
    if last.commit is not None and last.commit == first.commit:
        return f"within {last.commit}, after {days[0]}: not a change of these sources"
    return f"between {ends[0]} and {ends[1]}"


def change_text(change: Change, metric: str) -> str:
    """Return a change in a sentence."""
    return f"{size_text(change, metric)} {between(change)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Changes of several series between the same two runs, all for the worse or all for the better."""

    worse: bool
    members: tuple[tuple[Trend, Change], ...]

    @property
    def text(self) -> str:
        """Where, how many and how much: "between a1b2 (2026-01-02) and c3d4 (2026-01-03): 3 series worse, +8 %"."""
        sizes = [size_text(change, trend.metric) for trend, change in self.members]
        span = sizes[0] if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
        number = count(len(self.members), "series", "series")
        return f"{between(self.members[0][1])}: {number} {'worse' if self.worse else 'better'}, {span}"


def meetings(trends: Sequence[Trend]) -> tuple[Meeting, ...]:
    """Return the changes of some trends of one machine by the runs they lie between, the newest first."""
    found: dict[tuple[datetime, str, datetime, str, bool], list[tuple[Trend, Change]]] = {}
    for trend in trends:
        for change in trend.changes:
            place = (change.last.started, change.last.run, change.first.started, change.first.run, change.worse)
            found.setdefault(place, []).append((trend, change))
    newest_first = sorted(found.items(), key=lambda item: item[0], reverse=True)
    return tuple(
        Meeting(worse=place[-1], members=tuple(sorted(members, key=lambda member: member[1].growth)))
        for place, members in newest_first
    )


def place_text(seen: Seen) -> str:
    """Return a machine with its versions, its runs and whether this is it."""
    own = " (this machine)" if seen.is_here else ""
    machine = seen.machine
    return f"{machine.id}{own}: {machine.name}, {machine.python}, torch {machine.torch}; {count(seen.runs, 'run')}"


def difference_text(seen: Seen) -> str:
    """Return in what a machine differs from the one that is shown first."""
    return "; ".join(f"{name} {there}, not {here}" for name, there, here in seen.differs)
