"""Low precision against float64: rounding passes, losses beyond it do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.records import Finding, Outcome
from harness.verify.api import check


def normal(*shape: int) -> Tensor:
    """Seeded float32 numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def low(function: Callable[..., Any], x: Tensor) -> dict[str, Finding]:
    """The findings of the tensor's own dtype, by check."""
    name = str(x.dtype).removeprefix("torch.")
    return {f.check: f for f in check(function, {"x": x}).findings if f.dtype == name}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("function", [torch.sin, lambda x: (x * x).sum(), lambda x: x.roll(1) * x])
def test_rounding_passes(function: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    """Plain operators pass in every dtype."""
    assert {f.outcome for f in low(function, normal(6).to(dtype)).values()} == {Outcome.PASS}


def losing(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """A square whose backward goes through a coarser dtype, except in float64."""

    class Losing(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            (x,) = ctx.saved_tensors
            gradient = 2 * g * x
            return gradient if x.dtype == torch.float64 else gradient.to(dtype).to(x.dtype)

    return lambda x: Losing.apply(x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_downcast_fails(dtype: torch.dtype) -> None:
    """A backward of float32 that goes through half precision fails."""
    assert low(losing(dtype), normal(6))["float32 ~ float64"].outcome is Outcome.FAIL


def test_no_downcast_passes() -> None:
    """The twin that stays in float32 passes."""
    assert low(losing(torch.float32), normal(6))["float32 ~ float64"].outcome is Outcome.PASS


def test_a_value_that_loses_digits_fails() -> None:
    """A forward that goes through half precision fails by its value."""

    def lossy(x: Tensor) -> Tensor:
        return x.sin() if x.dtype == torch.float64 else x + (x.sin().half().to(x.dtype) - x)

    assert low(lossy, normal(6))["float32 value ~ float64"].outcome is Outcome.FAIL


def test_overflow_is_skipped() -> None:
    """Where a value overflows the dtype there is nothing to compare."""
    found = low(torch.exp, torch.tensor([12.0], dtype=torch.float16))
    assert {f.outcome for f in found.values()} == {Outcome.SKIPPED}


def test_cancellation_is_allowed_for() -> None:
    """Digits that the formula itself loses are in the bar."""
    found = low(lambda x: (x + 100.0) - 100.0, normal(4))
    assert Outcome.FAIL not in {f.outcome for f in found.values()}
