"""The complex step: exact where functions are analytic, and declined where they are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from harness.case.subject import Input, Point, Subject
from harness.oracle.complex_step import NotAnalyticError, complex_step
from harness.oracle.flat import FlatSubject

X = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)


def flat_of(function: Callable[[Tensor], Tensor], x: Tensor = X) -> FlatSubject:
    """The flat view of a function of one tensor."""
    inputs = {"x": Input(shape=tuple(x.shape), complex=x.is_complex())}
    subject = Subject(name="f", inputs=inputs, function=lambda t: (function(t["x"]),))
    return FlatSubject(subject, Point(name="p", values={"x": x}, sizes={}, seed=0))


@pytest.mark.parametrize("function", [torch.sin, torch.exp, lambda x: x**3, lambda x: (x * x).cumsum(0), torch.tanh])
def test_analytic_functions(function: Callable[[Tensor], Tensor]) -> None:
    """The Jacobian is known to a few roundings, with no step error."""
    estimate = complex_step(flat_of(function), torch.eye(3, dtype=torch.float64))
    true = torch.func.jacrev(function)(X)
    assert bool(((estimate.value - true).abs() <= estimate.bar).all())
    assert float(estimate.bar.max()) < 1e-12


def test_it_has_an_error_that_the_bar_does_not_hide() -> None:
    """Abs is not analytic: the estimate differs, which is why the oracle is opt-in."""
    try:
        estimate = complex_step(flat_of(torch.abs), torch.eye(3, dtype=torch.float64))
    except NotAnalyticError:
        return
    assert not torch.allclose(estimate.value, torch.diag(X.sign()))


@pytest.mark.parametrize("function", [torch.relu, torch.floor, lambda x: torch.maximum(x, 2 * x)])
def test_functions_without_a_complex_form_are_declined(function: Callable[[Tensor], Tensor]) -> None:
    """PyTorch's refusal is passed on as a reason."""
    with pytest.raises(NotAnalyticError):
        complex_step(flat_of(function), torch.eye(3, dtype=torch.float64))


def test_complex_inputs_are_declined() -> None:
    """A complex input leaves no room for an imaginary step."""
    with pytest.raises(NotAnalyticError, match="complex"):
        complex_step(flat_of(torch.sin, X.to(torch.complex128)), torch.eye(6, dtype=torch.float64))


def test_large_inputs_are_declined() -> None:
    """One call per entry is too many for a large input."""
    with pytest.raises(NotAnalyticError, match="entries"):
        complex_step(flat_of(torch.sin, torch.ones(1000, dtype=torch.float64)), torch.ones(1, 1000).double())


def test_real_outputs_are_declined() -> None:
    """A function that drops the imaginary part has no complex step."""
    with pytest.raises(NotAnalyticError, match="not complex"):
        complex_step(flat_of(lambda x: x.real * 2), torch.eye(3, dtype=torch.float64))
