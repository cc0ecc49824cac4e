"""Where a series of figures changed its level, from the figures alone.

Penalised optimal partitioning by ruptures (the l2 cost, solved exactly), with the penalty set by the series' own noise.
Figures of neighbouring runs are alike for reasons that have nothing to do with the code (the machine's load, its
neighbours, its temperature), so the noise that counts is the long-run one: the variance times (1 + ρ)/(1 − ρ), the
factor by which autocorrelated (AR(1)) errors widen the variance of a mean. A level that lasted fewer than `SHORTEST`
runs, a change below the metric's least effect, and a drift as such are not seen: a slow one is seen as steps, and one
that is steep against the scatter is taken for correlated noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import ruptures
from numpy.typing import NDArray

FEWEST = 10
"""Runs a series needs before a change is looked for: two levels of five."""
SHORTEST = 5
"""Runs a level has to last."""
PENALTY = 3.0
"""c of the penalty c · σ² · log n for each change. BIC asks for 2 (a level and a place are two parameters each, at
½ log n in units of 2σ²); the half more pays for σ and ρ being estimated from the same few figures."""
THRESHOLD = 4.0
"""Standard errors that two neighbouring levels must lie apart: 6e-5 two-sided, for the many places tried in one series
and the many series looked at, and because ρ is found too small more often than too large."""
LEAST_CORRELATION = 0.3
"""ρ that is assumed at least, since twenty runs cannot show that there is none."""
MOST_CORRELATION = 0.8
ROUNDS = 4
"""Most rounds of estimating noise and cutting again; they settle in two or three."""
_WINDOW = 3
_OUTLIER = 4.0

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Noise:
    """Spread of a series around its levels: variance of a figure, and how alike neighbours are."""

    variance: float
    correlation: float

    @property
    def long_run(self) -> float:
        """Variance that the mean of n figures has, times n."""
        return self.variance * (1 + self.correlation) / (1 - self.correlation)


def change_points(figures: Sequence[float], *, least: float) -> tuple[int, ...]:
    """Return the positions at which a new level begins.

    Args:
        figures: in the order of time; logarithms where changes are relative.
        least: smallest difference of levels that matters, in the same units.

    Returns:
        Ascending positions, each the first figure of its level; empty where the series is too short.
    """
    if len(figures) < FEWEST:
        return ()
    values = _without_outliers(np.asarray(figures, dtype=np.float64), least)
    variance = max(_spread(values), least / 4) ** 2
    cuts = _cut(values, variance)
    noise = _noise(values, cuts, least)
    for _ in range(ROUNDS):
        again = _cut(values, noise.long_run)
        noise = _noise(values, again, least)
        if again == cuts:
            break
        cuts = again
    return _confirmed(values, cuts, noise, least)


def exact_changes(figures: Sequence[float]) -> tuple[int, ...]:
    """Return the positions at which a figure without noise, such as a count of operators, differs from the last."""
    return tuple(at for at, (before, after) in enumerate(pairwise(figures), start=1) if before != after)


def _cut(values: Array, variance: float) -> tuple[int, ...]:
    """Cut a series where that lowers the sum of squares by more than the penalty; the last cut is its end."""
    search = ruptures.KernelCPD(kernel="linear", min_size=SHORTEST).fit(values.reshape(-1, 1))
    return tuple(int(end) for end in search.predict(pen=PENALTY * variance * math.log(len(values))))


def _noise(values: Array, cuts: tuple[int, ...], least: float) -> Noise:
    """Estimate the noise around the levels between cuts, never below what could matter anyway."""
    count, levels = len(values), len(cuts)
    rest = np.concatenate([part - part.mean() for part in np.split(values, cuts[:-1])])
    squares = float(rest @ rest)
    found = float(rest[1:] @ rest[:-1]) / squares if squares > 0 else 0.0
    # The lag-1 coefficient of n residuals around a fitted mean is too small by (1 + 3ρ)/n (Kendall 1954).
    unbiased = (found + levels / count) / max(1 - 3 * levels / count, 0.3)
    correlation = min(max(unbiased, LEAST_CORRELATION), MOST_CORRELATION)
    # A level fitted to autocorrelated figures takes as many degrees of freedom as it takes independent figures.
    freedom = max(count - levels * (1 + correlation) / (1 - correlation), count / 3)
    return Noise(max(squares / freedom, (least / 4) ** 2), correlation)


def _confirmed(values: Array, cuts: tuple[int, ...], noise: Noise, least: float) -> tuple[int, ...]:
    """Drop, weakest first, the changes that are too small to matter or to be told from noise."""
    ends = [0, *cuts]
    while len(ends) > 2:
        scores = [_score(values, ends[at : at + 3], noise) for at in range(len(ends) - 2)]
        weak = [at for at, (step, errors) in enumerate(scores) if step < least or errors < THRESHOLD]
        if not weak:
            break
        del ends[min(weak, key=lambda at: scores[at][1]) + 1]
    return tuple(ends[1:-1])


def _score(values: Array, ends: Sequence[int], noise: Noise) -> tuple[float, float]:
    """Return how far two neighbouring levels lie apart: in the series' units, and in standard errors."""
    start, middle, end = ends
    before, after = values[start:middle], values[middle:end]
    step = abs(float(after.mean() - before.mean()))
    error = math.sqrt(noise.long_run * (1 / len(before) + 1 / len(after)))
    return min(step, abs(float(np.median(after) - np.median(before)))), step / error


def _without_outliers(values: Array, least: float) -> Array:
    """Draw single figures far from their neighbours' median towards it (Hampel's filter); a step stays a step."""
    limit = _OUTLIER * max(_spread(values), least / 4)
    windows = (values[max(0, at - _WINDOW) : at + _WINDOW + 1] for at in range(len(values)))
    middle = np.array([np.median(window) for window in windows])
    return np.clip(values, middle - limit, middle + limit)


def _spread(values: Array) -> float:
    """Estimate the standard deviation of figures around their level from differences of neighbours, robustly."""
    steps = np.diff(values)
    return float(1.4826 * np.median(np.abs(steps - np.median(steps))) / math.sqrt(2))
