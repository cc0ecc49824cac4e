"""Results as JUnit XML, the one format every CI system reads: a test case for each planned job.

A wrong gradient is a failure; an exception, a crash or a time limit is an error; what did not run or could not tell is
skipped, with the reason, so that it is counted and seen. The format has no outcome for a declared failure: such a job
passes, and its output says what was declared.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pandas as pd

from harness.records import Environment, Outcome, Run
from harness.report import text
from harness.report.frames import NOT_RUN, findings_frame, jobs_frame
from harness.report.headline import RED
from harness.report.tables import rows

MOST_FINDINGS = 20
"""Findings written out for one job; the rest are counted."""
ELEMENTS = {
    Outcome.FAIL: "failure",
    Outcome.ERROR: "error",
    Outcome.CRASHED: "error",
    Outcome.TIMEOUT: "error",
    Outcome.INCONCLUSIVE: "skipped",
    Outcome.VACUOUS: "skipped",
    Outcome.SKIPPED: "skipped",
    NOT_RUN: "skipped",
}
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(run: Run) -> str:
    """Return the results of a run as JUnit XML."""
    jobs, findings = jobs_frame(run), findings_frame(run)
    evidence = dict(iter(findings.groupby("job", sort=False)))
    root = ET.Element("testsuites", {"name": "harness"})
    totals = Counter[str]()
    duration_s = 0.0
    for kind, members in jobs.groupby("job_kind", sort=False):
        suite = ET.SubElement(root, "testsuite", {"name": str(kind) or "other"})
        named = {"run": run.header.run, "command": run.header.command, "seed": str(run.header.seed)}
        add_properties(suite, named, run.header.environment)
        counts = Counter(_add_job(suite, job, evidence.get(job.job)) for job in rows(members))
        suite_s = float(members["duration_s"].fillna(0.0).sum())
        set_counts(suite, len(members), counts, suite_s)
        suite.set("timestamp", clean(run.header.started).removesuffix("+00:00"))
        totals += counts
        duration_s += suite_s
    set_counts(root, len(jobs), totals, duration_s)
    return document(root)


def document(root: ET.Element) -> str:
    """Return an element and all in it as an XML document."""
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def clean(words: str) -> str:
    """Return text without the characters XML 1.0 cannot hold."""
    return _ILLEGAL.sub("", words)


def _add_job(suite: ET.Element, job: SimpleNamespace, findings: pd.DataFrame | None) -> str:
    """Add a job's test case and return the name of the element that holds its result, "" where it passed."""
    attributes = {
        "classname": clean(f"{suite.get('name')}.{job.case}"),
        "name": clean(job.job),
        "time": seconds(job.duration_s),
    }
    if job.path:
        attributes["file"] = clean(job.path)
    case = ET.SubElement(suite, "testcase", attributes)
    outcome = job.outcome or NOT_RUN
    element = ELEMENTS.get(outcome, "")
    if element:
        message = job.message or outcome
        described = message if outcome in (Outcome.FAIL, Outcome.ERROR) else f"{outcome}: {message}"
        result = ET.SubElement(case, element, {"message": clean(described), "type": outcome})
        result.text = clean(_evidence(job, findings)) or None
    if job.declared_reason:
        ET.SubElement(case, "system-out").text = clean(f"Declared in the case file: {job.declared_reason}")
    return element


def _evidence(job: SimpleNamespace, findings: pd.DataFrame | None) -> str:
    """Return what is behind a result: the findings that are not green, how to repeat the job, its traceback."""
    lines = []
    if findings is not None:
        found = [row for row in rows(findings) if row.outcome != Outcome.PASS and not row.excused]
        found.sort(key=lambda row: -Outcome(row.outcome).severity)
        lines = [_finding(row) for row in found[:MOST_FINDINGS]]
        if len(found) > MOST_FINDINGS:
            lines.append(f"… and {len(found) - MOST_FINDINGS} more.")
    if job.command:
        lines.append(f"Repeat: {job.command}")
    if job.traceback:
        lines.append(job.traceback)
    return "\n".join(lines)


def _finding(row: SimpleNamespace) -> str:
    actual, expected = text.pair(row.actual, row.expected)
    numbers = f" (actual {actual}, expected {expected}, bar {text.number(row.bar, 3)})" if row.outcome in RED else ""
    return f"{row.outcome}: {row.check} at {text.entry(row.input, row.index)}: {row.message}{numbers}"


def add_properties(suite: ET.Element, named: Mapping[str, str], env: Environment) -> None:
    """Add what a suite's results were found with: what is given, and the environment."""
    where = {
        "harness": env.harness,
        "python": env.python,
        "torch": env.torch,
        "cuda": env.cuda or env.cuda_missing or "none",
    }
    named = {**named, **where}
    properties = ET.SubElement(suite, "properties")
    for name, value in named.items():
        ET.SubElement(properties, "property", {"name": name, "value": clean(value)})


def set_counts(element: ET.Element, tests: int, counts: Counter[str], duration_s: float) -> None:
    """Set how many tests there are and how many ended as which element, and how long they took."""
    element.set("tests", str(tests))
    element.set("failures", str(counts["failure"]))
    element.set("errors", str(counts["error"]))
    element.set("skipped", str(counts["skipped"]))
    element.set("time", seconds(duration_s))


def seconds(value: float | None) -> str:
    """Return a duration as JUnit writes it, in seconds; 0 where it is not known."""
    return f"{value:.3f}" if value is not None and math.isfinite(value) else "0.000"
