"""A derivative with an error bar: what every oracle returns and every comparison consumes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A value known to within a bar, entry by entry.

    Attributes:
        value: float64 tensor; NaN where the oracle has no answer.
        bar: float64 tensor of the same shape, ≥ 0: |true − value| ≤ bar. Infinite where nothing is known.
        oracle: who says so, in one or two words.
        origin: where the bar comes from, for people.
        independent: whether only the function itself was evaluated (no autograd formula, no hand-written gradient).
        rigorous: whether the bar is an enclosure rather than an estimate.
        directions: None when `value` (C × N) holds whole gradients for C cotangents; D × N when it holds their
            projections (C × D) on D directions instead.
        kink: where the function has one-sided derivatives that differ; `value` ± `bar` spans both. None means nowhere.
        note: what else the oracle noticed ("kink at entry 3"), or None.
        tail: what rounding `value` to doubles left off, same shape: value + tail is the truth to twice the digits.
        radius_bits: b such that each entry was enclosed to within 2⁻ᵇ of its magnitude before it was rounded (of the
            largest magnitude, where zero is within); None where nothing was enclosed.
    """

    value: Tensor
    bar: Tensor
    oracle: str
    origin: str
    independent: bool
    rigorous: bool = False
    directions: Tensor | None = None
    kink: Tensor | None = None
    note: str | None = None
    tail: Tensor | None = None
    radius_bits: int | None = None

    @staticmethod
    def exact(value: Tensor, *, oracle: str, origin: str, independent: bool = False) -> Estimate:
        """Make an estimate whose bar is one rounding of the value."""
        value = value.to(torch.float64)
        return Estimate(value=value, bar=value.abs() * 2.0**-52, oracle=oracle, origin=origin, independent=independent)


class GradientShapeError(Exception):
    """The analytic gradient of an input does not have the input's shape; the message names both, `input` the input."""

    def __init__(self, message: str, *, name: str) -> None:
        super().__init__(message)
        self.input = name


class NotSymbolicError(Exception):
    """This expression, or this size of it, is beyond the symbolic oracle; the message says why."""
