"""Results as JUnit XML."""

from xml.etree import ElementTree as ET

import pytest

from harness.records import Outcome
from harness.report.frames import jobs_frame
from harness.report.junit import MOST_FINDINGS, clean, render_junit


@pytest.fixture
def full(factory):
    """The XML of a run with every outcome, read back."""
    return ET.fromstring(render_junit(factory.full_run()))


def result_of(root, name):
    """The elements of one test case."""
    (case,) = (case for case in root.iter("testcase") if case.get("name") == name)
    return list(case)


def test_results_of_a_full_run_are_as_agreed(factory, golden):
    """The golden file is what CI systems read; a change of it must be meant."""
    text = render_junit(factory.full_run())
    assert text == golden("junit.xml", text)


def test_every_planned_job_is_a_test_case(full, factory):
    """Also those that never ran."""
    assert len(list(full.iter("testcase"))) == len(jobs_frame(factory.full_run()))


@pytest.mark.parametrize(
    ("job", "tag", "kind"),
    [
        ("verify linear-regression-rss", "failure", "fail"),
        ("verify broken-import", "error", "error"),
        ("verify segfault", "error", "crashed"),
        ("verify endless-loop", "error", "timeout"),
        ("verify noisy-oracle", "skipped", "inconclusive"),
        ("verify saturated-sigmoid", "skipped", "vacuous"),
        ("verify triton-kernel", "skipped", "skipped"),
        ("verify never-started", "skipped", "not run"),
    ],
)
def test_each_outcome_has_its_element_and_a_message(job, tag, kind, full):
    """CI systems tell failures, errors and skips apart; the exact outcome is the element's type."""
    (element,) = result_of(full, job)
    assert (element.tag, element.get("type")) == (tag, kind)
    assert element.get("message")


def test_a_passing_job_has_no_result_element(full):
    """Nothing is what JUnit says of a pass."""
    assert result_of(full, "verify parabola") == []


def test_a_declared_failure_passes_and_is_said(full):
    """The format has no word for it, so the output has."""
    (element,) = result_of(full, "verify product-with-cosine")
    assert element.tag == "system-out"
    assert "drops the factor 2" in element.text


@pytest.mark.parametrize("tag", ["failure", "error", "skipped"])
def test_counts_are_those_of_the_elements(tag, full):
    """CI systems trust the attributes."""
    attribute = tag if tag == "skipped" else f"{tag}s"
    counted = len(list(full.iter(tag)))
    assert int(full.get(attribute)) == counted
    assert sum(int(suite.get(attribute)) for suite in full.iter("testsuite")) == counted


def test_control_characters_do_not_break_the_file(factory):
    """Characters XML cannot hold are removed, also from attributes; the rest stays."""
    record = factory.verify("odd", Outcome.FAIL, message="\x00\x1b[31mred\ufffe ü", findings=())
    root = ET.fromstring(render_junit(factory.small_run(record)).encode())
    (element,) = result_of(root, "verify odd")
    assert element.get("message") == "[31mred ü"


def test_hostile_texts_are_text(factory):
    """A message with tags in it comes back as it was."""
    root = ET.fromstring(render_junit(factory.small_run(factory.hostile())))
    (element,) = root.iter("failure")
    assert element.get("message") == factory.HOSTILE


def test_long_evidence_is_cut_with_a_count(factory):
    """A case with a thousand failures does not write a thousand lines."""
    findings = tuple(factory.finding(outcome=Outcome.FAIL) for _ in range(1000))
    text = render_junit(factory.small_run(factory.verify("bad", Outcome.FAIL, findings=findings)))
    assert text.count("fail: reverse ~ ladder") == MOST_FINDINGS
    assert f"… and {1000 - MOST_FINDINGS} more." in text


def test_clean_keeps_what_xml_can_hold():
    """Tabs, line ends and characters beyond the basic plane are legal."""
    assert clean("a\tb\nc😀") == "a\tb\nc😀"
