"""Published figures: confirmed, refuted with the true value named, or refuted as declared."""

from __future__ import annotations

import pytest
import torch

from harness.case.subject import Claim, Input, Point, Subject
from harness.oracle.symbolic import Symbolic
from harness.records import Finding, Outcome
from harness.verify.claims import check_claims
from harness.verify.first import first_order
from harness.verify.options import VerifyOptions
from harness.verify.scene import Labels, Scene


def judged(claim: Claim) -> Finding:
    """A claim about Σ x³ at (1, 2): value 9, gradient (3, 12), Hessian diag(6, 12)."""
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    subject = Subject(name="f", inputs={"x": Input(shape=(2,))}, function=lambda t: ((t["x"] ** 3).sum(),))
    point = Point(name="p", values={"x": x}, sizes={}, seed=0, claims=(claim,))
    scene = Scene(subject, point, Labels(case="f", seed=0, device="cpu"))
    (finding,) = check_claims(scene, first_order(scene, Symbolic(subject), VerifyOptions()))
    return finding


def exact(*numbers: float) -> object:
    """Numbers claimed exactly."""
    return tuple((number, 0.0) for number in numbers)


RIGHT = {
    "value": Claim(kind="value", name=None, numbers=(9.0, 0.0)),
    "gradient": Claim(kind="gradient", name="x", numbers=exact(3, 12)),
    "hessian": Claim(kind="hessian", name="x", numbers=(exact(6, 0), exact(0, 12))),
    "rounded": Claim(kind="gradient", name="x", numbers=((3.04, 0.05), (12.0, 0.5))),
}
WRONG = {
    "value": Claim(kind="value", name=None, numbers=(9.1, 0.05)),
    "gradient": Claim(kind="gradient", name="x", numbers=exact(3, 13)),
    "hessian": Claim(kind="hessian", name="x", numbers=(exact(6, 1), exact(1, 12))),
    "NaN": Claim(kind="value", name=None, numbers=(float("nan"), 0.0)),
    "too few numbers": Claim(kind="gradient", name="x", numbers=exact(3)),
    "no such name": Claim(kind="gradient", name="q", numbers=exact(3)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_figures_are_confirmed(name: str) -> None:
    """A figure within its printed digits passes."""
    assert judged(RIGHT[name]).outcome is Outcome.PASS


@pytest.mark.parametrize("name", WRONG)
def test_wrong_figures_are_refuted(name: str) -> None:
    """A figure outside them fails."""
    assert judged(WRONG[name]).outcome is Outcome.FAIL


def test_the_true_value_is_named() -> None:
    """A refutation says what is true."""
    assert "13; the true value is 12" in judged(WRONG["gradient"]).message


def test_a_declared_refutation_is_excused() -> None:
    """A figure known to be wrong does not turn the case red."""
    claim = Claim(kind="value", name=None, numbers=(9.1, 0.0), refuted_because="misprint")
    assert judged(claim).excused == "misprint"


def test_a_declared_refutation_that_holds_fails() -> None:
    """A figure declared wrong that is right is red."""
    claim = Claim(kind="value", name=None, numbers=(9.0, 0.0), refuted_because="misprint")
    found = judged(claim)
    assert (found.outcome, found.excused) == (Outcome.FAIL, None)
