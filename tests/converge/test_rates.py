"""Observed and theoretical linear rates, and the largest stable learning rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness.converge.rates import (
    Rates,
    observed_rate,
    recurrence_errors,
    stable_rate,
    steps_to_go,
    theoretical_rate,
)
from harness.converge.regression import RateFit


def test_a_geometric_sequence_shows_its_ratio() -> None:
    """The fit reads ρ off errors ρᵏ."""
    assert observed_rate([3 * 0.9**k for k in range(100)]) == pytest.approx(0.9, abs=1e-12)


def test_the_rounding_floor_does_not_count() -> None:
    """Errors that sit on the rounding floor do not flatten the fit."""
    assert observed_rate([max(0.5**k, 1e-16) for k in range(500)]) == pytest.approx(0.5, abs=1e-9)


def test_an_oscillating_descent_shows_its_envelope() -> None:
    """Dips of |cos| do not count."""
    errors = [0.9**k * abs(math.cos(0.3 * k)) for k in range(200)]
    assert observed_rate(errors) == pytest.approx(0.9, abs=5e-3)


@pytest.mark.parametrize("errors", [[1.0] * 50, [1.1**k for k in range(50)], [1.0, 0.1], [], [math.nan] * 50])
def test_no_rate_where_there_is_none(errors: list[float]) -> None:
    """Standing still, growing, too short, empty and NaN errors have no rate."""
    assert observed_rate(errors) is None


@pytest.mark.parametrize(("rate", "curvatures"), [(0.1, [1.0, 5.0]), (0.35, [1.0, 5.0]), (0.5, [1.0, 5.0])])
def test_gradient_descent_has_the_largest_contraction(rate: float, curvatures: list[float]) -> None:
    """ρ = max |1 − ηλ|."""
    expected = max(abs(1 - rate * curvature) for curvature in curvatures)
    assert theoretical_rate("GD", {"lr": rate}, curvatures) == pytest.approx(expected)


def test_momentum_in_the_oscillating_range_is_the_root_of_mu() -> None:
    """Heavy ball: ρ = √μ where (1−√μ)² ≤ ηλ ≤ (1+√μ)²."""
    assert theoretical_rate("SGD", {"lr": 0.1, "momentum": 0.64}, [1.0, 5.0]) == pytest.approx(0.8)


def test_weight_decay_has_no_theory_here() -> None:
    """With weight decay something else is minimised: no rate is claimed."""
    assert theoretical_rate("SGD", {"lr": 0.1, "weight_decay": 0.1}, [1.0]) is None


@pytest.mark.parametrize(
    "options", [{}, {"momentum": 0.7}, {"momentum": 0.7, "dampening": 0.3}, {"momentum": 0.7, "nesterov": True}]
)
def test_the_bound_is_where_the_rate_becomes_one(options: dict) -> None:
    """Just below the stable learning rate the recurrence contracts, just above it grows."""
    bound = stable_rate("SGD", options, 3.0)
    below = theoretical_rate("SGD", {**options, "lr": bound * (1 - 1e-6)}, [3.0])
    above = theoretical_rate("SGD", {**options, "lr": bound * (1 + 1e-6)}, [3.0])
    assert below < 1.0 < above


@pytest.mark.parametrize(
    "options", [{}, {"momentum": 0.7}, {"momentum": 0.7, "dampening": 0.3}, {"momentum": 0.7, "nesterov": True}]
)
def test_the_recurrence_is_what_torch_does(options: dict) -> None:
    """The followed recurrence equals torch's SGD on a rotated quadratic, step by step."""
    hessian = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    offset = torch.tensor([1.0, -2.0], dtype=torch.float64)
    x = offset.clone().requires_grad_(True)
    sgd, expected = torch.optim.SGD([x], lr=0.1, **options), [2.0]
    for _ in range(30):
        x.grad = hessian @ x.detach()
        sgd.step()
        expected.append(float(x.detach().abs().max()))
    followed = recurrence_errors("SGD", {"lr": 0.1, **options}, hessian, offset, 30)
    assert followed == pytest.approx(expected, rel=1e-10, abs=1e-14)


def _rates(observed: float) -> Rates:
    return Rates(fit=RateFit(rate=observed, low=observed, high=observed), expected=0.9)


def test_observed_and_expected_rates_may_differ_by_a_hundredth() -> None:
    """Only a difference above 0.01 is a disagreement."""
    assert not _rates(0.905).disagree
    assert _rates(0.92).disagree
    assert not Rates(expected=0.9).disagree


def test_steps_to_go_is_a_logarithm() -> None:
    """At ρ = 0.1 an error of 1 needs 3 steps to come to 1e-3; without a rate nothing is said."""
    assert steps_to_go(1.0, 1.1e-3, 0.1) == 3
    assert steps_to_go(1.0, 1e-3, None) is None
    assert steps_to_go(1.0, 1e-3, 1.0) is None


def test_torch_nesterov_matrix() -> None:
    """Nesterov in torch's form has trace (1+μ)(1−ηλ) and determinant μ(1−ηλ)."""
    matrix = np.array([[1.5 * 0.8, -0.5 * 0.8], [1.0, 0.0]])
    expected = np.abs(np.linalg.eigvals(matrix)).max()
    actual = theoretical_rate("SGD", {"lr": 0.1, "momentum": 0.5, "nesterov": True}, [2.0])
    assert actual == pytest.approx(expected)
