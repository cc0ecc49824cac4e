"""Why a descent diverged or stands still: each explanation from a descent that ends so, none where none is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from harness.case.schema import ConvergeModel
from harness.converge.explain import direction_words, divergence_words, step_bound
from harness.converge.rates import Rates
from harness.records import Outcome

SCALAR = {"x": {"shape": []}}
PLANE = {"x": {"shape": [2]}}
BOWL = {"start": {"x": [1.0, 1.0]}, "minimum": {"x": [0.0, 0.0]}}


@pytest.mark.parametrize(
    ("options", "formula", "bound"),
    [
        ({}, "2/λ_max", 0.2),
        ({"momentum": 0.5}, "2(1+μ)/λ_max of momentum", 0.3),
        ({"momentum": 0.5, "dampening": 0.5}, "2(1+μ)/((1−τ)·λ_max) of dampened momentum", 0.6),
        ({"momentum": 0.5, "nesterov": True}, "(2+2μ)/((1+2μ)·λ_max) of Nesterov's momentum", 0.15),
    ],
)
def test_divergence_names_its_bound_and_direction(one: Callable, options: dict, formula: str, bound: float) -> None:
    """A tenth above the bound of its momentum SGD diverges along the steepest direction; a tenth below it arrives."""
    record = one("x[0]**2/2 + 5*x[1]**2", PLANE, options={"lr": 1.1 * bound, **options}, **BOWL, steps=3000)
    assert record.status == "diverged"
    assert f"exceeds the bound {formula} = {bound:g} (λ_max = 10 along x[1])" in record.message
    assert "where a step multiplies the error by 1." in record.message
    below = one("x[0]**2/2 + 5*x[1]**2", PLANE, options={"lr": 0.9 * bound, **options}, **BOWL, steps=3000)
    assert below.outcome is Outcome.PASS


def test_a_loss_without_a_floor_is_said_to_have_none(one: Callable) -> None:
    """A quadratic that curves down has no stable rate at all."""
    entry = {"options": {"lr": 0.1}, "start": {"x": [1.0, 1.0]}, "minimum": {"x": [0.0, 0.0]}, "steps": 2000}
    record = one("x[0]**2 - x[1]**2", PLANE, **entry)
    assert "no learning rate is stable: the loss is unbounded below along x[1] (λ_min = -2)" in record.message


def test_maximizing_is_said_to_climb(one: Callable) -> None:
    """`maximize` is the reason, not the rate."""
    record = one("x[0]**2 + x[1]**2", PLANE, options={"lr": 0.1, "maximize": True}, **BOWL)
    assert "maximize=True climbs the loss" in record.message


def test_momentums_transient_is_not_blamed_on_the_gradient(one: Callable) -> None:
    """Near its bound momentum lets an error grow a thousandfold before it shrinks; the recurrence does so too."""
    options = {"lr": 3.99201, "momentum": 0.996008}
    entry = {"options": options, "start": {"x": [1.0, 1.0]}, "minimum": {"x": [0.0, 0.0]}, "steps": 500}
    record = one("x[0]**2/2 + 5e-7*x[1]**2", PLANE, **entry)
    assert record.status == "diverged"
    assert "the exact recurrence, too" in record.message
    assert "suspect" not in record.message


def test_a_transient_that_ends_is_no_divergence(one: Callable) -> None:
    """At momentum's best values for condition 10⁶ the loss grows 100,000-fold, comes back and arrives; that is said."""
    root, least = 1e3, 1e-6
    options = {"lr": 4 / (1 + least**0.5) ** 2, "momentum": ((root - 1) / (root + 1)) ** 2}
    entry = {"options": options, "start": {"x": [1.0, 1.0]}, "minimum": {"x": [0.0, 0.0]}, "within": 1e-3}
    record = one("x[0]**2/2 + 5e-7*x[1]**2", PLANE, **entry, steps=9000)
    assert (record.outcome, record.status) == (Outcome.PASS, "hit")
    assert record.exact_steps is not None and abs(record.steps_to_tolerance - record.exact_steps) <= 10
    assert "on the way its loss grew to 1.35e+05 times the first" in record.message


