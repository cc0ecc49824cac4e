"""From findings to a verdict."""

from __future__ import annotations

from datetime import date

import pytest

from harness.case.schema import ExpectedModel
from harness.records import Finding, Outcome
from harness.verify.verdict import case_detection_limit, decide, excuse


def finding(outcome: Outcome, **more: object) -> Finding:
    """A first-order autograd finding of input x by an independent oracle."""
    base = {"check": "c", "message": "m", "question": "q", "input": "x", "independent": True, "route": "autograd"}
    return Finding(outcome=outcome, **{**base, **more})  # type: ignore[arg-type]


def test_a_pass() -> None:
    """One answered question is a pass."""
    assert decide((finding(Outcome.PASS),))[0] is Outcome.PASS


@pytest.mark.parametrize("bad", [Outcome.FAIL, Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT])
def test_one_bad_finding_decides(bad: Outcome) -> None:
    """No number of passes makes up for a failure."""
    assert decide((*[finding(Outcome.PASS)] * 5, finding(bad, question="other")))[0] is bad


def test_a_failure_beats_an_error() -> None:
    """A wrong gradient is said before a subject that raised elsewhere."""
    assert decide((finding(Outcome.ERROR), finding(Outcome.FAIL)))[0] is Outcome.FAIL


def test_findings_with_one_question_back_each_other_up() -> None:
    """An inconclusive oracle does not matter where another answered the same question."""
    assert decide((finding(Outcome.INCONCLUSIVE), finding(Outcome.PASS)))[0] is Outcome.PASS


def test_an_open_question_is_inconclusive() -> None:
    """A question that nobody answered keeps the case open."""
    found = decide((finding(Outcome.PASS), finding(Outcome.INCONCLUSIVE, question="other")))
    assert found[0] is Outcome.INCONCLUSIVE


def test_only_independent_oracles_close_a_question() -> None:
    """A reference that may share the mistake does not answer what an independent oracle left open."""
    assert decide((finding(Outcome.INCONCLUSIVE), finding(Outcome.PASS, independent=False)))[0] is Outcome.INCONCLUSIVE


def test_a_gradient_never_seen_is_vacuous() -> None:
    """Zero at every point is vacuous."""
    assert decide((finding(Outcome.VACUOUS),))[0] is Outcome.VACUOUS


def test_a_gradient_seen_elsewhere_is_not() -> None:
    """Zero at one point is fine when it was seen at another."""
    found = decide((finding(Outcome.VACUOUS), finding(Outcome.PASS, question="elsewhere")))
    assert found[0] is Outcome.PASS


def test_nothing_is_skipped() -> None:
    """No findings are no pass."""
    assert decide(())[0] is Outcome.SKIPPED


def test_skips_alone_say_why() -> None:
    """A verdict of skips repeats the reason."""
    outcome, message = decide((finding(Outcome.SKIPPED, message="The value is not finite here."),))
    assert (outcome, "not finite" in message) == (Outcome.SKIPPED, True)


EXPECTED = ExpectedModel(outcome="fail", match="too large", reason="known", until=date(2030, 1, 1))
TODAY = date(2026, 1, 1)


def test_a_declared_failure_is_excused() -> None:
    """A failure that a case declares does not turn it red."""
    marked = excuse((finding(Outcome.FAIL, message="far too large"),), EXPECTED, today=TODAY)
    assert decide(marked)[0] is Outcome.PASS or marked[0].excused == "known"


def test_another_failure_is_not() -> None:
    """A failure with another message stays one."""
    assert decide(excuse((finding(Outcome.FAIL, message="NaN"),), EXPECTED, today=TODAY))[0] is Outcome.FAIL


def test_a_declared_failure_that_stopped_is_red() -> None:
    """A declaration that is not met fails."""
    assert decide(excuse((finding(Outcome.PASS),), EXPECTED, today=TODAY))[0] is Outcome.FAIL


def test_an_expired_declaration_is_red() -> None:
    """A declaration past its day fails."""
    found = excuse((finding(Outcome.FAIL, message="too large"),), EXPECTED, today=date(2031, 1, 1))
    assert decide(found)[0] is Outcome.FAIL


def test_the_detection_limit_is_that_of_the_worst_input() -> None:
    """Each input counts with its best check, the case with its worst input."""
    findings = (
        finding(Outcome.PASS, detection_limit=1e-12),
        finding(Outcome.PASS, detection_limit=1e-6),
        finding(Outcome.PASS, input="w", detection_limit=1e-3),
    )
    assert case_detection_limit(findings) == 1e-3


def test_dependent_checks_have_no_detection_limit() -> None:
    """A check that may share the mistake detects nothing by itself."""
    assert case_detection_limit((finding(Outcome.PASS, independent=False, detection_limit=1e-9),)) is None
