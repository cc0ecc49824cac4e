"""What changed between two sweeps: which operators are worse than they were, which better, and which only other.

Records in, changes out; nothing is run and nothing is printed here.
"""

from __future__ import annotations

from collections.abc import Collection

from harness.case.operators import OPERATOR_TAG
from harness.errors import UsageError
from harness.records import Run, VerifyRecord
from harness.run.changes import Change, Direction, change


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

    What counts as worse is `harness.run.changes.change`'s word. Operators this sweep was not asked for are left out.

    Args:
        run: the new sweep.
        baseline: the earlier one.
        known: names of all operators there are, so that those gone can be told from those not asked for.
    """
    earlier = _sweep_records(baseline)
    now = _sweep_records(run)
    found = [change(job, earlier.get(job), record) for job, record in now.items()]
    gone = (
        Change(job=job, direction="other", before=record.outcome, after=None, message="The operator is gone.")
        for job, record in earlier.items()
        if job not in now and record.case not in known
    )
    order: list[Direction] = ["worse", "better", "other"]
    return tuple(sorted((*filter(None, found), *gone), key=lambda each: order.index(each.direction)))


def _sweep_records(run: Run) -> dict[str, VerifyRecord]:
    return {r.job: r for r in run.records if isinstance(r, VerifyRecord) and OPERATOR_TAG in r.tags[:1]}
