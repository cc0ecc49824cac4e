"""Judge whether head is slower than base, from paired timings: pure functions of recorded samples.

A judgement goes in two steps. `screen` looks at one process pair and finds the cases about which nothing more needs to
be known; `confirm` looks at several fresh process pairs, because two processes that run the very same code differ
persistently by a per cent or two, which no number of samples inside one pair reveals. `adjusted` then accounts for how
many cases were tested. `wide` says whether another process pair is worth running, from the spread alone.

Nothing here takes time, keeps state or draws from a global generator: one set of samples gives one judgement.
What it cannot see: a difference that all processes of one side share for a reason outside the code, such as another
compiler or library on that side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

import numpy as np
from scipy import optimize, stats

from harness.bench.paired import PairSamples, doubt, median_of_ratios, typical_s, usable
from harness.bench.statistics import Interval

__all__ = ["Decision", "Judgement", "Margin", "PairSamples", "adjusted", "confirm", "screen", "wide"]

POWER = 0.9
"""Probability with which the minimum detectable effect is found."""

FEWEST_SCREENED = 8
"""Fewest pairs of samples a screening decides on."""

FEWEST_IN_PAIR = 3
"""Fewest pairs of samples a process pair's median is taken of."""

FEWEST_PAIRS = 5
"""Fewest process pairs a slow-down is confirmed with."""

LEAST_SPREAD = 1e-3
"""Least standard deviation between process pairs, in log-ratio: equal medians show the steps of a clock, not that
processes agree exactly."""

TARGET = 5 / 3
"""Another process pair is run while the minimum detectable effect is larger than this many times the margin."""

FAMILY = 50
"""How many cases tested at once the stopping rule provides for: its level is α divided by this (Bonferroni)."""


class Decision(StrEnum):
    """What a comparison of two timings says about head."""

    SLOWER = "slower"
    SAME = "same"
    FASTER = "faster"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A decision about one case, with the evidence for it."""

    decision: Decision
    ratio: Interval | None
    """Time of head over time of base; `samples` are pairs of samples when screened, process pairs when confirmed."""
    mde: float | None
    """Smallest relative slow-down that this many samples of this spread find with a probability of 90 %."""
    p: float | None
    """One-sided p-value of "head is not slower than base"; None where nothing was tested."""
    reason: str
    threshold: float | None = None
    """The relative difference that mattered: the margin, or the absolute floor where that is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """What counts as a difference, and how sure one has to be of it."""

    relative: float = 0.03
    """δ: relative differences up to this are of no interest."""
    floor_s: float = 50e-9
    """Differences up to this many seconds per call are of no interest either."""
    alpha: float = 0.05
    """One-sided level of every test; intervals cover 1 − 2α."""
    processes: float = 0.01
    """Standard deviation allowed for between two processes that run the same code, where only one pair was run."""

    @property
    def confidence(self) -> float:
        """Coverage of the intervals: two one-sided tests at α look at an interval of 1 − 2α."""
        return 1.0 - 2.0 * self.alpha

    def threshold(self, base_s: float) -> float:
        """Return the relative difference that matters for calls of `base_s` seconds."""
        return max(self.relative, self.floor_s / base_s) if base_s > 0 else math.inf


def screen(pair: PairSamples, margin: Margin) -> Judgement:
    """Judge one process pair.

    The log-ratios' median has a moving-block bootstrap interval, to which what two processes of the same code differ
    by is added in quadrature (`Margin.processes`). SAME needs the whole interval inside ±δ: the two one-sided tests of
    equivalence (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657).

    Args:
        pair: samples of both sides.
        margin: what counts as a difference.

    Returns:
        SLOWER or FASTER when the whole interval lies beyond δ, SAME when it lies inside, otherwise INCONCLUSIVE, with
        the reason. A SLOWER here is a candidate, not a finding.
    """
    logs = usable(pair)
    threshold = margin.threshold(typical_s(pair))
    reason = doubt(pair, min(threshold, margin.relative), fewest=FEWEST_SCREENED)
    if len(logs) < FEWEST_SCREENED:
        return _undecided(reason or "there are too few samples", threshold)
    found = median_of_ratios(logs, margin.confidence)
    quantile = float(stats.norm.ppf(1.0 - margin.alpha))
    allowed = quantile * margin.processes
    low = found.point - math.hypot(found.point - found.low, allowed)
    high = found.point + math.hypot(found.high - found.point, allowed)
    ratio = _ratio(found.point, low, high, margin.confidence, len(logs))
    half = (high - low) / 2.0
    mde = math.expm1(_log(threshold) + half * (1.0 + float(stats.norm.ppf(POWER)) / quantile))
    judged = Judgement(
        decision=Decision.INCONCLUSIVE, ratio=ratio, mde=mde, p=None, reason=reason or "", threshold=threshold
    )
    return judged if reason else _placed(judged, low, high)