def test_of_adam_only_its_reach_is_known(one: Callable) -> None:
    """No bound is claimed for Adam, only how far a step of it goes and how far the minimum is."""
    record = one("x[0]**4 + x[1]**2", PLANE, optimizer="Adam", options={"lr": 100.0}, **BOWL, steps=11)
    assert record.status == "diverged"
    assert (
        "no bound on the learning rate of Adam is known; a step of it moves a parameter by 727 at most"
        in record.message
    )
    assert "the minimum lies 1 from the start" in record.message


def test_of_others_nothing_is_claimed(one: Callable) -> None:
    """Of ASGD no reach is known either."""
    record = one("x[0]**2 + x[1]**2", PLANE, optimizer="ASGD", options={"lr": 5.0}, **BOWL)
    assert record.status == "diverged"
    assert record.message.endswith("no bound on the learning rate of ASGD is known")


def test_lbfgs_without_a_line_search_is_told_so(one: Callable) -> None:
    """Its step has no bound without one."""
    record = one("x[0]**4 + x[1]**4", PLANE, optimizer="LBFGS", options={"lr": 50.0}, **BOWL)
    assert record.status == "diverged"
    assert "set line_search_fn to strong_wolfe" in record.message


@pytest.mark.parametrize(
    ("name", "options", "gradients"),
    [
        ("Adam", {"lr": 0.1}, [0.0] * 300 + [1.11**step for step in range(60)]),
        ("Adam", {"lr": 0.1, "betas": [0.5, 0.9]}, [0.0] * 50 + [1.8**step for step in range(30)]),
        ("AdamW", {"lr": 0.1, "weight_decay": 0.0}, [0.0] * 300 + [1.11**step for step in range(60)]),
        ("Adamax", {"lr": 0.1}, [0.999**step for step in range(60)]),
        ("RMSprop", {"lr": 0.1}, [1.0, -3.0, 2.0, 5.0]),
        ("Adagrad", {"lr": 0.1}, [1.0, -3.0, 2.0, 5.0]),
    ],
)
def test_no_step_goes_further_than_its_reach(name: str, options: dict, gradients: list[float]) -> None:
    """Steps of torch itself keep to the bound, and come near it where the gradients are the worst there are."""
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    passed = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    optimizer, furthest = getattr(torch.optim, name)([x], **passed), 0.0
    for gradient in gradients:
        before = float(x.detach())
        x.grad = torch.full_like(x, gradient)
        optimizer.step()
        furthest = max(furthest, abs(float(x.detach()) - before))
    bound = step_bound(name, options)
    assert 0.3 * bound < furthest <= bound * (1 + 1e-9)


def test_reach_is_unknown_where_it_is() -> None:
    """Momentum on RMSprop, and optimizers without a published bound, have none."""
    assert step_bound("RMSprop", {"momentum": 0.9}) is None
    assert step_bound("NAdam", {"lr": 0.1}) is None


def test_a_slow_direction_is_named(one: Callable) -> None:
    """A spent budget on a stretched bowl blames the flat direction."""
    entry = {"optimizer": "GD", "options": {"lr": 0.1}, **BOWL, "steps": 100}
    record = one("5*x[0]**2 + 5e-4*x[1]**2", PLANE, **entry)
    assert record.status == "budget"
    assert "at its end the gradient's norm is 0.00099 and the last step moved 9.9e-05" in record.message
    assert "along x[1], a flat direction: its curvature is 0.001, the largest is 10" in record.message


def test_another_minimum_is_told(one: Callable) -> None:
    """A descent that ends in a local minimum says so, with both losses."""
    entry = {"optimizer": "GD", "options": {"lr": 0.01}, "start": {"x": -2}, "minimum": "scipy", "steps": 1500}
    record = one("(x**2 - 1)**2 + 0.3*x", SCALAR, **{**entry, "minimum": {"x": [0.9601495557]}, "within": 1e-6})
    assert record.outcome is Outcome.FAIL
    assert "another minimum is near, with a loss of -0.3054 against 0.2941" in record.message


