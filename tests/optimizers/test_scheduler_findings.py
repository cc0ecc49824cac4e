"""Every scheduler is found and passes; wrong ones are caught."""

from __future__ import annotations

import pytest
from torch.optim import lr_scheduler

from harness.optimizers.findings import Labels
from harness.optimizers.schedulers import scheduler_classes, scheduler_findings
from harness.records import Outcome

LABELS = Labels(seed=0)


def _bad(name, make=None):
    return [
        one for one in scheduler_findings(name, LABELS, make=make) if one.outcome not in (Outcome.PASS, Outcome.SKIPPED)
    ]


@pytest.mark.parametrize("name", scheduler_classes())
def test_a_scheduler_of_torch_follows_its_closed_form(name):
    """PyTorch's own raise no alarm."""
    assert [(one.check, one.message) for one in _bad(name)] == []


def test_a_scheduler_without_a_formula_is_inconclusive():
    """A new scheduler appears by itself, undecided."""
    assert [one.outcome for one in _bad("NewLR", lr_scheduler.StepLR)] == [Outcome.INCONCLUSIVE]


class LateStep(lr_scheduler.StepLR):
    """Steps one epoch late."""

    def get_lr(self):
        last, self.last_epoch = self.last_epoch, self.last_epoch - 1
        try:
            return super().get_lr()
        finally:
            self.last_epoch = last


class HalfCosine(lr_scheduler.CosineAnnealingLR):
    """Has half the period."""

    def __init__(self, optimizer, T_max, eta_min=0.0):  # noqa: N803
        super().__init__(optimizer, T_max / 2, eta_min)


class OneGroup(lr_scheduler.ExponentialLR):
    """Changes the first group alone."""

    def get_lr(self):
        rates = super().get_lr()
        return [rates[0], *(group["lr"] for group in self.optimizer.param_groups[1:])]


class Forgetful(lr_scheduler.LinearLR):
    """Loses its place when its state is loaded."""

    def load_state_dict(self, state_dict):
        super().load_state_dict({**state_dict, "last_epoch": 0})


class EarlyWarmup(lr_scheduler.ConstantLR):
    """Ends one step early."""

    def __init__(self, optimizer, factor=1 / 3, total_iters=5):
        super().__init__(optimizer, factor, total_iters - 1)


@pytest.mark.parametrize(
    ("like", "make"),
    [("StepLR", LateStep), ("CosineAnnealingLR", HalfCosine), ("ExponentialLR", OneGroup), ("LinearLR", Forgetful),
     ("ConstantLR", EarlyWarmup)],
)  # fmt: skip
def test_a_wrong_scheduler_is_caught(like, make):
    """Each fault fails some finding."""
    assert any(one.outcome is Outcome.FAIL for one in _bad(like, make))


def test_a_wrong_scheduler_without_a_formula_is_caught():
    """Storing and resuming needs no closed form; what cannot be made without arguments says so."""
    assert [one.outcome for one in _bad("NewLR", lr_scheduler.LinearLR)] == [Outcome.INCONCLUSIVE]
    assert any(one.outcome is Outcome.FAIL for one in _bad("NewLR", Forgetful))
    (skipped,) = (one for one in scheduler_findings("NewLR", LABELS, make=LateStep) if one.outcome is Outcome.SKIPPED)
    assert "wants arguments" in skipped.message
