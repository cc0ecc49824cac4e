"""What probes that fail alone say: the gradient is right as long as nothing is presented otherwise.

Reads findings only. A probe that judges whole directions gives one number, from which a factor with a name can be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from harness.records import Diagnosis, Finding, Outcome
from harness.verify.diagnosis.evidence import Evidence
from harness.verify.diagnosis.factors import constant_factor

ROUTE = "probe"
_GRADIENT = (
    "The gradient changes when",
    "The gradient is wrong when",
    "The gradient is lost when",
    "The gradient is NaN",
)
_LAID_OUT = ("strid", "transpos", "view", "expand", "channels", "contiguous")
_CAUSES = {
    "probe cotangents": ("strided cotangent", _LAID_OUT, "are the upstream gradient's strides ignored?"),
    "probe layouts": ("strided input", _LAID_OUT, "is a tensor read as if it were contiguous?"),
    "probe requires_grad": ("subset", ("only",), "is everything skipped when one input needs no gradient?"),
    "probe same tensor twice": ("same tensor", ("both",), "is the gradient of one of the two places dropped?"),
    "probe sizes": ("size", ("",), "is a tile, a tail or a reduction left out at this size?"),
    "probe values": (
        "values",
        ("near", "zero", "tie", "saturat", "border"),
        "is a branch of the backward wrong there?",
    ),
    "probe compile": ("compiled", ("",), "does the compiled backward differ from the eager one?"),
}
"""By probe: the pattern, words one of which its message has, and the likely cause."""


def only_probed(findings: Sequence[Finding]) -> list[Finding]:
    """Add a diagnosis to probes' failures of inputs whose ordinary gradient is right."""
    ordinary = [f for f in findings if f.route != ROUTE and f.order < 2 and f.dtype == "float64"]
    if any(f.outcome is Outcome.FAIL for f in ordinary):
        return list(findings)
    right = {f.input for f in ordinary if f.independent and f.outcome is Outcome.PASS}
    return [
        replace(f, diagnosis=_cause(f)) if f.outcome is Outcome.FAIL and f.diagnosis is None and _about(f, right) else f
        for f in findings
    ]


def _about(finding: Finding, right: set[str | None]) -> bool:
    """Whether a finding is a probe's, about the gradient of an input that is right otherwise."""
    return finding.route == ROUTE and finding.input in right and finding.message.startswith(_GRADIENT)


def _cause(finding: Finding) -> Diagnosis | None:
    factor = _factor(finding)
    if factor is not None:
        return factor
    pattern, words, guess = _CAUSES.get(finding.check, ("", (), ""))
    if not any(word in finding.message for word in words):
        return None
    sentence = f"Only then: the ordinary gradient of {finding.input} is right"
    return Diagnosis(pattern=pattern, sentence=sentence, guesses=(guess,))


def _factor(finding: Finding) -> Diagnosis | None:
    """A named factor in the slope along a dense direction, which every entry takes part in."""
    if finding.index is not None or finding.actual is None or finding.expected is None or not finding.bar:
        return None
    actual, expected, bar = (
        torch.tensor([[number]], dtype=torch.float64) for number in (finding.actual, finding.expected, finding.bar)
    )
    pairs = (part.partition("=") for part in finding.dims.split(", ") if "=" in part)
    sizes = {name: int(size) for name, _, size in pairs}
    found = constant_factor(Evidence(actual=actual, expected=expected, bar=bar, shape=(1,), name="", sizes=sizes))
    return found if found is not None and found.guesses else None
