"""A wrong gradient with what is around it, and how much an explanation of it is worth.

An explanation predicts every entry. It is believed when every entry lies within its slack of the prediction and a
random wrong gradient would hardly have done so: each wrong entry is worth the bits by which it is nearer to the
prediction than to the truth. Entries at equal or round input values repeat each other and count for little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

NEEDED_BITS = 16.0
"""Evidence an explanation needs beyond the number of alternatives it was picked from: chance below 1 in 65 000."""
MOST_BITS = 40.0
"""What one entry can be worth."""
ROUND_BITS = 6.0
"""What an entry at a round input value (a multiple of ¼) can be worth: there, unlike formulas often agree."""
INFORMATIVE = 100.0
"""An entry tells something when it is this many bars away from zero."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """The gradient (C × n) through some of the places where an expression uses the input, and their text."""

    text: str
    gradient: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """A wrong gradient of one input (C cotangents × n entries), the true one, and what patterns may look at.

    `value` is the input at the point (n), None where rows are not entries (projections). `inputs` holds the point's
    real floating-point tensors by name, `others` the true gradients of the other inputs (shape, C × m). `outputs` are
    the outputs' shapes when `cotangents` (C × M) belong to real outputs. `pull` gives the true gradient (C × n) for
    other cotangents, `parts` the gradient through parts of the expression; both are asked only when needed.
    """

    actual: Tensor
    expected: Tensor
    bar: Tensor
    shape: tuple[int, ...]
    name: str = "x"
    complex: bool = False
    value: Tensor | None = None
    strict: bool = False
    """Whether the whole point is special or made of round numbers, so that unlike formulas may agree by accident."""
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    others: Mapping[str, tuple[tuple[int, ...], Tensor]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    outputs: tuple[tuple[int, ...], ...] = ()
    cotangents: Tensor | None = None
    pull: Callable[[Tensor], Tensor | None] | None = None
    parts: Callable[[], tuple[Part, ...]] | None = None

    @property
    def count(self) -> int:
        """Number of entries n."""
        return self.expected.shape[-1]

    @property
    def unit(self) -> str:
        """What a column is: an entry of the input, or a direction along which the gradient was measured."""
        return "directions" if self.value is None and self.name == "" else "entries"

    @property
    def known(self) -> Tensor:
        """Where the truth is known (C × n)."""
        return self.bar.isfinite() & self.expected.isfinite()

    @property
    def wrong(self) -> Tensor:
        """Entries that are wrong for some cotangent (n)."""
        return (self.known & ~((self.actual - self.expected).abs() <= self.bar)).any(0)

    @property
    def right(self) -> Tensor:
        """Entries that are right for every cotangent, and would have shown it had they been zero (n)."""
        telling = (self.known & (self.expected.abs() > INFORMATIVE * self.bar)).any(0)
        return telling & ~self.wrong & self.known.all(0)


def follows(evidence: Evidence, predicted: Tensor, slack: Tensor, *, alternatives: int = 1, fitted: int = 0) -> bool:
    """Whether every entry follows a prediction, with more than chance behind it.

    Args:
        evidence: the wrong gradient.
        predicted: C × n numbers an explanation predicts.
        slack: C × n, how far from them the actual ones may lie.
        alternatives: how many explanations of this kind were tried.
        fitted: numbers fitted to the gradient; as many of its best entries do not count, and two more must.
    """
    if predicted.shape != evidence.actual.shape:
        return False
    fits = (evidence.actual - predicted).abs() <= slack
    if not bool((fits | ~evidence.known).all()):
        return False
    best = worth(evidence, slack)
    if fitted and int((best > 4).sum()) < fitted + 2:
        return False
    return float(best[fitted:].sum()) >= NEEDED_BITS + math.log2(max(1, alternatives))


def worth(evidence: Evidence, slack: Tensor) -> Tensor:
    """Bits each distinct wrong entry is worth to an explanation with this slack, largest first."""
    gap = torch.where(evidence.known, (evidence.actual - evidence.expected).abs(), 0.0)
    bits = torch.log2((gap / (2 * slack).clamp(min=1e-300)).clamp(1.0, 2.0**MOST_BITS)).amax(0)
    groups = _groups(evidence)
    if evidence.strict and evidence.value is not None:
        bits = torch.where(_round(evidence.value), bits.clamp(max=ROUND_BITS), bits)
    best = torch.zeros(int(groups.max()) + 1, dtype=torch.float64).scatter_reduce(0, groups, bits, "amax")
    return best.sort(descending=True).values


def _groups(evidence: Evidence) -> Tensor:
    """Number columns so that those that repeat each other have one number (n)."""
    if evidence.strict and evidence.value is not None:
        keys = evidence.value[None].abs()
    else:
        keys = evidence.expected.nan_to_num().abs()
    exponent = torch.floor(torch.log2(keys.clamp(min=1e-300)))
    rounded = torch.round(keys / 2**exponent * 2**30) * 2**exponent
    groups: Tensor = torch.unique(rounded, dim=1, return_inverse=True)[1]
    return groups


def _round(value: Tensor) -> Tensor:
    return value * 4 == torch.round(value * 4)


def is_round(tensors: tuple[Tensor, ...]) -> bool:
    """Whether every number of some real tensors is a multiple of ¼, as published points are and drawn ones are not."""
    return all(bool(_round(tensor).all()) for tensor in tensors)


def subset_bits(wrong: int, right: int) -> float:
    """Bits needed to pick which `wrong` of `wrong + right` entries are wrong: log₂ of a binomial coefficient."""
    return (math.lgamma(wrong + right + 1) - math.lgamma(wrong + 1) - math.lgamma(right + 1)) / math.log(2)
