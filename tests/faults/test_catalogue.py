"""Bugs that really shipped, each beside its correct twin: the twin passes, and the bug is noticed or declared blind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from emulations.registry import EMULATIONS
from emulations.state import ScaleAtomics

import harness
from harness.records import Outcome
from harness.verify.api import Verdict

if TYPE_CHECKING:
    from emulations.emulation import Emulation

BLIND_TODAY = frozenset({"normalised-targets-only"})
"""Bugs that no check notices, or that are noticed by luck alone. What is noticed must leave this table."""


def judged(entry: Emulation, which: str, probes: tuple[str, ...] | None = None) -> Verdict:
    """The verdict on the wrong or the right twin, from the inputs an ordinary user would give."""
    return harness.check(
        getattr(entry, which),
        entry.inputs,
        dims=entry.dims,
        reference=entry.reference,
        name=entry.slug,
        effort=entry.effort,
        probes=probes,
    )


@pytest.mark.parametrize("slug", EMULATIONS)
def test_the_correct_twin_passes(slug: str) -> None:
    """No false alarm on the correct implementation, nor in the probes that are asked for by name."""
    entry = EMULATIONS[slug]
    verdict = judged(entry, "right")
    assert verdict.outcome is Outcome.PASS, verdict.message
    if entry.probes is not None:
        named = judged(entry, "right", entry.probes)
        assert named.outcome is Outcome.PASS, named.message


@pytest.mark.parametrize("slug", EMULATIONS)
def test_the_bug_is_noticed(slug: str) -> None:
    """The bug fails, in a check that is meant to see it, exactly where the table does not declare it blind."""
    entry = EMULATIONS[slug]
    verdict = judged(entry, "wrong", entry.probes)
    failing = sorted({finding.check for finding in verdict.findings if finding.outcome is Outcome.FAIL})
    noticed = verdict.outcome is Outcome.FAIL and any(name in check for name in entry.sees for check in failing)
    if slug in BLIND_TODAY:
        assert not noticed, f"{slug} is noticed now by {failing}: take it out of BLIND_TODAY"
    else:
        assert noticed, f"{verdict.outcome.value}: {verdict.message} (failing: {failing}, meant to: {entry.sees})"


def test_atomic_additions_are_no_bug() -> None:
    """A sum whose order changes unless deterministic algorithms are asked for passes."""
    entry = replace(EMULATIONS["order-of-sum"], right=ScaleAtomics.apply)
    verdict = judged(entry, "right")
    assert verdict.outcome is Outcome.PASS, verdict.message


def test_the_table_names_emulations() -> None:
    """No slug in the table is stale."""
    assert set(EMULATIONS) >= BLIND_TODAY


def test_every_bug_is_in_the_catalogue_once() -> None:
    """Forty bugs, one of them in two forms, each with its own slug."""
    assert len(EMULATIONS) == 41
