"""A declared entry, from case to records: every outcome seen, each for its own reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from harness.converge.optimizers import optimizer_classes
from harness.records import Outcome

SCALAR = {"x": {"shape": []}}
PLANE = {"x": {}, "y": {}}
REGRESSION = {
    "X": {"shape": ["n", "d"], "grad": False},
    "noise": {"shape": ["n"], "grad": False, "scale": 0.1},
    "w": {"shape": ["d"]},
}
RSS = {"function": "mean((X @ w - sum(X, 1) - noise)**2)", "inputs": REGRESSION, "dims": {"n": 64, "d": 2}}
GRADIENT = "2/n * X.T @ (X @ w - sum(X, 1) - noise)"


def test_gradient_descent_arrives(one: Callable) -> None:
    """(x−2)² with GD reaches 2, and the record says how."""
    record = one("(x - 2)**2", SCALAR, optimizer="GD", options={"lr": 0.1}, start={"x": 0}, minimum={"x": 2})
    assert record.outcome is Outcome.PASS
    assert (record.status, record.minimum_source, record.steps_to_tolerance) == ("hit", "given", 66)
    assert record.observed_rate == pytest.approx(0.8, abs=1e-6)
    assert record.theoretical_rate == pytest.approx(0.8)
    assert record.learning_rate_bound == pytest.approx(1.0)


def test_analytic_and_autograd_descend_alike(one: Callable) -> None:
    """Right analytic gradients lead along the same path, to rounding."""
    entry = {"optimizer": "GD", "options": {"lr": 0.1}, "start": {"w": "zeros"}, "minimum": "least_squares", **RSS}
    analytic = one(**entry, gradient="analytic", analytic={"w": GRADIENT})
    autograd = one(**entry)
    assert analytic.steps_to_tolerance == autograd.steps_to_tolerance
    assert analytic.final[0][1] == pytest.approx(autograd.final[0][1], rel=1e-12)


@pytest.mark.parametrize("wrong", ["2/n * X.T @ (X @ w - sum(X, 1))", f"-({GRADIENT})", f"1.001*({GRADIENT}) + 1e-4"])
def test_a_wrong_analytic_gradient_does_not_arrive(one: Callable, wrong: str) -> None:
    """The minimum comes from the function, so a wrong gradient misses it: a missing term, a sign, an offset."""
    entry = {"optimizer": "GD", "options": {"lr": 0.1}, "start": {"w": "zeros"}, "minimum": "least_squares", **RSS}
    assert one(**entry, gradient="analytic", analytic={"w": wrong}).outcome is Outcome.FAIL


def test_a_scaled_gradient_shows_in_the_rate(one: Callable) -> None:
    """A gradient off by a factor arrives, but not at the rate of the loss it claims to follow."""
    entry = {"optimizer": "GD", "options": {"lr": 0.1}, "start": {"x": 1}, "minimum": {"x": 0}}
    record = one("x**2", SCALAR, **entry, gradient="analytic", analytic={"x": "3*x"})
    assert "disagrees with 0.8000" in record.message


def test_divergence_names_rate_and_bound(one: Callable) -> None:
    """Twice the bound diverges, and the message says which rate exceeds which bound."""
    record = one("2*x**2", SCALAR, options={"lr": 2.5}, start={"x": 1}, minimum={"x": 0})
    assert (record.outcome, record.status) == (Outcome.FAIL, "diverged")
    assert "learning rate 2.5 exceeds the bound 2/λ_max = 0.5 " in record.message


@pytest.mark.parametrize(("rate", "outcome"), [(0.51, Outcome.PASS), (0.49, Outcome.FAIL)])
def test_declared_divergence_must_happen(one: Callable, rate: float, outcome: Outcome) -> None:
    """`expect: diverges` passes above the bound and fails below it."""
    entry = {"options": {"lr": rate}, "start": {"x": 1}, "minimum": {"x": 0}, "expect": "diverges"}
    assert one("2*x**2", SCALAR, **entry).outcome is outcome


def test_divergence_below_the_bound_points_at_the_gradient(one: Callable) -> None:
    """A wrong sign diverges at a learning rate that should be safe; the message does not blame the rate."""
    entry = {"options": {"lr": 0.1}, "start": {"x": 1}, "minimum": {"x": 0}}
    record = one("2*x**2", SCALAR, **entry, gradient="analytic", analytic={"x": "-4*x"})
    assert "suspect the gradient" in record.message


def test_a_spent_budget_says_what_is_missing(one: Callable) -> None:
    """The message gives distance, budget, and the steps still needed at the observed rate."""
    entry = {"optimizer": "GD", "options": {"lr": 0.01}, "steps": 200, "start": {"x": 1}, "minimum": {"x": 0}}
    record = one("x**2/2", SCALAR, **entry)
    assert (record.outcome, record.status) == (Outcome.FAIL, "budget")
    assert "spent its 200 steps" in record.message
    assert "needs about 1175 steps more" in record.message


def test_nothing_to_arrive_at_is_vacuous(one: Callable) -> None:
    """Without a minimum or another criterion nothing is shown."""
    assert one("x**2", SCALAR, options={"lr": 0.1}, start={"x": 1}).outcome is Outcome.VACUOUS


def test_a_start_at_the_minimum_is_vacuous(one: Callable) -> None:
    """A descent that begins where it should end shows nothing."""
    entry = {"options": {"lr": 0.1}, "start": {"x": 0}, "minimum": {"x": 0}}
    assert one("x**2", SCALAR, **entry).outcome is Outcome.VACUOUS


def test_a_wrong_given_minimum_fails_and_says_so(one: Callable) -> None:
    """A descent that passes through a point that is no minimum has not arrived at one."""
    entry = {"options": {"lr": 0.1}, "start": {"x": 2}, "minimum": {"x": 1}, "within": 0.5}
    record = one("x**2", SCALAR, **entry)
    assert record.outcome is Outcome.FAIL
    assert "the stationary point lies about 1 away" in record.message


def test_a_loss_target_counts_as_arrival(one: Callable) -> None:
    """`loss_below` decides where no minimiser is known."""
    entry = {"options": {"lr": 0.1}, "start": {"x": 1}}
    assert one("x**2", SCALAR, **entry, loss_below=1e-6).outcome is Outcome.PASS
    assert one("x**2 + 1", SCALAR, **entry, loss_below=0.5).outcome is Outcome.FAIL


def test_not_a_number_never_passes(one: Callable) -> None:
    """A loss of NaN fails, whatever was asked for."""
    record = one("log(x)", SCALAR, options={"lr": 0.1}, start={"x": -1}, loss_below=1e9)
    assert (record.outcome, record.status) == (Outcome.FAIL, "diverged")
    assert record.final_loss is None


def test_lbfgs_solves_rosenbrock(one: Callable) -> None:
    """A closure-based optimizer is driven to the minimum."""
    options = {"line_search_fn": "strong_wolfe", "tolerance_grad": 1e-12, "tolerance_change": 1e-14}
    record = one(
        "100*(y - x**2)**2 + (1 - x)**2",
        PLANE,
        optimizer="LBFGS",
        options=options,
        steps=20,
        start={"x": -1.2, "y": 1},
        minimum={"x": 1, "y": 1},
    )
    assert record.outcome is Outcome.PASS


def test_misspelt_options_are_an_error(one: Callable) -> None:
    """An unknown option makes an error record that names the option and the nearest."""
    record = one("x**2", SCALAR, options={"momentun": 0.9}, minimum={"x": 0})
    assert (record.outcome, record.status) == (Outcome.ERROR, "error")
    assert "momentun=0.9" in record.message
    assert record.traceback is not None


@pytest.mark.parametrize(("optimizer", "why"), [("Muon", "2D"), ("SparseAdam", "dense gradients")])
def test_optimizers_that_do_not_apply_say_why(one: Callable, optimizer: str, why: str) -> None:
    """Muon on a number and SparseAdam on dense gradients are errors with the optimizer's own reason."""
    record = one("x**2", SCALAR, optimizer=optimizer, start={"x": 1}, minimum={"x": 0})
    assert record.outcome is Outcome.ERROR
    assert why in record.message


