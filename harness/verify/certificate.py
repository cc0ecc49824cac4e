"""The words of a certificate: "certified: value ± 2⁻¹²⁰, autograd within 1 ULP". Pure functions, no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable

from harness.records import Finding, Outcome

ORACLE = "ball arithmetic"
"""The oracle whose estimates are enclosures."""
CERTIFIED = "certified"
"""How a certificate begins in a message."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


def ulps_text(ulps: float, dtype: str = "float64") -> str:
    """Say how close a result is: "within 1.3 ULP", rounded up.

    From 2ᵖ⁻¹ units on, for p bits, no digit of the result is right: that is said instead.
    """
    if not ulps < 2.0 ** (_BITS.get(dtype, 53) - 1):
        return "without a right digit somewhere"
    if ulps <= 1:
        return "within 1 ULP" if ulps > 0.5 else "within 0.5 ULP"
    if ulps < 100:
        return f"within {math.ceil(10 * ulps) / 10:g} ULP"
    step = 10.0 ** (math.floor(math.log10(ulps)) - 1)
    rounded = math.ceil(ulps / step) * step
    return f"within {rounded:,.0f} ULP" if rounded < 1e6 else f"within {rounded:.1e} ULP"


def radius_text(bits: int) -> str:
    """Say how wide an enclosure is, relative to its value: "± 2⁻¹²⁰"."""
    return f"± 2{str(-bits).translate(_RAISED)}"


def certificate_text(findings: Iterable[Finding]) -> str | None:
    """Say what the certificates among a case's findings come to, for the worst of its points and inputs.

    Units count where there is a gradient to speak of: one that is zero is judged elsewhere.

    Returns:
        "certified: value ± 2⁻¹²⁰, autograd within 1 ULP", with what there are numbers of; None without a certificate.
    """
    own = [f for f in findings if f.oracle == ORACLE and f.dtype == "float64" and f.excused is None and f.order <= 1]
    if not own:
        return None
    bits = [f.radius_bits for f in own if f.radius_bits is not None]
    gradients = [f for f in own if f.order == 1 and f.route == "autograd" and f.outcome is not Outcome.VACUOUS]
    ulps = [f.ulps for f in gradients if f.ulps is not None]
    parts = [f"value {radius_text(min(bits))}"] if bits else []
    parts += [f"autograd {ulps_text(max(ulps))}"] if ulps else []
    return f"{CERTIFIED}: {', '.join(parts)}" if parts else CERTIFIED
