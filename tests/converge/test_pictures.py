"""Contours around paths in the plane and frames of fits."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from harness.converge.pictures import contour_of, fit_of, parameter_labels
from harness.errors import UsageError

PLANE = {"w": {"shape": [2]}}
LINE = {"x": {"shape": ["n"], "grad": False}, "a": {}}


def flat(*numbers: float) -> torch.Tensor:
    """Return a vector in float64."""
    return torch.tensor(numbers, dtype=torch.float64)


def test_the_box_holds_path_and_minimum(problem_of: Callable) -> None:
    """Every point of the path and the minimum lie inside; values are the loss there."""
    problem, _ = problem_of("w[0]**2 + 10*w[1]**2", PLANE)
    contour = contour_of(problem.objective(), [flat(2, 1), flat(1, -1)], flat(0, 0))
    assert contour.x[0] < 0.0 < 2.0 < contour.x[-1]
    assert contour.y[0] < -1.0 < 1.0 < contour.y[-1]
    assert contour.labels == ("w[0]", "w[1]")
    assert contour.values[3][7] == pytest.approx(contour.x[7] ** 2 + 10 * contour.y[3] ** 2, rel=1e-4)


def test_parameters_of_unlike_size_both_fill_the_box(problem_of: Callable) -> None:
    """A parameter of 0.0005 beside one of 200 keeps its own side; one that stands still is given room."""
    problem, _ = problem_of("sum(w**2)", PLANE)
    unlike = contour_of(problem.objective(), [flat(500, 1e-4)], flat(240, 5e-4))
    assert unlike.y[-1] - unlike.y[0] < 1e-3
    still = contour_of(problem.objective(), [flat(2, 0), flat(1, 1e-17)], flat(0, 0))
    assert still.y[-1] - still.y[0] > 0.2


def test_a_path_that_blew_up_does_not_stretch_the_box(problem_of: Callable) -> None:
    """Points absurdly far away are left out."""
    problem, _ = problem_of("sum(w**2)", PLANE)
    contour = contour_of(problem.objective(), [flat(1, 1), flat(1e9, 1e9)], flat(0, 0))
    assert contour.x[-1] < 2.0


def test_a_loss_that_cannot_be_batched_is_evaluated_one_by_one(problem_of: Callable) -> None:
    """Where vmap cannot go, the grid is the same."""
    problem, _ = problem_of("sum(w**2)", PLANE)
    objective = problem.objective()
    batched = contour_of(objective, [flat(1, 1)], flat(0, 0))
    function = objective.subject.function

    def stubborn(values: dict) -> tuple:
        float(values["w"].sum())
        return function(values)

    problem.subject = type(objective.subject)(name="stubborn", inputs=objective.subject.inputs, function=stubborn)
    assert contour_of(problem.objective(), [flat(1, 1)], flat(0, 0)) == batched


def test_only_planes_have_contours(problem_of: Callable) -> None:
    """Three parameters have none."""
    problem, _ = problem_of("sum(w**2)", {"w": {"shape": [3]}})
    assert contour_of(problem.objective(), [flat(1, 1, 1)], None) is None


def test_fits_are_sorted_and_thinned(problem_of: Callable) -> None:
    """At most 200 data and 40 frames, sorted along x, first and last step among them."""
    fit = {"x": "x", "y": "3*x", "prediction": "a*x"}
    problem, entry = problem_of("mean((a*x - 3*x)**2)", LINE, dims={"n": 500}, fit=fit)
    frames = fit_of(problem, entry.fit, [(step, flat(float(step))) for step in range(100)])
    assert (len(frames.x), len(frames.steps)) == (200, 40)
    assert frames.x == tuple(sorted(frames.x))
    assert (frames.steps[0], frames.steps[-1]) == (0, 99)
    assert frames.predictions[-1][0] == pytest.approx(99 * frames.x[0], rel=1e-4)


def test_fits_of_unequal_length_are_refused(problem_of: Callable) -> None:
    """x, y and prediction go together row by row."""
    fit = {"x": "x", "y": "sum(x)", "prediction": "a*x"}
    problem, entry = problem_of("mean((a*x)**2)", LINE, dims={"n": 5}, fit=fit)
    with pytest.raises(UsageError, match="y 1 and prediction 5"):
        fit_of(problem, entry.fit, [(0, flat(1.0))])


def test_entries_are_labelled_by_index(problem_of: Callable) -> None:
    """Scalars by name, vectors and matrices with their indices."""
    problem, _ = problem_of("sum(M) + b", {"M": {"shape": [2, 2]}, "b": {}})
    assert parameter_labels(problem.objective()) == ("M[0,0]", "M[0,1]", "M[1,0]", "M[1,1]", "b")


def test_large_problems_estimate_curvature_by_products(problem_of: Callable) -> None:
    """Beyond the whole Hessian's limit λ_max comes from power iteration, from below and to a few digits."""
    problem, _ = problem_of("sum((1 + arange(n)/n)*w**2)/2", {"w": {"shape": ["n"]}}, dims={"n": 400})
    objective = problem.objective()
    largest = objective.largest_curvature(problem.flat())
    assert largest == pytest.approx(1 + 399 / 400, rel=0.02)
    assert math.isfinite(largest)
