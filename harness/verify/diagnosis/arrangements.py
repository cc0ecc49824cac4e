"""The right numbers in the wrong places: transposed, flipped, shifted, permuted, swapped between inputs, conjugated.

Every pattern predicts all entries. Cannot see an arrangement of numbers that are equal to each other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from harness.records import Diagnosis
from harness.verify.diagnosis.evidence import Evidence, follows

MOST_AXES = 4
"""Axes whose permutations are tried."""

Arrangement = tuple[str, str, Tensor]
"""Pattern, sentence, and where each entry would come from (n positions)."""


def rearranged(evidence: Evidence) -> Diagnosis | None:
    """Explain a gradient by a rearrangement of the true one's entries."""
    if evidence.unit == "directions" or evidence.count < 2:
        return None
    tried = list(_arrangements(evidence))
    for pattern, sentence, source in tried:
        predicted = evidence.expected[:, source]
        if follows(evidence, predicted, evidence.bar + evidence.bar[:, source], alternatives=len(tried)):
            return Diagnosis(pattern=pattern, sentence=sentence)
    return _any_permutation(evidence)


def swapped(evidence: Evidence) -> Diagnosis | None:
    """Explain a gradient by that of another input, in its own or in the transposed order."""
    for name, (shape, other) in evidence.others.items():
        if other.shape != evidence.expected.shape or not bool(other.isfinite().all()):
            continue
        orders = {"": other}
        if len(shape) == 2 and shape == evidence.shape[::-1] and 1 not in shape:
            orders[", transposed"] = other.reshape(-1, *shape).transpose(-1, -2).reshape(other.shape)
        for how, predicted in orders.items():
            slack = 2 * evidence.bar + 2.0**-40 * predicted.abs()
            if follows(evidence, predicted, slack, alternatives=2 * len(evidence.others)):
                sentence = f"It is the true gradient of {name}{how}: are two gradients returned in each other's place?"
                return Diagnosis(pattern="swapped", sentence=sentence)
    return None


def conjugated(evidence: Evidence) -> Diagnosis | None:
    """Explain the gradient of a complex input by the conjugate of the true one."""
    if not evidence.complex:
        return None
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(evidence.count // 2)
    if not follows(evidence, evidence.expected * signs, 2 * evidence.bar):
        return None
    sentence = "It is the complex conjugate of the true gradient: the other convention, or a missing conj()?"
    return Diagnosis(pattern="conjugate", sentence=sentence)


def wrong_signs(evidence: Evidence) -> Diagnosis | None:
    """Notice numbers of the right size everywhere, some with the wrong sign."""
    if evidence.unit == "directions":
        return None
    for sign, text in ((1.0, "absolute value"), (-1.0, "negative absolute value")):
        if follows(evidence, sign * evidence.expected.abs(), 2 * evidence.bar, alternatives=4) and evidence.count > 2:
            return Diagnosis(pattern="sign", sentence=f"It is the {text} of the true gradient at every entry.")
    return None


def _arrangements(evidence: Evidence) -> Iterator[Arrangement]:
    shape = evidence.shape
    if math.prod(shape) != evidence.count:
        return
    positions = torch.arange(evidence.count).reshape(shape)
    axes = range(len(shape))
    for order in itertools.permutations(axes) if 2 <= len(shape) <= MOST_AXES else ():
        if order == tuple(axes):
            continue
        moved = positions.permute(order)
        name = "the transpose" if len(shape) == 2 else f"a permutation {order} of the axes"
        if moved.shape == positions.shape:
            yield "transpose", f"It is {name} of the true gradient.", moved.reshape(-1)
        else:
            text = f"It holds the entries of {name} of the true gradient, in the memory order of another shape."
            yield "transpose", text, moved.reshape(-1)
    for axis in axes:
        if shape[axis] > 1:
            yield "flip", f"It is the true gradient flipped along axis {axis}.", positions.flip(axis).reshape(-1)
            for step in (1, -1):
                text = f"It is the true gradient shifted by one along axis {axis}: an index off by one?"
                yield "shift", text, positions.roll(step, axis).reshape(-1)
    if len(shape) > 1:
        yield "flip", "It is the true gradient with its entries in reverse order.", positions.reshape(-1).flip(0)
    yield from _sorted_orders(evidence, positions)


def _sorted_orders(evidence: Evidence, positions: Tensor) -> Iterator[Arrangement]:
    """The order in which a sort of the input would put the entries, and its inverse."""
    if evidence.value is None or evidence.complex or not evidence.shape:
        return
    value = evidence.value.reshape(evidence.shape)
    for axis in range(len(evidence.shape)):
        for descending in (False, True):
            order = value.argsort(axis, descending=descending)
            for picks in (order, order.argsort(axis)):
                source = positions.gather(axis, picks).reshape(-1)
                text = (
                    f"It has its entries in the order of a sort along axis {axis}: not put back where they came from?"
                )
                yield "permutation", text, source


def _any_permutation(evidence: Evidence) -> Diagnosis | None:
    """The same numbers in some other order, the same for every cotangent."""
    if evidence.count < 4 or not bool(evidence.known.all()):
        return None
    wanted, found = evidence.expected.sort(1).values, evidence.actual.sort(1).values
    bar = evidence.bar.amax(1, keepdim=True)
    apart = wanted.diff(dim=1) > 8 * bar
    if not bool(((found - wanted).abs() <= 2 * bar).all()) or not bool(apart.all()):
        return None
    sources = evidence.expected.argsort(1).gather(1, evidence.actual.argsort(1).argsort(1))
    if not bool((sources == sources[:1]).all()):
        return None
    predicted = evidence.expected[:, sources[0]]
    alternatives = math.factorial(evidence.count) if evidence.count < 20 else 2**60
    if not follows(evidence, predicted, 2 * bar.expand_as(predicted), alternatives=alternatives):
        return None
    moved = int((sources[0] != torch.arange(evidence.count)).sum())
    sentence = f"It holds the right numbers in other places: {moved} of {evidence.count} entries are permuted."
    return Diagnosis(pattern="permutation", sentence=sentence)
