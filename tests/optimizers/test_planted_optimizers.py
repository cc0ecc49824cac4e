"""Wrong optimizers are caught, and correct ones written another way pass."""

from __future__ import annotations

import own
import own_kin
import planted
import planting
import pytest
import torch

from harness.optimizers.catalogue import optimizer_classes
from harness.optimizers.deviations import excused
from harness.optimizers.option_sets import sets_of
from harness.optimizers.rules import RULES
from harness.optimizers.under_test import UnderTest
from harness.optimizers.verify import optimizer_findings
from harness.records import Outcome

STEPS = 24


def findings_of(make, like):
    """The findings of an optimizer that claims to be one of PyTorch's."""
    tested = UnderTest(name=like, make=make, rule=RULES.get(like), sets=sets_of(like), steps=STEPS)
    return optimizer_findings(tested)


def unexcused(found, like):
    """What remains of a finding where deviations are known of PyTorch's own, which faulty ones are made from."""
    return None if excused(like, (found,), "2.99")[0].excused else found


def first_fault(make, like):
    """The first finding that is no pass, so that nothing more is computed than it takes."""
    bad = (one for one in findings_of(make, like) if one.outcome in (Outcome.FAIL, Outcome.ERROR))
    return next((one for one in bad if unexcused(one, like)), None)


def test_the_table_is_long_enough():
    """Every optimizer of PyTorch has faults of its own, more than a hundred in all, each once."""
    assert len({one.make for one in planted.TABLE}) == len(planted.TABLE) > 100
    assert {one.like for one in planted.TABLE} == set(optimizer_classes())


@pytest.mark.parametrize("one", planted.TABLE, ids=lambda one: one.make.__name__)
def test_a_planted_fault_is_caught(one):
    """A finding fails, and says something about numbers or behaviour."""
    found = first_fault(one.make, one.like)
    assert found is not None, one.what
    assert found.message


@pytest.mark.parametrize(
    ("make", "like"),
    [(own.OwnSGD, "SGD"), (own.OwnAdam, "Adam"), (own.OwnAdamW, "AdamW"), (own.OwnRMSprop, "RMSprop"),
     (own.OwnAdagrad, "Adagrad"), (own_kin.OwnNAdam, "NAdam"), (own_kin.OwnRAdam, "RAdam"), (own_kin.OwnASGD, "ASGD")],
    ids=lambda one: one if isinstance(one, str) else "",
)  # fmt: skip
def test_a_correct_optimizer_passes(make, like):
    """What is right, though written in another way, raises no alarm."""
    bad = [one for one in findings_of(make, like) if one.outcome not in (Outcome.PASS, Outcome.SKIPPED)]
    assert [(one.check, one.dtype, one.point, one.message) for one in bad] == []


@pytest.mark.parametrize("frame", [planting.Altered, planting.Spoiled])
def test_the_frames_of_faults_are_no_faults(frame):
    """PyTorch's own with nothing altered and nothing spoiled passes."""
    idle = {"altered": lambda self, group: {}, "spoil": lambda self, parameter, state: None, "__module__": __name__}
    make = type(frame.__name__, (frame, torch.optim.Adamax), idle)
    assert first_fault(make, "Adamax") is None
