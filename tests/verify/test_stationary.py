"""Points that are said to be stationary: right, wrong, and what they may and may not hide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.case.load import load_cases
from harness.case.trust import Trust
from harness.records import Outcome, VerifyRecord
from harness.verify.check import verify_case

HEAD = "case: c\ntitle: t\ninputs: {x: {}, y: {}}\nverify: {probes: [], points: 1, orders: [1], dtypes: [float64]}\n"
VALLEY = "residuals: [10*(y - x**2), 1 - x]\n"
GRADIENT = "gradient: {x: -400*x*(y - x**2) - 2*(1 - x), y: 200*(y - x**2)}\n"
START = "  - {name: start, at: {x: -1.2, y: 1}}\n"


def verified(folder: Path, text: str) -> VerifyRecord:
    """The record of verifying the one case of a file."""
    (folder / "c.yaml").write_text(text)
    (case,) = load_cases([folder / "c.yaml"])
    return verify_case(case, trust=Trust(), seed=0, effort="quick")


def at(place: str, *, start: bool = True, claims: str = "{stationary: true}") -> str:
    """A case's points: the start, and one that is claimed to be stationary."""
    return f"points:\n{START if start else ''}  - {{name: end, at: {place}, claims: {claims}}}\n"


def claim_of(record: VerifyRecord) -> Any:
    """The finding about the claim itself."""
    (finding,) = [finding for finding in record.findings if finding.check == "claimed stationary point"]
    return finding


@pytest.mark.parametrize("place", ["{x: 1, y: 1}", "{x: 1.00000, y: 1.00000}", "{x: 0.999998, y: 0.999996}"])
def test_a_right_claim_passes(tmp_path: Path, place: str) -> None:
    """The minimum passes, exact or as far as its printed digits tell; nothing else there is left undecided."""
    record = verified(tmp_path, HEAD + VALLEY + GRADIENT + at(place))
    assert claim_of(record).outcome is Outcome.PASS
    assert record.outcome is Outcome.PASS, record.message


@pytest.mark.parametrize(
    "place",
    ["{x: 1.10, y: 1.10}", "{x: 1, y: 1.001}", "{x: 0.9990, y: 0.9970}", "{x: -1.2, y: 1}", "{x: 0, y: 0}"],
)
def test_a_wrong_claim_fails(tmp_path: Path, place: str) -> None:
    """A point off the minimum by more than its digits, and one that is no minimum at all, are refuted and named."""
    record = verified(tmp_path, HEAD + VALLEY + GRADIENT + at(place))
    finding = claim_of(record)
    assert finding.outcome is Outcome.FAIL
    assert "Refuted: the claimed stationary point" in finding.message
    assert record.outcome is Outcome.FAIL


def test_digits_decide_what_is_allowed(tmp_path: Path) -> None:
    """One and the same place is stationary to the digits it is printed with, and not to more of them."""
    assert claim_of(verified(tmp_path, HEAD + VALLEY + at("{x: 1.00, y: 1.01}"))).outcome is Outcome.PASS
    assert claim_of(verified(tmp_path, HEAD + VALLEY + at("{x: 1.00000, y: 1.01000}"))).outcome is Outcome.FAIL


def test_a_saddle_is_stationary(tmp_path: Path) -> None:
    """The claim is about the gradient alone, so a saddle holds."""
    record = verified(tmp_path, HEAD + "function: x**2 - y**2\n" + at("{x: 0, y: 0}"))
    assert claim_of(record).outcome is Outcome.PASS


