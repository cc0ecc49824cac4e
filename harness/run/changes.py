"""How a case's verdict differs between two verifications of it, one before and one after: worse, better, or only other.

Records in, changes out; nothing is run and nothing is printed here. What is compared must have been drawn from one
seed: then findings of one name are about the same numbers, and a fault that was caught before and is not now is no
accident of the draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.records import Finding, Outcome, VerifyRecord

Direction = Literal["worse", "better", "other"]

LOST_DIGITS = 1.0
"""A failure counts as worse than before when it lost more than this many digits."""
RED = frozenset({Outcome.FAIL, Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT})
CERTIFYING = "ball arithmetic"
"""The oracle whose estimates are enclosures: what it passes is certified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How one job's verdict differs from an earlier one; an outcome is None where there was or is no record."""

    job: str
    direction: Direction
    before: Outcome | None
    after: Outcome | None
    message: str


def change(job: str, before: VerifyRecord | None, after: VerifyRecord, *, noun: str = "operator") -> Change | None:
    """Say how one verdict changed, None where it did not.

    Worse is a more severe outcome, a comparison that fails and did not before, a failure that lost more than a digit,
    and what is new and red. What was skipped before is worse only when it is red now.

    Args:
        job: the job's name.
        before: the earlier record; None where there is none.
        after: the record now.
        noun: what is verified, for the message.
    """
    if before is None:
        direction: Direction = "worse" if after.outcome in RED else "other"
        return as_change(job, direction, before, after, f"The {noun} is new. {after.message}")
    if before.outcome is not after.outcome:
        return as_change(job, _direction(before.outcome, after.outcome), before, after, after.message)
    worse = next(_newly_wrong(before, after), None)
    if worse is not None:
        return as_change(job, "worse", before, after, worse)
    was, is_now = _certified(before), _certified(after)
    if was is not is_now:
        message = "It is certified now." if is_now else "It passes, but is no longer certified."
        return as_change(job, "better" if is_now else "other", before, after, message)
    return None


def as_change(
    job: str, direction: Direction, before: VerifyRecord | None, after: VerifyRecord | None, message: str
) -> Change:
    """Return a change of one job, with the outcomes of its records."""
    return Change(
        job=job,
        direction=direction,
        before=None if before is None else before.outcome,
        after=None if after is None else after.outcome,
        message=message,
    )


def comparison_key(finding: Finding) -> tuple[object, ...]:
    """Return what tells one comparison of a case from another: findings of equal keys are the same comparison."""
    return (finding.check, finding.input, finding.point, finding.dtype, finding.order)


def _direction(before: Outcome, after: Outcome) -> Direction:
    if before is Outcome.SKIPPED:
        return "worse" if after in RED else "other"
    return "worse" if after.severity > before.severity else "better"


def _newly_wrong(before: VerifyRecord, after: VerifyRecord) -> Iterator[str]:
    """Say which comparisons fail that did not, or fail by more than a digit more than they did."""
    earlier = {comparison_key(finding): finding for finding in before.findings if finding.outcome is Outcome.FAIL}
    for finding in after.findings:
        if finding.outcome is not Outcome.FAIL:
            continue
        known = earlier.get(comparison_key(finding))
        if known is None:
            yield f"Another comparison fails: {finding.message}"
        elif known.digits is not None and finding.digits is not None and finding.digits < known.digits - LOST_DIGITS:
            yield f"It was right to {known.digits:.1f} digits and is to {finding.digits:.1f}: {finding.message}"


def _certified(record: VerifyRecord) -> bool:
    return any(finding.oracle == CERTIFYING and finding.outcome is Outcome.PASS for finding in record.findings)
