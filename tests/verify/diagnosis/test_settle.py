"""What the findings of a whole case say together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.records import Diagnosis, Finding, Outcome
from harness.verify.diagnosis import settle

HALF = "It is 0.5 × the true gradient at 3/3 entries"


def finding(outcome: Outcome, **more: Any) -> Finding:
    """A first-order finding about x by autograd."""
    given = {"check": "autograd ~ ladder", "message": "m.", "input": "x", "route": "autograd", "independent": True}
    return Finding(outcome=outcome, **{**given, **more})


def factor(sentence: str, *guesses: str) -> Diagnosis:
    """A factor with its likely names."""
    return Diagnosis(pattern="factor", sentence=sentence, guesses=guesses)


def test_the_text_of_a_diagnosis_ends_the_message() -> None:
    """People read the message: the diagnosis stands at its end, once however often it is settled."""
    made = settle([finding(Outcome.FAIL, diagnosis=factor(HALF, "a missing factor 2?"))])
    assert made[0].message == f"m. {HALF}: a missing factor 2?"
    assert settle(made) == made


def test_sizes_tell_two_from_n() -> None:
    """½ at n = 2 and 1/7 at n = 7 have one name in common, which is kept."""
    two = finding(Outcome.FAIL, point="a", diagnosis=factor(HALF, "a missing factor 2?", "1/n?"))
    seven = finding(Outcome.FAIL, point="b", diagnosis=factor("It is 0.1428571 × the true gradient", "1/n?"))
    assert [f.diagnosis.guesses for f in settle([two, seven]) if f.diagnosis] == [("1/n?",), ("1/n?",)]


def test_points_that_contradict_each_other_leave_no_factor() -> None:
    """A factor that is 2 here and 3 there is no factor."""
    two = finding(Outcome.FAIL, point="a", diagnosis=factor("It is 2 × the true", "a factor 2 too many?"))
    three = finding(Outcome.FAIL, point="b", diagnosis=factor("It is 3 × the true", "a factor 3 too many?"))
    assert [f.diagnosis for f in settle([two, three])] == [None, None]


def test_other_inputs_do_not_contradict() -> None:
    """Each input may have its own factor."""
    two = finding(Outcome.FAIL, diagnosis=factor("It is 2 × the true", "a factor 2 too many?"))
    three = finding(Outcome.FAIL, input="y", diagnosis=factor("It is 3 × the true", "a factor 3 too many?"))
    assert all(f.diagnosis is not None for f in settle([two, three]))


def test_only_low_precision() -> None:
    """Right in float64 and wrong in bfloat16 is a matter of rounding, not of the formula."""
    low = finding(Outcome.FAIL, dtype="bfloat16", independent=False, route="autograd in bfloat16")
    found = settle([finding(Outcome.PASS), low])[1].diagnosis
    assert found is not None
    assert found.pattern == "low precision"
    assert "Only in bfloat16" in found.text


def test_only_ties() -> None:
    """Failures at one kind of special point only are told."""
    tied = finding(Outcome.FAIL, point="special ties")
    found = settle([finding(Outcome.PASS, point="random 0"), tied])[1].diagnosis
    assert found is not None
    assert found.pattern == "ties"


def test_only_beyond_a_size() -> None:
    """A gradient that is right up to one size and wrong from another on is told with both."""
    small = finding(Outcome.PASS, point="random 0", dims="n=64, d=3")
    large = finding(Outcome.FAIL, point="random 1", dims="n=65, d=3")
    found = settle([small, large])[1].diagnosis
    assert found is not None
    assert found.text.startswith("Only for n ≥ 65: it is right for n up to 64")


def test_only_the_second_derivative() -> None:
    """Where all first derivatives are right, a wrong second one is told."""
    second = finding(Outcome.FAIL, order=2, route="double backward")
    found = settle([finding(Outcome.PASS), second])[1].diagnosis
    assert found is not None
    assert found.pattern == "second order"


def probed(check: str, message: str, **more: Any) -> Finding:
    """A probe's failure about x."""
    return finding(Outcome.FAIL, check=f"probe {check}", message=message, route="probe", independent=False, **more)


@pytest.mark.parametrize(
    ("check", "message", "pattern"),
    [
        ("cotangents", "The gradient changes when the upstream gradient is a strided view: …", "strided cotangent"),
        ("layouts", "The gradient changes when x is transposed: …", "strided input"),
        ("requires_grad", "The gradient is lost when only x requires a gradient: …", "subset"),
    ],
)
def test_a_probe_that_fails_alone_names_what_it_changed(check: str, message: str, pattern: str) -> None:
    """Where the ordinary gradient is right, the probe's situation is the diagnosis."""
    found = settle([finding(Outcome.PASS), probed(check, message)])[1].diagnosis
    assert found is not None
    assert found.pattern == pattern
    assert "the ordinary gradient of x is right" in found.text


def test_a_probe_beside_an_ordinary_failure_names_nothing() -> None:
    """A gradient that is wrong anyway is wrong under a probe too."""
    failed = [finding(Outcome.FAIL), finding(Outcome.PASS, point="other")]
    made = settle([*failed, probed("layouts", "The gradient changes when x is transposed: …")])
    assert made[2].diagnosis is None


def test_a_slope_along_a_direction_shows_a_named_factor() -> None:
    """One number with every entry in it is enough for a factor that has a name, and not for another."""
    message = "The gradient is wrong when b, d are 7 together: the slope along a direction in x is …"
    numbers: dict[str, Any] = {"expected": -7.145931, "bar": 1e-11, "dims": "b=7, d=7", "independent": True}
    mean = replace(probed("sizes", message), actual=-7.145931 / 7, **numbers)
    other = replace(probed("sizes", message), actual=-7.145931 * 0.3712, **numbers)
    made = settle([finding(Outcome.PASS), mean, other])
    assert made[1].diagnosis is not None
    assert "1/b: a mean instead of a sum?" in made[1].diagnosis.text
    assert made[2].diagnosis is not None
    assert made[2].diagnosis.pattern == "size"


@pytest.mark.parametrize(
    "more",
    [
        finding(Outcome.FAIL, point="random 0"),
        finding(Outcome.FAIL, order=0, input=None),
        finding(Outcome.FAIL, point="special ties", diagnosis=factor(HALF)),
    ],
)
def test_mixed_failures_have_no_common_name(more: Finding) -> None:
    """Failures elsewhere too, in the value, or with a pattern of their own leave nothing that only ties explain."""
    tied = finding(Outcome.FAIL, point="special ties")
    assert settle([finding(Outcome.PASS, point="random 0"), tied, more])[1].diagnosis is None


def test_a_case_that_passes_is_left_alone() -> None:
    """Nothing is added to what did not fail."""
    made = (finding(Outcome.PASS), finding(Outcome.PASS, point="special ties"))
    assert settle(made) == made
