"""Named policies: what they accept, what they cannot tell from nothing, and what is no policy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.case.load import load_cases
from harness.case.trust import Trust
from harness.errors import CaseFileError, UsageError
from harness.records import Finding, Outcome, Precision, VerifyRecord
from harness.run.journal import decode, encode
from harness.verify.api import check
from harness.verify.check import verify_case
from harness.verify.precision.policies import AllClose, FlashTwice, Policy, RmsRatio, accepted_mistakes, policy_of
from harness.verify.verdict import decide

UNIT = 2.0**-8
TRUTH = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
EAGER = TRUTH + torch.tensor([[0.0, 0.01, 0.0]], dtype=torch.float64)
NOTHING = torch.zeros_like(TRUTH)

POLICIES: dict[str, tuple[Policy, float]] = {
    "flash-2x": (FlashTwice(), 0.02 + 2 * UNIT),
    "rms-ratio": (RmsRatio(0.01), 0.01 * float(TRUTH.norm())),
    "allclose": (AllClose(rtol=0.01, atol=0.001), 0.011),
}
"""Each policy with the error in the first entry that it just allows."""


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize(("share", "accepted"), [(0.99, True), (1.01, False), (float("nan"), False)])
def test_the_border(name: str, share: float, accepted: bool) -> None:
    """Errors below what a policy allows pass, those above do not, and NaN never does."""
    policy, allowed = POLICIES[name]
    actual = TRUTH.clone()
    actual[0, 0] += share * allowed
    judged = policy.judge(actual, TRUTH, EAGER, UNIT)
    assert judged.accepted is accepted
    assert judged.position in (0, None)


@pytest.mark.parametrize("name", POLICIES)
def test_sound_policies_accept_no_mistake(name: str) -> None:
    """With sensible numbers neither zero, nor twice, nor minus the gradient is accepted."""
    assert accepted_mistakes(POLICIES[name][0], TRUTH, EAGER, UNIT) == ()


LOOSE: dict[str, tuple[Policy, torch.Tensor, tuple[str, ...]]] = {
    "an absolute tolerance above the gradient": (AllClose(rtol=0.0, atol=3.0), EAGER, ("zero", "doubled")),
    "a relative one of the whole": (AllClose(rtol=1.0, atol=0.0), EAGER, ("zero", "doubled")),
    "a ratio above two": (RmsRatio(2.0), EAGER, ("zero", "doubled", "sign-flipped")),
    "eager as bad as nothing": (FlashTwice(), NOTHING, ("zero", "doubled", "sign-flipped")),
}


@pytest.mark.parametrize("name", LOOSE)
def test_loose_policies_name_what_they_accept(name: str) -> None:
    """Tolerances of the size of the gradient accept gross mistakes, and each is named."""
    policy, eager, accepted = LOOSE[name]
    assert accepted_mistakes(policy, TRUTH, eager, UNIT) == accepted


@pytest.mark.parametrize("name", POLICIES)
def test_a_zero_gradient_is_no_mistake_where_it_is_true(name: str) -> None:
    """At a point whose gradient is zero nothing is held against a policy."""
    assert accepted_mistakes(POLICIES[name][0], NOTHING, NOTHING, UNIT) == ()


NO_POLICIES: list[object] = [
    "flash-3x", {"rms-ratio": -1}, {"rms-ratio": "many"}, {"rms-ratio": float("nan")}, {"allclose": {"rtol": 1}}, {},
    {"rms-ratio": True}, {"rms-ratio": 1, "allclose": {}}, 3,
]  # fmt: skip


@pytest.mark.parametrize("given", NO_POLICIES, ids=str)
def test_what_is_no_policy_is_refused(given: object) -> None:
    """Anything else raises, and says what would do."""
    with pytest.raises(UsageError, match=r"^Cannot use .* Give"):
        policy_of(given)


def test_flash_needs_a_reference() -> None:
    """Without a reference there is no eager implementation."""
    with pytest.raises(UsageError, match="compares with a reference"):
        check(torch.sin, {"input": torch.ones(2)}, policy="flash-2x")


def test_unknown_dtypes_are_refused() -> None:
    """Only the four dtypes gradients are checked in."""
    with pytest.raises(UsageError, match="float8"):
        check(torch.sin, {"input": torch.ones(2)}, dtypes=["float8"])


def judged(outcome: Outcome, name: str = "x") -> Finding:
    """A finding that a policy decided."""
    return Finding(
        check="bfloat16 ~ float64", outcome=outcome, message="The policy p cannot fail here.", input=name,
        dtype="bfloat16", question=f"{outcome} {name}", precision=Precision(policy="p"),
    )  # fmt: skip


def test_a_case_whose_policy_can_never_fail_is_vacuous() -> None:
    """One point at which the policy could have failed is enough for an input; none is not."""
    assert decide((judged(Outcome.VACUOUS), judged(Outcome.PASS)))[0] is Outcome.PASS
    assert decide((judged(Outcome.VACUOUS), judged(Outcome.PASS, "y")))[0] is Outcome.VACUOUS


def test_numbers_survive_the_journal() -> None:
    """What is measured reads back as it was written."""
    precision = Precision(relative_l2=1e-3, max_abs=0.5, max_index=(1, 2), cosine=None, accepts=("zero",), policy="p")
    finding = Finding(check="a", outcome=Outcome.PASS, message="", precision=precision)
    record = VerifyRecord(
        job="a", case="a", title="", source="", path="a", outcome=Outcome.PASS, message="", findings=(finding,)
    )
    assert decode(encode(record)) == record


CASE = """\
case: a
title: A
inputs: {{x: {{shape: [5]}}}}
function: tanh(x)
{more}
verify: {{dtypes: [{dtypes}], policy: {policy}, points: 1, probes: [], orders: [1]}}
"""


def written(folder: Path, policy: str, *, more: str = "reference: tanh(x)", dtypes: str = "bfloat16") -> Path:
    """A case file with a policy."""
    path = folder / "case.yaml"
    path.write_text(CASE.format(policy=policy, more=more, dtypes=dtypes), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        ("flash-2x", Outcome.PASS),
        ("{rms-ratio: 0.02}", Outcome.PASS),
        ("{allclose: {rtol: 5.0e-2, atol: 1.0e-2}}", Outcome.PASS),
        ("{rms-ratio: 1.0e-6}", Outcome.FAIL),
        ("{allclose: {rtol: 50, atol: 5}}", Outcome.VACUOUS),
    ],
)
def test_a_case_chooses_its_policy(tmp_path: Path, policy: str, outcome: Outcome) -> None:
    """A case's policy decides its low-precision gradients."""
    (case,) = load_cases([written(tmp_path, policy)])
    assert verify_case(case, trust=Trust(), seed=0, effort="quick").outcome is outcome


