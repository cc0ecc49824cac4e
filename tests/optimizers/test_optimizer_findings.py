"""Comparisons: what passes, what fails, and what says nothing."""

from __future__ import annotations

import numpy as np

from harness.optimizers.findings import Entry, Labels, compared
from harness.records import Outcome

LABELS = Labels(seed=0, options="lr=0.1")


def _compared(actual, expected, bar, **fields):
    entry = Entry(name="w", actual=np.asarray(actual), expected=np.asarray(expected), bar=np.asarray(bar), **fields)
    return compared(LABELS, "check", [entry], oracle="the rule")


def test_within_the_bar_passes():
    """An error of exactly the bar is allowed."""
    assert _compared([1.5], [1.0], [0.5]).outcome is Outcome.PASS


def test_beyond_the_bar_fails_with_its_place():
    """The entry furthest out of its own bar is named, with both values and the step."""
    found = _compared([1.0, 2.0], [1.5, 2.1], [0.5, 0.01], step=3)
    assert found.outcome is Outcome.FAIL
    assert found.index == (1,)
    assert "w[1] after step 3 is 2, by the rule 2.1" in found.message


def test_nan_never_passes():
    """A number that is none agrees with no number, whatever the bar."""
    assert _compared([np.nan], [1.0], [0.5]).outcome is Outcome.FAIL
    assert _compared([1.0], [2.0], [np.nan]).outcome is Outcome.FAIL


def test_too_wide_a_bar_is_inconclusive():
    """A bar larger than the numbers themselves would let anything pass."""
    assert _compared([1.0], [1.0], [3.0]).outcome is Outcome.INCONCLUSIVE


def test_the_earliest_step_is_reported():
    """What goes wrong first explains what is wrong later."""
    entries = [
        Entry(name="w", actual=np.asarray([step * 1.0]), expected=np.zeros(1), bar=0.5, step=step) for step in (1, 2, 3)
    ]
    assert "after step 1" in compared(LABELS, "check", entries, oracle="the rule").message


def test_another_shape_fails():
    """Numbers in another shape are not compared by broadcasting."""
    assert _compared([1.0, 1.0], [1.0], 0.0).outcome is Outcome.FAIL
