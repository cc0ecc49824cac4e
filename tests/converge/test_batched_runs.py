"""Descents run together end as each does by itself, and as the judged descent does; what cannot be batched says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from harness.case.schema import ConvergeModel
from harness.converge import row_runs
from harness.converge.descent import Rules, descend
from harness.converge.minimum import find_minimum, tolerance
from harness.converge.optimizers import make_optimizer
from harness.converge.problem import Problem
from harness.converge.row_runs import RowRun, Wanted, rows_at_once, run_rows

RATES = (1e-3, 3e-2, 0.1, 0.45, 0.9, 3.0)
QUADRATIC = "mean((X @ w - y) ** 2)"
QUADRATIC_INPUTS = {
    "X": {"shape": ["n", 2], "grad": False},
    "y": {"shape": ["n"], "grad": False},
    "w": {"shape": [2]},
}
ProblemOf = Callable[..., tuple[Problem, ConvergeModel]]
WantedOf = Callable[..., Wanted]


@pytest.fixture
def wanted_of(problem_of: ProblemOf) -> WantedOf:
    """Declare a case and return its rows from two seeds."""

    def make(function: Any = QUADRATIC, inputs: Any = QUADRATIC_INPUTS, **entry: Any) -> Wanted:
        entry = {"dims": {"n": 8}, "minimum": "least_squares", "steps": 60, **entry}
        _, model = problem_of(function, inputs, seed=0, **entry)

        def problem(seed: int) -> Problem:
            return problem_of(function, inputs, seed=seed, **entry)[0]

        found = [find_minimum(problem(seed), model, sizes=problem(seed).sizes) for seed in (0, 1)]
        return Wanted(
            make=problem,
            entry=model,
            optimizer=model.optimizer_name,
            rules=Rules(
                steps=model.steps, within=tolerance(model), loss_below=model.loss_below, stop=model.stop,
                relative=model.digits is not None,
            ),
            seeds=(0, 1),
            minima=tuple(None if minimum is None else minimum.values for minimum in found),
        )  # fmt: skip

    return make


def statuses(run: RowRun) -> list[tuple[str, int]]:
    """(status, steps) of every row."""
    return [(end.status, end.steps) for ends in run.ends for end in ends]


def judged(wanted: Wanted, rate: float, place: int) -> tuple[str, int | None]:
    """(status, first hit) of the descent that `harness converge` judges, at one rate from one seed."""
    problem = wanted.make(wanted.seeds[place])
    options = {**wanted.entry.options, "lr": rate}
    stepper = make_optimizer(wanted.entry.optimizer_name, options, problem.parameters.values())
    found = descend(problem, stepper, replace(wanted.rules, minima=wanted.minima[place]))
    return found.status, found.hit


ENTRIES: list[dict[str, Any]] = [
    {"within": 1e-4},
    {"optimizer": "Adam", "within": 1e-2},
    {"optimizer": "AdamW", "within": 1e-2, "dtype": "float32"},
    {"minimum": None, "loss_below": 0.9, "stop": {"gradient_norm": 1e-3}},
    {"stop": {"loss_change": 1e-7}},
    {"minimum": None, "loss_below": 0.9, "batches": {"along": "n", "size": 3}},
    {"within": 1e-3, "stop": {"loss": 0.5}, "options": {"momentum": 0.9}},
    {"digits": 3},
    {"within": 1e-2, "options": {"momentum": 0.98}, "steps": 20},
]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_rows_end_as_each_does_by_itself(wanted_of: WantedOf, entry: dict[str, Any]) -> None:
    """Status and step of every row are those of the sequential run, and hits those of the judged descent."""
    wanted = wanted_of(**entry)
    run, alone = run_rows(wanted, RATES), run_rows(wanted, RATES, together=False)
    assert run.apart is None
    assert alone.apart is not None
    assert statuses(run) == statuses(alone)
    assert len({status for status, _ in statuses(run)}) > 1, "rows that all end alike show little"
    for rate, ends in zip(RATES, run.ends, strict=True):
        for place, end in enumerate(ends):
            status, hit = judged(wanted, rate, place)
            assert (end.status, end.steps if end.status == "hit" else None) == (
                "hit" if hit is not None else status,
                hit,
            )


def test_chunks_change_nothing(wanted_of: WantedOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows taken five at a time end as all at once, also where each step draws a batch."""
    for entry in ({"within": 1e-4}, {"within": 0.3, "batches": {"along": "n", "size": 3}}):
        wanted = wanted_of(**entry)
        whole = run_rows(wanted, RATES)
        with monkeypatch.context() as context:
            context.setattr(row_runs, "rows_at_once", lambda _: 5)
            assert statuses(run_rows(wanted, RATES)) == statuses(whole)


