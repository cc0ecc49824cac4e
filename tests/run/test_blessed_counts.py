"""Runs beside their blessed counts: planted changes in both directions, blessing, and what is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from harness.converge.optimizers import GradientDescent
from harness.errors import UsageError
from harness.records import Outcome, Run
from harness.run.bless import Blessed, bless_run
from harness.run.blessed import DEFAULT, baseline_path, comparison_words
from harness.run.journal import decode, encode
from harness.run.options import RunOptions
from harness.run.run import run

HEAD = """\
case: bowl
title: A bowl
inputs: {x: {shape: []}}
function: (x - 2)**2
converge:
"""
GD = "  - {optimizer: GD, options: {lr: 0.1}, start: {x: 0}, minimum: {x: 2}}\n"
MOMENTUM = "  - {optimizer: SGD, options: {lr: 0.1, momentum: 0.3}, start: {x: 0}, minimum: {x: 2}}\n"
LBFGS = """\
  - optimizer: LBFGS
    options: {line_search_fn: strong_wolfe, tolerance_grad: 0, tolerance_change: 0}
    steps: 4
    start: {x: 0}
    minimum: {x: 2}
"""
NOISY = """\
case: noisy
title: A noisy bowl
dims: {n: 8}
inputs:
  noise: {shape: [n], grad: false}
  x: {shape: []}
function: mean((x - 2 + 0.1*noise)**2)
converge:
  - {options: {lr: 0.02}, fresh: [noise], start: {x: 0}, minimum: {x: 2}, within: 0.05, steps: 300, seeds: 3}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, with one case file in it."""
    (tmp_path / "pyproject.toml").write_text("[tool.harness]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    _write(tmp_path, HEAD + GD)
    return tmp_path


def _write(folder: Path, text: str, name: str = "bowl.yaml") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def _options(**changes: object) -> RunOptions:
    return RunOptions(kinds=("converge",), inline=True, **changes)


def _bless(paths: tuple[str, ...] = (".",), **changes: object) -> Blessed:
    _, blessed = bless_run(paths, _options(bless=True, **changes))
    assert blessed is not None
    return blessed


def _run(**changes: object) -> Run:
    return run(["."], _options(**changes))


def _lines(folder: Path) -> list[dict]:
    return json.loads((folder / DEFAULT).read_text(encoding="utf-8"))["counts"]


def test_blessing_and_running_again_agree(here: Path) -> None:
    """What was just blessed is within its corridor, and the line holds every count."""
    blessed = _bless()
    assert [change.what for change in blessed.changes] == ["new"]
    (line,) = _lines(here)
    assert (line["case"], line["entry"], line["seed"], line["dtype"], line["file"]) == (
        "bowl", 0, 0, "float64", "bowl.yaml"
    )  # fmt: skip
    assert (line["steps"], line["targets"]) == (66, {"0.1": 6, "0.001": 16, "1e-05": 26, "1e-07": 37})
    made = _run()
    (record,) = made.records
    assert record.outcome is Outcome.PASS
    assert all(count.within for count in record.blessed)
    assert (
        comparison_words(made, here / DEFAULT)
        == "Step counts: 1 within the corridors of reports/baselines/converge.json"
    )
    assert _bless().changes == ()


@pytest.mark.parametrize(("factor", "steps"), [(0.5, 138), (2.0, 29)])
def test_a_changed_optimizer_leaves_the_corridor(
    here: Path, monkeypatch: pytest.MonkeyPatch, factor: float, steps: int
) -> None:
    """An optimizer that steps half as far, or twice, arrives in other numbers of steps: both fail and are named."""
    _bless()

    def step(self: GradientDescent, closure: object = None) -> None:
        with torch.no_grad():
            for parameter in self.parameters:
                parameter -= factor * self.lr * parameter.grad

    monkeypatch.setattr(GradientDescent, "step", step)
    (record,) = _run().records
    assert record.outcome is Outcome.FAIL
    assert f"arrives in {steps} steps, blessed are 66" in record.message
    assert "better or worse, have a look, then `harness converge bowl.yaml -k bowl --seed 0 --bless`" in record.message


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_a_changed_rate_in_the_case_leaves_the_corridor(here: Path, rate: float) -> None:
    """The line belongs to the entry, whatever its options have become; the message says what was blessed."""
    _bless()
    _write(here, HEAD + GD.replace("0.1", str(rate)))
    made = _run()
    (record,) = made.records
    assert record.outcome is Outcome.FAIL
    assert "blessed are 66" in record.message
    assert "(of GD(lr=0.1), autograd)" in record.message
    assert "1 outside" in comparison_words(made, here / DEFAULT)
    changes = _bless().changes
    assert changes[0].what == "steps"
    assert (changes[0].old, changes[0].new) == (66, 138 if rate == 0.05 else 29)
    assert _run().records[0].outcome is Outcome.PASS


def test_more_gradients_in_as_many_steps_are_noticed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An LBFGS that evaluates each gradient three times has the same steps, and fails by its evaluations."""
    _write(here, HEAD.replace("(x - 2)**2", "cosh(x - 2)") + LBFGS)
    _bless()
    real = torch.optim.LBFGS.step

    def wasteful(self: torch.optim.LBFGS, closure: object) -> object:
        return real(self, lambda: [closure() for _ in range(3)][-1])

    monkeypatch.setattr(torch.optim.LBFGS, "step", wasteful)
    (record,) = _run().records
    assert record.outcome is Outcome.FAIL
    assert record.message.startswith("takes ")
    assert "gradient evaluations, blessed are" in record.message


