"""What a run comes to: jobs, cases, counts and detection limits, as frames; and all tables stacked into one.

Pure functions of a run. A failure that a case file declares does not count against its case; it is counted apart.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

import pandas as pd
import pyarrow as pa

from harness.records import CaseRecord, ConvergeRecord, Outcome, Run, VerifyRecord, worst
from harness.report import columns
from harness.report.outcomes import counted_outcome, split_job
from harness.report.rates import rates_frame
from harness.report.speedups import speedups_frame
from harness.report.tables import (
    build,
    converge_frame,
    curves_frame,
    findings_frame,
    scalings_frame,
    targets_frame,
    timings_frame,
    trajectory_frame,
)
from harness.report.text import count

NOT_RUN = "not run"


def jobs_frame(run: Run) -> pd.DataFrame:
    """Return one row per job, in planned order; a job without a record has no outcome."""
    records: dict[str, list[CaseRecord]] = {name: [] for name in run.header.planned}
    for record in run.records:
        records.setdefault(record.job, []).append(record)
    return build((_job_row(name, found) for name, found in records.items()), columns.JOBS)


def cases_frame(run: Run) -> pd.DataFrame:
    """Return one row per case, worst first; one none of whose jobs ran has no outcome and comes after the red ones."""
    grouped: dict[str, list[CaseRecord]] = {}
    for record in run.records:
        grouped.setdefault(record.case, []).append(record)
    missing = Counter(split_job(job)[1] for job in run.not_run)
    for case in missing:
        grouped.setdefault(case, [])
    rows = [_case_row(case, records, missing[case]) for case, records in grouped.items()]
    return build(sorted(rows, key=_rank), columns.CASES)


def counts_frame(run: Run) -> pd.DataFrame:
    """Return how many cases, jobs, findings and timings had each outcome; every outcome has its row, also at zero."""
    cases, findings = cases_frame(run), findings_frame(run)
    planned = jobs_frame(run)
    counters = {
        "cases": Counter(cases["outcome"].fillna(NOT_RUN)),
        "findings": Counter(findings["outcome"][findings["excused"].isna()]),
        "timings": Counter(timings_frame(run)["outcome"]),
        **{kind: _record_counts(run, planned, kind) for kind in ("verify", "converge", "benchmark")},
    }
    names = [*(outcome.value for outcome in Outcome), NOT_RUN]
    return build(
        ({"outcome": name, **{column: counter[name] for column, counter in counters.items()}} for name in names),
        columns.COUNTS,
    )


def detection_frame(run: Run) -> pd.DataFrame:
    """Return how many cases have a detection limit in each decade, with no gap from the smallest to the largest."""
    limits = [float(limit) for limit in cases_frame(run)["detection_limit"].dropna() if 0 < float(limit) < math.inf]
    # The limits are powers of ten up to rounding; the small shift keeps 1e-9 in its own decade.
    decades = Counter(math.ceil(math.log10(limit) - 1e-9) for limit in limits)
    span = range(min(decades), max(decades) + 1) if decades else range(0)
    return build(({"decade": decade, "cases": decades[decade]} for decade in span), columns.DETECTION)


def results_frame(run: Run) -> pd.DataFrame:
    """Return one long frame of all tables, told apart by `kind`; what `results.parquet` holds."""
    tables = {
        "case": cases_frame(run),
        "job": jobs_frame(run),
        "finding": findings_frame(run),
        "curve": curves_frame(run),
        "converge": converge_frame(run),
        "target": targets_frame(run),
        "trajectory": trajectory_frame(run),
        "rate": rates_frame(run),
        "timing": timings_frame(run),
        "scaling": scalings_frame(run),
        "speedup": speedups_frame(run),
    }
    tagged = [_tagged(run, kind, table) for kind, table in tables.items()]
    stacked = pa.concat_tables(tagged, promote_options="default").select(columns.RESULTS.names).cast(columns.RESULTS)
    frame: pd.DataFrame = stacked.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def environment_text(run: Run) -> str:
    """Return the run's environment as JSON text, which `results.parquet` carries in its metadata."""
    return json.dumps(asdict(run.header.environment), ensure_ascii=False)


def _tagged(run: Run, kind: str, table: pd.DataFrame) -> pa.Table:
    head = {"run_id": run.header.run, "started": run.header.started, "kind": kind}
    tagged = pa.Table.from_pandas(table, preserve_index=False)
    for name, text in head.items():
        tagged = tagged.append_column(name, pa.array([text] * len(table), pa.string()))
    return tagged.replace_schema_metadata(None)


