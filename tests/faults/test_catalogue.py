"""Bugs that really shipped, each beside its correct twin: the twin passes, and the bug is noticed or declared blind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from emulations.registry import EMULATIONS
from emulations.state import ChannelScaleAtomics

import harness
from harness.records import Outcome
from harness.verify.api import Verdict

if TYPE_CHECKING:
    from emulations.emulation import Emulation

BLIND_TODAY = frozenset(
    {
        "accumulation-in-storage",
        "axis-aligned",
        "border-flipped",
        "cotangent-strides",
        "dead-branch",
        "empty-crashes",
        "frozen-first-input",
        "input-overwritten",
        "input-strides",
        "last-tile-of-two",
        "last-tile-only",
        "lost-by-compile",
        "mean-over-batch",
        "never-written",
        "none-when-strided",
        "norm-at-zero",
        "normalised-targets-only",
        "offset-32-bit",
        "order-of-sum",
        "quotient-at-zero",
        "race",
        "rounded-before-subtracting",
        "same-tensor-twice",
        "saturated-branch",
        "tail-dropped",
        "tie-two-way",
        "zero-times-infinity",
    }
)
"""Bugs that no check notices, or that are noticed by luck alone. What is noticed must leave this table."""

UNDECIDED_TODAY = frozenset({"accumulation-in-storage"})
"""Bugs whose correct twin is inconclusive: the bars are too wide to have seen anything."""


def judged(entry: Emulation, which: str) -> Verdict:
    """The verdict on the wrong or the right twin, from the inputs an ordinary user would give."""
    return harness.check(
        getattr(entry, which),
        entry.inputs,
        dims=entry.dims,
        reference=entry.reference,
        name=entry.slug,
        effort=entry.effort,
    )


@pytest.mark.parametrize("slug", EMULATIONS)
def test_the_correct_twin_passes(slug: str) -> None:
    """No false alarm on the correct implementation, and an answer but where the table declares none."""
    verdict = judged(EMULATIONS[slug], "right")
    expected = Outcome.INCONCLUSIVE if slug in UNDECIDED_TODAY else Outcome.PASS
    assert verdict.outcome is expected, verdict.message


@pytest.mark.parametrize("slug", EMULATIONS)
def test_the_bug_is_noticed(slug: str) -> None:
    """The bug fails, in a check that is meant to see it, exactly where the table does not declare it blind."""
    entry = EMULATIONS[slug]
    verdict = judged(entry, "wrong")
    failing = sorted({finding.check for finding in verdict.findings if finding.outcome is Outcome.FAIL})
    noticed = verdict.outcome is Outcome.FAIL and any(name in check for name in entry.sees for check in failing)
    if slug in BLIND_TODAY:
        assert not noticed, f"{slug} is noticed now by {failing}: take it out of BLIND_TODAY"
    else:
        assert noticed, f"{verdict.outcome.value}: {verdict.message} (failing: {failing}, meant to: {entry.sees})"


def test_atomic_additions_are_no_bug() -> None:
    """A sum whose order changes unless deterministic algorithms are asked for passes."""
    entry = replace(EMULATIONS["order-of-sum"], right=ChannelScaleAtomics.apply)
    verdict = judged(entry, "right")
    assert verdict.outcome is Outcome.PASS, verdict.message


def test_the_table_names_emulations() -> None:
    """No slug in the tables is stale."""
    assert set(EMULATIONS) >= BLIND_TODAY | UNDECIDED_TODAY


def test_every_bug_is_in_the_catalogue_once() -> None:
    """Forty bugs, one of them in two forms, each with its own slug."""
    assert len(EMULATIONS) == 41
