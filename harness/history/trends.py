"""What a history's rows come to: one trend per series and machine, with the places where its level changed.

Pure functions of the rows. A series never mixes machines: rows whose fingerprints differ are different trends. Timings
that could not be taken, or whose device was throttled, are left out, and a gap says nothing about the code.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import pandas as pd

from harness.history.changes import FEWEST, change_points, exact_changes
from harness.history.fingerprint import Machine, Place, machine_of
from harness.history.metrics import Metric, figures_of
from harness.records import Outcome
from harness.report.tables import rows

RUN_COLUMNS = (
    *("run", "started", "commit", "changed"),
    *("python", "torch", "platform", "cpu", "cpu_count", "memory_bytes", "torch_threads", "cuda"),
)
"""What is needed of a run, whatever the metric."""


class Direction(StrEnum):
    """Where a series stands now; the members' order is that of a report."""

    WORSE = "worse"
    BETTER = "better"
    STEADY = "steady"
    TOO_FEW = "too few"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run's figure in a series."""

    run: str
    started: datetime
    commit: str | None
    """Short, with a "+" where files differed from it; None outside of a repository."""
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A place where the level of a series changed: between the runs `last` and `first`."""

    position: int
    before: float
    """Median of the level before; `after` likewise."""
    after: float
    worse: bool
    last: Point
    """The last run of the level before."""
    first: Point
    """The first run of the level after."""

    @property
    def ratio(self) -> float | None:
        """After over before, None where that is not defined."""
        return self.after / self.before if self.before else None

    @property
    def growth(self) -> float:
        """How much it changed, for ordering: the ratio, or the difference where there is none."""
        return self.after - self.before if self.ratio is None else self.ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A series on one machine: its figures in the order of time, and its changes."""

    machine: Machine
    metric: str
    key: tuple[tuple[str, str], ...]
    """What tells the series from others: case, pass, sizes …, as text; empty where it does not apply."""
    points: tuple[Point, ...]
    changes: tuple[Change, ...]
    direction: Direction
    reason: str
    """Why there are no changes, where none were looked for."""

    @property
    def name(self) -> str:
        """The series for people: "rss · backward · n=1000 · autograd · cpu"."""
        return " · ".join(value for _, value in self.key if value)

    @property
    def case(self) -> str:
        """The case's id."""
        return dict(self.key)["case"]

    @property
    def latest(self) -> Point:
        """The newest figure."""
        return self.points[-1]

    @property
    def level(self) -> float:
        """Median of the figures since the last change."""
        start = self.changes[-1].position if self.changes else 0
        return statistics.median(point.value for point in self.points[start:])


def machines_of(frame: pd.DataFrame) -> tuple[tuple[Machine, ...], pd.Series]:
    """Return the machines of a history, the one of the newest run first, and the machine's id in each row."""
    names = [field.name for field in fields(Place)]
    found: dict[tuple[Any, ...], Machine] = {}
    ids: list[str] = []
    for row in rows(frame[names]):
        values = tuple(getattr(row, name) for name in names)
        if values not in found:
            found[values] = machine_of(Place(**vars(row)))
        ids.append(found[values].id)
    by_id = {machine.id: machine for machine in found.values()}
    newest_first = tuple(by_id[name] for name in dict.fromkeys(reversed(ids)))
    return newest_first, pd.Series(ids, index=frame.index, dtype="string[pyarrow]")


def trends_of(frame: pd.DataFrame, metric: Metric, machine: Machine) -> tuple[Trend, ...]:
    """Return a machine's trends, the worst first.

    Args:
        frame: the rows of that machine, in the order of time.
        metric: what is followed.
        machine: where the rows come from.
    """
    figures = figures_of(frame, metric)
    usable = (frame["kind"] == metric.kind) & figures.notna() & (frame["outcome"].fillna("pass") != Outcome.ERROR.value)
    usable &= ~frame["throttled"].fillna(value=False)
    if metric.relative:
        usable &= figures > 0
    columns = dict.fromkeys(("run", "started", "commit", "changed", *metric.key, *(metric.interval or ())))
    series: dict[tuple[str, ...], list[SimpleNamespace]] = {}
    for row in rows(frame.loc[usable, list(columns)].assign(figure=figures[usable])):
        series.setdefault(tuple(_text(name, getattr(row, name)) for name in metric.key), []).append(row)
    made = (_trend(key, found, metric, machine) for key, found in series.items())
    return tuple(sorted(made, key=_rank))


def fewest(metric: Metric) -> int:
    """Return how many runs a series needs before a change is looked for."""
    return 2 if metric.exact else FEWEST


def _trend(key: tuple[str, ...], found: Sequence[SimpleNamespace], metric: Metric, machine: Machine) -> Trend:
    points = tuple(_point(row, metric) for row in found)
    changes = _changes(points, metric)
    needed = fewest(metric)
    short = len(points) < needed
    return Trend(
        machine=machine,
        metric=metric.name,
        key=tuple(zip(metric.key, key, strict=True)),
        points=points,
        changes=changes,
        direction=_direction(changes, short=short),
        reason=f"changes are looked for from {needed} runs on; there are {len(points)}" if short else "",
    )


def _point(row: SimpleNamespace, metric: Metric) -> Point:
    low, high = (getattr(row, name) for name in metric.interval) if metric.interval else (None, None)
    commit = f"{row.commit[:9]}{'+' if row.changed else ''}" if row.commit else None
    return Point(run=row.run, started=row.started, commit=commit, value=row.figure, low=low, high=high)


def _changes(points: Sequence[Point], metric: Metric) -> tuple[Change, ...]:
    values = [point.value for point in points]
    if metric.exact:
        found = exact_changes(values)
    else:
        scaled = [math.log(value) for value in values] if metric.relative else values
        found = change_points(scaled, least=metric.least_figure())
    ends = [0, *found, len(points)]
    made = []
    for start, middle, end in zip(ends, ends[1:], ends[2:], strict=False):
        before, after = statistics.median(values[start:middle]), statistics.median(values[middle:end])
        worse = metric.worse(before, after)
        last, first = points[middle - 1], points[middle]
        made.append(Change(position=middle, before=before, after=after, worse=worse, last=last, first=first))
    return tuple(made)


def _direction(changes: Sequence[Change], *, short: bool) -> Direction:
    if short:
        return Direction.TOO_FEW
    if not changes:
        return Direction.STEADY
    return Direction.WORSE if changes[-1].worse else Direction.BETTER


def _rank(trend: Trend) -> tuple[int, float, str]:
    """Order trends as `Direction` does, and within one by the newest change."""
    newest = -trend.changes[-1].first.started.timestamp() if trend.changes else 0.0
    return list(Direction).index(trend.direction), newest, trend.name


def _text(column: str, value: Any) -> str:
    """Return a part of a series' key for people, empty where it does not apply."""
    if value is None:
        return ""
    if column == "threads":
        return f"{value} thread{'' if value == 1 else 's'}"
    return f"seed {value}" if column == "descent_seed" else str(value)