def test_several_outputs_are_an_error(one: Callable) -> None:
    """A loss is one number."""
    record = one("x*ones(3)", SCALAR, minimum={"x": 0}, options={"lr": 0.1})
    assert "is not one real number" in record.message


def test_seeds_give_a_record_each_and_their_spread(runs: Callable) -> None:
    """Three seeds start at three places; each record says how all of them did."""
    records = runs("(x - 2)**2", SCALAR, options={"lr": 0.1}, minimum={"x": 2}, seeds=3, seed=7)
    assert [record.seed for record in records] == [7, 8, 9]
    assert len({record.trajectory[0].loss for record in records}) == 3
    assert all("3 of 3 seeds arrived" in record.message for record in records)


def test_seeds_that_do_not_all_arrive_are_counted(runs: Callable) -> None:
    """x³−3x has a minimum at 1 that not every start reaches; the arrived ones say so too."""
    entry = {"options": {"lr": 0.05}, "minimum": {"x": 1}, "start": {"x": "uniform(-2, 2)"}, "seeds": 8, "steps": 300}
    records = runs("x**3 - 3*x", SCALAR, **entry)
    assert {record.outcome for record in records} == {Outcome.PASS, Outcome.FAIL}
    assert len({record.message.split("; ")[-1] for record in records}) == 1


