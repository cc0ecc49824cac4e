"""Relative parameters θ = parameter/start: the same problem in other units, and the same answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from harness.case.subject import Input, Subject
from harness.converge.minimum import find_minimum
from harness.converge.relative import in_units, unit
from harness.errors import UsageError
from harness.records import Outcome

TWO = {"a": {}, "b": {}}
STRETCHED = "(a/1000 - 2)**2 + (1000*b - 3)**2"
MINIMUM = {"a": 2000, "b": 0.003}
START = {"a": 1000, "b": 0.001}


def test_a_unit_is_the_start_and_one_where_it_is_zero() -> None:
    """Entries that start at zero keep their own unit, signs are kept."""
    assert unit(torch.tensor([5.0, 0.0, -2.0])).tolist() == [5.0, 1.0, -2.0]


def test_the_subject_in_units_is_the_same_function() -> None:
    """Value, residuals and analytic gradient at θ are those at unit·θ, the gradient by the chain rule."""
    subject = Subject(
        name="s",
        inputs={"t": Input(shape=(2,), grad=False), "a": Input(shape=(2,))},
        function=lambda v: (((v["a"] - v["t"]) ** 2).sum(),),
        gradient=lambda v, cotangents: {"a": 2 * (v["a"] - v["t"]) * cotangents[0]},
        residuals=lambda v: (v["a"] - v["t"],),
    )
    units = {"a": torch.tensor([10.0, -0.5], dtype=torch.float64)}
    theta = {"t": torch.tensor([1.0, 2.0], dtype=torch.float64), "a": torch.tensor([0.3, 4.0], dtype=torch.float64)}
    changed = in_units(subject, units)
    expected = torch.tensor([3.0 - 1.0, -2.0 - 2.0], dtype=torch.float64)
    assert changed.residuals is not None
    assert changed.gradient is not None
    assert torch.equal(changed.residuals(theta)[0], expected)
    assert torch.equal(changed.function(theta)[0], (expected**2).sum())
    one = (torch.ones((), dtype=torch.float64),)
    assert torch.equal(changed.gradient(theta, one)["a"], 2 * expected * units["a"])


def test_badly_scaled_parameters_arrive_only_so(one: Callable) -> None:
    """At one rate for both, parameters of sizes 1000 and 0.001 arrive in relative units, and not in their own."""
    entry: dict[str, Any] = {"optimizer": "Adam", "options": {"lr": 0.05}, "steps": 800, "start": START}
    entry |= {"minimum": MINIMUM, "digits": 4}
    assert one(STRETCHED, TWO, **entry, relative=True).outcome is Outcome.PASS
    assert one(STRETCHED, TWO, **entry).outcome is Outcome.FAIL


def test_the_record_shows_the_parameters_themselves(one: Callable) -> None:
    """Final parameters, minimum and digits are the parameters', not θ's; the name of the run says what was done."""
    record = one(STRETCHED, TWO, optimizer="LBFGS", start=START, minimum=MINIMUM, digits=6, steps=20, relative=True)
    assert record.outcome is Outcome.PASS
    final = {name: values[0] for name, values in record.final}
    assert final == pytest.approx(MINIMUM, rel=1e-6)
    assert {name: values[0] for name, values in record.minimum} == pytest.approx(MINIMUM)
    assert "relative to its start" in record.run


def test_digits_do_not_depend_on_units(problem_of: Callable) -> None:
    """The given minimum is turned into θ, where every correct digit is one of the parameter."""
    problem, model = problem_of(STRETCHED, TWO, start=START, minimum=MINIMUM, digits=6, relative=True)
    minimum = find_minimum(problem, model, sizes=problem.sizes)
    assert minimum is not None
    assert minimum.doubt is None
    assert minimum.values.tolist() == [[2.0, 3.0]]
    assert problem.flat().tolist() == [1.0, 1.0]


def test_a_parameter_that_starts_at_zero_moves(one: Callable) -> None:
    """A start of zero is a unit of one, not a parameter nailed down."""
    record = one(
        "(a - 3)**2", {"a": {}}, optimizer="SGD", options={"lr": 0.2}, start={"a": 0}, minimum={"a": 3}, relative=True
    )
    assert record.outcome is Outcome.PASS


def test_an_analytic_gradient_is_followed_in_units(one: Callable) -> None:
    """The case's own gradient leads along the same path as autograd, in relative parameters too."""
    entry: dict[str, Any] = {"optimizer": "SGD", "options": {"lr": 0.1}, "steps": 200, "start": START}
    entry |= {"minimum": MINIMUM, "digits": 6, "relative": True}
    gradient = {"a": "2*(a/1000 - 2)/1000", "b": "2000*(1000*b - 3)"}
    ours = one(STRETCHED, TWO, **entry, gradient="analytic", analytic=gradient)
    assert ours.outcome is Outcome.PASS
    assert ours.steps_to_tolerance == one(STRETCHED, TWO, **entry).steps_to_tolerance


def test_a_wrong_analytic_gradient_is_seen_in_units(one: Callable) -> None:
    """A sign turned round in one parameter does not arrive."""
    entry: dict[str, Any] = {"optimizer": "SGD", "options": {"lr": 0.1}, "steps": 200, "start": START}
    entry |= {"minimum": MINIMUM, "digits": 6, "relative": True, "gradient": "analytic"}
    wrong = {"a": "-2*(a/1000 - 2)/1000", "b": "2000*(1000*b - 3)"}
    assert one(STRETCHED, TWO, **entry, analytic=wrong).outcome is Outcome.FAIL


def test_a_module_is_refused(modules: Callable) -> None:
    """A module's parameters are its own: the message says to leave `relative` out."""
    (record,) = modules("Line", "mean(output**2)", {"x": {"shape": [4], "grad": False}}, relative=True, loss_below=1)
    assert record.outcome is Outcome.ERROR
    assert "Leave out `relative`" in record.message
    with pytest.raises(UsageError, match="a module's own"):
        in_units(Subject(name="m", inputs={}, function=lambda _: (), module=object), {})
