"""The ladder of targets: what was reached first, what it cost, and when there is no ladder."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from harness.converge.targets import TAUS, Progress, targets
from harness.records import Outcome

SCALAR = {"x": {"shape": []}}


def _progress(*losses: float) -> Progress:
    progress = Progress()
    for step, loss in enumerate(losses):
        progress.note(step, 10 * step, loss)
    return progress


def test_progress_is_the_best_so_far() -> None:
    """A loss that rises again, or is not a number, takes nothing back."""
    progress = _progress(4.0, 2.0, 3.0, math.nan, 1.0, 5.0)
    assert (progress.first, progress.best) == (4.0, 1.0)
    assert [progress.reached(loss) for loss in (4.0, 2.5, 1.0, 0.5)] == [(0, 0), (1, 10), (4, 40), None]


def test_a_target_is_a_share_of_the_way() -> None:
    """τ is reached at f* + τ(f₀ − f*), and not above."""
    found = targets(_progress(11.0, 2.0 + 1e-9, 2.0, 1.001), minimum=1.0, rounding=1e-16)
    assert [(one.tau, one.step) for one in found] == [(0.1, 2), (1e-3, 3), (1e-5, None), (1e-7, None)]
    assert found[0].loss == pytest.approx(2.0)
    assert found[1].evaluations == 30


@pytest.mark.parametrize("minimum", [None, math.nan, 4.0, 5.0])
def test_no_ladder_without_a_lower_minimum(minimum: float | None) -> None:
    """An unknown minimum, or a start as low as it, gives no targets."""
    assert targets(_progress(4.0, 2.0), minimum=minimum, rounding=1e-16) == ()


def test_no_ladder_from_a_start_that_is_not_finite() -> None:
    """Without a loss at the start there is no way to take a share of."""
    assert targets(_progress(math.inf, 2.0), minimum=1.0, rounding=1e-16) == ()


def test_targets_lost_in_rounding_are_left_out() -> None:
    """A target nearer to f* than rounding can tell is none."""
    found = targets(_progress(1e6 + 1e-3, 1e6), minimum=1e6, rounding=2.0**-52)
    assert [one.tau for one in found] == [tau for tau in TAUS if tau * 1e-3 > 16 * 2.0**-52 * 1e6]
    assert len(found) < len(TAUS)


def test_gradient_descent_reaches_each_target_when_theory_says(one: Callable) -> None:
    """On (x−2)² at lr 0.1 the loss shrinks by 0.64 a step, so τ is reached at ⌈log τ/log 0.64⌉, a gradient each."""
    record = one("(x - 2)**2", SCALAR, optimizer="GD", options={"lr": 0.1}, start={"x": 0}, minimum={"x": 2})
    expected = [math.ceil(math.log(tau) / math.log(0.64)) for tau in TAUS]
    assert [target.step for target in record.targets] == expected
    assert [target.evaluations for target in record.targets] == expected
    assert (record.first_loss, record.minimum_loss) == (4.0, 0.0)
    assert record.evaluations_to_tolerance == record.steps_to_tolerance


def test_what_was_not_reached_is_censored(one: Callable) -> None:
    """A spent budget leaves None, with the gradients it had beside it."""
    entry = {"optimizer": "GD", "options": {"lr": 0.1}, "start": {"x": 0}, "minimum": {"x": 2}, "steps": 10}
    record = one("(x - 2)**2", SCALAR, **entry)
    assert (record.outcome, record.status) == (Outcome.FAIL, "budget")
    assert [target.step for target in record.targets] == [6, None, None, None]
    assert record.gradient_evaluations == 10


def test_evaluations_within_a_step_are_counted(one: Callable) -> None:
    """LBFGS reaches the targets within its first step, each after its own number of gradients."""
    options = {"line_search_fn": "strong_wolfe", "tolerance_grad": 0, "tolerance_change": 0}
    entry = {"optimizer": "LBFGS", "options": options, "start": {"x": 0}, "steps": 3}
    record = one("cosh(x - 2) + x**2", SCALAR, **entry, minimum="scipy")
    evaluations = [target.evaluations for target in record.targets]
    assert {target.step for target in record.targets} == {1}
    assert evaluations == sorted(evaluations)
    assert len(set(evaluations)) > 2
    assert 0 < evaluations[0] < evaluations[-1] < record.gradient_evaluations


def test_the_best_loss_outlives_a_burst(one: Callable) -> None:
    """Best-so-far and last are told apart, for the loss as for the distance."""
    entry = {"optimizer": "Adam", "options": {"lr": 0.1}, "start": {"x": 1}, "minimum": {"x": 0}, "within": 1e-3}
    record = one("x**2/2", SCALAR, **entry, steps=105)
    assert record.best_loss < record.final_loss
    assert record.best_error < record.final_error


@pytest.mark.parametrize(("start", "index"), [(-0.5, 1), (0.5, 0)])
def test_the_minimum_reached_is_recorded_by_its_index(one: Callable, start: float, index: int) -> None:
    """Of minima at 1 and −1, the one on the start's side is reached, and its loss is f*."""
    entry = {"optimizer": "GD", "options": {"lr": 0.05}, "start": {"x": start}, "minimum": {"x": [1.0, -1.0]}}
    record = one("(x**2 - 1)**2 + (x - 1)**2*0", SCALAR, **entry)
    assert record.outcome is Outcome.PASS, record.message
    assert (record.minimum_index, record.minima, record.minimum_loss) == (index, 2, 0.0)
    assert f"(number {index + 1})" in record.message


def test_fresh_data_have_no_ladder(one: Callable) -> None:
    """No draw has its minimum at the minimiser of the expectation: there is no f*."""
    inputs = {"noise": {"shape": ["n"], "grad": False}, "x": {"shape": []}}
    entry = {"options": {"lr": 0.1}, "fresh": ["noise"], "minimum": {"x": 2}, "start": {"x": 0}, "within": 0.5}
    record = one("mean((x - 2 + 0.1*noise)**2)", inputs, dims={"n": 64}, steps=60, **entry)
    assert (record.outcome, record.targets, record.minimum_loss) == (Outcome.PASS, (), None)


def test_mini_batches_are_judged_on_the_whole_data(one: Callable) -> None:
    """Targets of mini-batch training are about the loss of all rows."""
    inputs = {"X": {"shape": ["n", 1], "grad": False}, "w": {"shape": [1]}}
    entry = {
        "options": {"lr": 0.1},
        "start": {"w": [1.0]},
        "batches": {"size": 4},
        "minimum": {"w": [0.0]},
        "steps": 80,
    }
    record = one("sum((X @ w)**2)/n", inputs, dims={"n": 16}, **entry)
    assert record.stochastic
    assert record.first_loss == pytest.approx(record.trajectory[0].loss)
    assert record.targets[0].step is not None
