"""Wrong optimizers are caught, and correct ones written another way pass."""

from __future__ import annotations

import own
import planted
import pytest

from harness.optimizers.option_sets import sets_of
from harness.optimizers.rules import RULES
from harness.optimizers.under_test import UnderTest
from harness.optimizers.verify import optimizer_findings
from harness.records import Outcome

STEPS = 24


def findings_of(make, like):
    """The findings of an optimizer that claims to be one of PyTorch's."""
    tested = UnderTest(name=like, make=make, rule=RULES[like], sets=sets_of(like), steps=STEPS)
    return optimizer_findings(tested)


def first_fault(make, like):
    """The first finding that is no pass, so that nothing more is computed than it takes."""
    return next((one for one in findings_of(make, like) if one.outcome in (Outcome.FAIL, Outcome.ERROR)), None)


def test_the_table_is_long_enough():
    """At least forty faults of several optimizers are planted, each once."""
    assert len({one.make for one in planted.TABLE}) == len(planted.TABLE) >= 40
    assert {one.like for one in planted.TABLE} >= {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad"}


@pytest.mark.parametrize("one", planted.TABLE, ids=lambda one: one.make.__name__)
def test_a_planted_fault_is_caught(one):
    """A finding fails, and says something about numbers or behaviour."""
    found = first_fault(one.make, one.like)
    assert found is not None, one.what
    assert found.message


@pytest.mark.parametrize(
    ("make", "like"),
    [(own.OwnSGD, "SGD"), (own.OwnAdam, "Adam"), (own.OwnAdamW, "AdamW"), (own.OwnRMSprop, "RMSprop"),
     (own.OwnAdagrad, "Adagrad")],
    ids=lambda one: one if isinstance(one, str) else "",
)  # fmt: skip
def test_a_correct_optimizer_passes(make, like):
    """What is right, though written in another way, raises no alarm."""
    bad = [one for one in findings_of(make, like) if one.outcome not in (Outcome.PASS, Outcome.SKIPPED)]
    assert [(one.check, one.dtype, one.point, one.message) for one in bad] == []
