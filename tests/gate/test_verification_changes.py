"""What counts as a verification that got worse: each rule is seen to find its fault, and to leave chance alone."""

from dataclasses import replace

import pytest

from harness.gate.verification import GONE, NEW, settled, verification_changes
from harness.records import Catch, DetectionPower, Finding, Outcome, Survivor, VerifyRecord


def finding(point="random 0", **changes):
    """A passing comparison."""
    values = {"check": "autograd ~ reference", "outcome": Outcome.PASS, "message": "", "input": "x", "digits": 15.0}
    return Finding(**{**values, "point": point, **changes})


def record(*findings, outcome=Outcome.PASS, caught=None, missed=(), **changes):
    """A verification; `caught` and `missed` are kinds of faults."""
    power = None
    if caught is not None:
        catches = tuple(Catch(fault=kind, label=kind, checks=("some",)) for kind in caught)
        survivors = tuple(Survivor(fault=kind, label=kind, sentence="", seen_by="a probe") for kind in missed)
        number = len(catches) + len(survivors)
        power = DetectionPower(injected=number, caught=len(catches), catches=catches, survivors=survivors)
    values = {"job": "verify c", "case": "c", "title": "", "source": "", "path": "c.yaml", "message": "so"}
    return VerifyRecord(**{**values, "outcome": outcome, "findings": findings, "power": power, **changes})


def only(before, after):
    """The one change between two verifications, as (direction, message); None where there is none."""
    found = verification_changes({"c": before}, {"c": after})
    assert len(found) < 2
    return (found[0].direction, found[0].message) if found else None


def test_the_same_is_no_change():
    """Equal records say nothing."""
    assert only(record(finding(), caught=["a"]), record(finding(), caught=["a"])) is None


@pytest.mark.parametrize("after", [outcome for outcome in Outcome if outcome is not Outcome.PASS])
def test_what_passed_and_does_not_is_worse(after):
    """Any outcome but a pass is worse than a pass, and the way back is better."""
    assert only(record(), record(outcome=after)) == ("worse", "so")
    assert only(record(outcome=after), record())[0] == ("other" if after is Outcome.SKIPPED else "better")


def test_what_kept_the_base_from_running_is_told():
    """A case that runs only on the head is better, and the message says what the base said: perhaps it lacks files."""
    before = record(outcome=Outcome.ERROR, message="no module lib")
    assert only(before, record()) == ("better", "so (the base did not run: no module lib)")


def test_comparisons_that_are_no_longer_made_are_told():
    """A case file that leaves out a dtype and passes is told, and fails nothing; fewer points of a kind are no news."""
    low = [finding(check="float32 ~ float64", dtype="float32"), finding("random 1")]
    direction, message = only(record(finding(), *low), record(finding()))
    assert (direction, "1 of 2 kinds are left out now: float32 ~ float64 of x in float32." in message) == (
        "other",
        True,
    )
    assert only(record(finding(), low[1]), record(finding())) is None
    assert only(record(finding(), replace(low[0], outcome=Outcome.SKIPPED)), record(finding())) is None


def test_a_case_that_is_gone_is_worse():
    """Nothing checks any more what it checked."""
    (change,) = verification_changes({"c": record()}, {})
    assert (change.direction, change.before, change.after) == ("worse", "pass", GONE)


@pytest.mark.parametrize(("outcome", "direction"), [(Outcome.PASS, "other"), (Outcome.FAIL, "worse")])
def test_a_new_case_is_told_and_worse_only_when_red(outcome, direction):
    """A new case that passes is other; a new one that fails is worse."""
    (change,) = verification_changes({}, {"c": record(outcome=outcome)})
    assert (change.direction, change.before, "The case is new." in change.message) == (direction, NEW, True)


