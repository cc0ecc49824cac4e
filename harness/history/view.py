"""What is asked of a history, and the answer: which machine's trends to show, and which others there are.

Unlike machines are never compared: trends belong to one machine, and the others are named with what differs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

import pandas as pd

from harness.case.selection import keyword_predicate
from harness.errors import UsageError
from harness.history.fingerprint import Machine, differences
from harness.history.metrics import Metric
from harness.history.store import Left, read
from harness.history.trends import RUN_COLUMNS, Trend, machines_of, trends_of
from harness.report.tables import rows

_DAYS = re.compile(r"(\d{1,5})\s*d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to show of a history.

    Args:
        metric: what is followed.
        keyword: expression that selects series by any part of their names, as pytest's -k.
        since: leave out older runs.
        machine: beginning of a machine's id; None is this machine, else that of the newest run.
        all_machines: show every machine's trends, each by itself.
    """

    metric: Metric
    keyword: str | None = None
    since: datetime | None = None
    machine: str | None = None
    all_machines: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A machine that a history has runs of."""

    machine: Machine
    runs: int
    latest: datetime
    is_shown: bool
    is_here: bool
    differs: tuple[tuple[str, str, str], ...]
    """Where it differs from the machine that is shown first: part, value there, value here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The answer: trends, the worst first, and all machines, the shown ones first."""

    url: str
    metric: Metric
    trends: tuple[Trend, ...]
    machines: tuple[Seen, ...]
    runs: int
    left: tuple[Left, ...]


@dataclass(frozen=True, slots=True)
class _Series:
    """What -k matches: a series by its name."""

    id: str
    title: str = ""


def view(url: str, question: Question, here: Machine | None) -> View:
    """Read a history and answer a question about it.

    Args:
        url: as for `store.read`.
        question: what to show.
        here: the machine this runs on, whose trends are shown unless another is asked for.

    Raises:
        UsageError: there is no such history, machine, or keyword expression; or there are no runs.
    """
    columns = tuple(dict.fromkeys((*RUN_COLUMNS, *question.metric.columns)))
    archive = read(url, since=question.since, columns=columns)
    frame = archive.frame
    if frame.empty:
        since = f" since {question.since:%Y-%m-%d}" if question.since else ""
        raise UsageError(
            f"Cannot show history: url={url!r} holds no runs{since}. Record one with: harness run --history {url}"
        )
    machines, ids = machines_of(frame)
    shown = _chosen(machines, question, here)
    of_each = (trends_of(frame[ids == machine.id], question.metric, machine) for machine in shown)
    return View(
        url=url,
        metric=question.metric,
        trends=_matching(tuple(chain.from_iterable(of_each)), question.keyword),
        machines=_seen(frame, ids, machines, shown, here),
        runs=archive.files,
        left=archive.left,
    )


def since_when(text: str, now: datetime) -> datetime:
    """Return the time that ``2026-01-31``, an ISO 8601 time, or ``30d`` (days ago) means; without a zone it is UTC.

    Raises:
        UsageError: it means none.
    """
    days = _DAYS.fullmatch(text.strip())
    try:
        when = now - timedelta(days=int(days[1])) if days else datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"Cannot show history: since={text!r} is no date. Write 2026-01-31, or 30d for the last 30 days."
        ) from error
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _chosen(machines: Sequence[Machine], question: Question, here: Machine | None) -> tuple[Machine, ...]:
    """Return the machines to show: those asked for, this one, or the one of the newest run."""
    if question.machine is not None:
        found = tuple(machine for machine in machines if machine.id.startswith(question.machine.lower()))
        if not question.machine or len(found) != 1:
            listed = ", ".join(machine.id for machine in machines)
            raise UsageError(
                f"Cannot show history: machine={question.machine!r} names {len(found)} of its machines. "
                f"Name one of: {listed}."
            )
        return found
    first = next((machine for machine in machines if here is not None and machine.id == here.id), machines[0])
    if not question.all_machines:
        return (first,)
    return (first, *(machine for machine in machines if machine.id != first.id))


def _matching(trends: Sequence[Trend], keyword: str | None) -> tuple[Trend, ...]:
    if keyword is None or not keyword.strip():
        return tuple(trends)
    matches = keyword_predicate(keyword)
    return tuple(trend for trend in trends if matches(_Series(trend.name)))


def _seen(
    frame: pd.DataFrame, ids: pd.Series, machines: Sequence[Machine], shown: Sequence[Machine], here: Machine | None
) -> tuple[Seen, ...]:
    started: dict[str, set[tuple[str, datetime]]] = {}
    for row in rows(frame[["run", "started"]].assign(machine=ids).drop_duplicates()):
        started.setdefault(row.machine, set()).add((row.run, row.started))
    ordered = [*shown, *(machine for machine in machines if machine not in shown)]
    return tuple(
        Seen(
            machine=machine,
            runs=len(started[machine.id]),
            latest=max(when for _, when in started[machine.id]),
            is_shown=machine in shown,
            is_here=here is not None and machine.id == here.id,
            differs=differences(machine, ordered[0]),
        )
        for machine in ordered
    )