MALFORMED = {
    "{rms-ration: 1}": (6, "unknown key 'rms-ration'; did you mean 'rms-ratio'?"),
    "{rms-ratio: many}": (6, "verify.policy.rms-ratio must be"),
    "{rms-ratio: -1}": (6, "must be at least 0"),
    "{allclose: {rtol: 1}}": (6, "verify.policy.allclose lacks the key 'atol'"),
    "flash-3x": (6, "did you mean 'flash-2x'?"),
    "[flash-2x]": (6, "verify.policy must be"),
}


@pytest.mark.parametrize("policy", MALFORMED)
def test_malformed_policies_are_faults_at_their_place(tmp_path: Path, policy: str) -> None:
    """A policy that is none is reported with file, line and column."""
    line, words = MALFORMED[policy]
    with pytest.raises(CaseFileError) as caught:
        load_cases([written(tmp_path, policy)])
    assert f"case.yaml:{line}:" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("more", "dtypes", "words"),
    [
        ("source: here", "bfloat16", "compares with a reference"),
        ("reference: tanh(x)", "float64", "judges dtypes below float64"),
    ],
)
def test_a_policy_needs_something_to_judge(tmp_path: Path, more: str, dtypes: str, words: str) -> None:
    """`flash-2x` without a reference, or any policy without a low precision, is a fault of the file."""
    with pytest.raises(CaseFileError, match=words):
        load_cases([written(tmp_path, "flash-2x", more=more, dtypes=dtypes)])