def test_an_entry_that_moved_keeps_its_line(here: Path) -> None:
    """A new entry before it shifts its position, not its counts; the new one has none yet."""
    _bless()
    _write(here, HEAD + MOMENTUM + GD)
    made = _run()
    assert [record.outcome for record in made.records] == [Outcome.PASS, Outcome.PASS]
    assert [bool(record.blessed) for record in made.records] == [False, True]
    assert comparison_words(made, here / DEFAULT).endswith("1 not in it")


def test_blessing_sets_an_entry_that_moved_beside_its_own_line(here: Path) -> None:
    """What blessing shows is what changed: the new entry, and not the moved one beside the counts of the other."""
    _bless()
    _write(here, HEAD + LBFGS + GD)
    blessed = _bless()
    assert [(change.entry, change.what) for change in blessed.changes] == [(0, "new")]
    assert blessed.same == 1
    assert [line["entry"] for line in _lines(here)] == [0, 1]


def test_a_descent_that_reaches_nothing_is_told_apart(here: Path) -> None:
    """A descent that diverges, as declared, has no counts to bless, and is not called missing from the baseline."""
    away = "  - {optimizer: GD, options: {lr: 1.5}, start: {x: 0}, minimum: {x: 2}, expect: diverges}\n"
    _write(here, HEAD + GD + away)
    _bless()
    words = comparison_words(_run(), here / DEFAULT)
    assert words == f"Step counts: 1 within the corridors of {DEFAULT}, 1 reached nothing that is counted"


def test_blessing_writes_only_what_was_run(here: Path) -> None:
    """Lines of other files stay; those of a case that is gone from a file that was read are told and taken out."""
    _write(here, HEAD.replace("bowl", "other") + MOMENTUM, "other.yaml")
    _bless()
    assert [line["case"] for line in _lines(here)] == ["bowl", "other"]
    _write(here, HEAD + GD.replace("0.1", "0.2"))
    _write(here, HEAD.replace("bowl", "renamed") + MOMENTUM, "other.yaml")
    assert {change.what for change in _bless(("bowl.yaml",)).changes} == {"steps", *(f"target {t}" for t in TAUS)}
    assert [line["case"] for line in _lines(here)] == ["bowl", "other"]
    gone = [change for change in _bless().changes if change.what == "gone"]
    assert [change.case for change in gone] == ["other"]
    assert [line["case"] for line in _lines(here)] == ["bowl", "renamed"]


TAUS = ("0.1", "0.001", "1e-05", "1e-07")


def test_a_failing_descent_is_not_blessed(here: Path) -> None:
    """What does not arrive is told and not written."""
    _write(here, HEAD + GD.replace("start", "steps: 3, start"))
    (change,) = _bless().changes
    assert (change.what, change.note.partition(":")[0]) == ("not blessed", "fail")
    assert _lines(here) == []


