"""The log-ratios of one process pair: their median with an interval, and reasons not to judge by them.

Sample i of base and of head are taken within milliseconds of each other, in random order, so what slows the machine for
a while falls out of their ratio. What is left is correlated from sample to sample (lag-1 correlations of 0.3 to 0.6 are
common), so intervals come from a bootstrap of blocks. Medians throughout: an interrupt that hits one sample of a pair
moves nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

RESAMPLES = 1000

MIN_FOR_SHAPE = 12
"""Fewest samples that a trend or two modes are looked for in."""

TREND_P = 1e-3
"""Largest p-value of a trend that is believed."""

MODE_SHARE = 0.25
"""Least share of the samples that makes a mode of its own; fewer are outliers, which a median bears."""

MODE_DISTANCE = 4.5
"""Least distance of two modes in units of the spread inside them (Ashman's D). A normal distribution cut in half has
2.7, a uniform one 3.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSamples:
    """Times of both sides from one pair of processes, in seconds per call; sample i of both is one pair."""

    base: tuple[float, ...]
    head: tuple[float, ...]
    steady: bool
    """Whether both sides' warm-ups reached a steady state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """An estimate of a log-ratio with the ends of its interval."""

    point: float
    low: float
    high: float


def usable(pair: PairSamples) -> Array:
    """Return log(head/base) of every pair of samples in which both are positive and finite, in order."""
    count = min(len(pair.base), len(pair.head))
    base, head = np.asarray(pair.base[:count], dtype=float), np.asarray(pair.head[:count], dtype=float)
    good = np.isfinite(base) & np.isfinite(head) & (base > 0) & (head > 0)
    logs: Array = np.log(head[good]) - np.log(base[good])
    return logs


def typical_s(pair: PairSamples) -> float:
    """Return the median time of base, 0 where there is none."""
    times = [time for time in pair.base if math.isfinite(time)]
    return float(np.median(times)) if times else 0.0


def doubt(pair: PairSamples, matters: float, *, fewest: int) -> str | None:
    """Return the reason a process pair cannot be judged, or None.

    Swapping base and head changes nothing about it, so setting doubtful pairs aside favours no side.

    Args:
        pair: samples of both sides.
        matters: the relative difference that matters; trends and modes closer than that are let be.
        fewest: fewest pairs of samples.
    """
    logs = usable(pair)
    if len(logs) < fewest:
        return f"{len(logs)} pairs of samples are too few; {fewest} are needed"
    if not pair.steady:
        return "no steady state"
    if len(logs) < MIN_FOR_SHAPE:
        return None
    if drifts(logs, matters):
        return "the ratio drifts: one side changes its speed while it is timed"
    if bimodal(logs, matters) or _states_differ(pair, logs, matters):
        return "two speeds: the samples fall into two groups"
    return None


def median_of_ratios(logs: Array, confidence: float) -> Ends:
    """Estimate the median of a series with a moving-block bootstrap interval (Künsch 1989, Ann. Statist. 17:1217).

    Blocks of neighbours are drawn, so that the correlation from sample to sample stays in the resamples. The generator
    is seeded by the series itself: the same samples give the same interval.

    Args:
        logs: the series, at least one number.
        confidence: coverage of the interval, in (0, 1).
    """
    count, length = len(logs), block_length(logs)
    seed = int.from_bytes(hashlib.blake2b(logs.tobytes(), digest_size=8).digest(), "big")
    generator = np.random.default_rng(seed)
    blocks = math.ceil(count / length)
    starts = generator.integers(0, count - length + 1, size=(RESAMPLES, blocks, 1))
    places = (starts + np.arange(length)).reshape(RESAMPLES, -1)[:, :count]
    medians = np.median(logs[places], axis=1)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(medians, [tail, 1.0 - tail])
    point = float(np.median(logs))
    return Ends(point=point, low=min(float(low), point), high=max(float(high), point))


def block_length(logs: Array) -> int:
    """Choose the bootstrap's block length from the data.

    The length with the least mean squared error of the estimated variance, b = (3n/2)^⅓ · (2ρ/(1 − ρ²))^⅔ for a
    first-order autoregression (Politis & White 2004, Econometric Reviews 23:53, with G and D of such a process). The
    median depends on the series through the signs of its deviations alone (Bahadur's representation), so ρ is
    the lag-1 correlation of these signs, which outliers cannot move. Never less than n^⅓, the rate that is right for
    weak dependence, since ρ of a few dozen samples is uncertain; never more than a quarter of the samples.
    """
    count = len(logs)
    signs = np.sign(logs - np.median(logs))
    power = float(signs @ signs)
    rho = float(signs[1:] @ signs[:-1]) / power if power > 0 else 0.0
    rho = min(max(rho, 0.0), 0.9)
    best = math.cbrt(1.5 * count * (2.0 * rho / (1.0 - rho**2)) ** 2)
    return max(1, min(round(max(best, math.cbrt(count))), count // 4))


def drifts(logs: Array, matters: float) -> bool:
    """Whether a series has a trend that is significant (Kendall's τ) and larger, from end to end, than what matters.

    The change is Theil and Sen's slope, a median of slopes, times the length.
    """
    order = np.arange(len(logs), dtype=float)
    slope = float(stats.theilslopes(logs, order).slope)
    if abs(slope) * len(logs) <= math.log1p(matters):
        return False
    return bool(stats.kendalltau(order, logs).pvalue < TREND_P)


def bimodal(values: Array, matters: float) -> bool:
    """Whether values fall into two groups further apart than what matters."""
    return modes_apart(values) > math.log1p(matters)


def modes_apart(values: Array) -> float:
    """Return how far apart the two groups are that values fall into, 0 where they do not.

    The values are cut in two where the sum of squares inside the parts is least (Otsu 1979, IEEE Trans. SMC 9:62); the
    parts are groups when each has `MODE_SHARE` of the values and they are `MODE_DISTANCE` times their spread apart
    (Ashman, Bird & Zepf 1994, Astron. J. 108:2348).
    """
    ordered = np.sort(values)
    count = len(ordered)
    least = max(2, math.ceil(MODE_SHARE * count))
    cuts = range(least, count - least + 1)
    if not cuts:
        return 0.0
    cut = min(cuts, key=lambda place: _within(ordered[:place]) + _within(ordered[place:]))
    below, above = ordered[:cut], ordered[cut:]
    apart = float(np.median(above) - np.median(below))
    spread = math.sqrt((_spread(below) ** 2 + _spread(above) ** 2) / 2.0)
    return apart if apart > MODE_DISTANCE * spread else 0.0


def _within(part: Array) -> float:
    return float(np.var(part)) * len(part)


def _spread(part: Array) -> float:
    return float(np.std(part))


def _states_differ(pair: PairSamples, logs: Array, matters: float) -> bool:
    """Whether a side has two speeds that the other side does not share, sample by sample."""
    low, high = np.quantile(logs, [0.25, 0.75])
    return any(
        (apart := modes_apart(np.log(_positive(side)))) > math.log1p(matters) and high - low >= apart / 2.0
        for side in (pair.base, pair.head)
    )


def _positive(side: Sequence[float]) -> Array:
    times = np.asarray(side, dtype=float)
    kept: Array = times[np.isfinite(times) & (times > 0)]
    return kept
