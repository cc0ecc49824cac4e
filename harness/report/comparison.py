"""The table of optimizers and problems: gradient evaluations to a target, or how it ended.

It turns frames into rows of texts for a template; it draws nothing and judges nothing. A number stands only for
descents that got there; of the others, how many there are and how they ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from types import SimpleNamespace
from typing import NamedTuple

import pandas as pd

from harness.records import Outcome
from harness.report import text
from harness.report.profiles import DECLARED_TO_DIVERGE, problem_frame, target_text, taus
from harness.report.tables import rows

OWN_GOAL = "the goal each entry declares"
DECLARED = ("misses", DECLARED_TO_DIVERGE)
MOST_PROBLEMS = 150
"""Problems listed for a target, the worst; the rest are counted, and all are in results.parquet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What an optimizer did on a problem."""

    text: str
    """Evaluations, or statuses; empty: it was not run."""
    notes: tuple[str, ...] = ()
    """How many of several descents got there, what the others did."""
    tone: str = ""
    """best · fail · declared, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A problem."""

    case: str
    about: str
    """What tells it from the case's other problems."""
    cells: tuple[Cell, ...]
    reasons: tuple[tuple[str, str], ...]
    """Optimizer and reason of every declared miss and divergence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The problems for one target, worst first."""

    target: str
    optimizers: tuple[str, ...]
    lines: tuple[Line, ...]
    left_out: int


def comparison_tables(converge: pd.DataFrame, targets: pd.DataFrame) -> tuple[Table, ...]:
    """Return a table for each target, the entries' own goals first; nothing where fewer than two optimizers were run.

    Args:
        converge: as in `columns.CONVERGE`.
        targets: as in `columns.TARGETS`.
    """
    if converge["optimizer"].nunique() < 2:
        return ()
    placed = rows(problem_frame(converge))
    ladder = {(row.job, row.seed, row.tau): row.evaluations for row in rows(targets)}
    tables = [_table(OWN_GOAL, [_Run(row, _own_cost(row)) for row in placed], comparable=False)]
    for tau in taus(targets):
        keys = [(row.job, row.seed, tau) for row in placed]
        runs = [_Run(row, ladder[key]) for row, key in zip(placed, keys, strict=True) if key in ladder]
        tables.append(_table(target_text(tau), runs, comparable=True))
    return tuple(tables)


class _Run(NamedTuple):
    """A descent and what it spent to reach the table's target."""

    row: SimpleNamespace
    cost: int | None

    @property
    def failed(self) -> bool:
        return self.row.outcome != Outcome.PASS and self.row.excused is None

    @property
    def declared(self) -> bool:
        return self.cost is None and (self.row.expect in DECLARED or self.row.excused is not None)


def _own_cost(row: SimpleNamespace) -> int | None:
    if row.status != "hit":
        return None
    # A classifier arrives by its accuracy, which is looked at once, at the end.
    spent: int = row.gradient_evaluations if row.evaluations_to_tolerance is None else row.evaluations_to_tolerance
    return spent


def _grouped(runs: Iterable[_Run], key: Callable[[SimpleNamespace], str | int]) -> dict[str | int, list[_Run]]:
    found: dict[str | int, list[_Run]] = {}
    for run in runs:
        found.setdefault(key(run.row), []).append(run)
    return found


def _table(target: str, runs: Sequence[_Run], *, comparable: bool) -> Table:
    problems = _grouped(runs, lambda row: row.problem)
    per_case = Counter(mine[0].row.case for mine in problems.values())
    popular = Counter(name for mine in problems.values() for name in dict.fromkeys(run.row.optimizer for run in mine))
    optimizers = tuple(name for name, _ in popular.most_common())
    worst_first = sorted(problems.values(), key=_badness, reverse=True)
    lines = [
        _line(mine, optimizers, several=per_case[mine[0].row.case] > 1, comparable=comparable)
        for mine in worst_first[:MOST_PROBLEMS]
    ]
    return Table(
        target=target, optimizers=optimizers, lines=tuple(lines), left_out=max(0, len(problems) - MOST_PROBLEMS)
    )


def _badness(runs: Sequence[_Run]) -> tuple[int, float, int]:
    """Rank a problem: undeclared failures first, then by the share of descents that missed, then by the least cost."""
    meant = [run for run in runs if run.row.expect != DECLARED_TO_DIVERGE]
    costs = [run.cost for run in meant if run.cost is not None]
    missed = 1 - len(costs) / len(meant) if meant else 0.0
    return sum(run.failed for run in runs), missed, min(costs, default=0)


def _line(runs: Sequence[_Run], optimizers: Sequence[str], *, several: bool, comparable: bool) -> Line:
    mine = _grouped(runs, lambda row: row.optimizer)
    middles = {name: _middle(own) for name, own in mine.items()}
    found = [middle for middle in middles.values() if middle is not None]
    best = min(found, default=None) if comparable and len(mine) > 1 else None
    cells = {name: _cell(own, leads=best is not None and best == middles[name]) for name, own in mine.items()}
    first = runs[0].row
    return Line(
        case=first.case,
        about=_about(first) if several else "",
        cells=tuple(cells.get(name, Cell(text="")) for name in optimizers),
        reasons=_reasons(runs),
    )


def _middle(runs: Sequence[_Run]) -> float | None:
    """Return the median cost; None unless every descent got there."""
    costs = [run.cost for run in runs if run.cost is not None]
    return float(median(costs)) if len(costs) == len(runs) else None


def _about(row: SimpleNamespace) -> str:
    parts = [
        None if row.dimension is None or row.start else text.count(row.dimension, "parameter"),
        f"from {row.start}" if row.start else row.first_loss and f"from loss {text.number(row.first_loss, 4)}",
        None if row.minimum_loss is None else f"to loss {text.number(row.minimum_loss, 3)}",
        row.dtype if row.dtype != "float64" else None,
    ]
    return " ".join(part for part in parts if part)


def _cell(runs: Sequence[_Run], *, leads: bool) -> Cell:
    """Describe the descents of one optimizer on one problem, over entries and seeds."""
    arrived = sorted(run.cost for run in runs if run.cost is not None)
    missed = [run for run in runs if run.cost is None]
    failed, declared = any(run.failed for run in runs), any(run.declared for run in missed)
    tone = "fail" if failed else "declared" if declared else "best" if leads else ""
    if not arrived:
        words = list(dict.fromkeys(_ended(run.row) for run in missed))
        return Cell(text=" · ".join(words), notes=(f"none of {len(missed)}",) if len(missed) > 1 else (), tone=tone)
    notes = [f"{arrived[0]:,} to {arrived[-1]:,}"] if arrived[0] < arrived[-1] else []
    if missed:
        notes.append(f"{len(arrived)} of {len(runs)} arrived")
    return Cell(text=f"{median(arrived):,.0f}", notes=tuple(notes), tone=tone)


def _ended(row: SimpleNamespace) -> str:
    """Say how a descent ended that did not get there; its budget is a lower bound of what it would have needed."""
    return f"> {row.gradient_evaluations:,}" if row.status in ("hit", "budget") else str(row.status)


def _reasons(runs: Sequence[_Run]) -> tuple[tuple[str, str], ...]:
    """Return why what is declared is declared, each reason once."""
    found: dict[tuple[str, str], None] = {}
    for run in runs:
        if run.declared:
            why = run.row.reason or run.row.excused
            word = "declared to diverge" if run.row.expect == DECLARED_TO_DIVERGE else "declared miss"
            found[run.row.optimizer, f"{word}: {why}" if why else word] = None
    return tuple(found)
