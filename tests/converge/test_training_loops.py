"""What is checked of a training loop: each check passes on the loop as it is, and fails on one with a planted fault."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.case import digits
from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.load import load_cases
from harness.case.schema import CaseModel
from harness.case.trust import Trust
from harness.converge import loop_checks, training
from harness.converge import problem as problems
from harness.converge.checkpoint import Training
from harness.converge.grid import Grid
from harness.converge.loop import Loop, Schedule, equip
from harness.converge.loop_checks import LoopUnderTest, loop_findings
from harness.converge.problem import problem_sizes
from harness.converge.run import converge_case
from harness.converge.sweep import sweep_case
from harness.errors import UsageError
from harness.records import Finding, Outcome
from harness.run.journal import decode, encode
from harness.verify.check import verify_case

ROOT = Path(__file__).resolve().parents[2]

MODULE = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(1, 4)
        self.out = nn.Linear(4, 1)

    def forward(self, x):
        return self.out(self.hidden(x[:, None]).tanh())[:, 0]
"""
LOSS = "mean((output - 2*x - 1)**2)"


@pytest.fixture
def declared(tmp_path: Path) -> Callable[..., Case]:
    """Declare a training of a small network with one convergence entry."""
    (tmp_path / "nets.py").write_text(MODULE, encoding="utf-8")

    def declare(*, loss: str = LOSS, **entry: Any) -> Case:
        document = {
            "case": "made",
            "title": "Made",
            "dims": {"n": 22},
            "inputs": {"x": {"shape": ["n"], "grad": False}},
            "function": {"python": "./nets.py:Net", "loss": loss},
            "converge": [{"optimizer": "Adam", "options": {"lr": 0.05}, "steps": 30, "loss_below": 100.0, **entry}],
        }
        return Case(model=CaseModel.model_validate(document), path=tmp_path / "made.yaml", line=1)

    return declare


@pytest.fixture
def tested(declared: Callable[..., Case], tmp_path: Path) -> Callable[..., LoopUnderTest]:
    """Declare a training, and return what its checks are run on."""

    def make(**entry: Any) -> LoopUnderTest:
        case = declared(**entry)
        model = case.model.converge[0]
        subject = build_subject(case, trust=Trust(folders=(tmp_path,)))
        sizes = problem_sizes(case.sizes, model)
        return LoopUnderTest(subject=subject, entry=model, sizes=sizes, optimizer=model.optimizer_name, seed=0)

    return make


def ended(findings: Any) -> list[Outcome]:
    """Return the outcomes of some findings, those about CUDA left out."""
    return [one.outcome for one in findings if "CUDA" not in one.check]


def only(tested: LoopUnderTest) -> Finding:
    """Return the only finding of an entry."""
    (found,) = loop_findings(tested)
    return found


def test_a_plain_training_has_nothing_to_check(tested: Callable) -> None:
    """Without anything declared of its loop, an entry costs no check."""
    assert list(loop_findings(tested(batches={"size": 5}))) == []


@pytest.mark.parametrize("size", [5, 11])
def test_worker_processes_give_the_batches_of_none(tested: Callable, size: int) -> None:
    """Two workers load what none would, epoch after epoch, whether or not the last batch is a full one."""
    found = list(loop_findings(tested(batches={"size": size, "workers": 2})))
    assert ended(found) == [Outcome.PASS, Outcome.PASS]


