"""Inputs on which respected tools are wrong, each decided rightly here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.records import Outcome
from harness.verify.api import check
from harness.verify.compare import compare


def number(value: float) -> Tensor:
    """One float64 number."""
    return torch.tensor([value], dtype=torch.float64)


def judged(actual: float, expected: float, bar: float) -> Outcome:
    """The outcome of comparing two numbers."""
    return compare(number(actual), number(expected), number(bar), required=1e-4).outcome


def test_nan_for_one_fails() -> None:
    """A comparator has taken NaN for 1.0."""
    assert judged(float("nan"), 1.0, 1e-12) is Outcome.FAIL


@pytest.mark.parametrize("size", [1e-6, 1e-7, 1e-30])
def test_a_sign_flip_of_a_small_gradient_fails(size: float) -> None:
    """−1e-6 has been taken for +1e-6, and a flipped sign at 1e-7 for none."""
    assert judged(-size, size, 1e-12 * size) is Outcome.FAIL


def squared(factor: float, backward_factor: float) -> Callable[[Tensor], Tensor]:
    """factor·x² with a backward of another factor."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return factor * x**2

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return 2 * backward_factor * g * ctx.saved_tensors[0]

    return lambda x: Square.apply(x)


def test_a_zero_backward_of_a_tiny_function_fails() -> None:
    """A zero gradient of 1e-6·x² has passed below an absolute tolerance."""
    assert check(squared(1e-6, 0.0), {"x": number(0.7)}).outcome is Outcome.FAIL


class ZeroTangent(torch.autograd.Function):
    """A sine whose forward mode is zero."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        """Sine."""
        return x.sin()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep the input for both modes."""
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        """Right."""
        return g * ctx.saved_tensors[0].cos()

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        """Wrong."""
        return torch.zeros_like(tangent)


def test_a_zero_tangent_at_many_float32_outputs_fails() -> None:
    """A zero forward mode has passed at 400 float32 outputs, where a tolerance was multiplied by the size."""
    x = torch.randn(400, generator=torch.Generator().manual_seed(0))
    assert check(ZeroTangent.apply, {"x": x}, effort="quick").outcome is Outcome.FAIL


def test_one_wrong_jacobian_entry_among_a_thousand_fails() -> None:
    """One entry off by 10 at n = 1000 has passed random projections with a scaled tolerance."""

    class Sines(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            gradient = g * ctx.saved_tensors[0].cos()
            gradient[413] += 10 * g[7]
            return gradient

    x = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert check(lambda x: Sines.apply(x), {"x": x}, effort="quick").outcome is Outcome.FAIL


RIGHT: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "a fast sine": (lambda x: torch.sin(1e5 * x), 0.7),
    "a logarithm near zero": (torch.log, 1e-8),
    "a square on a high plain": (lambda x: x**2 + 1e8, 1.3),
    "a square far out": (lambda x: x**2, 1e8),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name: str) -> None:
    """A fixed absolute step has rejected these."""
    function, point = RIGHT[name]
    verdict = check(function, {"x": number(point)})
    assert verdict.outcome is Outcome.PASS, verdict.message


def test_a_subject_that_raises_is_an_error_with_its_reason() -> None:
    """A call that raised has become a row of NaN whose cause was lost."""

    def broken(x: Tensor) -> Tensor:
        raise ValueError("no such kernel")

    verdict = check(broken, {"x": number(1.0)})
    assert verdict.outcome is Outcome.ERROR
    assert "ValueError: no such kernel" in verdict.message