def test_seeds_of_a_stochastic_entry_are_judged_by_their_median(here: Path) -> None:
    """One line holds the median over the seeds; half the rate moves it, and the first seed's record says so."""
    _write(here, NOISY)
    _bless()
    (line,) = _lines(here)
    assert line["seeds"] == 3
    assert [record.outcome for record in _run().records] == [Outcome.PASS] * 3
    _write(here, NOISY.replace("0.02", "0.01"))
    records = _run().records
    assert [record.outcome for record in records] == [Outcome.FAIL, Outcome.PASS, Outcome.PASS]
    assert "(medians over 3 seeds)" in records[0].message


@pytest.mark.parametrize("changes", [{"seed": 1}])
def test_other_seeds_are_not_compared(here: Path, changes: dict[str, object]) -> None:
    """A line is about its own seed."""
    _bless()
    _write(here, HEAD + GD.replace("0.1", "0.2"))
    (record,) = _run(**changes).records
    assert (record.outcome, record.blessed) == (Outcome.PASS, ())


def test_float32_is_not_compared(here: Path) -> None:
    """Counts in float32 need not repeat."""
    _write(here, HEAD + GD.replace("start", "dtype: float32, within: 1.0e-3, start"))
    assert _bless().changes == ()
    assert _lines(here) == []


def test_without_a_file_nothing_is_compared(here: Path) -> None:
    """One line says that, and how to make it; a file that was named has to be there."""
    made = _run()
    assert made.records[0].outcome is Outcome.PASS
    assert "Make it: harness converge --bless" in comparison_words(made, here / DEFAULT)
    with pytest.raises(UsageError, match=r"Cannot compare: baseline='none\.json' does not exist"):
        _run(baseline=Path("none.json"))


def test_a_project_may_keep_its_counts_elsewhere(here: Path) -> None:
    """``[tool.harness] blessed`` is relative to the project file, wherever the command runs."""
    (here / "pyproject.toml").write_text('[tool.harness]\nblessed = "counts/steps.json"\n', encoding="utf-8")
    (here / "sub").mkdir()
    assert baseline_path(None, here / "sub") == here / "counts" / "steps.json"
    assert baseline_path(Path("named.json"), here) == Path("named.json")
    _bless()
    assert (here / "counts" / "steps.json").exists()
    (here / "pyproject.toml").write_text("[tool.harness]\nblessed = 3\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"a \[tool\.harness\] blessed that is no text"):
        baseline_path(None, here)


def test_a_named_file_is_named_in_the_advice(here: Path) -> None:
    """Who compares with another file is told to bless that one."""
    _bless(baseline=here / "mine.json")
    _write(here, HEAD + GD.replace("0.1", "0.2"))
    (record,) = _run(baseline=here / "mine.json").records
    assert f"--baseline {here / 'mine.json'} --bless`" in record.message
    assert record.command.endswith(f"--baseline {here / 'mine.json'}")


def test_a_case_of_the_same_name_in_another_file_is_another_case(here: Path) -> None:
    """Counts belong to a file's case as long as that file is there; a file that moved takes them along."""
    _bless()
    (here / "elsewhere").mkdir()
    _write(here / "elsewhere", HEAD + GD.replace("0.1", "0.2"))
    (record,) = run(["elsewhere"], _options()).records
    assert record.outcome is Outcome.PASS
    (here / "bowl.yaml").unlink()
    (record,) = run(["elsewhere"], _options()).records
    assert record.outcome is Outcome.FAIL


def test_an_old_journal_is_read(here: Path) -> None:
    """A record without the fields that came later has them empty, and is compared with nothing."""
    (record,) = _run().records
    later = {
        "entry", "first_loss", "best_loss", "minimum_loss", "minimum_index", "minima", "evaluations_to_tolerance",
        "targets", "observed_rate_low", "observed_rate_high", "iteration_bound", "exact_steps", "stochastic", "blessed",
    }  # fmt: skip
    document = {key: value for key, value in json.loads(encode(record)).items() if key not in later}
    old = decode(json.dumps(document))
    assert (old.steps_to_tolerance, old.targets, old.blessed, old.entry) == (66, (), (), None)
    assert decode(encode(record)) == record
