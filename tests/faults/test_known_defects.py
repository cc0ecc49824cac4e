"""Inputs on which respected tools are wrong, each decided rightly here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.bench.sampling import Measurement
from harness.bench.statistics import paired_ratio, unpaired_ratio
from harness.bench.timings import timing_of
from harness.records import Outcome, Timing
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


# Tolerances


@pytest.mark.parametrize("factor", [1.0005, 1 + 1e-9])
def test_an_error_below_a_loose_relative_tolerance_fails(factor: float) -> None:
    """A gradient off by 0.05 % has passed a relative tolerance of 1e-3."""
    x = number(0.7)
    assert torch.autograd.gradcheck(squared(1.0, 1.0005), x.clone().requires_grad_(True))
    assert check(squared(1.0, factor), {"x": x}).outcome is Outcome.FAIL


def test_a_zero_backward_below_the_tolerance_is_what_gradcheck_accepts() -> None:
    """The defect is real: the zero gradient of 1e-6·x² that fails here passes there."""
    assert torch.autograd.gradcheck(squared(1e-6, 0.0), number(0.7).requires_grad_(True))


class HalfAsMuch(torch.autograd.Function):
    """A row-wise softmax whose gradient is wrong by a factor in low precision alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        """Softmax."""
        ctx.save_for_backward(x)
        ctx.factor = factor if x.dtype == torch.bfloat16 else 1.0
        return x.softmax(-1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        """Right but for the factor."""
        p = ctx.saved_tensors[0].softmax(-1)
        return ctx.factor * p * (g - (g * p).sum(-1, keepdim=True)), None


@pytest.mark.parametrize("factor", [0.0, 2.0, -1.0])
def test_zero_doubled_and_flipped_gradients_fail_in_bfloat16(factor: float) -> None:
    """Tolerances of 5 absolute and 50 relative have been called a bfloat16 test."""
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    assert check(lambda x: HalfAsMuch.apply(x, factor), {"x": x}).outcome is Outcome.FAIL
    assert check(lambda x: HalfAsMuch.apply(x, 1.0), {"x": x}).outcome is Outcome.PASS


# Comparisons with oneself


class LogCosh(torch.autograd.Function):
    """log cosh, with a factor missing from its backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Without overflow."""
        ctx.save_for_backward(x)
        return torch.logaddexp(x, -x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        """The cotangent is used, the slope is not."""
        return g * ctx.saved_tensors[0]


def _own_gradient(x: Tensor, cotangent: Tensor) -> Tensor:
    """The wrong gradient once more, as a hand-written one."""
    return cotangent * x


POINT = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)


def test_a_reference_with_the_same_mistake_does_not_save_a_wrong_gradient() -> None:
    """A kernel has been compared with itself, and two kernels with each other."""
    verdict = check(LogCosh.apply, {"x": POINT}, reference=LogCosh.apply)
    assert verdict.outcome is Outcome.FAIL
    assert any(f.outcome is Outcome.FAIL and f.independent for f in verdict.findings)


def test_an_analytic_gradient_with_the_same_mistake_does_not_save_a_wrong_gradient() -> None:
    """A "numeric" derivative has been autograd's own; the ones here evaluate the function alone."""
    assert check(LogCosh.apply, {"x": POINT}, gradient=_own_gradient).outcome is Outcome.FAIL


def test_a_shared_detach_does_not_save_a_wrong_gradient() -> None:
    """A path detached in the subject and its reference alike has passed for years."""

    def detached(x: Tensor) -> Tensor:
        return x / x.square().mean().sqrt().detach()

    assert check(detached, {"x": POINT}, reference=detached).outcome is Outcome.FAIL
    assert check(lambda x: x / x.square().mean().sqrt(), {"x": POINT}).outcome is Outcome.PASS


def test_two_nan_gradients_do_not_agree() -> None:
    """NaN has been treated as equal to NaN: a subject and a reference that share a NaN are both wrong."""

    def leaking(x: Tensor) -> Tensor:
        return torch.where(x > 0, x * x.sqrt(), torch.zeros_like(x))

    x = torch.tensor([0.5, -0.5], dtype=torch.float64)
    assert check(leaking, {"x": x}, reference=leaking).outcome is Outcome.FAIL
    assert check(lambda x: x.clamp(min=0) ** 1.5, {"x": x}).outcome is Outcome.PASS


# Inputs


def test_an_input_that_does_not_require_a_gradient_is_checked_all_the_same() -> None:
    """A test has run on an input without requires_grad, where any backward passes."""
    assert not POINT.requires_grad
    assert check(LogCosh.apply, {"x": POINT}).outcome is Outcome.FAIL


def test_inputs_given_are_left_as_they_were() -> None:
    """A parameter has been overwritten inside the test that compared it."""
    weight, x = POINT.clone(), POINT.flip(0)

    def careless(x: Tensor, weight: Tensor) -> Tensor:
        result = (x * weight).sin()
        weight.data.zero_()
        return result

    assert check(careless, {"x": x, "weight": weight}).outcome is not Outcome.PASS
    assert torch.equal(weight, POINT)


# Timings


def row() -> Timing:
    """A timing that is not measured yet."""
    return Timing(outcome=Outcome.SKIPPED, message="", what="value", variant="autograd", device="cpu", dtype="float64")


def test_one_timing_against_one_timing_decides_nothing() -> None:
    """One sample against one sample has been called significant."""
    assert not paired_ratio([2.0], [1.0]).excludes(1.0)
    assert not unpaired_ratio([2.0], [1.0]).excludes(1.0)
    assert paired_ratio([2.0] * 8, [1.0] * 8).excludes(1.0)
    measured = Measurement(samples=(1e-3,), calls=1, first_call_s=1e-3, steady=True)
    timing = timing_of(measured, row())
    assert timing.outcome is Outcome.INCONCLUSIVE
    assert "too few" in timing.message


def test_work_that_raises_is_an_error_with_its_reason() -> None:
    """A benchmarked call that raised has become a row of NaN."""
    measured = Measurement(samples=(), calls=1, first_call_s=None, steady=False, error="ValueError: no such kernel")
    timing = timing_of(measured, row())
    assert timing.outcome is Outcome.ERROR
    assert "no such kernel" in timing.message
    assert timing.median_s is None