def test_a_saddle_is_told(one: Callable) -> None:
    """A start on the ridge runs into the saddle, which curves down across it."""
    entry = {"optimizer": "GD", "options": {"lr": 0.1}, "start": {"x": [0.5, 0.0]}, "minimum": {"x": [0.0, 1.0]}}
    record = one("x[0]**2 + (x[1]**2 - 1)**2", PLANE, **entry, steps=300)
    assert "a saddle or a maximum is near: the loss curves down along x[1]" in record.message


def test_flatness_is_told(one: Callable) -> None:
    """Where a relu is dead nothing curves and nothing moves."""
    entry = {"optimizer": "GD", "options": {"lr": 0.5}, "start": {"x": [0.5, -1.0]}, "minimum": {"x": [0.0, 1.0]}}
    record = one("x[0]**2 + (relu(x[1]) - 1)**2", PLANE, **entry, steps=1500)
    assert record.status == "stalled"
    assert "the loss is flat along x[1], with a loss of 1 against 0" in record.message


def test_steps_lost_to_rounding_are_told(one: Callable) -> None:
    """In bfloat16 a small step changes nothing."""
    entry = {"optimizer": "GD", "options": {"lr": 1e-5}, "start": {"x": 1}, "minimum": {"x": 0}, "dtype": "bfloat16"}
    record = one("2*x**2", SCALAR, **entry)
    assert record.status == "stalled"
    assert "its steps are lost to the rounding of bfloat16" in record.message


@pytest.mark.parametrize("tolerance", [1e-3, 0])
def test_lbfgs_is_blamed_only_for_a_tolerance_it_has(one: Callable, tolerance: float) -> None:
    """Where its own tolerances are zero already, lowering them is no advice."""
    options = {"tolerance_grad": tolerance, "tolerance_change": tolerance}
    entry = {"optimizer": "LBFGS", "options": options, "start": {"x": [0.5, -1.0]}, "minimum": {"x": [0.0, 1.0]}}
    record = one("x[0]**2 + (relu(x[1]) - 1)**2", PLANE, **entry, steps=60)
    assert record.status == "stalled"
    assert ("lower them in its options" in record.message) == bool(tolerance)


@pytest.mark.slow
def test_adams_tail_is_judged_by_the_first_hit(one: Callable) -> None:
    """Adam at a constant rate arrives at step 82 and bursts away long after: a pass that says so."""
    entry = {"optimizer": "Adam", "options": {"lr": 0.1}, "start": {"x": 1}, "minimum": {"x": 0}, "within": 1e-3}
    record = one("x**2/2", SCALAR, **entry, steps=8000)
    assert (record.outcome, record.status, record.steps_to_tolerance) == (Outcome.PASS, "hit", 82)
    assert "later it left again" in record.message
    assert "its second moment forgets" in record.message
    assert "judged by its first arrival" in record.message


def test_a_swing_on_the_way_in_is_no_tail(one: Callable) -> None:
    """A momentum that passes through and comes back has not left."""
    entry = {"options": {"lr": 0.01, "momentum": 0.9}, "start": {"x": 1}, "minimum": {"x": 0}, "within": 3e-3}
    record = one("x**2", SCALAR, **entry, steps=400)
    assert record.outcome is Outcome.PASS
    assert "before it settled" in record.message
    assert "left again" not in record.message


def test_directions_are_named_by_their_parameters() -> None:
    """One entry by its name, a few written out, many counted."""
    labels = tuple("abcdef")
    assert direction_words(torch.tensor([0.0, 1, 0, 0, 0, 0]), labels) == "b"
    half = math.sqrt(0.5)
    assert direction_words(torch.tensor([half, -half, 0, 0, 0, 0]), labels) == "0.71·a − 0.71·b"
    assert direction_words(torch.tensor([-half, half, 0, 0, 0, 0]), labels) == "−0.71·a + 0.71·b"
    assert direction_words(torch.full((6,), 6**-0.5), labels) == "a mix of 6 parameters"


def test_least_squares_has_no_rate_to_blame() -> None:
    """A start where the residuals are not numbers is not put down to a learning rate that there is none of."""
    words = divergence_words(ConvergeModel(optimizer="LeastSquares"), Rates(), None, None)
    assert "learning rate" not in words
    assert "look at the start" in words
