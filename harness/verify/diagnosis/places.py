"""Where a gradient is wrong, when it is right elsewhere: a tail, ties, zeros, one side of a threshold, one slice.

States what is so at the entries given and no more. Cannot see places that depend on several inputs at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.records import Diagnosis
from harness.verify.diagnosis.evidence import Evidence, subset_bits
from harness.verify.diagnosis.factors import partial_factor, shown

NEEDED_BITS = 5.0
"""Bits a place has to explain of which entries are wrong, beyond the number of places tried."""
EXPLAINED_BITS = 1.0
"""The same where the numbers there are explained as well."""
BLOCKS = tuple(2**power for power in range(2, 13))
"""Block and tile sizes past whose multiples a tail begins."""
SATURATED = 8.0
"""Inputs beyond this are where exponentials are all but 0 or 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the wrong entries lie: a word, words ("the entries where x is zero"), and log₂ of how many were tried."""

    pattern: str
    text: str
    cost: float
    guess: str = ""


def not_finite(evidence: Evidence) -> Diagnosis | None:
    """Say where a gradient is NaN or infinite and the true one is not."""
    bad = ~evidence.actual.isfinite() & evidence.expected.isfinite()
    if not bool(bad.any()):
        return None
    columns = bad.any(0)
    count = int(columns.sum())
    what = "NaN" if bool(evidence.actual.isnan().any()) else "infinite"
    sentence = f"It is {what} at {count} of {evidence.count} {evidence.unit}"
    for place in _places(evidence, columns, ~columns):
        exact = place.pattern in ("zeros", "ties")
        if exact or subset_bits(count, evidence.count - count) - place.cost >= NEEDED_BITS:
            return Diagnosis(pattern="NaN", sentence=f"{sentence}: exactly {place.text}.")
    return Diagnosis(pattern="NaN", sentence=f"{sentence}.")


def only_some(evidence: Evidence) -> Diagnosis | None:
    """Say which entries are wrong when they lie in a place that has a name and the others are right."""
    wrong, right = evidence.wrong, evidence.right
    count, others = int(wrong.sum()), int(right.sum())
    if not count or not others or evidence.unit == "directions":
        return None
    factor = partial_factor(evidence, wrong)
    content = (
        "" if factor is None else f"there it is {'zero' if factor == 0 else f'{shown(factor)} × the true gradient'}"
    )
    needed = NEEDED_BITS if factor is None or count < 2 else EXPLAINED_BITS
    for place in _places(evidence, wrong, right):
        if subset_bits(count, others) - place.cost >= needed:
            sentence = f"Only {place.text} are wrong ({count} wrong, {others} right)"
            sentence += f"; {content}" if content else ""
            return Diagnosis(pattern=place.pattern, sentence=sentence, guesses=(place.guess,) if place.guess else ())
    if factor is not None:
        what = "the one wrong entry" if count == 1 else f"all {count} wrong entries"
        sentence = f"{others} entries are right; at {what} {content.removeprefix('there ')}"
        guesses = ("a path cut for some entries?",) if factor == 0 else ()
        return Diagnosis(pattern="zero" if factor == 0 else "some entries", sentence=sentence, guesses=guesses)
    if count == 1 and others > 7:
        return Diagnosis(pattern="one entry", sentence="Every other entry is right")
    return None


def _places(evidence: Evidence, wrong: Tensor, right: Tensor) -> Iterator[Place]:
    if not bool(wrong.any() and right.any()):
        return  # where all entries are wrong alike, no place tells them apart
    yield from _special_values(evidence, wrong, right)
    yield from _tails(evidence, wrong, right)
    yield from _slices(evidence, wrong, right)
    yield from _thresholds(evidence, wrong, right)


def _aligned(evidence: Evidence) -> Iterator[tuple[str, Tensor]]:
    """Inputs with an entry for every entry of this one, this one first (n each)."""
    if evidence.value is not None and not evidence.complex:
        yield evidence.name, evidence.value
        for name, tensor in evidence.inputs.items():
            if name != evidence.name and tuple(tensor.shape) == evidence.shape:
                yield name, tensor.reshape(-1)


def _special_values(evidence: Evidence, wrong: Tensor, right: Tensor) -> Iterator[Place]:
    """Zeros, ties within the input, and ties with another input."""
    aligned = list(_aligned(evidence))
    for name, value in aligned:
        if _covers(value == 0, wrong, right):
            yield Place(pattern="zeros", text=f"the entries where {name} is zero", cost=1.0)
    if aligned and math.prod(evidence.shape) > 1:
        value = aligned[0][1]
        counts = torch.unique(value, return_inverse=True, return_counts=True)
        if _covers(counts[2][counts[1]] > 1, wrong, right):
            yield Place(pattern="ties", text=f"the entries of {evidence.name} that tie with one another", cost=1.0)
        for name, other in aligned[1:]:
            if _covers(value == other, wrong, right):
                yield Place(pattern="ties", text=f"the entries where {evidence.name} and {name} tie", cost=1.0)


def _tails(evidence: Evidence, wrong: Tensor, right: Tensor) -> Iterator[Place]:
    """The entries past the last whole block along an axis."""
    for axis, index in _axes(evidence):
        size = evidence.shape[axis]
        first = int(index[wrong].min())
        tail = size - first
        if first == 0 or not _covers(index >= first, wrong, right):
            continue
        block = next((b for b in reversed(BLOCKS) if first % b == 0 and tail < b), None)
        guess = f"the tail past a multiple of {block}?" if block else ""
        text = f"the entries at the last {tail} of {size} places along axis {axis}"
        yield Place(pattern="tail", text=text, cost=math.log2(len(evidence.shape) * size), guess=guess)


def _slices(evidence: Evidence, wrong: Tensor, right: Tensor) -> Iterator[Place]:
    """One index along an axis, or all but one."""
    if len(evidence.shape) < 2:
        return
    for axis, index in _axes(evidence):
        hit, clear = index[wrong].unique(), index[right].unique()
        cost = math.log2(2 * len(evidence.shape) * evidence.shape[axis])
        if len(hit) == 1 and _covers(index == hit[0], wrong, right):
            yield Place(pattern="slice", text=f"the entries at index {int(hit[0])} of axis {axis}", cost=cost)
        elif len(clear) == 1 and _covers(index != clear[0], wrong, right):
            yield Place(pattern="slice", text=f"the entries not at index {int(clear[0])} of axis {axis}", cost=cost)


def _thresholds(evidence: Evidence, wrong: Tensor, right: Tensor) -> Iterator[Place]:
    """One side of a threshold in the input itself, in its size, or in another input of its shape."""
    aligned = list(_aligned(evidence))
    cost = math.log2(max(1, 3 * len(aligned) * evidence.count))
    for name, value in aligned:
        for text, key in ((name, value), (f"|{name}|", value.abs())):
            if float(key[right].max()) < float(key[wrong].min()):
                low, high, sign = float(key[right].max()), float(key[wrong].min()), ">"
            elif float(key[wrong].max()) < float(key[right].min()):
                low, high, sign = float(key[wrong].max()), float(key[right].min()), "<"
            else:
                continue
            far = sign == ">" and low >= SATURATED / 2 and high >= SATURATED
            where = f"the entries with {text} {sign} t (t from {low:.4g} to {high:.4g})"
            guess = "the range where it saturates?" if far else ""
            yield Place(pattern="saturated" if far else "threshold", text=where, cost=cost, guess=guess)


def _axes(evidence: Evidence) -> Iterator[tuple[int, Tensor]]:
    """Every axis longer than one, with the index along it of every entry (n)."""
    if not evidence.shape or math.prod(evidence.shape) != evidence.count:
        return
    for axis, size in enumerate(evidence.shape):
        if size > 1:
            shape = [1] * len(evidence.shape)
            shape[axis] = size
            yield axis, torch.arange(size).reshape(shape).expand(evidence.shape).reshape(-1)


def _covers(mask: Tensor, wrong: Tensor, right: Tensor) -> bool:
    """Whether a mask holds at every wrong entry and at no right one."""
    return bool(mask[wrong].all()) and not bool(mask[right].any())
