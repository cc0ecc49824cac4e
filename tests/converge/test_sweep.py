"""Sweeps over learning rates: the basin, what is beside it, and where a sweep says that it shows nothing."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.case.case import Case
from harness.case.load import read_cases
from harness.case.schema import CaseModel
from harness.case.trust import Trust
from harness.converge.basin import basin_of, swept_rate
from harness.converge.grid import COUNT, Grid, default_grid, parse_grid, sweep_grid
from harness.converge.row_watch import RowEnd
from harness.converge.sweep import sweep_case
from harness.errors import UsageError
from harness.records import Outcome, SweepRecord, SweptRate
from harness.run.journal import FILE_NAME, decode, encode, read_run
from harness.run.options import RunOptions
from harness.run.plan import plan
from harness.run.run import run
from harness.run.work import blank_record
from harness.terminal.rates import print_sweeps

BOWL = "x @ (a * x) / 2"
"""Curvatures 1 and 4: gradient descent converges where the rate is below 2/4."""
INPUTS = {"x": {"shape": [2]}, "a": {"shape": [2], "grad": False, "value": [1.0, 4.0]}}
ENTRY = {"optimizer": "GD", "options": {"lr": 0.1}, "minimum": {"x": 0.0}, "within": 1e-3, "steps": 100}
FILE = """
case: bowl
title: A bowl
inputs: {x: {shape: [2]}}
function: x @ x
converge:
  - {optimizer: SGD, options: {lr: 0.1}, minimum: {x: [0.0, 0.0]}, within: 1.0e-3, steps: 50, seeds: 2}
  - {optimizer: LBFGS, minimum: {x: [0.0, 0.0]}, steps: 10}
"""


def swept(entry: dict[str, Any], grid: Grid | None = None, *, seeds: int | None = None, **more: Any) -> SweepRecord:
    """Declare a case with one entry and return its sweep."""
    document = {"case": "made", "title": "Made", "inputs": INPUTS, "function": BOWL, "converge": [entry], **more}
    case = Case(model=CaseModel.model_validate(document), path=Path("made.yaml"), line=1)
    return sweep_case(case, 0, trust=Trust(), seed=0, grid=grid, seeds=seeds)


def rates_of(*steps: tuple[int | None, ...]) -> tuple[SweptRate, ...]:
    """Rates 1, 10, 100, … by their steps; None is the budget, a negative number a divergence."""
    statuses = {True: "hit", False: "diverged"}
    ends = [
        [
            RowEnd(status="budget" if s is None else statuses[s >= 0], steps=9 if s is None else abs(s), loss=None)
            for s in row
        ]
        for row in steps
    ]
    return tuple(swept_rate(10.0**place, row) for place, row in enumerate(ends))


def test_the_basin_ends_at_the_theoretical_bound() -> None:
    """Gradient descent on a quadratic works up to 2/λ_max, neither above it nor at rates too small for the budget."""
    grid = Grid(low=1e-3, high=10.0, count=33)
    record = swept(ENTRY, grid, seeds=3)
    assert (record.outcome, record.apart) == (Outcome.PASS, None)
    basin = record.basin
    assert basin is not None
    above = min(rate.rate for rate in record.rates if rate.rate > basin.high)
    assert basin.high < 0.5 < above * (1 + 1e-12)
    assert {rate.status for rate in record.rates if rate.rate > 0.5 * 1.1} == {"diverges"}
    assert {rate.status for rate in record.rates if rate.rate < basin.low} == {"censored"}
    assert basin.decades == pytest.approx(math.log10(basin.high / basin.low), abs=1e-12)
    assert basin.low <= basin.best_rate <= basin.high
    assert not basin.open_low
    assert not basin.open_high
    assert record.declared_rate == 0.1
    for said in ("works from", "decades", "best in it", "diverge", "more than 100 steps", "declared 0.1 lies inside"):
        assert said in record.message


def test_a_sweep_is_what_single_descents_are(tmp_path: Path) -> None:
    """At its own rate, an entry's descent arrives at the step the sweep gives for that rate."""
    path = tmp_path / "bowl.yaml"
    path.write_text(FILE, encoding="utf-8")
    alone = run([path], RunOptions(kinds=("converge",), inline=True))
    together = run([path], RunOptions(kinds=("sweep",), inline=True, grid=Grid(low=0.1, high=0.2, count=2)))
    sgd = together.records[0]
    assert isinstance(sgd, SweepRecord)
    assert [getattr(record, "steps_to_tolerance", None) for record in alone.records[:2]] == list(sgd.rates[0].steps)
    assert together.records[1].apart is not None  # type: ignore[union-attr]
    assert [record.job for record in together.records] == ["sweep bowl[0]", "sweep bowl[1]"]
    assert [decode(encode(record)) for record in together.records] == list(together.records)