def confirm(pairs: Sequence[PairSamples], margin: Margin) -> Judgement:
    """Judge several process pairs, each of them one observation: the median of its log-ratios.

    SLOWER needs the mean of the observations to exceed zero by a one-sided t-test at α, and to be at least δ; FASTER is
    its mirror image. Otherwise SAME needs the t-interval of the mean inside ±δ.

    Args:
        pairs: samples of fresh processes each; those that are not fit to be judged are set aside.
        margin: what counts as a difference.

    Returns:
        The judgement of this case alone; `adjusted` accounts for the others.
    """
    kept, reasons = _fit(pairs, margin)
    threshold = margin.threshold(float(np.median([typical_s(pair) for pair in pairs])) if pairs else 0.0)
    if len(kept) < FEWEST_PAIRS:
        return _undecided(_too_few(len(kept), reasons), threshold)
    mean, spread = _moments(kept)
    error = spread / math.sqrt(len(kept))
    p = float(stats.t.sf(mean / error, len(kept) - 1))
    half = float(stats.t.ppf(1.0 - margin.alpha, len(kept) - 1)) * error
    judged = Judgement(
        decision=Decision.INCONCLUSIVE,
        ratio=_ratio(mean, mean - half, mean + half, margin.confidence, len(kept)),
        mde=_mde(spread, len(kept), threshold, margin.alpha),
        p=p,
        reason="",
        threshold=threshold,
    )
    return _tested(judged, slower=p <= margin.alpha, faster=1.0 - p <= margin.alpha)


def adjusted(judgements: Sequence[Judgement], margin: Margin) -> tuple[Judgement, ...]:
    """Account for the number of cases tested, by Benjamini and Hochberg's procedure at α, for each direction.

    Only what was confirmed takes part (`p` is there). Leaving out what the screening found to be the same does no harm:
    it was decided on other processes' samples, so it says nothing about these p-values (independent filtering: Bourgon,
    Gentleman & Huber 2010, PNAS 107:9546).

    Args:
        judgements: those of all cases of one gate, screened or confirmed.
        margin: the one they were judged with.

    Returns:
        The judgements, in order; tested ones have the adjusted p-value of a slow-down.
    """
    tested = [judged for judged in judgements if judged.p is not None]
    if not tested:
        return tuple(judgements)
    raw = np.array([judged.p for judged in tested])
    slower, faster = (stats.false_discovery_control(p, method="bh") for p in (raw, np.clip(1.0 - raw, 0.0, 1.0)))
    found = iter(
        _tested(replace(judged, p=float(up)), slower=up <= margin.alpha, faster=down <= margin.alpha)
        for judged, up, down in zip(tested, slower, faster, strict=True)
    )
    return tuple(judged if judged.p is None else next(found) for judged in judgements)


def wide(pairs: Sequence[PairSamples], margin: Margin) -> bool:
    """Say whether another process pair should be run, from the width of the interval alone.

    Stopping when a difference is significant would find one in the end wherever one looks long enough; the width of an
    interval says nothing about where it lies.

    Args:
        pairs: those run so far.
        margin: what counts as a difference.

    Returns:
        Whether there are too few fit for judging, or the minimum detectable effect, at α/`FAMILY`, is larger than
        `TARGET` times the margin.
    """
    kept, _ = _fit(pairs, margin)
    if len(kept) < FEWEST_PAIRS:
        return True
    threshold = margin.threshold(float(np.median([typical_s(pair) for pair in pairs])))
    if not math.isfinite(threshold):
        return False
    _, spread = _moments(kept)
    return _mde(spread, len(kept), threshold, margin.alpha / FAMILY) > TARGET * threshold


