"""The symbolic oracle against known derivatives, and what it declines."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from harness.case.expression import parse
from harness.case.subject import Input, Point, Subject
from harness.oracle.flat import FlatSubject
from harness.oracle.symbolic import NotSymbolicError, Symbolic


def subject_of(text: str, **values: Tensor) -> tuple[Subject, FlatSubject]:
    """An expression as a subject, at a point."""
    expression = parse(text, names=values)
    subject = Subject(
        name=text,
        inputs={name: Input(shape=tuple(value.shape)) for name, value in values.items()},
        function=lambda tensors: (expression.evaluate(tensors),),
        expressions=(expression,),
    )
    return subject, FlatSubject(subject, Point(name="p", values=values, sizes={}, seed=0))


def vector(*numbers: float) -> Tensor:
    """A float64 vector."""
    return torch.tensor(numbers, dtype=torch.float64)


EXPRESSIONS = [
    "sin(x) * exp(-x)",
    "x**3 - 2*x + 1/x",
    "log(1 + x**2)",
    "tanh(x) / sqrt(x)",
    "softmax(x)",
    "sum(x**2) * x",
    "logsumexp(x, 0)",
    "norm(x)",
    "outer(x, x)",
    "stack([x[0] * x[1], x[1] / x[0]])",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_it_agrees_with_torch(text: str) -> None:
    """Value and gradient agree with torch's to its own rounding."""
    x = vector(0.7, 1.9, 0.4)
    subject, flat = subject_of(text, x=x)
    count = flat.outputs(flat.x).numel()
    value, gradient = Symbolic(subject).estimates(flat, torch.eye(count, dtype=torch.float64), {})
    jacobian = torch.func.jacrev(flat.outputs)(flat.x)
    assert torch.allclose(value.value, flat.outputs(flat.x), rtol=1e-13)
    assert torch.allclose(gradient.value, jacobian, rtol=1e-12, atol=1e-14)


def test_the_bar_is_a_rounding() -> None:
    """The derivative is known to one rounding."""
    subject, flat = subject_of("sin(x)", x=vector(0.7))
    _, gradient = Symbolic(subject).estimates(flat, torch.ones(1, 1).double(), {})
    assert abs(float(gradient.value) - math.cos(0.7)) <= float(gradient.bar) <= 1e-15


def test_cancellation_costs_nothing() -> None:
    """(1 − cos x)/x² near zero keeps all its digits."""
    subject, flat = subject_of("(1 - cos(x)) / x**2", x=vector(1e-6))
    value, _ = Symbolic(subject).estimates(flat, torch.ones(1, 1).double(), {})
    assert float(value.value) == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("text", ["abs(x)", "relu(x)", "maximum(x, 1)", "where(x > 0, x, 2*x)"])
def test_it_declines_what_is_not_smooth(text: str) -> None:
    """Functions that are not smooth are named and declined."""
    subject, flat = subject_of(text, x=vector(0.7))
    with pytest.raises(NotSymbolicError):
        Symbolic(subject).estimates(flat, torch.ones(1, 1).double(), {})


def test_it_declines_large_inputs() -> None:
    """Inputs of many entries are declined, with their number."""
    subject, flat = subject_of("sum(x**2)", x=torch.ones(100, dtype=torch.float64))
    with pytest.raises(NotSymbolicError, match="100 entries"):
        Symbolic(subject).estimates(flat, torch.ones(1, 1).double(), {})


def test_it_declines_code() -> None:
    """A subject without an expression is declined."""
    subject = Subject(name="f", inputs={"x": Input(shape=(1,))}, function=lambda t: (t["x"],))
    flat = FlatSubject(subject, Point(name="p", values={"x": vector(1.0)}, sizes={}, seed=0))
    with pytest.raises(NotSymbolicError, match="not an expression"):
        Symbolic(subject).estimates(flat, torch.ones(1, 1).double(), {})


def test_a_derivative_that_does_not_exist_is_declined() -> None:
    """A division by zero in the derivative is a reason, not a number."""
    subject, flat = subject_of("sqrt(x)", x=vector(0.0))
    with pytest.raises(NotSymbolicError, match="cannot be evaluated"):
        Symbolic(subject).estimates(flat, torch.ones(1, 1).double(), {})
