"""Inputs declared symmetric are judged along symmetric directions where it matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.case.subject import Input
from harness.records import Outcome
from harness.verify.api import Verdict, check


class HalfLogdet(torch.autograd.Function):
    """log det with the lower triangle of its gradient alone, which is wrong along symmetric directions too."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.save_for_backward(a)
        return torch.logdet(a)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        return upstream * torch.linalg.inv(ctx.saved_tensors[0]).tril()


def verdict_of(function: Callable[..., Any], draw: str) -> Verdict:
    """Check a function of one matrix, drawn that way."""
    return check(function, {"a": Input(shape=("n", "n"), draw=draw)}, dims={"n": [1, 4]}, name="matrix")


@pytest.mark.parametrize(("function", "draw"), [(torch.linalg.cholesky, "spd"), (torch.linalg.eigvalsh, "symmetric")])
def test_functions_of_one_triangle_pass_and_say_so(function: Callable[..., Any], draw: str) -> None:
    """Their symmetric gradients are right on symmetric matrices; what differs off them is told."""
    verdict = verdict_of(function, draw)
    assert verdict.outcome is Outcome.PASS
    (note,) = [finding for finding in verdict.findings if finding.check == "symmetric inputs"]
    assert note.outcome is Outcome.SKIPPED and "symmetric directions alone" in note.message


def test_a_gradient_wrong_along_symmetric_directions_fails() -> None:
    """The triangle of a gradient is none; its findings are those of the function as it is."""
    verdict = verdict_of(HalfLogdet.apply, "spd")
    assert verdict.outcome is Outcome.FAIL
    assert not [finding for finding in verdict.findings if finding.check == "symmetric inputs"]


def test_a_right_function_of_all_entries_is_judged_in_all_directions() -> None:
    """Nothing is granted where nothing is needed."""
    verdict = verdict_of(torch.logdet, "spd")
    assert verdict.outcome is Outcome.PASS
    assert not [finding for finding in verdict.findings if finding.check == "symmetric inputs"]


def test_without_the_declaration_one_triangle_is_not_enough() -> None:
    """A matrix that happens to be symmetric, given as it is, may be perturbed in every direction."""
    a = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    assert check(torch.linalg.cholesky, {"a": a}, name="cholesky").outcome is Outcome.FAIL