def test_chunks_bound_memory(wanted_of: WantedOf) -> None:
    """A chunk's rows and the numbers each holds stay within the limit together."""
    small, large = wanted_of(), wanted_of(dims={"n": 4000})
    numbers = row_runs.PARAMETER_COPIES * 2 + row_runs.DATA_COPIES * 12000
    assert rows_at_once(large.make(0)) == row_runs.NUMBERS // numbers
    assert rows_at_once(small.make(0)) > rows_at_once(large.make(0))


def test_rows_that_have_ended_cost_nothing(wanted_of: WantedOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longer a run, the fewer rows are evaluated: those that have ended are dropped."""
    counted: list[int] = []
    evaluate = row_runs.Batch.evaluate

    def counting(batch: row_runs.Batch) -> Any:
        losses, gradients = evaluate(batch)
        counted.append(len(losses))
        return losses, gradients

    monkeypatch.setattr(row_runs.Batch, "evaluate", counting)
    run = run_rows(wanted_of(within=1e-2, steps=200), RATES)
    left = sum(status == "budget" for status, _ in statuses(run))
    assert counted[0] == len(RATES) * 2
    assert counted == sorted(counted, reverse=True)
    assert counted[-1] * row_runs.CROWDED <= left <= counted[-1]


@pytest.mark.parametrize("name", ["LBFGS", "Adafactor"])
def test_other_optimizers_run_one_by_one(wanted_of: WantedOf, name: str) -> None:
    """Optimizers whose rule mixes entries end as the judged descent does, and the answer says why they ran alone."""
    wanted = wanted_of(optimizer=name, within=1e-2, steps=30)
    run = run_rows(wanted, (0.1, 1.0))
    assert name in str(run.apart)
    for rate, ends in zip((0.1, 1.0), run.ends, strict=True):
        for place, end in enumerate(ends):
            assert (end.steps if end.status == "hit" else None) == judged(wanted, rate, place)[1]


def test_functions_that_cannot_be_batched_run_one_by_one(wanted_of: WantedOf) -> None:
    """A function that vmap refuses is descended on row by row, to the same end, and the answer says why."""

    def branching(values: Any) -> tuple[torch.Tensor, ...]:
        w = values["w"]
        return ((w * w).sum() if float(w.detach().sum()) > -1e9 else w.sum(),)

    wanted = wanted_of("w @ w", {"w": {"shape": [2]}}, dims={}, minimum={"w": 0.0}, within=1e-3)

    def make(seed: int) -> Problem:
        problem = wanted.make(seed)
        problem.subject = replace(problem.subject, function=branching)
        return problem

    run = run_rows(replace(wanted, make=make), RATES)
    assert "vmap" in str(run.apart)
    assert statuses(run) == statuses(run_rows(wanted, RATES))


def test_functions_that_look_at_other_rows_run_one_by_one(wanted_of: WantedOf) -> None:
    """A function that vmap batches to other values is found out at the start."""
    calls = [0]

    def unsteady(values: Any) -> tuple[torch.Tensor, ...]:
        calls[0] += 1
        return ((values["w"] ** 2).sum() * (1.0 + calls[0] % 2),)

    wanted = wanted_of("w @ w", {"w": {"shape": [2]}}, dims={}, minimum={"w": 0.0})

    def make(seed: int) -> Problem:
        problem = wanted.make(seed)
        problem.subject = replace(problem.subject, function=unsteady)
        return problem

    assert "something else" in str(run_rows(replace(wanted, make=make), RATES[:2]).apart)
