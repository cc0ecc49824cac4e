"""Rows stepped together go where each goes by itself: every optimizer, starts, seeds, data and rates at once.

The bar of a comparison is what rounding may do to the sequential run: how far it moves when every gradient entry is
perturbed by a few units of rounding, three times the most of several perturbed runs. Nothing is chosen per optimizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from harness.case.schema import ConvergeModel
from harness.converge.batched import ApartError, Batch
from harness.converge.functional_steps import GROUPED, SCALED, GroupedSteps, ScaledSteps, row_steps, why_not_together
from harness.converge.optimizers import make_optimizer, optimizer_classes
from harness.converge.problem import Problem

STEPS = 12
RATES = (1e-3, 1e-2, 1e-1)
SEEDS = (0, 1, 2)
UNITS = 16
"""Units of rounding a gradient entry is perturbed by: more than its sums of 12 terms can be rounded by."""

LOGISTIC = "mean(logaddexp(0, -y * (X @ w + b))) + 0.01 * (w @ w)"
INPUTS = {
    "X": {"shape": ["n", "d"], "grad": False},
    "y": {"shape": ["n"], "draw": "choice(-1, 1)", "grad": False},
    "w": {"shape": ["d"]},
    "b": {},
}
DIMS = {"n": 12, "d": 3}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{}, {"momentum": 0.9, "nesterov": True}, {"weight_decay": 0.1, "momentum": 0.5, "dampening": 0.2}],
    "Adam": [{}, {"amsgrad": True}, {"weight_decay": 0.1, "foreach": True}],
    "AdamW": [{}, {"weight_decay": 0.0}],
    "NAdam": [{}, {"weight_decay": 0.1, "decoupled_weight_decay": True}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True}],
    "Adagrad": [{"lr_decay": 0.1, "initial_accumulator_value": 0.1}],
    "ASGD": [{"t0": 3.0}],
}
CONFIGURATIONS = [
    (name, options) for name in sorted(SCALED | GROUPED) for options in OPTIONS.get(name, [{}])
]  # fmt: skip
ProblemOf = Callable[..., tuple[Problem, ConvergeModel]]


def logistic(problem_of: ProblemOf, seed: int, **entry: Any) -> tuple[Problem, ConvergeModel]:
    """Logistic regression, other data and another start for each seed."""
    return problem_of(LOGISTIC, INPUTS, dims=DIMS, seed=seed, **entry)


def sequential(
    problem: Problem, model: ConvergeModel, rate: float, *, noise: torch.Generator | None = None
) -> torch.Tensor:
    """The parameters (steps + 1, n) of a descent by itself; with `noise`, every gradient entry is rounded anew."""
    stepper = make_optimizer(model.optimizer_name, {**model.options, "lr": rate}, problem.parameters.values())
    path = [problem.flat()]
    for _ in range(STEPS):
        problem.advance()
        for parameter in problem.parameters.values():
            if noise is not None and parameter.grad is not None:
                unit = UNITS * torch.finfo(parameter.dtype).eps * parameter.grad.abs().max()
                parameter.grad += unit * (2 * torch.rand(parameter.shape, generator=noise, dtype=parameter.dtype) - 1)
        stepper.step()
        path.append(problem.flat())
    return torch.stack(path)


def bars(make: Callable[[], tuple[Problem, ConvergeModel]], rate: float, path: torch.Tensor) -> torch.Tensor:
    """How far rounding may move each entry of a sequential path, (steps + 1, n)."""
    moved = [
        (sequential(*make(), rate, noise=torch.Generator().manual_seed(number)) - path).abs() for number in range(6)
    ]
    floor = UNITS * torch.finfo(path.dtype).eps * path.abs()
    return 3 * torch.stack(moved).amax(dim=0) + floor


def together(problems: list[Problem], model: ConvergeModel, rates: list[float], owners: list[int]) -> torch.Tensor:
    """The parameters (B, steps + 1, n) of all rows."""
    batch = Batch(problems, owners, rates, model)
    path = [batch.flat()]
    for _ in range(STEPS):
        _, gradients = batch.advance()
        batch.step(gradients)
        path.append(batch.flat())
    return torch.stack(path, dim=1)


def excess(
    problem_of: ProblemOf, entry: dict[str, Any], *, wrong: float = 1.0, dtype: str = "float64", **more: Any
) -> float:
    """Largest difference between rows together and each by itself, in units of its bar; `wrong` scales one rate."""
    made = [logistic(problem_of, seed, dtype=dtype, **entry, **more) for seed in SEEDS]
    rows = [(rate, place) for rate in RATES for place in range(len(SEEDS))]
    rates = [rate * (wrong if (rate, place) == (RATES[1], 1) else 1.0) for rate, place in rows]
    found = together([problem for problem, _ in made], made[0][1], rates, [place for _, place in rows])
    worst = 0.0
    for path, (rate, place) in zip(found, rows, strict=True):

        def make(seed: int = SEEDS[place]) -> tuple[Problem, ConvergeModel]:
            return logistic(problem_of, seed, dtype=dtype, **entry, **more)

        own = sequential(*make(), rate)
        worst = max(worst, float(((path - own).abs() / bars(make, rate, own)).max()))
    return worst


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS, ids=str)
def test_rows_go_where_each_goes_by_itself(problem_of: ProblemOf, name: str, options: dict[str, Any]) -> None:
    """Nine rows of three rates and three seeds with data of their own stay within rounding of nine sequential runs."""
    assert excess(problem_of, {"optimizer": name, "options": options}) <= 1.0


@pytest.mark.parametrize("name", ["SGD", "Adam", "Rprop"])
def test_a_slightly_wrong_rate_is_seen(problem_of: ProblemOf, name: str) -> None:
    """One row of nine at a rate wrong by 1e-9 is outside the bars: they are narrow enough to see a wrong row."""
    assert excess(problem_of, {"optimizer": name}, wrong=1.0 + 1e-9) > 1.0


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize(
    "more",
    [
        {"dtype": "float32"},
        {"batches": {"along": "n", "size": 5}},
        {"fresh": ["X"]},
        {"relative": True, "start": {"w": [0.5, -1.0, 2.0], "b": 0.3}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_other_kinds_of_descent(problem_of: ProblemOf, name: str, more: dict[str, Any]) -> None:
    """float32, mini-batches (the last one smaller), fresh data and relative parameters go together just as well."""
    assert excess(problem_of, {"optimizer": name}, **more) <= 1.0


def test_the_analytic_gradient_is_followed(problem_of: ProblemOf) -> None:
    """Rows follow the case's analytic gradient where the entry says so, here one that is wrong on purpose."""
    entry = {"optimizer": "SGD", "gradient": "analytic", "analytic": {"x": "3 * x"}}
    problem, model = problem_of("x * x", {"x": {}}, start={"x": 1.0}, **entry)
    batch = Batch([problem], [0, 0], [0.1, 0.2], model)
    losses, gradients = batch.advance()
    assert losses.tolist() == [1.0, 1.0]
    assert gradients["x"].tolist() == [3.0, 3.0]


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS, ids=str)
def test_dropping_rows_disturbs_no_other(problem_of: ProblemOf, name: str, options: dict[str, Any]) -> None:
    """Rows that stay take the very same steps, state and all, whether others are dropped or not."""
    made = [logistic(problem_of, seed, optimizer=name, options=options) for seed in SEEDS]
    rows = [(rate, place) for rate in RATES for place in range(len(SEEDS))]

    def batch() -> Batch:
        return Batch([p for p, _ in made], [place for _, place in rows], [rate for rate, _ in rows], made[0][1])

    whole, cut = batch(), batch()
    kept = torch.tensor([1, 6, 8])  # none of the second rate
    for step in range(8):
        whole.step(whole.advance()[1])
        cut.step(cut.advance()[1])
        if step == 3:
            cut.keep(kept)
    assert torch.equal(cut.flat(), whole.flat()[kept])


