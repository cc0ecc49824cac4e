"""Tries the patterns one after another, the simplest first, on one input's wrong gradient.

Cannot name two mistakes made at once, nor one whose trace lies within the bars.
"""

from __future__ import annotations

from harness.records import Diagnosis
from harness.verify.diagnosis.arrangements import conjugated, rearranged, swapped, wrong_signs
from harness.verify.diagnosis.evidence import INFORMATIVE, Evidence
from harness.verify.diagnosis.factors import constant_factor, zero_everywhere
from harness.verify.diagnosis.parts import missing_part
from harness.verify.diagnosis.places import not_finite, only_some
from harness.verify.diagnosis.spreads import along_an_axis, wrong_cotangent

LEAST_ERROR = 16.0
"""A gradient is diagnosed when some entry is this many bars off; nearer, its pattern would be the bar's."""

_PATTERNS = (
    constant_factor,
    conjugated,
    rearranged,
    swapped,
    wrong_signs,
    wrong_cotangent,
    missing_part,
    along_an_axis,
    only_some,
)


def diagnose(evidence: Evidence) -> Diagnosis | None:
    """Name the pattern of a wrong gradient, or return None where it has none.

    Args:
        evidence: one input's wrong gradient and what is around it.

    Returns:
        The first pattern every entry follows, with its evidence in a sentence.
    """
    if evidence.count == 0:
        return None
    found = not_finite(evidence)
    if found is not None or not bool(evidence.actual.isfinite().all()):
        return found
    gap = (evidence.actual - evidence.expected).abs()
    if not bool((evidence.known & (gap > LEAST_ERROR * evidence.bar)).any()):
        return None
    if not bool((evidence.known & (evidence.expected.abs() > INFORMATIVE * evidence.bar)).any()):
        return None
    found = zero_everywhere(evidence)
    if found is not None:
        return found
    return next((found for pattern in _PATTERNS if (found := pattern(evidence)) is not None), None)
