"""From findings to a verdict: pure functions, no torch.

A case fails when any unexcused finding fails. Otherwise every question must be answered: findings that ask the same
question back each other up, and at least one of them must pass. A gradient that was zero at some points is vacuous
there, which is fine as long as the same input was seen to be non-zero elsewhere.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from datetime import date

from harness.case.schema import ExpectedModel
from harness.records import Finding, Outcome, worst
from harness.verify.certificate import ORACLE, certificate_text

_SERIOUS = (Outcome.FAIL, Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT)


def decide(findings: tuple[Finding, ...]) -> tuple[Outcome, str]:
    """Decide a case's outcome and say why in a sentence."""
    counted = [finding for finding in findings if finding.excused is None]
    if all(finding.outcome is Outcome.SKIPPED for finding in counted) and len(counted) < len(findings):
        return Outcome.PASS, "everything that failed was declared"
    if not counted:
        return Outcome.SKIPPED, "there was nothing to check"
    for outcome in _SERIOUS:
        bad = [finding for finding in counted if finding.outcome is outcome]
        if bad:
            return outcome, _headline(bad)
    answers = _answers(counted)
    open_questions = [question for question, outcome in answers.items() if outcome is Outcome.INCONCLUSIVE]
    if open_questions:
        first = next(f for f in counted if _question(f) == open_questions[0] and f.outcome is Outcome.INCONCLUSIVE)
        return Outcome.INCONCLUSIVE, f"{len(open_questions)} of {len(answers)} questions are open: {first.message}"
    blind = _never_seen(counted)
    if blind:
        return Outcome.VACUOUS, f"the gradient of {', '.join(blind)} is zero at every point tried"
    toothless = _cannot_fail(counted)
    if toothless is not None:
        return Outcome.VACUOUS, toothless.message
    if not any(outcome is Outcome.PASS for outcome in answers.values()):
        return worst(tuple(answers.values())), f"nothing could be checked: {counted[0].message}"
    digits = [f.digits for f in counted if f.digits is not None and f.independent and f.outcome is Outcome.PASS]
    least = f", at least {min(digits):.1f} digits" if digits else ""
    certified = any(f.oracle == ORACLE and f.outcome is Outcome.PASS for f in counted)
    share = f"{certificate_text(counted)}; " if certified and not _uncertified(counted) else ""
    return Outcome.PASS, f"{share}{sum(f.outcome is Outcome.PASS for f in counted)} checks passed{least}"


def case_detection_limit(findings: tuple[Finding, ...]) -> float | None:
    """Smallest relative fault that independent first-order float64 checks were seen to catch, for the worst input."""
    best: dict[str, float] = {}
    for finding in findings:
        if not finding.independent or finding.order != 1 or finding.dtype != "float64" or finding.input is None:
            continue
        if finding.route != "autograd":
            continue
        limit = finding.detection_limit
        if limit is not None:
            best[finding.input] = min(limit, best.get(finding.input, limit))
        else:
            best.setdefault(finding.input, float("inf"))
    reached = max(best.values(), default=float("inf"))
    return reached if reached < float("inf") else None


def excuse(findings: tuple[Finding, ...], expected: ExpectedModel | None, *, today: date) -> tuple[Finding, ...]:
    """Mark findings that a case declares as known failures; a declaration not met, or expired, is itself a failure."""
    if expected is None:
        return findings
    if expected.until is not None and today > expected.until:
        message = f"The declared failure expired on {expected.until.isoformat()}: {expected.reason}"
        return (*findings, Finding(check="declared failure", outcome=Outcome.FAIL, message=message))
    pattern = re.compile(expected.match)
    met = False
    marked = []
    for finding in findings:
        if finding.outcome.value == expected.outcome and pattern.search(finding.message):
            met = True
            finding = replace(finding, excused=expected.reason)
        marked.append(finding)
    if not met:
        message = (
            f"The case declares outcome {expected.outcome!r} with a message matching {expected.match!r}, and it did "
            f"not happen. Remove the declaration if the subject was mended."
        )
        marked.append(Finding(check="declared failure", outcome=Outcome.FAIL, message=message))
    return tuple(marked)


def _uncertified(findings: list[Finding]) -> bool:
    """Whether a gradient was judged at some point without a certificate there."""
    points = {(f.point, f.dims) for f in findings if f.route == "autograd" and f.order == 1 and f.dtype == "float64"}
    certified = {(f.point, f.dims) for f in findings if f.oracle == ORACLE and f.order == 1}
    return not points <= certified


def _question(finding: Finding) -> str:
    return f"{finding.question or finding.check} | {finding.dims} | {finding.dtype} | {finding.order}"


def _answers(findings: list[Finding]) -> dict[str, Outcome]:
    """Best answer to each question; a question no independent oracle answered with a pass stays open if one tried."""
    grouped: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.outcome is not Outcome.SKIPPED:
            grouped[_question(finding)].append(finding)
    answers = {}
    for question, group in grouped.items():
        deciding = [f for f in group if f.independent] or group
        answers[question] = min((f.outcome for f in deciding), key=lambda outcome: outcome.severity)
    return answers


def _never_seen(findings: list[Finding]) -> list[str]:
    """Inputs whose first-order float64 gradient was zero, or not judged, at every point."""
    seen: defaultdict[str, set[Outcome]] = defaultdict(set)
    for finding in findings:
        if finding.independent and finding.order == 1 and finding.input is not None and finding.route == "autograd":
            seen[finding.input].add(finding.outcome)
    return [name for name, outcomes in seen.items() if Outcome.PASS not in outcomes and Outcome.VACUOUS in outcomes]


def _cannot_fail(findings: list[Finding]) -> Finding | None:
    """A finding of an input and dtype whose declared policy could fail at no point tried; None if there is none."""
    judged = [f for f in findings if f.precision is not None and f.precision.policy is not None]
    able = {(f.input, f.dtype) for f in judged if f.outcome is not Outcome.VACUOUS}
    return next((f for f in judged if (f.input, f.dtype) not in able), None)


CAUSES = ("probe side effects", "probe reruns", "cotangent is left alone")
"""Checks whose failure explains many others: numbers that change under one's hands are wrong everywhere."""


def _headline(bad: list[Finding]) -> str:
    """The most telling of some bad findings: the largest error in units of its bar, and how many more there are."""

    def weight(finding: Finding) -> float:
        if finding.error is None or not finding.bar:
            return float("inf")
        return finding.error / finding.bar if finding.error == finding.error else float("inf")

    blame, count = "", len(bad)
    wrong_subject = [f for f in bad if f.independent and f.route == "autograd"]
    analytic = [f for f in bad if f.check == "analytic ~ finite differences"]
    causes = [f for f in bad if f.check in CAUSES]
    if causes:
        bad = causes
    elif analytic and not wrong_subject:
        blame = "The case's analytic gradient is wrong; autograd agrees with the independent oracles. "
        bad = analytic
    elif wrong_subject:
        bad = wrong_subject
    first = max(bad, key=lambda finding: (finding.check == "declared failure", finding.order == 1, weight(finding)))
    where = f" (at {first.point}{', ' + first.dims if first.dims else ''})" if first.point else ""
    more = f" — and {count - 1} more findings" if count > 1 else ""
    return f"{blame}{first.message}{where}{more}"