def test_workers_with_seeds_of_their_own_are_caught(tested: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with noise from the process's own generator differ between a worker and this process."""
    plain = training.Rows.__getitems__

    def noisy(rows: Any, indices: Any) -> Any:
        return {name: value + torch.rand(value.shape) for name, value in plain(rows, indices).items()}

    monkeypatch.setattr(training.Rows, "__getitems__", noisy)
    first, _ = loop_findings(tested(batches={"size": 5, "workers": 2}))
    assert first.outcome is Outcome.FAIL
    assert "by a loader without workers" in first.message


def test_workers_with_other_seeds_each_time_are_caught(tested: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loader whose generator is seeded anew each time cannot repeat its order."""
    seeds = iter(range(100))
    monkeypatch.setattr(training, "generator_for", lambda *_: torch.Generator().manual_seed(next(seeds)))
    found = list(loop_findings(tested(batches={"size": 5, "workers": 2})))
    assert ended(found) == [Outcome.FAIL, Outcome.FAIL]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_accumulated_gradients_add_up(tested: Callable, dtype: str) -> None:
    """Batches of 5 from 22 rows, three at a time: 15 rows, then 7 of two unequal batches, are those rows at once."""
    found = only(tested(batches={"size": 5}, accumulate=3, dtype=dtype))
    assert found.outcome is Outcome.PASS
    assert found.bar is not None and found.resolution < 1e-2


def test_accumulation_without_dividing_is_caught(tested: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients that are added but not averaged are off by their number."""
    monkeypatch.setattr(Loop, "weighted", lambda self, loss, share: loss)
    found = only(tested(batches={"size": 5}, accumulate=3))
    assert (found.outcome, found.actual / found.expected) == (Outcome.FAIL, pytest.approx(3))
    assert "by the large batch" in found.message and "off by" in found.message


def test_accumulation_of_unequal_batches_without_weights_is_caught(
    tested: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dividing by the number of batches is wrong in the last step of an epoch, whose batches are unequal."""
    monkeypatch.setattr(Loop, "weighted", lambda self, loss, share: loss / (2 if share not in (1 / 3, 1) else 3))
    assert only(tested(batches={"size": 5}, accumulate=3)).outcome is Outcome.FAIL


def test_a_sum_over_rows_cannot_be_accumulated_so(tested: Callable) -> None:
    """Only of means over rows do batches weighted by their rows add up; the finding says that others do not."""
    found = only(tested(loss="sum((output - 2*x - 1)**2)", batches={"size": 5}, accumulate=3))
    assert found.outcome is Outcome.FAIL


@pytest.mark.parametrize("clip", [{"norm": 0.5}, {"value": 0.1}])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_clipping_follows_its_formula(tested: Callable, clip: dict[str, float], dtype: str) -> None:
    """The optimizer sees g·min(1, c/‖g‖), or every entry within its bound."""
    assert only(tested(clip=clip, dtype=dtype, batches={"size": 5})).outcome is Outcome.PASS


@pytest.mark.parametrize("clip", [{"norm": 0.5}, {"value": 0.1}])
def test_clipping_after_the_step_is_caught(
    tested: Callable, monkeypatch: pytest.MonkeyPatch, clip: dict[str, float]
) -> None:
    """What is clipped after a step is not what the optimizer sees."""
    monkeypatch.setattr(Loop, "clip_gradients", lambda self, parameters: None)
    assert only(tested(clip=clip)).outcome is Outcome.FAIL


def test_clipping_each_tensor_by_itself_is_caught(tested: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """The norm is that of the whole gradient, not of each parameter's."""

    def each(self: Loop, parameters: Any) -> None:
        for parameter in parameters:
            torch.nn.utils.clip_grad_norm_([parameter], self.clip.norm)

    monkeypatch.setattr(Loop, "clip_gradients", each)
    assert only(tested(clip={"norm": 0.5})).outcome is Outcome.FAIL


def test_a_bound_that_is_never_met_shows_nothing(tested: Callable) -> None:
    """Where no gradient is clipped, the check says that it saw nothing."""
    assert only(tested(clip={"norm": 1e6})).outcome is Outcome.VACUOUS


def test_bfloat16_autocast_is_within_its_rounding(tested: Callable) -> None:
    """A gradient in mixed precision is that of float64, as far as bfloat16 can tell; accumulated ones too."""
    entry = {"dtype": "float32", "autocast": "bfloat16", "batches": {"size": 11}}
    assert only(tested(**entry)).outcome is Outcome.PASS
    assert ended(loop_findings(tested(**entry, accumulate=2))) == [Outcome.PASS, Outcome.PASS]


def test_a_scaled_gradient_that_is_not_unscaled_is_caught(tested: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a GradScaler the optimizer sees the unscaled gradient; one left scaled is far from that of float64."""
    plain = problems.make_loop
    scaler = torch.amp.GradScaler("cpu")
    monkeypatch.setattr(problems, "make_loop", lambda *args, **more: replace(plain(*args, **more), scaler=scaler))
    entry = tested(dtype="float32", autocast="bfloat16")
    assert only(entry).outcome is Outcome.PASS
    monkeypatch.setattr(Loop, "finish", lambda self, parameters, loss: None)
    assert only(entry).outcome is Outcome.FAIL


def test_autocast_that_changes_nothing_is_told(tested: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no operation ran in the lower precision, nothing was shown."""
    monkeypatch.setattr(Loop, "_precision", lambda self: torch.autocast("cpu", enabled=False))
    assert only(tested(dtype="float32", autocast="bfloat16")).outcome is Outcome.VACUOUS


def test_a_scaler_scales_steps_and_unscales_before_clipping(tested: Callable) -> None:
    """With a GradScaler a step is the plain one, its scale being a power of two; gradients are clipped unscaled."""
    made = tested(dtype="float32", clip={"norm": 0.5}, optimizer="SGD", options={"lr": 0.5})
    ends = []
    for scaler in (None, torch.amp.GradScaler("cpu")):
        problem = made.problem()
        problem.loop.scaler = scaler
        stepper = equip(problem.loop, torch.optim.SGD(problem.parameters.values(), lr=0.5), made.entry, epoch=None)
        for _ in range(4):
            problem.advance()
            problem.evaluate()
            stepper.step()
        ends.append(problem.flat())
    assert torch.equal(*ends)


def test_float16_is_skipped_without_cuda(declared: Callable, tmp_path: Path) -> None:
    """On the CPU, mixed precision in float16 is skipped with its reason."""
    case = declared(dtype="float32", autocast="float16")
    (record,) = converge_case(case, 0, trust=Trust(folders=(tmp_path,)), seed=0)
    assert (record.outcome, "needs CUDA" in record.message) == (Outcome.SKIPPED, True)


@pytest.mark.parametrize(
    "schedule",
    [
        {"name": "StepLR", "options": {"step_size": 7, "gamma": 0.5}},
        {"name": "ExponentialLR", "options": {"gamma": 0.9}, "every": "epoch"},
        {"name": "OneCycleLR", "options": {"max_lr": 0.1, "total_steps": 31}},
        {"name": "MultiStepLR", "options": {"milestones": [3, 9]}},
        {"name": "ReduceLROnPlateau", "options": {"patience": 1, "factor": 0.5}},
    ],
)
def test_schedules_move_with_the_steps_and_resume(tested: Callable, schedule: dict[str, Any]) -> None:
    """Every step has the rate of the schedule moved on by itself, and a resumed training goes on with it."""
    found = loop_findings(tested(schedule=schedule, batches={"size": 5}, resume=True))
    assert ended(found) == [Outcome.PASS, Outcome.PASS]


def test_a_schedule_moved_too_often_is_caught(tested: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moving on after every batch where it should be every epoch is red."""
    schedule = {"name": "ExponentialLR", "options": {"gamma": 0.9}, "every": "epoch"}
    monkeypatch.setattr(Schedule, "after_step", Schedule.move)
    assert only(tested(schedule=schedule, batches={"size": 5})).outcome is Outcome.FAIL


def test_a_schedule_that_does_not_move_is_told(tested: Callable) -> None:
    """A rate that never changes shows nothing."""
    found = only(tested(schedule={"name": "StepLR", "options": {"step_size": 1000}}))
    assert found.outcome is Outcome.VACUOUS


@pytest.mark.parametrize(
    ("optimizer", "options"), [("Adam", {"lr": 0.05}), ("SGD", {"lr": 0.05, "momentum": 0.9}), ("LBFGS", {"lr": 0.5})]
)
def test_a_resumed_training_ends_where_the_whole_one_does(
    tested: Callable, optimizer: str, options: dict[str, float]
) -> None:
    """Parameters, every entry of the state, the schedule and the loader are equal bit by bit."""
    entry = {"optimizer": optimizer, "options": options, "batches": {"size": 5}, "resume": True}
    assert only(tested(**entry)).outcome is Outcome.PASS


@pytest.mark.parametrize("part", ["optimizer", "loader", "schedule", "parameters"])
def test_a_resume_that_forgets_a_part_is_caught(tested: Callable, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Without the optimizer's state, the loader's generator, the schedule or the parameters, the end is another."""

    def forgetful(made: Training, stored: bytes) -> None:
        state = torch.load(io.BytesIO(stored))
        made.load_state_dict({**state, part: made.state_dict()[part]})

    monkeypatch.setattr(loop_checks, "restore", forgetful)
    schedule = {"name": "ExponentialLR", "options": {"gamma": 0.9}}
    *_, found = loop_findings(tested(batches={"size": 5}, resume=True, schedule=schedule))
    assert found.outcome is Outcome.FAIL


def test_a_resume_that_begins_the_epoch_again_is_caught(tested: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator's state alone is not enough in the middle of an epoch: its first batches would come twice."""
    plain = training.Epochs.load_state_dict
    monkeypatch.setattr(training.Epochs, "load_state_dict", lambda self, state: plain(self, {**state, "taken": 0}))
    assert only(tested(batches={"size": 5}, resume=True)).outcome is Outcome.FAIL


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_module_moved_late_trains_alike(tested: Callable, dtype: str) -> None:
    """Adam follows a module's parameters to their dtype; to CUDA is skipped here with the reason."""
    there, cuda = loop_findings(tested(moved=True, dtype=dtype))
    assert there.outcome is Outcome.PASS
    assert (cuda.outcome, "on the CPU" in cuda.message) == (Outcome.SKIPPED, True)


def test_state_left_behind_is_caught(tested: Callable) -> None:
    """Adagrad makes its state at once; a module that is moved afterwards leaves it behind in the old dtype."""
    found = list(loop_findings(tested(moved=True, optimizer="Adagrad", options={"lr": 0.1})))
    assert ended(found) == [Outcome.FAIL]


def test_an_optimizer_that_holds_on_to_old_parameters_is_caught(
    tested: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where moving makes new parameters, an optimizer made before trains the old ones."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        found = list(loop_findings(tested(moved=True)))
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
    assert ended(found) == [Outcome.FAIL]


@pytest.mark.cuda
def test_trainings_hold_on_cuda(tested: Callable) -> None:
    """With a device, float16 with a GradScaler, moving to CUDA and resuming there all hold."""
    if not torch.cuda.is_available():
        pytest.skip("CUDA is not available")
    entry = {"dtype": "float32", "autocast": "float16", "clip": {"norm": 0.5}, "resume": True, "moved": True}
    found = list(loop_findings(replace(tested(**entry), device="cuda")))
    assert {one.outcome for one in found} == {Outcome.PASS}


def test_a_broken_loop_turns_its_record_red(
    declared: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descent that arrives is red all the same where its loop is wrong, and says by how much."""
    case = declared(batches={"size": 5}, accumulate=3, steps=200, loss_below=0.5)
    trust = Trust(folders=(tmp_path,))
    (good,) = converge_case(case, 0, trust=trust, seed=0)
    assert (good.outcome, len(good.findings)) == (Outcome.PASS, 1)
    assert "checked: accumulation ~ large batch" in good.message
    monkeypatch.setattr(Loop, "weighted", lambda self, loss, share: loss)
    (bad,) = converge_case(case, 0, trust=trust, seed=0)
    assert (bad.outcome, bad.status) == (Outcome.FAIL, "hit")
    assert "off by" in bad.message


def test_the_documented_training_passes(tmp_path: Path) -> None:
    """The case file printed in the documentation loads, and its training and every check of its loop pass."""
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    (tmp_path / "ring.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    (case,) = load_cases([tmp_path])
    (record,) = converge_case(case, 0, trust=Trust(), seed=0)
    assert (record.outcome, len(record.findings)) == (Outcome.PASS, 6)
    assert record.run.endswith("autograd, 2 batches a step, clipped to norm 0.1, StepLR")


def test_a_case_without_its_package_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where scikit-learn is missing, a training on its digits and its verification are skipped."""
    digits._digits.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    folder = ROOT / "cases" / "training"
    (case,) = (one for one in load_cases([folder / "loops.yaml"]) if one.id == "digit-classifier")
    trust = Trust(folders=(folder,))
    records = (*converge_case(case, 0, trust=trust, seed=0), verify_case(case, trust=trust, seed=0))
    assert all(one.outcome is Outcome.SKIPPED and "pip install scikit-learn" in one.message for one in records)


def test_a_schedule_that_does_not_exist_is_misuse(tested: Callable) -> None:
    """Unknown schedules, refused options, and optimizers that are none of PyTorch's are told as such."""
    for entry in (
        {"schedule": {"name": "StairsLR"}},
        {"schedule": {"name": "StepLR"}},
        {"schedule": {"name": "StepLR", "options": {"step_size": 2}}, "optimizer": "GD"},
    ):
        with pytest.raises(UsageError, match=r"Cannot (use|schedule)"):
            tested(**entry).training()


def test_a_module_that_is_none_cannot_move(tested: Callable) -> None:
    """A subject without a module has nothing to move."""
    made = tested(moved=True)
    with pytest.raises(UsageError, match="no module"):
        list(loop_findings(replace(made, subject=replace(made.subject, module=None))))


def test_findings_of_a_training_are_stored(declared: Callable, tmp_path: Path) -> None:
    """What was checked of a loop comes back from the journal as it was."""
    case = declared(batches={"size": 5}, clip={"norm": 0.1}, steps=5)
    (record,) = converge_case(case, 0, trust=Trust(folders=(tmp_path,)), seed=0)
    assert record.findings
    assert decode(encode(record)) == record


def test_a_training_is_swept_with_its_loop(declared: Callable, tmp_path: Path) -> None:
    """Learning rates of an entry with a loop are tried one by one, each with the loop, and the sweep says so."""
    case = declared(batches={"size": 11}, accumulate=2, steps=40, loss_below=0.5, optimizer="SGD", options={"lr": 0.1})
    grid = Grid(low=0.1, high=0.2, count=2)
    record = sweep_case(case, 0, trust=Trust(folders=(tmp_path,)), seed=0, grid=grid)
    assert "training loop" in record.apart
    assert [rate.status for rate in record.rates] == ["works", "works"]
