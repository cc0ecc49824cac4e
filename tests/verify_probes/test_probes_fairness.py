"""Probes blame nobody wrongly: at singular points, for sizes that belong together, for what they could not try."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import harness
from harness.case.subject import Input, Point, Subject
from harness.records import Finding, Outcome
from harness.verify.probes.infer import declared
from harness.verify.probes.kinds import KINDS, made


def of_probe(verdict: harness.Verdict, name: str) -> list[Finding]:
    """The findings of one probe."""
    return [finding for finding in verdict.findings if finding.check == f"probe {name}"]


def test_made_matrices_have_full_rank() -> None:
    """A matrix of special values is no more singular than its entries make it."""
    (near,) = (kind for kind in KINDS if kind.text == "near 22")
    values = made(near, Input(shape=(6, 6)), torch.ones(6, 6, dtype=torch.float64))
    assert values is not None
    assert int(torch.linalg.matrix_rank(values - 22)) == 6


def test_log_determinants_near_singular_matrices_pass() -> None:
    """Where value and gradient are both as good as unknown, neither speaks against the subject."""
    verdict = harness.check(
        lambda a: torch.linalg.slogdet(a)[1], {"a": Input(shape=("n", "n"))}, dims={"n": 4}, probes=["values"]
    )
    assert verdict.outcome is Outcome.PASS, verdict.message


def test_sizes_written_as_numbers_are_told() -> None:
    """Where no other size could be tried, the verdict says so instead of nothing."""
    verdict = harness.check(torch.sin, {"x": Input(shape=(2, 3))}, probes=["sizes"], effort="quick")
    (finding,) = of_probe(verdict, "sizes")
    assert finding.outcome is Outcome.SKIPPED
    assert "written as a number" in finding.message


def test_a_declared_size_goes_along_with_a_tensors() -> None:
    """An input of size 5 beside an exact tensor of size 5 keeps fitting it; a constant's size stays."""
    inputs = {"x": Input(shape=(5,)), "y": Input(shape=(5,)), "z": Input(shape=(3,), value=(1.0, 2.0, 3.0))}
    values = {name: torch.ones(spec.shape, dtype=torch.float64) for name, spec in inputs.items()}
    subject = Subject(name="s", inputs=inputs, function=lambda t: (t["x"] * t["y"],))
    known = declared(subject, Point(name="given", values=values, sizes={}, seed=0), frozenset({"y"}))
    assert known.inputs["x"].shape == known.inputs["y"].shape == ("axis5",)
    assert known.inputs["z"].shape == (3,)
    mixed = {"x": Input(shape=(5,)), "y": torch.linspace(-1, 1, 5, dtype=torch.float64)}
    found = of_probe(harness.check(torch.mul, mixed, probes=["sizes"], effort="quick"), "sizes")
    assert [f.outcome for f in found] == [Outcome.PASS], [f.message for f in found]


@pytest.mark.parametrize("draw", ["integers(0, 4)", "choice(0, 1, 2)", "permutation"])
def test_whole_numbers_need_no_word_about_gradients(draw: str) -> None:
    """An index drawn for `check` has no gradient, as in a case file."""
    verdict = harness.check(
        lambda x, i: x[i % 3], {"x": Input(shape=(3,)), "i": Input(shape=(4,), draw=draw)}, probes=[], effort="quick"
    )
    assert verdict.outcome is Outcome.PASS, verdict.message


def freeing(*, frees: bool) -> Any:
    """A sine whose backward forgets what it saved, or not."""

    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.x = x.clone()
            return x.sin()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            x = ctx.x
            if frees:
                ctx.x = None
            return g * x.cos()

    return Sine.apply


@pytest.mark.parametrize("shape", [(), (4,)])
def test_a_second_backward_that_raises_is_a_fault(shape: tuple[int, ...]) -> None:
    """A kept graph can be used twice; a backward that cannot fails, in words that say so."""
    inputs = {"x": Input(shape=shape)}
    wrong = harness.check(freeing(frees=True), inputs, probes=[], effort="quick", name="frees")
    assert wrong.outcome is Outcome.FAIL
    assert "The second backward over one graph raises AttributeError" in wrong.message
    right = harness.check(freeing(frees=False), inputs, probes=[], effort="quick", name="keeps")
    assert right.outcome is Outcome.PASS, right.message


class Surprise(torch.autograd.Function):
    """−log softmax of the first entry; its backward subtracts 1 before or after rounding to the storage's dtype."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, early: bool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.early = early
        wide = x if x.dtype == torch.float64 else x.float()
        return -wide.log_softmax(-1)[..., 0].to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        p = (x if x.dtype == torch.float64 else x.float()).softmax(-1)
        p = (p.to(x.dtype) if ctx.early else p).clone()
        p[..., 0] -= 1
        return (p * g[..., None].to(p.dtype)).to(x.dtype), None


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("dtypes", [["bfloat16"], ["float64", "bfloat16"]])
def test_half_precisions_are_judged_at_confident_inputs(early: bool, dtypes: list[str]) -> None:
    """What is rounded before it is subtracted shows where probabilities are nearly 1; the other order passes."""
    verdict = harness.check(
        lambda x: Surprise.apply(x, early), {"x": Input(shape=(24, 6))}, dtypes=dtypes, probes=["values"],
        reference=lambda x: -x.log_softmax(-1)[..., 0], name="surprise",
    )  # fmt: skip
    assert verdict.outcome is (Outcome.FAIL if early else Outcome.PASS), verdict.message
    assert any("multiplied by" in f.message and f.dtype == "bfloat16" for f in verdict.findings)
    assert early == ("When the inputs are multiplied by" in verdict.message)
