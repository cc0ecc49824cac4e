"""The descent itself: hits, standstill, divergence, stop rules, thinning, and what an evaluation costs."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from harness.case.schema import Stop
from harness.converge.descent import Descent, Rules, descend, kept_steps
from harness.converge.optimizers import make_optimizer

BOWL = {"x": {"shape": []}}


@pytest.fixture
def descent_of(problem_of: Callable) -> Callable[..., Descent]:
    """Descend on a function of x from x = 1 towards 0."""

    def run(
        function: str,
        optimizer: str,
        options: dict,
        steps: int,
        stop: Stop | None = None,
        within: float = 1e-6,
        **entry,
    ) -> Descent:
        problem, _ = problem_of(function, BOWL, start={"x": 1}, **entry)
        stepper = make_optimizer(optimizer, options, problem.parameters.values())
        minima = torch.zeros(1, 1, dtype=torch.float64)
        return descend(problem, stepper, Rules(steps=steps, within=within, minima=minima, stop=stop or Stop()))

    return run


@pytest.mark.parametrize("total", [1, 5, 190, 191, 1000, 1_000_000])
def test_kept_steps_hold_both_ends(total: int) -> None:
    """Thinning keeps first and last, and at most 200 steps."""
    kept = kept_steps(total)
    assert {0, total} <= kept
    assert len(kept) <= 200
    assert max(kept) == total


def test_kept_steps_are_dense_at_first() -> None:
    """No early step is left out."""
    assert set(range(81)) <= kept_steps(100_000)


def test_errors_follow_the_exact_recurrence(descent_of: Callable) -> None:
    """On ½·4x² the error after k steps of GD is |1−4η|ᵏ."""
    descent = descent_of("2*x**2", "GD", {"lr": 0.1}, 20)
    assert descent.errors == pytest.approx([0.6**k for k in range(21)], rel=1e-12)


def test_the_hit_is_the_first_step_within_tolerance(descent_of: Callable) -> None:
    """0.6ᵏ ≤ 1e-3 first at k = 14, and the hit is kept in the trajectory."""
    descent = descent_of("2*x**2", "GD", {"lr": 0.1}, 400, within=1e-3)
    assert (descent.status, descent.hit) == ("hit", 14)
    assert 14 in [point.step for point in descent.trajectory]


def test_a_hit_outlives_later_bursts(descent_of: Callable) -> None:
    """Adam at a constant rate leaves again; the first hit (step 82, within 1e-3) counts all the same."""
    descent = descent_of("x**2/2", "Adam", {"lr": 0.1}, 150, within=1e-3)
    assert descent.hit == 82


def test_a_spent_budget_is_not_a_hit(descent_of: Callable) -> None:
    """A descent that has not arrived by its last step says that its budget is spent."""
    descent = descent_of("2*x**2", "GD", {"lr": 0.001}, 20)
    assert (descent.status, descent.hit, descent.steps) == ("budget", None, 20)


def test_an_evaluation_is_paid_once_per_step(descent_of: Callable) -> None:
    """Looking at a step costs nothing: 20 steps are 20 gradient evaluations."""
    assert descent_of("2*x**2", "SGD", {"lr": 0.001}, 20).evaluations == 20


def test_closure_calls_are_counted(descent_of: Callable) -> None:
    """One step of LBFGS may evaluate many times; each is counted."""
    descent = descent_of("exp(x) + x**4", "LBFGS", {"line_search_fn": "strong_wolfe"}, 1)
    assert descent.evaluations > 3


def test_divergence_is_dated_to_its_beginning(descent_of: Callable) -> None:
    """|1−4η| = 3 at η = 1: the loss 9ᵏ first exceeds 1000 at k = 4."""
    descent = descent_of("2*x**2", "GD", {"lr": 1.0}, 100)
    assert (descent.status, descent.diverged_at, descent.steps) == ("diverged", 4, 17)
    assert "1.67e+16 times it at step 17" in descent.reason


def test_a_loss_that_stays_far_above_the_first_has_diverged(descent_of: Callable) -> None:
    """At the budget's end a loss above 1000 times the first for 10 evaluations is a divergence, for 9 it is not."""
    descent = descent_of("2*x**2", "GD", {"lr": 1.0}, 13)
    assert (descent.status, descent.diverged_at, descent.steps) == ("diverged", 4, 13)
    assert "spent its 13 steps, with a loss above 1000 times the first in the last 10" in descent.reason
    assert descent_of("2*x**2", "GD", {"lr": 1.0}, 12).status == "budget"


def test_a_loss_that_is_not_a_number_diverges(descent_of: Callable) -> None:
    """NaN ends a descent and never counts as a hit; nothing that is not finite is kept."""
    descent = descent_of("x*log(x)*0 + log(x)", "GD", {"lr": 2.0}, 10)
    assert descent.status == "diverged"
    assert all(math.isfinite(point.loss) and math.isfinite(point.error) for point in descent.trajectory)


def test_a_start_at_the_minimum_does_not_diverge_by_rounding(problem_of: Callable) -> None:
    """A first loss of 0 is no reference to grow from."""
    problem, _ = problem_of("(x - 0.1)**2", BOWL, start={"x": 0.1})
    stepper = make_optimizer("GD", {"lr": 0.5}, problem.parameters.values())
    minima = torch.full((1, 1), 0.1, dtype=torch.float64)
    assert descend(problem, stepper, Rules(steps=50, minima=minima)).status == "hit"


def test_standing_still_ends_a_run_that_arrived(descent_of: Callable) -> None:
    """Once rounding stops all movement after the hit, no further steps are taken."""
    descent = descent_of("(x - 1/3)**2 + 0*x", "GD", {"lr": 0.5}, 1000, within=0.4)
    assert descent.steps < 50
    assert "stood still" in descent.reason


def test_stalling_before_arrival_is_named(descent_of: Callable) -> None:
    """In bfloat16 a small step is lost to rounding: stalled, not budget."""
    descent = descent_of("2*x**2", "GD", {"lr": 1e-5}, 100, dtype="bfloat16")
    assert descent.status == "stalled"


@pytest.mark.parametrize(
    ("stop", "word"),
    [(Stop(gradient_norm=1e-2), "gradient norm"), (Stop(loss=1e-4), "loss"), (Stop(loss_change=1e-5), "changed")],
)
def test_stop_rules_end_the_run(descent_of: Callable, stop: Stop, word: str) -> None:
    """Each stop rule ends the descent early and says so."""
    descent = descent_of("2*x**2", "GD", {"lr": 0.1}, 1000, stop=stop)
    assert descent.steps < 30
    assert word in descent.reason


def test_several_minima_are_all_accepted(problem_of: Callable) -> None:
    """With minima at ±1 the nearer one is the one that counts."""
    problem, _ = problem_of("(x**2 - 1)**2", BOWL, start={"x": -0.5})
    stepper = make_optimizer("GD", {"lr": 0.05}, problem.parameters.values())
    minima = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    assert descend(problem, stepper, Rules(steps=500, minima=minima)).status == "hit"
