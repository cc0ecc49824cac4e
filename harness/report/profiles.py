"""Optimizers compared: which descents were on the same problem, and what share of the problems each optimizer solved.

A problem is a case at one size, from one start, towards one minimum's loss, in one number type: the descents on it have
the same targets. A target that a descent never reached stays missing, and counts as not solved however far a profile
goes. Pure functions of frames. They cannot tell a good choice of options from a bad one: an optimizer is here what its
entries made of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd

from harness.report import text
from harness.report.tables import rows

DECLARED_TO_DIVERGE = "diverges"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The share of its problems that an optimizer solved within each cost, a step function that starts at 0."""

    optimizer: str
    problems: int
    """Problems it was run on."""
    costs: tuple[float, ...]
    """Ascending; where the share rises."""
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Every optimizer's curves for one target."""

    tau: float
    problems: int
    """Problems that at least two optimizers were run on."""
    unsized: int
    """Those of them whose number of parameters is not known: they are in no data profile."""
    performance: tuple[Curve, ...]
    """Costs in units of the fewest gradient evaluations any optimizer took (Dolan and Moré 2002)."""
    data: tuple[Curve, ...]
    """Costs in units of n + 1 gradient evaluations, n parameters (Moré and Wild 2009)."""


def problem_frame(converge: pd.DataFrame) -> pd.DataFrame:
    """Return the descents with the problem each was on.

    The seeds of one entry are one problem, whatever they drew; what tells it from others is its first seed's start.

    Args:
        converge: as in `columns.CONVERGE`.

    Returns:
        The rows, in their order, with a column `problem`: a number, the same for descents on the same problem.
    """
    firsts = converge.sort_values("seed", kind="stable").drop_duplicates("job")
    keys = _by_start({row.job: (_problem_key(row), row.start) for row in rows(firsts)})
    known = {key for key in keys.values() if key[-1] is not None}
    numbers: dict[tuple[object, ...], int] = {}
    for job, key in keys.items():
        # A descent that ended in an error knows no losses: it was on its case's problem if there is only one.
        same = [other for other in known if other[0] == key[0]]
        keys[job] = same[0] if key[-1] is None and len(same) == 1 else key
        numbers.setdefault(keys[job], len(numbers))
    return converge.assign(problem=[numbers[keys[job]] for job in converge["job"]])


def _by_start(placed: Mapping[str, tuple[tuple[object, ...], str | None]]) -> dict[str, tuple[object, ...]]:
    """Part jobs of equal losses by their starts, where several are known: a symmetric function has many such."""
    starts: dict[tuple[object, ...], set[str | None]] = {}
    for key, start in placed.values():
        starts.setdefault(key, set()).add(start)
    several = {key for key, found in starts.items() if len(found - {None}) > 1}
    return {job: (*key[:-1], start if key in several else None, key[-1]) for job, (key, start) in placed.items()}


def _problem_key(row: SimpleNamespace) -> tuple[object, ...]:
    first, minimum = row.first_loss, row.minimum_loss
    head = (row.case, row.dtype, row.dimension)
    if first is None or not math.isfinite(first):
        return (*head, None, None)
    # The same minimum is known with the roundings of the descent that came near it, far below any target.
    goal = None if minimum is None else round(minimum / (abs(first) or 1.0), 9)
    return (*head, goal, f"{first:.9g}")


def attempts(converge: pd.DataFrame, targets: pd.DataFrame, tau: float) -> pd.DataFrame:
    """Return what each descent spent to reach a target, on the problems at least two optimizers were run on.

    Entries that are declared to diverge show a bound and are left out; declared misses are not.

    Args:
        converge: as `problem_frame` returns it.
        targets: as in `columns.TARGETS`.
        tau: which target of the ladder.

    Returns:
        A row per descent: problem, optimizer, seed, dimension, evaluations (missing: never reached) and `best`, the
        fewest evaluations that any optimizer took on that problem with that seed (missing: none reached it).
    """
    tried = converge[(converge["expect"] != DECLARED_TO_DIVERGE) | converge["expect"].isna()]
    reached = targets[targets["tau"] == tau][["job", "seed", "evaluations"]]
    made = tried[["job", "problem", "optimizer", "seed", "dimension", "status"]].merge(
        reached, on=["job", "seed"], how="left", indicator="ladder"
    )
    laddered = made[made["ladder"] == "both"]["problem"].unique()
    made = made[made["problem"].isin(laddered) & ((made["ladder"] == "both") | (made["status"] == "error"))]
    together = made.groupby(["problem", "seed"])["optimizer"].transform("nunique")
    made = made[together >= 2].reset_index(drop=True)
    return made.assign(best=made.groupby(["problem", "seed"])["evaluations"].transform("min"))