def test_a_refuted_claim_is_kept(tmp_path: Path) -> None:
    """A figure known to be wrong is excused for failing, and fails when it holds."""
    wrong = "{stationary: true, expected: refuted, reason: as printed}"
    kept = verified(tmp_path, HEAD + VALLEY + at("{x: 0, y: 0}", claims=wrong))
    assert claim_of(kept).excused == "as printed"
    assert kept.outcome is Outcome.PASS, kept.message
    assert verified(tmp_path, HEAD + VALLEY + at("{x: 1, y: 1}", claims=wrong)).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "gradient",
    [
        "gradient: {x: -400*x*(y - x**2) + 2*(1 - x), y: 200*(y - x**2)}\n",
        "gradient: {x: -1.001*(400*x*(y - x**2) + 2*(1 - x)), y: 1.001*200*(y - x**2)}\n",
        "gradient: {x: 0*x, y: 0*y}\n",
    ],
)
def test_a_wrong_gradient_is_found_at_the_other_points(tmp_path: Path, gradient: str) -> None:
    """A gradient that happens to be right where it vanishes is found wrong elsewhere: by a sign, a factor, a zero."""
    record = verified(tmp_path, HEAD + VALLEY + gradient + at("{x: 1, y: 1}"))
    assert record.outcome is Outcome.FAIL
    failing = {finding.point for finding in record.findings if finding.outcome is Outcome.FAIL}
    assert "start" in failing


def test_a_wrong_gradient_that_does_not_vanish_is_found_there(tmp_path: Path) -> None:
    """An offset shows at the stationary point itself, where nothing else is left of the gradient."""
    gradient = "gradient: {x: -400*x*(y - x**2) - 2*(1 - x) + 1/1000000, y: 200*(y - x**2)}\n"
    record = verified(tmp_path, HEAD + VALLEY + gradient + at("{x: 1, y: 1}"))
    failing = {finding.point for finding in record.findings if finding.outcome is Outcome.FAIL}
    assert "end" in failing


def test_a_stationary_point_alone_shows_nothing(tmp_path: Path) -> None:
    """With no other point a zero gradient would have passed: the case does not."""
    text = HEAD.replace("points: 1", "points: 0") + VALLEY + "gradient: {x: 0*x, y: 0*y}\n"
    record = verified(tmp_path, text + at("{x: 1, y: 1}", start=False))
    assert record.outcome is Outcome.VACUOUS, record.message


def test_what_cannot_be_seen_there_is_skipped(tmp_path: Path) -> None:
    """At an exact minimum no relative fault can show: those findings are skipped with their reason, not undecided."""
    record = verified(tmp_path, HEAD + VALLEY + GRADIENT + at("{x: 1, y: 1}"))
    there = [finding for finding in record.findings if finding.point == "end" and finding.order == 1]
    skipped = [finding for finding in there if finding.outcome is Outcome.SKIPPED]
    assert skipped
    assert all("The gradient vanishes here" in finding.message for finding in skipped)
    assert not [finding for finding in there if finding.outcome in (Outcome.INCONCLUSIVE, Outcome.VACUOUS)]


@pytest.mark.parametrize("total", ["exp(x) - 3", "x**3 - 2", "x*y - 1", "100*sin(x) - 50"])
def test_float32_beside_a_zero_of_the_residual_passes(tmp_path: Path, total: str) -> None:
    """Residuals that all but vanish lose every digit in float32; its bar allows for that: a right gradient passes."""
    ends = {"exp(x) - 3": "1.0986122886681098", "x**3 - 2": "1.2599210498948732"}
    ends |= {"x*y - 1": "1.7320508075688772", "100*sin(x) - 50": "0.5235987755982989"}
    y = "0.57735026918962576" if "y" in total else "1"
    residuals = f"residuals: [{total}, y - {y}]\n"
    head = HEAD.replace("[float64]", "[float64, float32]")
    record = verified(tmp_path, head + residuals + at(f"{{x: {ends[total]}, y: {y}}}"))
    low = [finding for finding in record.findings if finding.dtype == "float32" and finding.point == "end"]
    assert low
    assert record.outcome is Outcome.PASS, record.message


def test_a_claim_needs_a_single_number(tmp_path: Path) -> None:
    """Several outputs have no gradient that could vanish."""
    text = HEAD + "function: [x**2, y**2]\ngradient: {x: 2*x*cotangent_0, y: 2*y*cotangent_1}\n" + at("{x: 0, y: 0}")
    finding = claim_of(verified(tmp_path, text))
    assert finding.outcome is Outcome.FAIL
    assert "no gradient of a single number" in finding.message