def test_a_seed_repeats_bit_for_bit(runs: Callable) -> None:
    """Equal seeds give equal records, apart from the time taken, mini-batches included."""
    entry = {
        **RSS,
        "options": {"lr": 0.1},
        "batches": {"size": 16},
        "minimum": "least_squares",
        "steps": 60,
        "within": 0.1,
    }
    (first,), (second,) = runs(**entry), runs(**entry)
    assert replace(first, duration_s=0.0) == replace(second, duration_s=0.0)


def test_other_seeds_differ(runs: Callable) -> None:
    """Another seed draws other data."""
    entry = {**RSS, "options": {"lr": 0.1}, "minimum": "least_squares", "steps": 5}
    (first,), (second,) = runs(**entry, seed=1), runs(**entry, seed=2)
    assert first.minimum != second.minimum


def test_the_global_generator_is_left_alone(runs: Callable) -> None:
    """No draw touches torch's global state."""
    before = torch.get_rng_state()
    runs(**RSS, options={"lr": 0.1}, batches={"size": 16}, minimum="least_squares", steps=10)
    assert torch.equal(before, torch.get_rng_state())


def test_missing_cuda_is_skipped_with_its_reason(runs: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CUDA there is one skipped record and no made-up figure."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (record,) = runs("x**2", SCALAR, options={"lr": 0.1}, minimum={"x": 0}, seeds=3, device="cuda")
    assert (record.outcome, record.message) == (Outcome.SKIPPED, "CUDA is not available")


def test_published_parameters_stand_beside_ours(one: Callable) -> None:
    """What a source printed is shown, with its distance from what was reached."""
    entry = {"options": {"lr": 0.1}, "start": {"x": 0}, "minimum": {"x": 2}, "published": {"x": 1.99}}
    metric = dict(one("(x - 2)**2", SCALAR, **entry).metric)
    assert metric["published x"] == 1.99
    assert metric["distance from published"] == pytest.approx(0.01, abs=1e-6)


def test_low_precision_runs_in_its_own_dtype(one: Callable) -> None:
    """A float32 run arrives as near as float32 can, judged in float64."""
    entry = {"options": {"lr": 0.1}, "start": {"w": "zeros"}, "minimum": "least_squares", "within": 1e-5, **RSS}
    record = one(**entry, dtype="float32")
    assert (record.outcome, record.dtype) == (Outcome.PASS, "float32")
    assert record.best_error > 1e-12


def test_the_command_repeats_the_run(one: Callable) -> None:
    """Each record carries the command that makes it again."""
    record = one("x**2", SCALAR, options={"lr": 0.1}, start={"x": 1}, minimum={"x": 0})
    assert record.command == "harness converge made.yaml -k made --seed 0"


def test_an_entry_that_is_not_there_is_an_error(one: Callable) -> None:
    """A size the case does not have is refused by name."""
    record = one("x**2", SCALAR, options={"lr": 0.1}, minimum={"x": 0}, dims={}, start={"z": 1})
    assert record.outcome is Outcome.ERROR
    assert "'z' is not an input" in record.message


def test_a_batch_that_diverges_does_not_blame_the_gradient(one: Callable) -> None:
    """A single batch may curve more than the whole data, whose bound the learning rate keeps."""
    rows = [[0.1]] * 15 + [[10.0]]
    inputs = {"X": {"shape": ["n", 1], "grad": False}, "w": {"shape": [1]}}
    entry = {"start": {"X": rows, "w": "ones"}, "options": {"lr": 0.1}, "batches": {"size": 1}, "minimum": {"w": [0]}}
    record = one("sum((X @ w)**2)/n", inputs, dims={"n": 16}, **entry)
    assert record.status == "diverged"
    assert "a single batch may curve more" in record.message


def test_a_function_without_second_derivative_is_judged_all_the_same(problem_of: Callable) -> None:
    """Where double backward is missing, the Hessian comes from differences of the gradient."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, cotangent):
            return 2 * ctx.saved_tensors[0] * cotangent

    problem, _ = problem_of("x**2", SCALAR)
    inputs = problem.subject.inputs
    problem.subject = type(problem.subject)(name="once", inputs=inputs, function=lambda v: (Square.apply(v["x"]),))
    assert problem.objective().hessian(problem.flat()).item() == pytest.approx(2.0)


def test_every_optimizer_for_dense_parameters_arrives(one: Callable) -> None:
    """Each optimizer of torch brings a well-conditioned bowl's loss down from the case's declaration."""
    names = set(optimizer_classes()) - {"GD", "LeastSquares", "SparseAdam"}
    entry = {"steps": 300, "start": {"W": [[0.5, 0.2], [0.1, -0.4]]}, "loss_below": 0.3}
    rates = {"Adadelta": 10.0, "Adafactor": 0.05, "LBFGS": 0.5}
    failed = [
        name
        for name in sorted(names)
        if one(
            "sum(W**2)", {"W": {"shape": [2, 2]}}, optimizer=name, options={"lr": rates.get(name, 0.02)}, **entry
        ).outcome
        is not Outcome.PASS
    ]
    assert failed == []