def profile(converge: pd.DataFrame, targets: pd.DataFrame, tau: float) -> Profile | None:
    """Return performance and data profiles for one target.

    A problem counts once. Where an optimizer has several entries or seeds on it, it counts by the share of them that
    got there, so that no optimizer gains by being tried more often.

    Args:
        converge: as `problem_frame` returns it.
        targets: as in `columns.TARGETS`.
        tau: which target of the ladder.

    Returns:
        None where no problem was tried by two optimizers.
    """
    tried = attempts(converge, targets, tau)
    if tried.empty:
        return None
    evaluations = tried["evaluations"].astype("Float64").to_numpy(dtype=float, na_value=math.inf)
    best = tried["best"].astype("Float64").to_numpy(dtype=float, na_value=1.0)
    size = tried["dimension"].astype("Float64").to_numpy(dtype=float, na_value=math.nan)
    sized = ~np.isnan(size)
    return Profile(
        tau=tau,
        problems=tried["problem"].nunique(),
        unsized=tried[~sized]["problem"].nunique(),
        performance=_curves(tried, evaluations / best),
        data=_curves(tried[sized], evaluations[sized] / (size[sized] + 1)),
    )


def _curves(mine: pd.DataFrame, costs: np.ndarray) -> tuple[Curve, ...]:
    """Return a curve per optimizer, those run on most problems first."""
    costed = mine.assign(cost=costs)
    made = [_curve(str(name), own) for name, own in costed.groupby("optimizer", sort=True)]
    return tuple(sorted(made, key=lambda curve: -curve.problems))


def _curve(optimizer: str, mine: pd.DataFrame) -> Curve:
    problems = mine["problem"].nunique()
    weight = 1 / (problems * mine.groupby("problem")["cost"].transform("size"))
    solved = mine.assign(weight=weight)[np.isfinite(mine["cost"])].groupby("cost")["weight"].sum().sort_index()
    return Curve(
        optimizer=optimizer,
        problems=problems,
        costs=tuple(float(cost) for cost in solved.index),
        shares=tuple(float(share) for share in solved.cumsum()),
    )


def profiles(converge: pd.DataFrame, targets: pd.DataFrame) -> tuple[Profile, ...]:
    """Return the profiles of every target that two optimizers can be compared at, the loosest first.

    Args:
        converge: as in `columns.CONVERGE`.
        targets: as in `columns.TARGETS`.
    """
    placed = problem_frame(converge)
    made = (profile(placed, targets, tau) for tau in taus(targets))
    return tuple(found for found in made if found is not None)


def taus(targets: pd.DataFrame) -> tuple[float, ...]:
    """Return the targets of the ladder, the loosest first.

    Args:
        targets: as in `columns.TARGETS`.
    """
    return tuple(sorted((float(tau) for tau in targets["tau"].unique()), reverse=True))


def profile_words(found: Sequence[Profile], converge: pd.DataFrame) -> str:
    """Say what profiles are over, and what was left out.

    Args:
        found: as `profiles` returns them.
        converge: as in `columns.CONVERGE`.
    """
    placed = problem_frame(converge)
    most = max(found, key=lambda one: one.problems)
    more = placed["problem"].nunique() - most.problems
    optimizers = len(most.performance)
    words = f"Over {text.count(most.problems, 'problem')} that at least two of {optimizers} optimizers were run on"
    if more:
        words += f"; {more} more had one optimizer, or no known loss to aim at"
    if fewer := [f"{one.problems} at {target_text(one.tau)}" for one in found if one.problems < most.problems]:
        words += f" (fewer where a target is too close to the minimum for the number type: {', '.join(fewer)})"
    if diverging := placed[placed["expect"] == DECLARED_TO_DIVERGE]["job"].nunique():
        words += f". Left out: {text.count(diverging, 'entry', 'entries')} declared to diverge"
    return words + "."


def target_text(tau: float) -> str:
    """Return a target as shown: ``τ = 10⁻³``."""
    exponent = round(math.log10(tau))
    if not math.isclose(tau, 10.0**exponent, rel_tol=1e-9):
        return f"τ = {tau:g}"
    return "τ = 10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