def test_more_than_a_digit_lost_at_most_points_is_worse():
    """Three points that agree to 13 digits where they agreed to 15 are a loss; to 14.2, they are not."""
    points = [f"random {n}" for n in range(3)]
    before = record(*(finding(point) for point in points))
    direction, message = only(before, record(*(finding(point, digits=13.0) for point in points)))
    assert (direction, "15.0 and agrees to 13.0 at random 0" in message) == ("worse", True)
    assert only(before, record(*(finding(point, digits=14.2) for point in points))) is None


def test_scatter_of_few_points_is_no_loss():
    """One point may lose up to two digits where it is the only one, and up to three beside others that lost none."""
    assert only(record(finding()), record(finding(digits=13.2))) is None
    assert only(record(finding()), record(finding(digits=12.8)))[0] == "worse"
    beside = [finding("random 1"), finding("random 2")]
    assert only(record(finding(), *beside), record(finding(digits=12.5), *beside)) is None
    assert only(record(finding(), *beside), record(finding(digits=11.5), *beside))[0] == "worse"


def test_agreement_beyond_the_dtype_is_luck():
    """From equal to the last bit (17 digits) to one rounding error is no loss, in any dtype."""
    assert only(record(finding(digits=17.0)), record(finding(digits=15.0))) is None
    single = {"dtype": "float32"}
    assert only(record(finding(digits=17.0, **single)), record(finding(digits=6.5, **single))) is None
    assert only(record(finding(digits=17.0, **single)), record(finding(digits=4.0, **single)))[0] == "worse"


def test_only_comparisons_of_both_sides_count():
    """A comparison at another size, or one that is new, has no earlier digits to lose."""
    assert only(record(finding(dims="n=3")), record(finding(dims="n=4", digits=2.0))) is None


def test_a_kind_of_fault_no_longer_noticed_is_worse():
    """What was caught and survives now is lost; what was not injected any more, or is caught elsewhere, is not."""
    before = record(caught=["sign flipped", "NaN at zero"])
    direction, message = only(before, record(caught=["NaN at zero"], missed=["sign flipped"]))
    assert (direction, "sign flipped (it takes a probe)" in message) == ("worse", True)
    assert "2 of 2 injected faults before, 1 of 2 now" in message
    assert only(before, record(caught=["NaN at zero"])) is None
    assert only(before, record(caught=["NaN at zero", "sign flipped"], missed=["sign flipped"])) is None
    assert only(before, record()) is None


def test_a_failure_that_was_there_is_not_held_against_the_head():
    """A case that fails on both sides in the same way is no change; one that fails elsewhere too is worse."""
    failing = finding(outcome=Outcome.FAIL, digits=3.0, message="off")
    before = record(failing, outcome=Outcome.FAIL)
    assert only(before, before) is None
    after = record(failing, replace(failing, input="y"), outcome=Outcome.FAIL)
    assert only(before, after) == ("worse", "Another comparison fails: off")


def test_worse_comes_first():
    """The order is worse, better, other."""
    base = {"a": record(), "b": record(outcome=Outcome.FAIL), "c": record()}
    head = {"n": record(), "b": record(), "c": record(outcome=Outcome.FAIL)}
    found = verification_changes(base, head)
    assert [(change.case, change.direction) for change in found] == [
        ("c", "worse"), ("a", "worse"), ("b", "better"), ("n", "other"),
    ]  # fmt: skip


def test_what_is_worse_once_is_other():
    """A verdict that is not worse when asked again fails nothing; one that is, and a case that is gone, stay worse."""
    base = {"flaky": record(), "wrong": record(), "gone": record()}
    head = {"flaky": record(outcome=Outcome.FAIL), "wrong": record(outcome=Outcome.FAIL)}
    first = verification_changes(base, head)
    again = verification_changes(base, {**head, "flaky": record(), "gone": record()})
    kept = {change.case: change for change in settled(first, again)}
    assert {case: change.direction for case, change in kept.items()} == {
        "flaky": "other", "wrong": "worse", "gone": "worse",
    }  # fmt: skip
    assert "differs from run to run" in kept["flaky"].message
