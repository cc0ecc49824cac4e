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
from scipy import special, stats

from harness.bench.judgement import PairSamples

Array = NDArray[np.float64]

RESAMPLES = 1000

FEWEST_FOR_TREND = 12
"""Fewest samples that a trend is looked for in."""

TREND_P = 1e-3
"""Largest p-value of a trend that is believed."""

FEWEST_FOR_MODES = 20
"""Fewest samples that two modes are looked for in: fewer fall into two groups by chance too often."""

MODE_SHARE = 0.25
"""Least share of the samples that makes a mode of its own; fewer are outliers, which a median bears."""

MODE_DISTANCE = 5.0
"""Least distance of two modes in units of the spread inside them (Ashman's D). A normal distribution cut in half has
2.7, a uniform one 3.5; 20 normal samples get here in about one set of a hundred."""


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
    if typical_s(pair) <= 0:
        return "base takes less time than its clock can tell"
    if not pair.steady:
        return "no steady state"
    if drifts(logs, matters):
        return "the ratio drifts: one side changes its speed while it is timed"
    if two_speeds(pair, matters):
        return "two speeds: the samples fall into two groups"
    return None


def median_of_ratios(logs: Array, confidence: float) -> Ends:
    """Estimate the median of a series with a moving-block bootstrap interval (Künsch 1989, Ann. Statist. 17:1217).

    Blocks of neighbours are drawn, so that the correlation from sample to sample stays in the resamples. The generator
    is seeded by the sizes of the numbers: the same samples give the same interval, swapped sides its mirror image. A
    few dozen samples are a handful of blocks, whose spread is itself uncertain, so the percentile interval is widened
    around its point by the quotient of Student's (blocks − 1 degrees of freedom) and the normal quantile.

    Args:
        logs: the series, at least one number.
        confidence: coverage of the interval, in (0, 1).
    """
    count, length = len(logs), block_length(logs)
    seed = int.from_bytes(hashlib.blake2b(np.abs(logs).tobytes(), digest_size=8).digest(), "big")
    blocks = math.ceil(count / length)
    starts = np.random.default_rng(seed).integers(0, count - length + 1, size=(RESAMPLES, blocks, 1))
    places = (starts + np.arange(length)).reshape(RESAMPLES, -1)[:, :count]
    point, tail = float(np.median(logs)), (1.0 - confidence) / 2.0
    low, high = np.quantile(np.median(logs[places], axis=1), [tail, 1.0 - tail]) - point
    freedom = max(count / length - 1.0, 1.0)
    wider = float(special.stdtrit(freedom, tail) / special.ndtri(tail))
    return Ends(point=point, low=point + wider * min(float(low), 0.0), high=point + wider * max(float(high), 0.0))


def correlation(series: Array) -> float:
    """Estimate the lag-1 correlation of a series by the signs of its deviations, which outliers cannot move.

    A Gaussian series with correlation ρ has signs with correlation r = (2/π)·arcsin ρ (Sheppard 1899), so ρ is
    sin(πr/2). Negative estimates count as none, those above 0.9 as 0.9.
    """
    signs = np.sign(series - np.median(series))
    power = float(signs @ signs)
    found = float(signs[1:] @ signs[:-1]) / power if power > 0 else 0.0
    return min(max(math.sin(math.pi / 2.0 * found), 0.0), 0.9)


def block_length(logs: Array) -> int:
    """Choose the bootstrap's block length from the data.

    The length with the least mean squared error of the estimated variance, b = (3n/2)^⅓ · (2ρ/(1 − ρ²))^⅔: Politis &
    White 2004 (Econometric Reviews 23:53) with G and g of a first-order autoregression in place of estimates, for which
    a few dozen samples are too few. Never less than n^⅓, the rate that is right for weak dependence, since ρ
    is uncertain too; never more than a quarter of the samples.
    """
    count, rho = len(logs), correlation(logs)
    best = math.cbrt(1.5 * count * (2.0 * rho / (1.0 - rho**2)) ** 2)
    return max(1, min(round(max(best, math.cbrt(count))), count // 4))


def drifts(logs: Array, matters: float) -> bool:
    """Whether a series has a trend that is larger, from end to end, than what matters, and significant.

    The change is Theil and Sen's slope, a median of slopes, times the length. The test is Kendall's τ against order,
    its variance enlarged by (1 + ρ)/(1 − ρ) for correlated samples (Hamed & Rao 1998, J. Hydrol. 204:182, for a
    first-order autoregression), with ρ from what is left after the trend.
    """
    count = len(logs)
    if count < FEWEST_FOR_TREND:
        return False
    order = np.arange(count, dtype=float)
    earlier, later = np.triu_indices(count, 1)
    slope = float(np.median((logs[later] - logs[earlier]) / (later - earlier)))
    if abs(slope) * count <= math.log1p(matters):
        return False
    rho = correlation(logs - slope * order)
    variance = 2.0 * (2 * count + 5) / (9.0 * count * (count - 1)) * (1.0 + rho) / (1.0 - rho)
    tau = float(stats.kendalltau(order, logs).statistic)
    return 2.0 * float(special.ndtr(-abs(tau) / math.sqrt(variance))) < TREND_P


def two_speeds(pair: PairSamples, matters: float) -> bool:
    """Whether the ratios fall into two groups, or one side does whose other side does not share its changes of speed.

    States of the processor that both sides go through together fall out of the ratios, and do not count.
    """
    logs, limit = usable(pair), math.log1p(matters)
    if len(logs) < FEWEST_FOR_MODES:
        return False
    if modes_apart(logs) > limit:
        return True
    low, high = np.quantile(logs, [0.25, 0.75])
    sides = (modes_apart(np.log(_positive(side))) for side in (pair.base, pair.head))
    return any(apart > limit and high - low >= apart / 2.0 for apart in sides)


def modes_apart(values: Array) -> float:
    """Return how far apart the two groups are that values fall into, 0 where they do not.

    The values are cut in two where the sum of squares inside the parts is least (Otsu 1979, IEEE Trans. SMC 9:62); the
    parts are groups when each has `MODE_SHARE` of the values and they are `MODE_DISTANCE` times their spread apart
    (Ashman, Bird & Zepf 1994, Astron. J. 108:2348).
    """
    ordered = np.sort(values)
    count = len(ordered)
    cuts = np.arange(max(2, math.ceil(MODE_SHARE * count)), count - max(2, math.ceil(MODE_SHARE * count)) + 1)
    if not len(cuts):
        return 0.0
    sums = np.cumsum(ordered)
    below_mean, above_mean = sums[cuts - 1] / cuts, (sums[-1] - sums[cuts - 1]) / (count - cuts)
    cut = int(cuts[np.argmax(cuts * (count - cuts) * (above_mean - below_mean) ** 2)])
    below, above = ordered[:cut], ordered[cut:]
    apart = float(np.median(above) - np.median(below))
    spread = math.sqrt((float(np.var(below)) + float(np.var(above))) / 2.0)
    return apart if apart > MODE_DISTANCE * spread else 0.0


def _positive(side: Sequence[float]) -> Array:
    times = np.asarray(side, dtype=float)
    kept: Array = times[np.isfinite(times) & (times > 0)]
    return kept
