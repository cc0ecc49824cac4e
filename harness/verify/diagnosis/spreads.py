"""Mistakes along an axis: one slice read for all, a sum that was not taken, an upstream gradient read wrongly.

Where the truth can be asked for other cotangents, wrong uses of the cotangent are predicted exactly; otherwise they are
predicted where outputs line up with the input's leading axes. Cannot see cotangents mixed up in other ways.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from harness.records import Diagnosis
from harness.verify.diagnosis.evidence import Evidence, follows

_FOR = "It is the true gradient for"
Spread = tuple[str, str, Tensor]
"""Pattern, sentence, and a prediction (C × n) or a cotangent (C × M)."""


def along_an_axis(evidence: Evidence) -> Diagnosis | None:
    """Explain a gradient by the true one's first slice, mean or sum, spread over an axis."""
    tried = list(_slices(evidence))
    for pattern, sentence, predicted in tried:
        slack = 4 * evidence.bar.amax(1, keepdim=True).expand_as(predicted)
        if follows(evidence, predicted, slack, alternatives=len(tried)):
            return Diagnosis(pattern=pattern, sentence=sentence)
    return None


def wrong_cotangent(evidence: Evidence) -> Diagnosis | None:
    """Explain a gradient by the true one for a cotangent that was ignored, or read in part."""
    if evidence.cotangents is None or len(evidence.outputs) != 1 or evidence.cotangents.shape[1] < 2:
        return None
    tried = list(_cotangents(evidence.cotangents, evidence.outputs[0]))
    pulled = evidence.pull(torch.cat([other for _, _, other in tried])) if evidence.pull is not None else None
    if pulled is not None:
        parts = pulled.split(len(evidence.cotangents))
        predictions = list(zip(tried, parts, strict=True))
    else:
        predictions = [(one, predicted) for one in tried if (predicted := _by_ratio(evidence, one[2])) is not None]
    for (pattern, sentence, _), predicted in predictions:
        slack = 4 * evidence.bar + 2.0**-40 * predicted.abs().amax(1, keepdim=True)
        if follows(evidence, predicted, slack, alternatives=len(tried)):
            return Diagnosis(pattern=pattern, sentence=sentence)
    return None


def _slices(evidence: Evidence) -> Iterator[Spread]:
    """The true gradient with one slice, the mean or the sum over an axis everywhere along it."""
    shape = evidence.shape
    if evidence.unit == "directions" or math.prod(shape) != evidence.count:
        return
    whole = evidence.expected.reshape(-1, *shape)
    for axis, size in enumerate(shape):
        if size < 2:
            continue
        for index, which in ((0, "first"), (size - 1, "last")):
            part = whole.narrow(axis + 1, index, 1)
            text = f"The true gradient's {which} slice along axis {axis} stands at all {size}: one index read for all?"
            yield "one slice", text, part.expand_as(whole).reshape(evidence.expected.shape)
        for part, what in ((whole.mean(axis + 1, keepdim=True), "mean"), (whole.sum(axis + 1, keepdim=True), "sum")):
            text = f"It is the true gradient's {what} over axis {axis}, at all {size}: reduced where it should not be?"
            yield "reduced", text, part.expand_as(whole).reshape(evidence.expected.shape)


def _cotangents(cotangents: Tensor, shape: tuple[int, ...]) -> Iterator[Spread]:
    """Wrong readings of the upstream gradient (C × M each)."""
    count = len(cotangents)
    whole = cotangents.reshape(count, *shape)
    yield (
        "cotangent",
        f"{_FOR} an upstream gradient of ones: is it ignored?",
        torch.ones_like(cotangents),
    )
    for name, other in (("mean", whole.flatten(1).mean(1)), ("sum", whole.flatten(1).sum(1))):
        text = f"{_FOR} the {name} of the upstream gradient at every output: reduced where it should not be?"
        yield "cotangent", text, other[:, None].expand_as(cotangents)
    text = f"{_FOR} the first upstream number at every output: is grad_out[0] used for all?"
    yield "cotangent", text, cotangents[:, :1].expand_as(cotangents)
    for axis, size in enumerate(shape):
        if size < 2:
            continue
        if len(shape) > 1:
            text = f"{_FOR} slice 0 along axis {axis} of the upstream gradient, used for all {size}."
            yield "cotangent", text, whole.narrow(axis + 1, 0, 1).expand_as(whole).reshape(cotangents.shape)
        for index, which in ((0, "first"), (size - 1, "last")):
            kept = torch.zeros_like(whole)
            kept.narrow(axis + 1, index, 1).copy_(whole.narrow(axis + 1, index, 1))
            text = (
                f"It is the share of the output's {which} slice along axis {axis}: the other {size - 1} are not summed."
            )
            yield "not summed", text, kept.reshape(cotangents.shape)
        flipped = whole.flip(axis + 1).reshape(cotangents.shape)
        yield "cotangent", f"{_FOR} the upstream gradient flipped along axis {axis}.", flipped
    if len(shape) > 1 and 1 not in shape[-2:]:
        text = f"{_FOR} the upstream gradient in the memory order of its transpose: are its strides ignored?"
        yield "cotangent", text, whole.transpose(-1, -2).reshape(cotangents.shape)
        yield (
            "cotangent",
            text,
            whole.reshape(count, *shape[:-2], shape[-1], shape[-2]).transpose(-1, -2).reshape(cotangents.shape),
        )


def _by_ratio(evidence: Evidence, other: Tensor) -> Tensor | None:
    """Predict where output and input line up: the true gradient times the ratio of the cotangents, or None."""
    shape, output = evidence.shape, evidence.outputs[0]
    if evidence.cotangents is None or shape[: len(output)] != output:
        return None
    ratio = (other / evidence.cotangents).reshape(-1, *output)
    ratio = ratio.reshape(*ratio.shape, *[1] * (len(shape) - len(output))).expand(-1, *shape)
    return evidence.expected * ratio.reshape(evidence.expected.shape)
