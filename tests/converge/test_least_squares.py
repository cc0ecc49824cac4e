"""Least squares: it descends on residuals, every point it accepts is a step, and each Jacobian one evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize

from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.schema import CaseModel
from harness.case.trust import Trust
from harness.converge.descent import Rules, descend
from harness.converge.least_squares import SMALLEST, LeastSquares
from harness.converge.objective import Objective
from harness.converge.run import converge_case
from harness.records import ConvergeRecord, Outcome

PLANE = {"x": {}, "y": {}}
VALLEY = ["10*(y - x**2)", "1 - x"]
START = {"x": -1.2, "y": 1.0}
ONES = {"x": 1, "y": 1}


def declared(residuals: Any, inputs: dict[str, Any] = PLANE, **entry: Any) -> Case:
    """A case of residuals with one descent by least squares."""
    document = {"case": "made", "title": "Made", "inputs": inputs, "residuals": residuals}
    document["converge"] = [{"optimizer": "LeastSquares", **entry}]
    return Case(model=CaseModel.model_validate(document), path=Path("made.yaml"), line=1)


def run(residuals: Any = VALLEY, **entry: Any) -> ConvergeRecord:
    """The record of one descent by least squares."""
    (record,) = converge_case(declared(residuals, **entry), 0, trust=Trust(), seed=0)
    return record


def objective_of(residuals: Any = VALLEY) -> Objective:
    """A sum of squares as a function of one vector."""
    subject = build_subject(declared(residuals), trust=Trust())
    return Objective(subject=subject, shapes={"x": (), "y": ()}, data={})


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_every_method_arrives(method: str) -> None:
    """All three of SciPy's methods cross Rosenbrock's valley to eight digits."""
    record = run(options={"method": method}, start=START, minimum=ONES, digits=8, steps=100)
    assert (record.outcome, record.status) == (Outcome.PASS, "hit"), record.message
    assert dict(record.metric)["correct digits"] >= 8
    assert f"8 digits of the given minimum, {dict(record.metric)['correct digits']:.1f} at best" in record.message


def test_jacobian_is_exact() -> None:
    """The Jacobian comes from differentiating the residuals, row by row in their order."""
    objective, point = objective_of(), torch.tensor([-1.2, 1.0], dtype=torch.float64)
    assert torch.equal(objective.residuals(point), torch.tensor([10 * (1 - 1.44), 2.2], dtype=torch.float64))
    expected = torch.tensor([[24.0, 10.0], [-1.0, 0.0]], dtype=torch.float64)
    assert torch.allclose(objective.jacobian(point), expected, rtol=1e-15, atol=0)


def test_it_takes_scipys_path() -> None:
    """What the descent sees are the points SciPy evaluates the Jacobian at, then its result."""
    seen: list[list[float]] = []
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    reason = LeastSquares([start]).solve(objective_of(), start, lambda flat: bool(seen.append(flat.tolist())), most=100)
    asked: list[list[float]] = []

    def jacobian(p: np.ndarray) -> np.ndarray:
        asked.append(p.tolist())
        return np.array([[-20 * p[0], 10.0], [-1.0, 0.0]])

    result = optimize.least_squares(
        lambda p: np.array([10 * (p[1] - p[0] ** 2), 1 - p[0]]), start.numpy(), jac=jacobian, x_scale="jac",
        ftol=SMALLEST, xtol=SMALLEST, gtol=SMALLEST,
    )  # fmt: skip
    assert reason == result.message
    np.testing.assert_allclose(seen, [*asked, result.x.tolist()], rtol=1e-9, atol=1e-9)


def test_it_is_ended_when_the_descent_has_ended() -> None:
    """The descent's own rules end it: a budget of steps, a loss to stop at."""
    record = run(start=START, minimum=ONES, steps=3)
    assert (record.outcome, record.status) == (Outcome.FAIL, "budget")
    assert record.steps < 4
    stopped = run(start=START, loss_below=1e-6, stop={"loss": 1e-3}, steps=100)
    assert "stopped at loss" in stopped.message


def test_cost_is_counted_in_jacobians() -> None:
    """Every point seen is one evaluation, and no more are counted than were made."""
    record = run(start=START, minimum=ONES, steps=100)
    assert record.gradient_evaluations == record.steps + 1


def test_a_local_minimum_is_a_miss() -> None:
    """The standard start of Freudenstein and Roth's function leads to the local minimum, which is no arrival."""
    residuals = ["-13 + x + ((5 - y)*y - 2)*y", "-29 + x + ((y + 1)*y - 14)*y"]
    entry = {"start": {"x": 0.5, "y": -2}, "steps": 100}
    assert run(residuals, **entry, minimum={"x": 5, "y": 4}).outcome is Outcome.FAIL
    both = {"x": [5, 11.412778986902094], "y": [4, -0.8968052532744765]}
    assert run(residuals, **entry, minimum=both).outcome is Outcome.PASS


def test_a_wrong_minimum_is_not_believed() -> None:
    """A minimum that is none is a fault of the case, whoever descends."""
    record = run(start=START, minimum={"x": 1.001, "y": 1}, steps=100)
    assert record.outcome is Outcome.FAIL
    assert "is not one" in record.message


def test_a_function_without_residuals_is_refused() -> None:
    """Least squares on a plain function says that residuals are missing and how to give them."""
    case = declared(VALLEY, minimum=ONES)
    plain = case.model.model_copy(update={"function": "x**2 + y**2", "residuals": None})
    (record,) = converge_case(replace(case, model=plain), 0, trust=Trust(), seed=0)
    assert record.outcome is Outcome.ERROR
    assert "Write `residuals` in the place of `function`" in record.message


def test_options_are_checked() -> None:
    """An unknown method and an unknown option are named."""
    assert "is none of trf, dogbox, lm" in run(options={"method": "newton"}, minimum=ONES).message
    assert "Did you mean x_scale" in run(options={"xscale": "jac"}, minimum=ONES).message


def test_too_few_residuals_for_lm_are_told() -> None:
    """What SciPy refuses ends on record with its own words."""
    record = run("x + y - 1", options={"method": "lm"}, loss_below=1e-9, start=START)
    assert record.outcome is Outcome.ERROR
    assert "lm" in record.message


def test_a_start_where_residuals_are_infinite_is_told() -> None:
    """A start outside the residuals' reach is an outcome, not an arrival."""
    record = run(["exp(x)", "y"], start={"x": 1000, "y": 0}, loss_below=1e-3)
    assert record.outcome in (Outcome.ERROR, Outcome.FAIL)


def test_single_steps_are_refused() -> None:
    """It takes its steps itself: asked for one like an optimizer, it says so."""
    with pytest.raises(RuntimeError, match="no single steps"):
        LeastSquares([]).step(lambda: torch.tensor(0.0))


def test_it_works_in_float64_on_float32_parameters(problem_of: Callable) -> None:
    """Parameters in float32 take part in the solution to their own precision."""
    problem, _ = problem_of("(x - 2)**2", {"x": {}}, start={"x": 0.0}, dtype="float32")
    subject = problem.subject
    problem.subject = type(subject)(
        name=subject.name, inputs=subject.inputs, function=subject.function, residuals=lambda t: (t["x"] - 2,)
    )
    minima = torch.tensor([[2.0]], dtype=torch.float64)
    descent = descend(problem, LeastSquares([]), Rules(steps=20, minima=minima))
    assert descent.status == "hit"
    assert next(iter(problem.parameters.values())).dtype is torch.float32
