"""What changed between two sweeps: which operators are worse than they were, which better, and which only other.

Records in, changes out; nothing is run and nothing is printed here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from harness.case.operators import OPERATOR_TAG
from harness.errors import UsageError
from harness.records import Finding, Outcome, Run, VerifyRecord

Direction = Literal["worse", "better", "other"]

LOST_DIGITS = 1.0
"""A failure counts as worse than before when it lost more than this many digits."""
RED = frozenset({Outcome.FAIL, Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT})
CERTIFYING = "ball arithmetic"
"""The oracle whose estimates are enclosures: what it passes is certified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How one operator's verdict differs from the baseline's; an outcome is None where there was or is no record."""

    job: str
    direction: Direction
    before: Outcome | None
    after: Outcome | None
    message: str


def check_comparable(baseline: Run, *, tags: Collection[str], seed: int) -> None:
    """Refuse a baseline that a sweep cannot be compared with, before it runs.

    Args:
        baseline: the earlier sweep.
        tags: tags of every operator's record in the new sweep: its dtype and number of samples.
        seed: the new sweep's seed.

    Raises:
        UsageError: the baseline is no sweep, or was made with another seed, dtype or number of samples.
    """
    earlier = _sweep_records(baseline).values()
    if not earlier:
        raise UsageError(
            f"Cannot compare: baseline={baseline.header.run!r} holds no operators. Name the results.jsonl of a sweep."
        )
    theirs = sorted({tag for record in earlier for tag in record.tags})
    if (theirs, baseline.header.seed) != (sorted(tags), seed):
        raise UsageError(
            f"Cannot compare: the baseline was made with seed {baseline.header.seed}, {', '.join(theirs)}, and this "
            f"sweep is with seed {seed}, {', '.join(sorted(tags))}. Sweep with the same settings."
        )


def changes(run: Run, baseline: Run, *, known: Collection[str]) -> tuple[Change, ...]:
    """Compare a sweep with an earlier one, worse changes first.

    Worse is a more severe outcome, a comparison that fails and did not before, a failure that lost more than a digit,
    and an operator that is new and red. An operator that was skipped before is worse only when it is red now.
    Operators this sweep was not asked for are left out.

    Args:
        run: the new sweep.
        baseline: the earlier one.
        known: names of all operators there are, so that those gone can be told from those not asked for.
    """
    earlier = _sweep_records(baseline)
    now = _sweep_records(run)
    found = [_change(job, earlier.get(job), record) for job, record in now.items()]
    gone = (
        Change(job=job, direction="other", before=record.outcome, after=None, message="The operator is gone.")
        for job, record in earlier.items()
        if job not in now and record.case not in known
    )
    order: list[Direction] = ["worse", "better", "other"]
    return tuple(sorted((*filter(None, found), *gone), key=lambda change: order.index(change.direction)))


def _sweep_records(run: Run) -> dict[str, VerifyRecord]:
    return {r.job: r for r in run.records if isinstance(r, VerifyRecord) and OPERATOR_TAG in r.tags[:1]}


def _change(job: str, before: VerifyRecord | None, after: VerifyRecord) -> Change | None:
    """Say how one operator changed, None where it did not."""
    if before is None:
        direction: Direction = "worse" if after.outcome in RED else "other"
        return _as_change(job, direction, before, after, f"The operator is new. {after.message}")
    if before.outcome is not after.outcome:
        return _as_change(job, _direction(before.outcome, after.outcome), before, after, after.message)
    worse = next(_newly_wrong(before, after), None)
    if worse is not None:
        return _as_change(job, "worse", before, after, worse)
    was, is_now = _certified(before), _certified(after)
    if was is not is_now:
        message = "It is certified now." if is_now else "It passes, but is no longer certified."
        return _as_change(job, "better" if is_now else "other", before, after, message)
    return None


def _direction(before: Outcome, after: Outcome) -> Direction:
    if before is Outcome.SKIPPED:
        return "worse" if after in RED else "other"
    return "worse" if after.severity > before.severity else "better"


def _newly_wrong(before: VerifyRecord, after: VerifyRecord) -> Iterator[str]:
    """Say which comparisons fail that did not, or fail by more than a digit more than they did."""
    earlier = {_key(finding): finding for finding in before.findings if finding.outcome is Outcome.FAIL}
    for finding in after.findings:
        if finding.outcome is not Outcome.FAIL:
            continue
        known = earlier.get(_key(finding))
        if known is None:
            yield f"Another comparison fails: {finding.message}"
        elif known.digits is not None and finding.digits is not None and finding.digits < known.digits - LOST_DIGITS:
            yield f"It was right to {known.digits:.1f} digits and is to {finding.digits:.1f}: {finding.message}"


def _key(finding: Finding) -> tuple[object, ...]:
    return (finding.check, finding.input, finding.point, finding.dtype, finding.order)


def _certified(record: VerifyRecord) -> bool:
    return any(finding.oracle == CERTIFYING and finding.outcome is Outcome.PASS for finding in record.findings)


def _as_change(
    job: str, direction: Direction, before: VerifyRecord | None, after: VerifyRecord, message: str
) -> Change:
    return Change(
        job=job,
        direction=direction,
        before=None if before is None else before.outcome,
        after=after.outcome,
        message=message,
    )
