"""Statistics of timings: pure functions of the samples, with no clock, no torch and no state.

Every estimate is an `Interval`: a point, its ends, its confidence and the number of samples behind it. Where the
samples are too few there are no ends, and whoever reads it has to call the matter inconclusive: one timing against one
timing decides nothing. Intervals here take samples as independent. Samples of one process drift together, so these
intervals describe the spread inside a run; deciding whether two versions of a program differ is `comparison`'s job.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy import special

CONFIDENCE = 0.95
MIN_SIZES = 3
"""Fewest sizes a growth exponent is fitted to: two always lie on a line and say nothing about its error."""

OVERHEAD_SLOPE = 0.8
"""A first segment this much flatter than the later ones is taken to show constant overhead, not growth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with a confidence interval; no ends means that the samples are too few for one."""

    point: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    """Exact coverage of the interval where it is known exactly, otherwise the nominal one."""
    samples: int

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return self.low is not None and self.high is not None

    def excludes(self, value: float) -> bool:
        """Whether the interval exists and `value` lies outside it; False is *not* evidence that they are equal."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


def enough_samples(count: int, confidence: float = CONFIDENCE) -> bool:
    """Whether `count` samples can give an interval of the median at all: the widest one covers it with 1 − 2^(1−n)."""
    return count > 1 and 1.0 - 2.0 ** (1 - count) >= confidence


def median_interval(samples: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Estimate the median with a distribution-free interval between two order statistics.

    For n independent samples of any continuous distribution the interval (x₍ₖ₊₁₎, x₍ₙ₋ₖ₎) covers the median with
    probability 1 − 2·P(B ≤ k), B ~ Binomial(n, ½) (David & Nagaraja, Order Statistics, 3rd ed., 7.1). The largest k
    that reaches `confidence` is taken, and the coverage it has is reported.

    Args:
        samples: at least one number.
        confidence: the least coverage wanted, in (0, 1).

    Raises:
        ValueError: there is no sample.
    """
    ordered = sorted(samples)
    count = len(ordered)
    if not count:
        message = "Cannot estimate a median: samples=() (type tuple) is empty. Give at least one sample."
        raise ValueError(message)
    point = statistics.median(ordered)
    if not enough_samples(count, confidence):
        return Interval(point=point, samples=count)
    drop = round(float(special.bdtrik((1.0 - confidence) / 2.0, count, 0.5))) + 1  # at least the right one
    while drop > 0 and _coverage(count, drop) < confidence:
        drop -= 1
    low, high = ordered[drop], ordered[count - 1 - drop]
    return Interval(point=point, low=low, high=high, confidence=_coverage(count, drop), samples=count)


def _coverage(count: int, drop: int) -> float:
    """Probability that the order statistics left after dropping `drop` at each end enclose the median."""
    return float(1.0 - 2.0 * special.bdtr(drop, count, 0.5))


def paired_ratio(numerator: Sequence[float], denominator: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Estimate the ratio of two timings sampled in the same rounds: the median of the pairs' ratios, with its interval.

    Sample i of both must come from one round, as `sampling.sample` gives them: what slows a whole round (another
    process, a lower clock rate) then falls out of each ratio. The longer one is cut to the shorter one's length.

    Args:
        numerator: times, positive.
        denominator: times, positive.
        confidence: the least coverage wanted, in (0, 1).
    """
    ratios = [math.log(above / below) for above, below in zip(numerator, denominator, strict=False)]
    return _exponentiated(median_interval(ratios, confidence))


def unpaired_ratio(
    numerator: Sequence[float], denominator: Sequence[float], confidence: float = CONFIDENCE
) -> Interval:
    """Estimate the ratio of two timings that were not sampled together, such as CPU against CUDA.

    The interval is that of the quotient of two median intervals, each with half the error allowed (Bonferroni), so it
    is conservative.

    Args:
        numerator: times, positive.
        denominator: times, positive.
        confidence: the least coverage wanted, in (0, 1).
    """
    each = 1.0 - (1.0 - confidence) / 2.0
    above, below = median_interval(numerator, each), median_interval(denominator, each)
    count = min(above.samples, below.samples)
    point = above.point / below.point
    if above.low is None or above.high is None or below.low is None or below.high is None:
        return Interval(point=point, samples=count)
    low, high = above.low / below.high, above.high / below.low
    return Interval(point=point, low=low, high=high, confidence=confidence, samples=count)


def _exponentiated(interval: Interval) -> Interval:
    low = None if interval.low is None else math.exp(interval.low)
    high = None if interval.high is None else math.exp(interval.high)
    return Interval(
        point=math.exp(interval.point), low=low, high=high, confidence=interval.confidence, samples=interval.samples
    )


def growth_exponent(
    elements: Sequence[float], times: Sequence[float], confidence: float = CONFIDENCE
) -> Interval | None:
    """Fit time ∝ sizeᵖ over a sweep and return p with its interval, or None where the data cannot say.

    Ordinary least squares of log time on log size, with Student's t interval of the slope (n − 2 degrees of freedom).
    Constant overhead bends the curve at its small end: while the slope of the first segment is less than
    `OVERHEAD_SLOPE` of the median slope of the later ones, and more than `MIN_SIZES` sizes remain, the smallest size is
    left out. What bending remains shows as a wide interval.

    Args:
        elements: sizes, positive; those that occur twice count once (the first is kept).
        times: seconds per call, positive, one per size.
        confidence: coverage of the interval, in (0, 1).
    """
    points = sorted(
        {
            size: time for size, time in reversed(list(zip(elements, times, strict=True))) if size > 0 and time > 0
        }.items()
    )
    if len(points) < MIN_SIZES:
        return None
    logs = _without_overhead([(math.log(size), math.log(time)) for size, time in points])
    sizes, values = [x for x, _ in logs], [y for _, y in logs]
    slope, intercept = statistics.linear_regression(sizes, values)
    left = sum((y - intercept - slope * x) ** 2 for x, y in logs)
    middle, freedom = statistics.fmean(sizes), len(logs) - 2
    error = math.sqrt(left / freedom / sum((x - middle) ** 2 for x in sizes))
    half = float(special.stdtrit(freedom, 0.5 + confidence / 2.0)) * error
    return Interval(point=slope, low=slope - half, high=slope + half, confidence=confidence, samples=len(logs))


def _without_overhead(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Drop small sizes whose time barely depends on the size while the later ones' does."""
    kept = points
    while len(kept) > MIN_SIZES:
        slopes = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairwise(kept)]
        if slopes[0] >= OVERHEAD_SLOPE * statistics.median(slopes[1:]):
            break
        kept = kept[1:]
    return kept


def is_steady(samples: Sequence[float], window: int, tolerance: float) -> bool:
    """Whether the medians of the last two windows of samples agree.

    Args:
        samples: times, in the order they were taken.
        window: samples per window.
        tolerance: largest relative difference of the two medians, compared with the smaller.
    """
    if len(samples) < 2 * window:
        return False
    before = statistics.median(samples[-2 * window : -window])
    after = statistics.median(samples[-window:])
    return abs(after - before) <= tolerance * min(before, after)
