"""Ways to the subject's own derivative agree with torch's, and say why where there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.case.subject import Input, Point, Subject
from harness.oracle.flat import FlatSubject
from harness.verify.routes import (
    RouteUnavailableError,
    backward,
    forward_over_reverse,
    forward_products,
    hessian_products,
    one_line,
    reverse,
)

X = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
EYE = torch.eye(3, dtype=torch.float64)


def flat_of(function: Callable[[Tensor], Any], x: Tensor = X) -> FlatSubject:
    """The flat view of a function of one tensor."""
    inputs = {"x": Input(shape=tuple(x.shape), complex=x.is_complex())}

    def call(tensors: Any) -> tuple[Tensor, ...]:
        result = function(tensors["x"])
        return result if isinstance(result, tuple) else (result,)

    subject = Subject(name="f", inputs=inputs, function=call)
    return FlatSubject(subject, Point(name="p", values={"x": x}, sizes={}, seed=0))


def cubic(x: Tensor) -> Tensor:
    """A coupled function with all its second derivatives."""
    return x**3 * x.sum()


def test_reverse_mode() -> None:
    """Rows of the Jacobian, one per cotangent."""
    assert torch.allclose(reverse(flat_of(cubic), EYE).value, torch.func.jacrev(cubic)(X))


def test_forward_mode() -> None:
    """Columns of the Jacobian, one per direction."""
    assert torch.allclose(forward_products(flat_of(cubic), EYE).T, torch.func.jacrev(cubic)(X))


def test_backward_accumulates() -> None:
    """A second .backward() adds the same gradient again."""
    once, twice = backward(flat_of(cubic), EYE[0])
    assert torch.allclose(twice.value, 2 * once.value)


@pytest.mark.parametrize(
    "function", [lambda x: x.reshape(3, 1), lambda x: torch.stack([x, 2 * x]), lambda x: (x, x * 2)]
)
def test_backward_leaves_the_cotangent_alone(function: Callable[[Tensor], Any]) -> None:
    """Gradients that are views of the seed do not write into it."""
    flat = flat_of(function)
    cotangent = torch.arange(1.0, flat.outputs(flat.x).numel() + 1, dtype=torch.float64)
    kept = cotangent.clone()
    backward(flat, cotangent)
    assert torch.equal(cotangent, kept)


@pytest.mark.parametrize("route", [hessian_products, forward_over_reverse])
def test_second_order(route: Callable[..., Tensor]) -> None:
    """Both routes give products of the Hessian."""
    hessian = torch.func.hessian(lambda x: cubic(x) @ EYE[1])(X)
    assert torch.allclose(route(flat_of(cubic), EYE[1], EYE), hessian)


def test_a_linear_function_has_a_second_derivative_of_zero() -> None:
    """A first gradient without history is constant."""
    assert float(hessian_products(flat_of(lambda x: 2 * x), EYE[0], EYE).abs().max()) == 0


def test_a_missing_gradient_is_named() -> None:
    """None is zero in the numbers and a name in the record."""
    inputs = {"x": Input(shape=(3,)), "y": Input(shape=(3,))}
    subject = Subject(name="f", inputs=inputs, function=lambda t: (t["x"] * 2,))
    flat = FlatSubject(subject, Point(name="p", values={"x": X, "y": X}, sizes={}, seed=0))
    found = reverse(flat, EYE)
    assert (found.missing, float(found.value[:, 3:].abs().max())) == (("y",), 0.0)


def test_a_detached_result_has_no_route() -> None:
    """The reason names operations that cut."""
    with pytest.raises(RouteUnavailableError, match=r"detached from every input.*argmax"):
        reverse(flat_of(lambda x: x.detach() * 2), EYE)


def test_forward_mode_that_is_not_there() -> None:
    """A custom function without jvp has no forward mode, with PyTorch's reason."""

    class NoForward(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * 2

    with pytest.raises(RouteUnavailableError):
        forward_products(flat_of(lambda x: NoForward.apply(x)), EYE)


def test_complex_gradients_are_pairs() -> None:
    """Complex inputs have gradients of twice as many real numbers."""
    z = torch.tensor([1 + 2j], dtype=torch.complex128)
    found = reverse(flat_of(lambda z: (z.conj() * z).real, z), torch.ones(1, 1).double())
    assert found.value.tolist() == [[2.0, 4.0]]


def test_one_line_is_one_short_line() -> None:
    """Long messages are cut at one line, with the exception's type."""
    text = one_line(ValueError("a" * 500 + "\nmore"))
    assert (text.startswith("ValueError: aaa"), len(text) < 230, "\n" in text) == (True, True, False)


def test_warnings_as_errors_are_no_fault_of_the_subject() -> None:
    """A check works in a process that has made warnings errors from the start."""
    code = (
        "import torch, warnings; warnings.simplefilter('error')\n"
        "from harness.verify.api import check\n"
        "v = check(torch.sin, {'x': torch.ones(2, dtype=torch.float64)}); raise SystemExit(v.outcome.value != 'pass')"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
