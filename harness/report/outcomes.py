"""What a record counts as, and which case a planned job belongs to: the rules that all frames share."""

from __future__ import annotations

import re

from harness.records import CaseRecord, ConvergeRecord, Outcome

_JOB = re.compile(r"^(?P<kind>verify|converge|sweep|benchmark) (?P<case>.*?)(?:\[\d+\])?$", re.DOTALL)


def counted_outcome(record: CaseRecord) -> Outcome:
    """Return the outcome a record counts with: its own, or PASS where its failure was declared."""
    return Outcome.PASS if isinstance(record, ConvergeRecord) and record.excused else record.outcome


def split_job(job: str) -> tuple[str, str]:
    """Return the kind and the case of a planned job's name; a name of no known form is its own case."""
    match = _JOB.match(job)
    return (match["kind"], match["case"]) if match else ("", job)