def test_the_largest_unbroken_run_is_the_basin() -> None:
    """Of two runs of working rates the longer counts; one seed that fails parts them; of equals the quicker."""
    parted = basin_of(rates_of((5, 5), (4, 4), (3, None), (2, 2), (1, 9), (3, 3), (-1, -1)))
    assert parted is not None
    assert (parted.low, parted.high, parted.count, parted.best_rate, parted.best_steps) == (1e3, 1e5, 3, 1e3, 2.0)
    assert (parted.open_low, parted.open_high) == (False, False)
    equal = basin_of(rates_of((9,), (None,), (2,)))
    assert equal is not None
    assert (equal.low, equal.decades, equal.open_low, equal.open_high) == (100.0, 0.0, False, True)
    assert basin_of(rates_of((None,), (-1,))) is None


def test_a_rate_is_judged_by_its_worst_seed() -> None:
    """A rate works only if every seed arrives; one divergence makes it diverge; the rest is censored, never dropped."""
    rates = rates_of((5, 5), (5, None), (5, -3), (None, -3))
    assert [rate.status for rate in rates] == ["works", "censored", "diverges", "diverges"]
    assert [rate.steps for rate in rates] == [(5, 5), (5, None), (5, None), (None, None)]
    assert [rate.diverged for rate in rates] == [0, 0, 1, 1]


def test_without_a_working_rate_a_sweep_fails() -> None:
    """No rate that arrives is a failure, unless the entry declares that it does not arrive."""
    grid = Grid(low=1.0, high=2.0, count=2)
    record = swept(ENTRY, grid)
    assert (record.outcome, record.basin) == (Outcome.FAIL, None)
    assert "none of 2 rates" in record.message
    declared = swept({**ENTRY, "expect": "diverges"}, grid)
    assert declared.outcome is Outcome.PASS
    assert "declared" in declared.message


@pytest.mark.parametrize(
    ("entry", "outcome", "said"),
    [
        ({**ENTRY, "minimum": None}, Outcome.SKIPPED, "neither minimum nor loss_below"),
        ({**ENTRY, "optimizer": "LeastSquares", "options": {}}, Outcome.SKIPPED, "no learning rate"),
        ({**ENTRY, "start": {"x": 0.0}}, Outcome.VACUOUS, "started where it should arrive"),
        ({**ENTRY, "minimum": {"x": 1.0}}, Outcome.FAIL, "not one"),
        ({**ENTRY, "options": {"lr": 0.1, "momentun": 0.9}}, Outcome.ERROR, "momentun"),
    ],
)
def test_what_shows_nothing_says_so(entry: dict[str, Any], outcome: Outcome, said: str) -> None:
    """A sweep without a goal or a rate is skipped, one that starts arrived is vacuous, a wrong case is its record."""
    record = swept(entry, Grid(low=0.01, high=0.1, count=2))
    assert record.outcome is outcome
    assert said in record.message


def test_seeds_that_make_no_difference_are_run_once() -> None:
    """From a given start on given data every seed is the same descent: one is run, and the record says so."""
    fixed = swept({**ENTRY, "start": {"x": [1.0, 1.0]}}, Grid(low=0.1, high=0.2, count=2), seeds=4)
    assert fixed.seeds == (0,)
    assert "one seed" in fixed.message
    scaled = swept({**ENTRY, "relative": True}, Grid(low=0.1, high=0.2, count=2), seeds=4)
    assert scaled.seeds == (0, 1, 2, 3)
    assert "start of its own" in str(scaled.apart)
    drawn = swept(ENTRY, Grid(low=0.1, high=0.2, count=2), seeds=4)
    assert drawn.seeds == (0, 1, 2, 3)
    assert "one seed" not in drawn.message


