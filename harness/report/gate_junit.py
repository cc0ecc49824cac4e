"""The gate's result as JUnit XML: a test case for each timed workload, and one for each case verified on both sides.

A confirmed slow-down and a verification that got worse are failures; what could not be told or was not timed is
skipped, with the reason.
"""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree as ET

from harness.bench.comparison import Decision
from harness.gate.counts import count_changes
from harness.gate.records import Compared, GateResult, VerificationChange
from harness.report import gate_words as words
from harness.report.junit import add_properties, clean, document, set_counts


def render_gate_junit(result: GateResult) -> str:
    """Return a gate's result as JUnit XML."""
    root = ET.Element("testsuites", {"name": "harness gate"})
    totals = Counter[str]()
    tests = 0
    for name, filled in (("verification", _verification), ("timing", _timing)):
        suite = ET.SubElement(root, "testsuite", {"name": name})
        named = {"command": result.command, "base": result.base.shown, "head": result.head.shown}
        add_properties(suite, {**named, "margin": words.margin(result)}, result.environment)
        counts = filled(suite, result)
        duration_s = sum(phase.duration_s for phase in result.phases if phase.name == name)
        number = len(suite.findall("testcase"))
        set_counts(suite, number, counts, duration_s)
        suite.set("timestamp", clean(result.started).removesuffix("+00:00"))
        totals += counts
        tests += number
    set_counts(root, tests, totals, words.duration_s(result))
    return document(root)


def _verification(suite: ET.Element, result: GateResult) -> Counter[str]:
    """Add a test case for each case verified on both sides, and for each that only one side has."""
    changed = {change.case: change for change in result.changes}
    counts = Counter[str]()
    for case in dict.fromkeys((*changed, *result.verified)):
        element = _case(suite, case, case)
        change = changed.get(case)
        if change is not None and change.direction == "worse":
            _add(element, "failure", "worse", _verdict(change))
            counts["failure"] += 1
        elif change is not None:
            ET.SubElement(element, "system-out").text = clean(_verdict(change))
    return counts


def _timing(suite: ET.Element, result: GateResult) -> Counter[str]:
    """Add a test case for each workload, and for each case that was not timed."""
    counts = Counter[str]()
    for row in words.ordered(result):
        element = _case(suite, row.workload.case, row.workload.label, row.workload.path)
        kind = _kind(row, fail_on_counts=result.counts == "fail")
        counts[kind] += 1
        if kind:
            _add(element, kind, row.decision.value, row.message, _evidence(row))
        else:
            ET.SubElement(element, "system-out").text = clean(_evidence(row))
    for case in result.untimed:
        _add(_case(suite, case.case, case.case), "skipped", "not timed", f"Not timed: {case.reason}")
        counts["skipped"] += 1
    return counts


def _kind(row: Compared, *, fail_on_counts: bool) -> str:
    """Return the element that holds a row's result, "" where it passed."""
    if row.decision is Decision.SLOWER or (fail_on_counts and any(change.risen for change in count_changes(row))):
        return "failure"
    return "skipped" if row.decision is Decision.INCONCLUSIVE else ""


def _evidence(row: Compared) -> str:
    judged = row.judgement
    figures = f"interval {words.interval(judged)}, detectable {words.detectable(judged)}, p {words.probability(judged)}"
    lines = [
        f"{row.decision}: {words.slowdown(judged)}, {figures}. {row.message}",
        *(f"{count.name}: {count.base:,} → {count.head:,} {count.detail}".strip() for count in count_changes(row)),
    ]
    return "\n".join(lines)


def _verdict(change: VerificationChange) -> str:
    return f"{change.direction}: {change.before} → {change.after}. {change.message}"


def _case(suite: ET.Element, case: str, name: str, path: str = "") -> ET.Element:
    attributes = {"classname": clean(f"{suite.get('name')}.{case}"), "name": clean(name), "time": "0.000"}
    if path:
        attributes["file"] = clean(path)
    return ET.SubElement(suite, "testcase", attributes)


def _add(element: ET.Element, kind: str, type_: str, message: str, more: str = "") -> None:
    result = ET.SubElement(element, kind, {"message": clean(message), "type": type_})
    result.text = clean(more) or None
