"""The rate a descent showed: a line through the logarithm of its errors, its interval aware of their correlation.

Errors of neighbouring steps are no independent draws: an oscillating descent, or one with several rates at once, leaves
residuals that hang together. The interval therefore counts them as n(1−r)/(1+r) independent ones, where r is their
lag-one autocorrelation (the effective sample size of an AR(1) process; used so for trends by Santer et al., J. Geophys.
Res. 105, 2000). It is narrow for a geometric sequence, wide for an oscillation, and knows nothing of steps not taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

EPS = float(np.finfo(np.float64).eps)
ROUNDINGS = 1e3
"""Errors below this many roundings of the minimiser's size do not count: rounding has taken over."""
CONFIDENCE = 0.95
FEWEST = 6
"""Steps a line is drawn through at least."""
UNEXPLAINED = 0.05
"""Share of the logarithms' variance that the line may leave."""

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateFit:
    """A linear rate ρ, errors ~ ρᵏ, with its 95 % interval."""

    rate: float
    low: float
    high: float


def fit_rate(errors: Sequence[float], *, scale: float = 1.0, rounding: float = EPS) -> RateFit | None:
    """Fit the linear rate ρ of errors ~ ρᵏ over the later half of the steps before rounding takes over.

    The fitted line goes through the logarithm of the errors' upper envelope, so that the dips of an oscillating descent
    do not count. None where the errors do not fall along a line: too few steps, too little fall, or R² below 0.95.

    Args:
        errors: distance to the minimum at every step.
        scale: size of the minimiser's entries (at least 1 is taken); errors below 1000 roundings of it do not count.
        rounding: the relative rounding of the run's dtype.
    """
    values = np.asarray(errors, dtype=np.float64)
    small = np.flatnonzero(~(values > ROUNDINGS * rounding * max(1.0, scale)))
    usable = values[: small[0]] if len(small) else values
    tail = usable[len(usable) // 2 :]
    if len(tail) < FEWEST or not np.isfinite(tail).all():
        return None
    logs = np.log(np.maximum.accumulate(tail[::-1])[::-1])
    steps = np.arange(len(logs), dtype=np.float64)
    slope, offset = (float(value) for value in np.polyfit(steps, logs, 1))
    residuals = logs - slope * steps - offset
    left, total = float(np.sum(residuals**2)), float(np.sum((logs - logs.mean()) ** 2))
    if slope >= 0 or logs[0] - logs[-1] < 1e-3 or left > UNEXPLAINED * total:
        return None
    half = _half_width(residuals, steps)
    return RateFit(rate=math.exp(slope), low=math.exp(slope - half), high=math.exp(slope + half))


def _half_width(residuals: Vector, steps: Vector) -> float:
    """Return the half-width of the slope's interval: Student's t at the residuals' effective number of them."""
    left = float(np.sum(residuals**2))
    if left == 0.0:
        return 0.0
    correlation = min(max(float(np.sum(residuals[1:] * residuals[:-1])) / left, 0.0), 0.999)
    freedom = max(len(residuals) * (1 - correlation) / (1 + correlation) - 2, 1.0)
    error = math.sqrt(left / freedom / float(np.sum((steps - steps.mean()) ** 2)))
    return min(float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error, 700.0)
