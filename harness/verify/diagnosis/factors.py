"""Constant factors, and what they are likely to be: 2, −1, n, 1/n, π, ln 2.

Sees a gradient that is one number times the true one. Cannot tell apart names that have the same value at one point
(2 and n = 2); several points with other sizes can.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from harness.records import Diagnosis
from harness.verify.diagnosis.evidence import INFORMATIVE, Evidence, follows

_PLAIN = (
    (2.0, "a factor 2 too many?"),
    (0.5, "a missing factor 2?"),
    (-1.0, "a wrong sign?"),
    (3.0, "a factor 3 too many?"),
    (1 / 3, "a missing factor 3?"),
    (4.0, "a factor 4 too many?"),
    (0.25, "a missing factor 4?"),
    (math.pi, "a factor π too many?"),
    (1 / math.pi, "a missing factor π?"),
    (2 * math.pi, "a factor 2π too many?"),
    (0.5 / math.pi, "a missing factor 2π?"),
    (math.pi / 180, "degrees for radians?"),
    (180 / math.pi, "radians for degrees?"),
    (math.log(2), "ln 2: a logarithm or exponential of another base?"),
    (1 / math.log(2), "1/ln 2: a logarithm or exponential of another base?"),
    (math.log(10), "ln 10: a logarithm or exponential of another base?"),
    (1 / math.log(10), "1/ln 10: a logarithm or exponential of another base?"),
    (math.sqrt(2), "a factor √2 too many?"),
    (math.sqrt(0.5), "a missing factor √2?"),
)

_PARTIAL = (0.0, -1.0, 2.0, 0.5)


def constant_factor(evidence: Evidence) -> Diagnosis | None:
    """Explain a gradient by one factor: a named one, or else a fitted one with enough entries behind it."""
    named = list(_names(evidence))
    fitting: list[tuple[float, str]] = []
    for factor, text in named:
        slack = (1 + abs(factor)) * evidence.bar
        if follows(evidence, factor * evidence.expected, slack, alternatives=len(named)):
            fitting.append((factor, text))
    fitted = fitted_factor(evidence)
    if fitted is None:
        return None
    slack = (1 + abs(fitted)) * evidence.bar + 2.0**-50 * (fitted * evidence.expected).abs()
    if not fitting and not follows(evidence, fitted * evidence.expected, slack, fitted=1):
        return None
    known = evidence.known
    if abs(fitted) * float(evidence.expected[known].abs().max()) <= float(slack[known].max()):
        return None  # that is zero
    pattern = "sign" if fitting and fitting[0][0] == -1.0 else "factor"
    sentence = f"It is {shown(fitted)} × the true gradient at {places(evidence)}"
    return Diagnosis(pattern=pattern, sentence=sentence, guesses=tuple(dict.fromkeys(text for _, text in fitting)))


def fitted_factor(evidence: Evidence) -> float | None:
    """Fit actual = factor · expected by least squares, or return None where there is nothing to fit."""
    actual, expected = evidence.actual[evidence.known], evidence.expected[evidence.known]
    scale = float((expected**2).sum())
    return float((actual * expected).sum()) / scale if scale > 0 else None


def partial_factor(evidence: Evidence, where: Tensor) -> float | None:
    """Find the simple factor by which some entries (n) are off while the others are right; None where there is none."""
    for factor in _PARTIAL:
        predicted = torch.where(where, factor * evidence.expected, evidence.expected)
        slack = (1 + abs(factor)) * evidence.bar
        if follows(evidence, predicted, slack, alternatives=len(_PARTIAL)):
            return factor
    return None


def shown(factor: float) -> str:
    """Write a factor with the digits that matter: near one, as its excess."""
    if 0 < abs(factor - 1) < 1e-3:
        return f"(1 {factor - 1:+.3g})"
    return f"{factor:.7g}".replace("-", "−")


def places(evidence: Evidence) -> str:
    """Say how many entries tell something: "40/40 entries"."""
    telling = (evidence.known & (evidence.expected.abs() > INFORMATIVE * evidence.bar)).any(0)
    if evidence.count == 1:
        return "the one entry" if evidence.unit == "entries" else "the one direction"
    return f"{int(telling.sum())}/{evidence.count} {evidence.unit}"


def _names(evidence: Evidence) -> Iterator[tuple[float, str]]:
    """Every factor that has a name at this point."""
    for factor, text in _PLAIN:
        yield factor, text
        if factor != -1.0:
            yield -factor, f"{text[:-1]}, and a wrong sign?"
    for label, size in _sizes(evidence):
        yield 1 / size, f"1/{label}: a mean instead of a sum?"
        yield float(size), f"{label}: a sum instead of a mean?"
        yield -1 / size, f"1/{label}, and a wrong sign?"
        yield -float(size), f"{label}, and a wrong sign?"
        if size > 2 and label in evidence.sizes:
            yield math.sqrt(size), f"√{label} too many?"
            yield 1 / math.sqrt(size), f"a missing √{label}?"
            yield size / (size - 1), f"{label}/({label} − 1): divided by {label} − 1 instead of {label}?"
            yield (size - 1) / size, f"({label} − 1)/{label}: divided by {label} instead of {label} − 1?"


def _sizes(evidence: Evidence) -> Iterator[tuple[str, int]]:
    """Sizes a factor may be: named dims; lengths of unnamed axes; numbers of entries."""
    for name, size in evidence.sizes.items():
        if size > 1:
            yield name, size
    named = set(evidence.sizes.values())
    total = math.prod(evidence.shape)
    for axis, size in enumerate(evidence.shape):
        if size > 1 and size not in named:
            yield f"the length {size} of axis {axis} of {evidence.name}", size
    for shape in evidence.outputs:
        for axis, size in enumerate(shape):
            if size > 1 and size not in named and size not in evidence.shape:
                yield f"the length {size} of axis {axis} of the output", size
    if total > 1 and total not in evidence.shape and total not in named:
        yield f"the number of entries of {evidence.name}", total


def zero_everywhere(evidence: Evidence) -> Diagnosis | None:
    """Notice a gradient that is zero where the true one is not."""
    telling = evidence.known & (evidence.expected.abs() > INFORMATIVE * evidence.bar)
    if not bool(telling.any()) or not bool(((evidence.actual.abs() <= evidence.bar) | ~evidence.known).all()):
        return None
    if not bool((evidence.actual[telling] == 0).all()) and int(torch.count_nonzero(telling)) < 2:
        return None
    return Diagnosis(pattern="zero", sentence="It is zero everywhere: is a path cut, or a gradient not returned?")