def _job_row(job: str, records: list[CaseRecord]) -> dict[str, object]:
    kind, case = split_job(job)
    if not records:
        return {"job": job, "job_kind": kind, "case": case, "message": "The job was planned and never got a result."}
    decisive = max(records, key=lambda record: counted_outcome(record).severity)
    return {
        "job": job,
        "job_kind": decisive.kind,
        "case": decisive.case,
        "title": decisive.title,
        "path": decisive.path,
        "outcome": counted_outcome(decisive).value,
        "declared_reason": _declared_reason(records),
        "message": decisive.message,
        "duration_s": sum(record.duration_s for record in records),
        "traceback": decisive.traceback,
        "command": decisive.command,
    }


def _declared_reason(records: list[CaseRecord]) -> str | None:
    reasons = {record.excused for record in records if isinstance(record, ConvergeRecord) and record.excused}
    for record in records:
        if isinstance(record, VerifyRecord):
            reasons |= {finding.excused for finding in record.findings if finding.excused}
    return "; ".join(sorted(reasons)) or None


def _case_row(case: str, records: list[CaseRecord], missing: int) -> dict[str, object]:
    row: dict[str, object] = {
        "case": case,
        "jobs": len({record.job for record in records}) + missing,
        "jobs_not_run": missing,
        "findings": 0,
        "message": "None of the case's jobs ran.",
    }
    if not records:
        return row
    decisive = max(records, key=lambda record: (counted_outcome(record).severity, record.kind == "verify"))
    first = records[0]
    return row | {
        "title": first.title,
        "source": first.source,
        "path": first.path,
        "tags": ", ".join(first.tags),
        "outcome": worst(tuple(counted_outcome(record) for record in records)).value,
        **{kind: _outcome_of(records, kind) for kind in ("verify", "converge", "benchmark")},
        "message": decisive.message + _others(decisive, records),
        **_verify_numbers(records),
        "declared": _declared_count(records),
        "gradient_to_value_ratio": _first(records, "gradient_to_value_ratio"),
        "duration_s": sum(record.duration_s for record in records),
        "traceback": _first(sorted(records, key=lambda record: -counted_outcome(record).severity), "traceback"),
        "command": decisive.command,
    }


def _others(decisive: CaseRecord, records: list[CaseRecord]) -> str:
    """Say how many more of a case's jobs ended as badly as the one whose message is shown; nothing where it passed."""
    outcome = counted_outcome(decisive)
    jobs = {record.job for record in records if counted_outcome(record) is outcome} - {decisive.job}
    quiet = outcome in (Outcome.PASS, Outcome.SKIPPED) or not jobs
    return "" if quiet else f" — and {count(len(jobs), 'more job', 'more jobs')}: {outcome.value}"


def _outcome_of(records: list[CaseRecord], kind: str) -> str | None:
    outcomes = tuple(counted_outcome(record) for record in records if record.kind == kind)
    return worst(outcomes).value if outcomes else None


def _verify_numbers(records: list[CaseRecord]) -> dict[str, object]:
    findings = [f for record in records if isinstance(record, VerifyRecord) for f in record.findings]
    counts = Counter(finding.outcome for finding in findings if not finding.excused)
    digits = pd.Series([f.digits for f in findings if f.digits is not None and f.dtype == "float64"], dtype="float64")
    return {
        "findings": len(findings),
        "failed": counts[Outcome.FAIL] + counts[Outcome.ERROR],
        "undecided": counts[Outcome.INCONCLUSIVE] + counts[Outcome.VACUOUS],
        "skipped": counts[Outcome.SKIPPED],
        "digits": float(digits.median()) if len(digits) else None,
        "detection_limit": _first(records, "detection_limit"),
        "formula": _first(records, "formula"),
        "is_expression": bool(_first(records, "is_expression")),
    }


def _declared_count(records: list[CaseRecord]) -> int:
    declared = sum(1 for record in records if isinstance(record, ConvergeRecord) and record.excused)
    findings = [finding for record in records if isinstance(record, VerifyRecord) for finding in record.findings]
    return declared + sum(bool(finding.excused) for finding in findings)


def _first(records: list[CaseRecord], name: str) -> object:
    """Return the first value of a field that some of the records have."""
    return next((value for record in records if (value := getattr(record, name, None)) is not None), None)


def _rank(row: Mapping[str, object]) -> int:
    """Order cases worst first, with those that never ran after the red ones."""
    outcome = row.get("outcome")
    severity = Outcome(str(outcome)).severity if outcome else Outcome.TIMEOUT.severity - 0.5
    return -int(2 * severity)


def _record_counts(run: Run, jobs: pd.DataFrame, kind: str) -> Counter[str]:
    counts = Counter(counted_outcome(record).value for record in run.records if record.kind == kind)
    counts[NOT_RUN] = int((jobs["outcome"].isna() & (jobs["job_kind"] == kind)).sum())
    return counts
