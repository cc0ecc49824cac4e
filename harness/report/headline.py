"""A run's result in one sentence, the same in the page and in the summary for CI."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from harness.records import Outcome
from harness.report import text
from harness.report.frames import NOT_RUN

RED = (Outcome.FAIL, Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT)
"""Outcomes of a case that went wrong."""
UNDECIDED = (Outcome.INCONCLUSIVE, Outcome.VACUOUS)
"""Outcomes of a case that ran and could not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A sentence, and the outcome whose colour it has."""

    outcome: Outcome
    text: str


def headline(counts: pd.DataFrame) -> Headline:
    """Say how a run went: the worst news first, and no "all passed" while something is missing.

    Args:
        counts: as `counts_frame` returns it.
    """
    tally = {str(outcome): int(cases) for outcome, cases in zip(counts["outcome"], counts["cases"], strict=True)}
    total, passed = sum(tally.values()), tally[Outcome.PASS]
    cases = text.count(total, "case")
    if red := sum(tally[outcome] for outcome in RED):
        return Headline(outcome=Outcome.FAIL, text=f"{red} of {cases} went wrong")
    if undecided := sum(tally[outcome] for outcome in UNDECIDED):
        return Headline(outcome=Outcome.INCONCLUSIVE, text=f"{undecided} of {cases} undecided")
    if not passed:
        return Headline(outcome=Outcome.SKIPPED, text="Nothing ran")
    if missing := _missing_jobs(counts):
        words = f"{passed} of {cases} passed, {text.count(missing, 'job')} not run"
        return Headline(outcome=Outcome.SKIPPED, text=words)
    if passed < total:
        return Headline(outcome=Outcome.PASS, text=f"{passed} of {cases} passed, {total - passed} skipped")
    return Headline(outcome=Outcome.PASS, text=f"All {cases} passed" if total > 1 else "The one case passed")


def _missing_jobs(counts: pd.DataFrame) -> int:
    row = counts[counts["outcome"] == NOT_RUN]
    return int(row[["verify", "converge", "benchmark"]].to_numpy().sum())
