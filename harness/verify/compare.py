"""One comparison: a subject's numbers against an estimate, judged by their bars.

Acceptance is written positively, so that NaN never passes. What this cannot see: anything smaller than the bars, which
is why a bar too wide to have seen a fault is INCONCLUSIVE and one that a zero gradient would have passed is VACUOUS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.records import Outcome

REQUIRED_RESOLUTION = {
    (1, torch.float64): 1e-4,
    (1, torch.float32): 1e-2,
    (1, torch.float16): 0.25,
    (1, torch.bfloat16): 0.5,  # a zero, doubled or sign-flipped gradient is still seen
    (2, torch.float64): 1e-2,
}
"""Largest resolution (relative error just noticeable) with which agreement counts as PASS, by order and dtype."""
MOST_DIGITS = 17.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What one comparison found; numbers are those of the entry whose error is largest in units of its bar."""

    outcome: Outcome
    reason: str
    position: int | None = None
    actual: float | None = None
    expected: float | None = None
    error: float | None = None
    bar: float | None = None
    resolution: float | None = None
    digits: float | None = None
    failing: int = 0
    entries: int = 0


def compare(
    actual: Tensor,
    expected: Tensor,
    bar: Tensor,
    *,
    required: float,
    zero_scale: float | None = None,
    kink: Tensor | None = None,
) -> Comparison:
    """Judge numbers against an oracle's, entry by entry.

    Args:
        actual: the subject's numbers, any shape.
        expected: the oracle's, same shape.
        bar: how far apart the two may lie, same shape, ≥ 0; infinite where nothing is known.
        required: the largest resolution with which agreement counts as PASS.
        zero_scale: the size the numbers would have were they not zero. Where it is given, zeros known far better than
            that are worth a PASS (a second derivative may be zero); without it, a gradient that is zero everywhere
            tells nothing.
        kink: entries whose bar spans two one-sided slopes, same shape: any number between them is right, so their bars
            do not count as blindness.

    Returns:
        The outcome with its worst entry. A resolution is the widest bar over the largest expected entry.
    """
    actual, expected, bar = (t.reshape(-1).to(torch.float64) for t in (actual, expected, bar))
    if actual.numel() == 0:
        return Comparison(outcome=Outcome.VACUOUS, reason="there are no entries to compare")
    error = torch.where(actual == expected, 0.0, (actual - expected).abs())  # equal infinities agree
    known = bar.isfinite() & ~expected.isnan()
    agrees = error <= bar
    wrong = known & ~agrees
    units = torch.where(error == 0, 0.0, (error / bar.clamp(min=1e-300)).nan_to_num(torch.inf, torch.inf))
    ranked = torch.where(known, units, -1.0)
    position = int((torch.where(wrong, ranked + 1, ranked)).argmax()) if bool(wrong.any()) else int(ranked.argmax())
    scale = float(expected[known].abs().nan_to_num(0.0, 0.0, 0.0).max()) if bool(known.any()) else 0.0
    smooth = torch.ones_like(known) if kink is None else ~kink.reshape(-1)
    widest = float(bar[smooth].max()) if bool(smooth.any()) else 0.0
    resolution = _ratio(widest, scale)
    outcome, reason = _judge(actual, expected, bar, known, wrong, smooth, resolution, scale, required, zero_scale)
    zero = outcome is not Outcome.FAIL and bool((expected.abs() <= bar).all())  # digits of zero are digits of noise
    return Comparison(
        outcome=outcome,
        reason=reason,
        position=position,
        actual=float(actual[position]),
        expected=float(expected[position]),
        error=float(error[position]),
        bar=float(bar[position]),
        resolution=resolution,
        digits=None if zero else agreement(actual[known & smooth], expected[known & smooth]),
        failing=int(wrong.sum()),
        entries=actual.numel(),
    )


def _judge(
    actual: Tensor,
    expected: Tensor,
    bar: Tensor,
    known: Tensor,
    wrong: Tensor,
    smooth: Tensor,
    resolution: float | None,
    scale: float,
    required: float,
    zero_scale: float | None,
) -> tuple[Outcome, str]:
    """Decide the outcome; PASS is what is left when nothing speaks against it."""
    blind = ~known | ((bar > required * scale) & smooth if scale else torch.zeros_like(known))
    surely_wrong = wrong & (actual.isnan() | ~(actual.isinf() & blind))
    if bool(surely_wrong.any()):
        nonfinite = int((~actual.isfinite() & surely_wrong).sum())
        return Outcome.FAIL, f"{nonfinite} entries are not finite" if nonfinite else "outside the bars"
    if not bool(known.all()):
        return Outcome.INCONCLUSIVE, f"the oracle has no answer at {int((~known).sum())} of {known.numel()} entries"
    if bool((expected.abs() <= bar).all()):
        if zero_scale is not None and float(bar.max()) <= required * zero_scale:
            return Outcome.PASS, "zero, as it should be"
        return Outcome.VACUOUS, "a zero gradient would have passed: the true one is zero within its bar at every entry"
    if resolution is not None and resolution <= required:
        return Outcome.PASS, "within the bars"
    least = "any fault" if resolution is None else f"a relative fault below {resolution:.1e}"
    return Outcome.INCONCLUSIVE, f"the bars are too wide to have seen {least}"


def agreement(actual: Tensor, expected: Tensor) -> float | None:
    """Digits of agreement, norm-wise: −log₁₀(‖actual − expected‖ / ‖expected‖), from 0 to 17; None without a scale."""
    if not bool(actual.isfinite().all() & expected.isfinite().all()) or expected.numel() == 0:
        return None
    scale = float(torch.linalg.vector_norm(expected))
    gap = float(torch.linalg.vector_norm(actual - expected))
    if scale == 0 or not math.isfinite(scale):
        return None
    return MOST_DIGITS if gap == 0 else min(MOST_DIGITS, max(0.0, -math.log10(gap / scale)))


def detection_limit(actual: Tensor, expected: Tensor, bar: Tensor) -> float | None:
    """Smallest ε of 10⁻¹ … 10⁻¹⁶ with which (1+ε)·actual and (1−ε)·actual are both seen to fail; None if none is."""
    actual, expected, bar = (t.reshape(-1).to(torch.float64) for t in (actual, expected, bar))
    caught = None
    for exponent in range(1, 17):
        epsilon = 10.0**-exponent
        for sign in (epsilon, -epsilon):
            error = (actual * (1 + sign) - expected).abs()
            if bool((error <= bar).all()):
                return caught
        caught = epsilon
    return caught


def _ratio(widest: float, scale: float) -> float | None:
    if scale > 0 and math.isfinite(widest):
        return widest / scale
    return None
