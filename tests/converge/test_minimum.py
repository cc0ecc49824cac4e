"""Minima: given, by least squares, by scipy; and doubt about those that are none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from harness.converge.minimum import find_minimum, least_squares, scipy_minimum
from harness.errors import UsageError

REGRESSION = {
    "X": {"shape": ["n", "d"], "grad": False},
    "y": {"shape": ["n"], "grad": False},
    "w": {"shape": ["d"]},
}
RSS = "((y - X @ w) @ (y - X @ w))/n"
SCALAR = {"x": {"shape": []}}


def found(problem_of: Callable, function: str, inputs: dict, **entry):
    """Return the minimum a declared case finds."""
    problem, model = problem_of(function, inputs, **entry)
    return find_minimum(problem, model, sizes=problem.sizes)


def test_least_squares_equals_numpy(problem_of: Callable) -> None:
    """The closed form agrees with numpy's lstsq to rounding."""
    problem, _ = problem_of(RSS, REGRESSION, dims={"n": 30, "d": 4})
    solution = least_squares(problem.objective(), problem.flat())
    expected = np.linalg.lstsq(problem.data["X"].numpy(), problem.data["y"].numpy(), rcond=None)[0]
    np.testing.assert_allclose(solution.numpy(), expected, rtol=1e-12)


def test_least_squares_corrects_rounding_of_hard_problems(problem_of: Callable) -> None:
    """Refinement keeps a condition of 1e8 in XᵀX from costing more than a few digits."""
    rows = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = [[a, a + 1e-4 * b] for a, b in rows.tolist()]
    problem, _ = problem_of(RSS, REGRESSION, dims={"n": 20, "d": 2}, start={"X": x})
    solution = least_squares(problem.objective(), problem.flat())
    expected = np.linalg.lstsq(np.array(x), problem.data["y"].numpy(), rcond=None)[0]
    np.testing.assert_allclose(solution.numpy(), expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("function", "why"),
    [("x**4 + x**2", "not quadratic"), ("-x**2", "no minimum"), ("3*x", "no minimum")],
)
def test_least_squares_refuses_what_it_cannot_solve(problem_of: Callable, function: str, why: str) -> None:
    """Losses that are not convex quadratics are refused with the reason."""
    problem, _ = problem_of(function, SCALAR)
    with pytest.raises(UsageError, match=why):
        least_squares(problem.objective(), problem.flat())


def test_least_squares_refuses_too_few_rows(problem_of: Callable) -> None:
    """With fewer rows than weights the minimiser is not unique, and the rank is named."""
    problem, _ = problem_of(RSS, REGRESSION, dims={"n": 2, "d": 3})
    with pytest.raises(UsageError, match="rank 2 of 3"):
        least_squares(problem.objective(), problem.flat())


def test_scipy_minimum_is_polished(problem_of: Callable) -> None:
    """On Rosenbrock scipy's answer is exact to rounding."""
    problem, _ = problem_of("100*(y - x**2)**2 + (1 - x)**2", {"x": {}, "y": {}}, start={"x": -1.2, "y": 1})
    solution = scipy_minimum(problem.objective(), problem.flat())
    assert solution.tolist() == pytest.approx([1.0, 1.0], abs=1e-12)


def test_scipy_refuses_a_loss_without_bound(problem_of: Callable) -> None:
    """A loss that falls for ever has no minimum, which is said rather than returned."""
    problem, model = problem_of("-x**3", SCALAR, minimum="scipy", start={"x": 1})
    with pytest.raises(UsageError, match="Cannot find a minimum"):
        find_minimum(problem, model, sizes={})


def test_a_right_given_minimum_raises_no_doubt(problem_of: Callable) -> None:
    """An exact value, given as an expression, passes its check."""
    assert found(problem_of, "(x - pi/2)**2", SCALAR, minimum={"x": "pi/2"}).doubt is None


def test_a_rounded_given_minimum_is_fine_within_tolerance(problem_of: Callable) -> None:
    """A minimum given to three digits is good enough for a tolerance of 1e-2 and not for 1e-6."""
    assert found(problem_of, "(x - pi)**2", SCALAR, minimum={"x": 3.14}, within=1e-2).doubt is None
    assert "about 0.00159 away" in found(problem_of, "(x - pi)**2", SCALAR, minimum={"x": 3.14}).doubt


@pytest.mark.parametrize(
    ("function", "point", "why"),
    [
        ("x**2", 0.5, "gradient there is 1"),
        ("-x**2", 0, "maximum"),
        ("3*x", 0, "gradient there is 3"),
        ("log(x)", 0, "not finite"),
    ],
)
def test_what_is_no_minimum_is_doubted(problem_of: Callable, function: str, point: float, why: str) -> None:
    """Points with a gradient, maxima and points outside the domain are doubted, each with its reason."""
    assert why in found(problem_of, function, SCALAR, minimum={"x": point}).doubt


def test_a_saddle_is_doubted(problem_of: Callable) -> None:
    """A zero gradient is not enough."""
    assert "saddle" in found(problem_of, "x**2 - y**2", {"x": {}, "y": {}}, minimum={"x": 0, "y": 0}).doubt


def test_a_flat_valley_is_a_minimum(problem_of: Callable) -> None:
    """A direction without curvature or slope does not count against a minimum."""
    assert found(problem_of, "(x + y)**2", {"x": {}, "y": {}}, minimum={"x": 1, "y": -1}).doubt is None


def test_a_singular_hessian_is_no_doubt(problem_of: Callable) -> None:
    """x⁴ has its minimum at 0 although the curvature vanishes there."""
    assert found(problem_of, "x**4", SCALAR, minimum={"x": 0}).doubt is None


def test_fresh_data_are_judged_on_average(problem_of: Callable) -> None:
    """With noise drawn anew the gradient at the true minimum is zero on average only; a wrong one is still noticed."""
    inputs = {"noise": {"shape": ["n"], "grad": False}, "x": {}}
    entry = {"dims": {"n": 5}, "fresh": ["noise"]}
    assert found(problem_of, "mean((x - 2 - noise)**2)", inputs, minimum={"x": 2}, **entry).doubt is None
    assert "averaged" in found(problem_of, "mean((x - 2 - noise)**2)", inputs, minimum={"x": 1}, **entry).doubt


def test_several_minima_are_rows(problem_of: Callable) -> None:
    """One more leading dim lists several minima, and each is checked."""
    minimum = found(problem_of, "(x**2 - 1)**2", SCALAR, minimum={"x": [1, -1]})
    assert minimum.values.tolist() == [[1.0], [-1.0]]
    assert found(problem_of, "(x**2 - 1)**2", SCALAR, minimum={"x": [1, 2]}).doubt is not None


def test_a_minimum_names_every_parameter(problem_of: Callable) -> None:
    """A minimum with a parameter missing is refused by name."""
    with pytest.raises(UsageError, match="y is missing"):
        found(problem_of, "x**2 + y**2", {"x": {}, "y": {}}, minimum={"x": 0})