def test_grids() -> None:
    """A grid is evenly spaced in its logarithm, its ends exact; the default has 36 rates, over six decades for most."""
    rates = Grid(low=1e-4, high=1.0, count=5).rates()
    assert rates[0] == 1e-4
    assert rates[-1] == 1.0
    assert rates == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0], rel=1e-14)
    assert (default_grid("SGD").low, default_grid("SGD").high, len(default_grid("SGD").rates())) == (1e-5, 10.0, COUNT)
    assert default_grid("Adadelta").high > default_grid("Rprop").high
    assert parse_grid("1e-3:1:9") == Grid(low=1e-3, high=1.0, count=9)
    assert parse_grid(str(default_grid("LBFGS"))) == default_grid("LBFGS")
    assert parse_grid("1:2").count == COUNT


@pytest.mark.parametrize("text", ["", "1", "a:b:3", "1:2:1", "2:1:5", "0:1:5", "-1:1:5", "1:inf:5", "1:2:3:4", "1:2:x"])
def test_wrong_grids_are_refused(text: str) -> None:
    """What is no grid is an error of the command that shows one."""
    with pytest.raises(UsageError, match="--grid 1e-4:1:25"):
        parse_grid(text)


def test_options_that_do_not_go_together_are_refused() -> None:
    """A grid or seeds without a sweep, and blessing one, are errors of the command."""
    assert sweep_grid(None, None, sweeps=True, bless=False) is None
    for text, seeds, sweeps, bless in (
        ("1:2:3", None, False, False),
        (None, 3, False, False),
        (None, None, True, True),
    ):
        with pytest.raises(UsageError):
            sweep_grid(text, seeds, sweeps=sweeps, bless=bless)


def test_a_sweep_that_gave_nothing_has_its_record(tmp_path: Path) -> None:
    """A sweep that hung or crashed is put on record as a sweep, with the command that repeats it."""
    (tmp_path / "bowl.yaml").write_text(FILE, encoding="utf-8")
    cases, _ = read_cases([tmp_path / "bowl.yaml"])
    options = RunOptions(kinds=("sweep",), grid=Grid(low=0.1, high=1.0, count=3))
    jobs = plan(cases, options)
    record = blank_record(jobs[1], options, outcome=Outcome.TIMEOUT, message="took too long")
    assert isinstance(record, SweepRecord)
    assert (record.optimizer, record.entry, record.outcome) == ("LBFGS", 1, Outcome.TIMEOUT)
    assert "--sweep lr --grid 0.1:1.0:3" in str(record.command)


def test_the_terminal_shows_every_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A swept entry is a row: a mark for each rate, the basin with its open ends, its width and its best rate."""
    (tmp_path / "bowl.yaml").write_text(FILE, encoding="utf-8")
    grid = Grid(low=0.25, high=4.0, count=5)
    made = run([tmp_path / "bowl.yaml"], RunOptions(kinds=("sweep",), inline=True, grid=grid))
    print_sweeps(replace(made, records=made.records[:1]), Console(width=140))
    shown = capsys.readouterr().out
    assert "bowl[0]" in shown
    assert "██·××" in shown  # x ← (1 − 2·rate)·x: at rate 1 it only changes sign
    assert "≤0.25 … 0.5" in shown
    assert "≥0.3" in shown
    print_sweeps(replace(made, records=()), Console(width=140))
    assert capsys.readouterr().out == ""


def test_the_command_line(tmp_path: Path) -> None:
    """`harness converge --sweep lr` runs entries in workers, prints JSON, keeps a journal, and says how to repeat."""
    (tmp_path / "bowl.yaml").write_text(FILE, encoding="utf-8")
    words = ["-m", "harness", "converge", "bowl.yaml", "--sweep", "lr", "--grid", "0.01:1:5", "--seeds", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words, "--out", "out", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (sgd, _) = sorted(document["records"], key=lambda record: str(record["entry"]))
    assert (sgd["kind"], sgd["outcome"], len(sgd["rates"]), sgd["seeds"]) == ("sweep", "pass", 5, [0, 1])
    assert sgd["basin"]["low"] <= sgd["basin"]["best_rate"] <= sgd["basin"]["high"]
    assert sgd["command"] == "harness converge bowl.yaml -k bowl --seed 0 --sweep lr --grid 0.01:1.0:5 --seeds 2"
    assert len(read_run(tmp_path / "out" / FILE_NAME).records) == 2