@pytest.mark.parametrize("name", sorted(GROUPED))
def test_a_row_that_is_not_finite_stays_alone(problem_of: ProblemOf, name: str) -> None:
    """A row whose parameters are NaN leaves the others as they are, bit by bit."""
    problem, model = logistic(problem_of, 0, optimizer=name)
    clean, poisoned = (Batch([problem], [0, 0, 0], list(RATES), model) for _ in range(2))
    poisoned.parameters["w"][1] = torch.nan
    for batch in (clean, poisoned):
        for _ in range(4):
            batch.step(batch.advance()[1])
    assert torch.equal(poisoned.flat()[[0, 2]], clean.flat()[[0, 2]])
    assert bool(poisoned.flat()[1].isnan().any())


def test_which_optimizers_go_together() -> None:
    """Every optimizer of torch.optim either is one whose rows go together, or has a reason why not."""
    apart = {name for name in optimizer_classes() if why_not_together(name, {}) is not None}
    assert apart >= {"LBFGS", "Muon", "Adafactor", "SparseAdam", "LeastSquares"}
    assert apart | SCALED | GROUPED == set(optimizer_classes())
    assert why_not_together(object(), {}) is not None
    assert "differentiable" in (why_not_together("SGD", {"differentiable": True}) or "")


def test_weight_decay_needs_groups() -> None:
    """Weight decay brings parameters into a step: it is not proportional to the rate from zero, so rates are groups."""
    rates = torch.tensor([0.1, 0.2], dtype=torch.float64)
    parameters = {"w": torch.zeros(2, 3, dtype=torch.float64)}
    assert isinstance(row_steps("Adam", {}, parameters, rates), ScaledSteps)
    assert isinstance(row_steps("Adam", {"weight_decay": 0.1}, parameters, rates), GroupedSteps)
    assert isinstance(row_steps("AdamW", {}, parameters, rates), GroupedSteps)


def test_rows_that_differ_from_their_problem_are_refused(problem_of: ProblemOf) -> None:
    """Gradients of rows that are not those of the problem by itself are noticed before a step is taken."""
    problem, model = logistic(problem_of, 0)
    batch = Batch([problem], [0, 0], [0.1, 0.2], model)
    losses, gradients = batch.advance()
    batch.check_start(losses, gradients)
    with pytest.raises(ApartError, match="something else"):
        batch.check_start(losses, {**gradients, "w": gradients["w"] * (1 + 1e-6)})


def test_starts_that_make_different_functions_are_refused(problem_of: ProblemOf) -> None:
    """Relative parameters whose units differ from seed to seed are functions of their own, and no rows of one."""
    made = [logistic(problem_of, seed, relative=True) for seed in (0, 1)]
    with pytest.raises(ApartError, match="start of its own"):
        Batch([problem for problem, _ in made], [0, 1], [0.1, 0.1], made[0][1])
