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
from dataclasses import replace

import numpy as np
from scipy import special, stats

from harness.bench.detectable import by_interval, by_test
from harness.bench.judgement import Decision, Judgement, Margin, PairSamples
from harness.bench.paired import doubt, median_of_ratios, typical_s, usable
from harness.bench.statistics import Interval

__all__ = ["Decision", "Judgement", "Margin", "PairSamples", "adjusted", "confirm", "screen", "wide"]

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

BOTH = "the interval allows both a difference that matters and none"


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
    logs, threshold = usable(pair), margin.threshold(typical_s(pair))
    reason = doubt(pair, threshold, fewest=FEWEST_SCREENED)
    if len(logs) < FEWEST_SCREENED or math.isinf(threshold):
        return _undecided(reason or "")
    found = median_of_ratios(logs, margin.confidence)
    allowed = float(special.ndtri(1.0 - margin.alpha)) * margin.processes
    low = found.point - math.hypot(found.point - found.low, allowed)
    high = found.point + math.hypot(found.high - found.point, allowed)
    judged = Judgement(
        decision=Decision.INCONCLUSIVE,
        ratio=_ratio(found.point, low, high, margin.confidence, len(logs)),
        mde=by_interval((high - low) / 2.0, threshold, margin.alpha),
        p=None,
        reason=reason or "",
        threshold=threshold,
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
    count = len(kept)
    if count < FEWEST_PAIRS or count <= len(reasons):
        return _undecided(_too_few(count, reasons))
    mean, error, threshold = _summary(kept, margin)
    p = float(special.stdtr(count - 1, -mean / error))
    half = _quantile(count, margin) * error
    judged = Judgement(
        decision=Decision.INCONCLUSIVE,
        ratio=_ratio(mean, mean - half, mean + half, margin.confidence, count),
        mde=by_test(error, count, threshold, margin.alpha),
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
        The judgements, in order; tested ones have the adjusted p-value of a slow-down, and the minimum detectable
        effect among so many tests.
    """
    tested = [judged for judged in judgements if judged.p is not None]
    if not tested:
        return tuple(judgements)
    raw = np.array([judged.p for judged in tested])
    slower, faster = (stats.false_discovery_control(p, method="bh") for p in (raw, 1.0 - raw))
    found = iter(
        _tested(
            replace(_among(judged, margin, len(tested)), p=float(up)),
            slower=up <= margin.alpha,
            faster=down <= margin.alpha,
        )
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
    _, error, threshold = _summary(kept, margin)
    return by_test(error, len(kept), threshold, margin.alpha / FAMILY) > TARGET * threshold


def _fit(pairs: Sequence[PairSamples], margin: Margin) -> tuple[list[PairSamples], list[str]]:
    """Return the process pairs that can be judged, and the reasons why the others cannot."""
    doubts = [(pair, doubt(pair, margin.threshold(typical_s(pair)), fewest=FEWEST_IN_PAIR)) for pair in pairs]
    return [pair for pair, reason in doubts if reason is None], [reason for _, reason in doubts if reason]


def _too_few(count: int, reasons: Sequence[str]) -> str:
    text = f"{count} of {count + len(reasons)} process pairs can be judged; {FEWEST_PAIRS} and a majority are needed"
    return f"{text}: {max(reasons, key=reasons.count)}" if reasons else text


def _summary(pairs: Sequence[PairSamples], margin: Margin) -> tuple[float, float, float]:
    """Return mean and standard error of the process pairs' median log-ratios, and the threshold for them."""
    medians = [float(np.median(usable(pair))) for pair in pairs]
    base_s = float(np.median([typical_s(pair) for pair in pairs]))
    error = max(float(np.std(medians, ddof=1)), LEAST_SPREAD) / math.sqrt(len(medians))
    return float(np.mean(medians)), error, margin.threshold(base_s)


def _quantile(count: int, margin: Margin) -> float:
    """Half the width of a mean's interval, in standard errors."""
    return float(special.stdtrit(count - 1, 1.0 - margin.alpha))


def _among(judged: Judgement, margin: Margin, tests: int) -> Judgement:
    """Enlarge the minimum detectable effect to what is found among some number of tests, at a level of α/tests.

    That is what a single regression needs; where there are several, the procedure is less strict with each.
    """
    ratio, threshold = judged.ratio, judged.threshold
    if ratio is None or ratio.low is None or ratio.high is None or threshold is None:
        return judged
    error = math.log(ratio.high / ratio.low) / 2.0 / _quantile(ratio.samples, margin)
    return replace(judged, mde=by_test(error, ratio.samples, threshold, margin.alpha / tests))


def _tested(judged: Judgement, *, slower: bool, faster: bool) -> Judgement:
    """Decide a confirmed case, given what the tests of the two directions say."""
    ratio, threshold = judged.ratio, judged.threshold
    if ratio is None or ratio.low is None or ratio.high is None or threshold is None:
        return judged
    up, down = ratio.point >= 1.0 + threshold, ratio.point <= 1.0 / (1.0 + threshold)
    if (up and slower) or (down and faster):
        decision = Decision.SLOWER if up else Decision.FASTER
        return replace(
            judged, decision=decision, reason=f"{ratio.point:.3g} × the base in {ratio.samples} process pairs"
        )
    if up or down:
        reason = f"{ratio.point:.3g} × the base, but its {ratio.samples} process pairs differ too much to be sure of it"
        return replace(judged, decision=Decision.INCONCLUSIVE, reason=reason)
    placed = _placed(judged, math.log(ratio.low), math.log(ratio.high))
    return placed if placed.decision is Decision.SAME else replace(placed, decision=Decision.INCONCLUSIVE, reason=BOTH)


def _placed(judged: Judgement, low: float, high: float) -> Judgement:
    """Decide by where an interval of the log-ratio lies relative to ±δ."""
    limit = math.log1p(judged.threshold or 0.0)
    if -limit <= low and high <= limit:
        return replace(judged, decision=Decision.SAME, reason="any difference is smaller than the margin")
    if low > limit:
        return replace(judged, decision=Decision.SLOWER, reason="the whole interval lies above the margin")
    if high < -limit:
        return replace(judged, decision=Decision.FASTER, reason="the whole interval lies below the margin")
    return replace(judged, decision=Decision.INCONCLUSIVE, reason=BOTH)


def _ratio(point: float, low: float, high: float, confidence: float, samples: int) -> Interval:
    ends = math.exp(point), math.exp(low), math.exp(high)
    return Interval(point=ends[0], low=ends[1], high=ends[2], confidence=confidence, samples=samples)


def _undecided(reason: str) -> Judgement:
    return Judgement(decision=Decision.INCONCLUSIVE, ratio=None, mde=None, p=None, reason=reason)