def _fit(pairs: Sequence[PairSamples], margin: Margin) -> tuple[list[float], list[str]]:
    """Return the observations of the process pairs that are fit to be judged, and why the others are not."""
    kept, reasons = list[float](), list[str]()
    for pair in pairs:
        reason = doubt(pair, margin.relative, fewest=FEWEST_IN_PAIR)
        if reason:
            reasons.append(reason)
        else:
            kept.append(float(np.median(usable(pair))))
    return kept, reasons


def _too_few(count: int, reasons: Sequence[str]) -> str:
    text = f"{count} of {count + len(reasons)} process pairs can be judged; {FEWEST_PAIRS} are needed"
    return f"{text}: {max(reasons, key=reasons.count)}" if reasons else text


def _moments(observations: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(observations)), max(float(np.std(observations, ddof=1)), LEAST_SPREAD)


@cache
def _detectable(count: int, alpha: float) -> float:
    """Return the noncentrality at which a one-sided t-test of `count` observations at `alpha` has a power of `POWER`."""
    critical = float(stats.t.ppf(1.0 - alpha, count - 1))

    def missed(shift: float) -> float:
        return float(stats.nct.cdf(critical, count - 1, shift)) - (1.0 - POWER)

    return float(optimize.brentq(missed, 0.0, 4.0 * critical + 10.0))


def _mde(spread: float, count: int, threshold: float, alpha: float) -> float:
    """Return the smallest relative slow-down found with `POWER`: significant, and at least the threshold."""
    error = spread / math.sqrt(count)
    over = _log(threshold) + float(stats.norm.ppf(POWER)) * error
    return math.expm1(max(over, _detectable(count, alpha) * error))


def _tested(judged: Judgement, *, slower: bool, faster: bool) -> Judgement:
    """Decide a confirmed case, given what the tests of its two directions say."""
    ratio, threshold = judged.ratio, judged.threshold
    if ratio is None or ratio.low is None or ratio.high is None or threshold is None:
        return judged
    if slower and ratio.point >= 1.0 + threshold:
        return replace(
            judged, decision=Decision.SLOWER, reason=f"{ratio.samples} process pairs agree that it is slower"
        )
    if faster and ratio.point <= 1.0 / (1.0 + threshold):
        return replace(
            judged, decision=Decision.FASTER, reason=f"{ratio.samples} process pairs agree that it is faster"
        )
    placed = _placed(judged, math.log(ratio.low), math.log(ratio.high))
    if placed.decision is Decision.SAME:
        return placed
    return replace(judged, decision=Decision.INCONCLUSIVE, reason=UNDECIDED)


UNDECIDED = "the interval allows both a difference that matters and none"


def _placed(judged: Judgement, low: float, high: float) -> Judgement:
    """Decide by where an interval of the log-ratio lies relative to ±δ."""
    limit = _log(judged.threshold or 0.0)
    if -limit <= low and high <= limit:
        return replace(judged, decision=Decision.SAME, reason="any difference is smaller than the margin")
    if low > limit:
        return replace(judged, decision=Decision.SLOWER, reason="the whole interval lies above the margin")
    if high < -limit:
        return replace(judged, decision=Decision.FASTER, reason="the whole interval lies below the margin")
    return replace(judged, decision=Decision.INCONCLUSIVE, reason=UNDECIDED)


def _log(threshold: float) -> float:
    return math.log1p(threshold)


def _ratio(point: float, low: float, high: float, confidence: float, samples: int) -> Interval:
    return Interval(
        point=math.exp(point), low=math.exp(low), high=math.exp(high), confidence=confidence, samples=samples
    )


def _undecided(reason: str, threshold: float) -> Judgement:
    return Judgement(decision=Decision.INCONCLUSIVE, ratio=None, mde=None, p=None, reason=reason, threshold=threshold)
