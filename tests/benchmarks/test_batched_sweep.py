"""A sweep over learning rates as one computation, against the same descents one by one.

Logistic regression of 100 rows and 5 columns, 36 rates from 10 seeds with data of their own: 360 descents of at most
100 steps. Both ways end every descent alike, which is asserted; so is that together they take a tenth of the time, that
of the processor within this run, which other processes disturb little.
"""

from __future__ import annotations

import time

import pytest

from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.schema import CaseModel
from harness.case.trust import Trust
from harness.converge.descent import Rules
from harness.converge.grid import Grid
from harness.converge.minimum import find_minimum
from harness.converge.problem import make_problem, problem_sizes
from harness.converge.row_runs import RowRun, Wanted, run_rows

RATES = Grid(low=1e-3, high=100.0, count=36).rates()
SEEDS = tuple(range(10))
AT_LEAST = 10.0
DOCUMENT = {
    "case": "logistic",
    "title": "Logistic regression",
    "dims": {"n": 100, "d": 5},
    "inputs": {
        "X": {"shape": ["n", "d"], "grad": False},
        "y": {"shape": ["n"], "draw": "choice(-1, 1)", "grad": False},
        "w": {"shape": ["d"]},
    },
    "function": "mean(logaddexp(0, -y * (X @ w))) + 0.005 * (w @ w)",
}
seen: dict[tuple[str, str], tuple[float, RowRun]] = {}
"""(optimizer, peer) → (seconds, how the descents ended)."""


def wanted(optimizer: str, path) -> Wanted:
    """The descents, with scipy's minimum of each seed's data."""
    entry = {"optimizer": optimizer, "steps": 100, "minimum": "scipy", "within": 1e-4}
    case = Case(model=CaseModel.model_validate({**DOCUMENT, "converge": [entry]}), path=path, line=1)
    model, subject = case.model.converge[0], build_subject(case, trust=Trust())
    sizes = problem_sizes(case.sizes, model)

    def make(seed):
        return make_problem(subject, model, sizes=sizes, seed=seed)

    found = [find_minimum(make(seed), model, sizes=sizes) for seed in SEEDS]
    return Wanted(
        make=make,
        entry=model,
        optimizer=optimizer,
        rules=Rules(steps=model.steps, within=model.within),
        seeds=SEEDS,
        minima=tuple(None if minimum is None else minimum.values for minimum in found),
    )


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("peer", ["harness", "one by one"])
def test_time_of_a_sweep(benchmark, tmp_path, optimizer: str, peer: str) -> None:
    """Time 360 descents, together and one by one."""
    benchmark.group, benchmark.extra_info["peer"] = f"sweep of 360: {optimizer}", peer
    descents = wanted(optimizer, tmp_path / "made.yaml")
    together = peer == "harness"
    run = benchmark.pedantic(
        run_rows, args=(descents, RATES), kwargs={"together": together}, rounds=3 if together else 1
    )
    assert (run.apart is None) is together
    seen[optimizer, peer] = (benchmark.stats.stats.median, run)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_a_sweep_costs_a_tenth(optimizer: str) -> None:
    """The descents end alike and take at most a tenth of the time together."""
    if (optimizer, "one by one") not in seen or (optimizer, "harness") not in seen:
        pytest.skip("both ways must have been timed in this run")
    (quick, run), (slow, alone) = seen[optimizer, "harness"], seen[optimizer, "one by one"]
    assert run.ends != () and [[(e.status, e.steps) for e in row] for row in run.ends] == [
        [(e.status, e.steps) for e in row] for row in alone.ends
    ]
    assert slow / quick >= AT_LEAST
