"""Sharper rounding bars: the worst case in balls where it is below what Monte Carlo arithmetic allows.

Monte Carlo arithmetic is an estimate with a safety factor; the worst case is a bound under a stated model (see
`harness.oracle.ball.floor`). The smaller of the two is the bar. Judges nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle.ball.budget import Budget
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.floor import rounding_floor
from harness.oracle.flat import FlatSubject
from harness.oracle.rounding import SAFETY, SAMPLES
from harness.verify.routes import Gradients

BUDGET = Budget(operations=20_000, seconds=0.5)
"""What the worst case at one point may cost."""
MANTISSA = {torch.float64: 53, torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bars:
    """Rounding bars of outputs (M) and gradients (C × N), and in words where each of the two comes from."""

    value: Tensor
    gradient: Tensor
    value_origin: str
    origin: str


def sharpened(
    flat: FlatSubject, cotangents: Tensor, dtype: torch.dtype, truth: Gradients, *, value_bar: Tensor, bar: Tensor,
    required: float,
) -> Bars:  # fmt: skip
    """Take the worst case of rounding where it is the smaller bar.

    Args:
        flat: the subject in float64 at numbers of the dtype.
        cotangents: C × M, numbers of the dtype.
        dtype: the dtype under test.
        truth: outputs and gradients there, in float64.
        value_bar: bars of the outputs by Monte Carlo arithmetic (M).
        bar: those of the gradients (C × N).
        required: the relative bar above which the worst case is of no use.
    """
    name = str(dtype).removeprefix("torch.")
    monte_carlo = f"rounding of {name}: Monte Carlo arithmetic, {SAMPLES} samples × {SAFETY:g}"
    plain = Bars(value=value_bar, gradient=bar, value_origin=monte_carlo, origin=monte_carlo)
    if flat.device.type != "cpu" or dtype not in MANTISSA:
        return plain
    try:
        value_floor, floor = rounding_floor(flat, cotangents, dtype, budget=BUDGET)
    except NotCertifiedError:
        return plain
    if value_floor.shape != value_bar.shape or floor.shape != bar.shape:
        return plain
    balls = f"rounding of {name}: worst case in balls at {MANTISSA[dtype]} bits"
    wide = [_is_wide(value_floor, truth.outputs, required), _is_wide(floor, truth.value, required)]
    return Bars(
        value=torch.minimum(value_bar, value_floor),
        gradient=torch.minimum(bar, floor),
        value_origin=_origin(
            value_bar, value_floor, balls, monte_carlo, wide=_is_wide(value_floor, truth.outputs, required)
        ),
        origin=_origin(bar, floor, balls, monte_carlo, wide=wide[1]),
    )


def _is_wide(floor: Tensor, truth: Tensor, required: float) -> bool:
    """Whether a bound is so wide that it could not have seen anything."""
    return bool(floor.numel()) and float(floor.max()) > required * float(truth.abs().max())


def _origin(bar: Tensor, floor: Tensor, balls: str, monte_carlo: str, *, wide: bool) -> str:
    """Say which of two bars was the smaller, and whether the worst case was of any use."""
    sharper = floor <= bar
    if bool(sharper.all()):
        return balls
    if bool(sharper.any()):
        return f"{balls}, or {monte_carlo.partition(': ')[2]}, whichever is smaller"
    return f"{monte_carlo} (the worst case in balls is {'too wide to be of use' if wide else 'wider'})"
