"""Second-order checks: double backward against an independent ladder, forward over reverse, and symmetry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.records import Finding, Outcome
from harness.verify.api import check

X = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)


def second_of(function: Callable[[Tensor], Any], x: Tensor = X) -> dict[str, Finding]:
    """The second-order findings of a function of one tensor, by check."""
    return {f.check: f for f in check(function, {"x": x}).findings if f.order == 2}


@pytest.mark.parametrize(
    "function", [torch.sin, lambda x: x**3 * x.sum(), lambda x: x.softmax(0), lambda x: (x @ x).sqrt(), lambda x: 2 * x]
)
def test_right_second_derivatives_pass(function: Callable[[Tensor], Tensor]) -> None:
    """Smooth torch functions pass every second-order check, zero ones too."""
    assert {f.outcome for f in second_of(function).values()} == {Outcome.PASS}


def second_detached(factor: float) -> Callable[[Tensor], Tensor]:
    """x³ with a right first gradient and a second derivative of another factor."""

    class Second(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            (x,) = ctx.saved_tensors
            fixed = x.detach()
            return 3 * g * (fixed**2 + factor * (x**2 - fixed**2))

    return lambda x: Second.apply(x)


@pytest.mark.parametrize("factor", [0.0, -1.0, 0.5, 1 + 1e-6])
def test_wrong_second_derivatives_fail(factor: float) -> None:
    """Zero, sign, factor and small faults of the second derivative are caught by the ladder of gradients."""
    found = second_of(second_detached(factor))
    assert found["double backward ~ differences of gradients"].outcome is Outcome.FAIL


def test_the_right_twin_passes() -> None:
    """The same function with the right factor passes."""
    assert second_of(second_detached(1.0))["double backward ~ differences of gradients"].outcome is Outcome.PASS


def test_a_backward_that_refuses_is_skipped_with_its_reason() -> None:
    """once_differentiable functions have no second derivative, and say so."""

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return 2 * g * ctx.saved_tensors[0]

    verdict = check(lambda x: Once.apply(x), {"x": X})
    skipped = [f for f in verdict.findings if f.order == 2]
    assert verdict.outcome is Outcome.PASS
    assert {f.outcome for f in skipped} == {Outcome.SKIPPED}


def test_no_second_derivative_at_a_kink() -> None:
    """A kink at the point is a reason to skip."""
    found = second_of(torch.relu, torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert {f.outcome for f in found.values()} == {Outcome.SKIPPED}


def test_a_kink_of_the_first_derivative_is_a_reason_to_skip() -> None:
    """x·|x| at zero has a first derivative and no second one."""
    found = second_of(lambda x: (x * x.abs()).sum(), torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert found["double backward ~ differences of gradients"].outcome is Outcome.SKIPPED


def test_quick_checks_leave_the_second_order_out() -> None:
    """effort="quick" is first order only."""
    assert not [f for f in check(torch.sin, {"x": X}, effort="quick").findings if f.order == 2]


def test_long_inputs_are_projected() -> None:
    """Products longer than a few hundred entries are compared through projections, and still judged."""
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = second_of(lambda x: x.sin().sum(), x)
    assert found["double backward ~ differences of gradients"].outcome is Outcome.PASS


class SineBackward(torch.autograd.Function):
    """g·cos x, whose own backward forgets the upstream gradient g."""

    @staticmethod
    def forward(ctx: Any, upstream: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(upstream, x)
        return upstream * x.cos()

    @staticmethod
    def backward(ctx: Any, p: Tensor) -> tuple[None, Tensor]:
        upstream, x = ctx.saved_tensors
        return None, -p * upstream * x.sin()


class ForgetfulSine(torch.autograd.Function):
    """sin x, right in both orders with respect to x alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        result: Tensor = SineBackward.apply(upstream, *ctx.saved_tensors)
        return result


def test_double_backward_reaches_the_upstream_gradient() -> None:
    """A double backward that drops the path to the cotangent fails, though the Hessian it gives is right."""
    inputs = {"x": X}
    wrong = check(ForgetfulSine.apply, inputs, name="forgetful")
    failing = {finding.check for finding in wrong.findings if finding.outcome is Outcome.FAIL}
    assert failing == {"double backward through the cotangent"}
    assert check(torch.sin, inputs).outcome is Outcome.PASS
