"""How small a slow-down a test finds: its minimum detectable effect, from spread and number alone."""

from __future__ import annotations

import math
from functools import cache

from scipy import optimize, special, stats

POWER = 0.9
"""Probability with which a minimum detectable effect is found."""


def by_interval(half: float, threshold: float, alpha: float) -> float:
    """Return the smallest relative slow-down whose whole interval lies above a threshold, with `POWER`.

    Args:
        half: half the width of an interval of the log-ratio that covers 1 − 2·`alpha`.
        threshold: relative difference.
        alpha: one-sided level.
    """
    beyond = half * (1.0 + float(special.ndtri(POWER) / special.ndtri(1.0 - alpha)))
    return math.expm1(math.log1p(threshold) + beyond)


def by_test(error: float, count: int, threshold: float, alpha: float) -> float:
    """Return the smallest relative slow-down that is significant by a t-test and at least a threshold, with `POWER`.

    Of the two conditions the harder one decides: the noncentral t-test, or that the mean does not fall short of the
    threshold.

    Args:
        error: standard error of the mean log-ratio.
        count: observations behind it, at least two.
        threshold: relative difference.
        alpha: one-sided level.
    """
    reaching = math.log1p(threshold) + float(special.ndtri(POWER)) * error
    return math.expm1(max(reaching, _errors_needed(count, alpha) * error))


@cache
def _errors_needed(count: int, alpha: float) -> float:
    """Return how many standard errors an effect must have for a one-sided t-test to find it with `POWER`."""
    critical = float(special.stdtrit(count - 1, 1.0 - alpha))

    def power_missing(shift: float) -> float:
        return POWER - float(stats.nct.sf(critical, count - 1, shift))

    return float(optimize.brentq(power_missing, 0.0, 4.0 * critical + 10.0))
