"""Formula or rounding: what a finding says about why a gradient misses the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from harness.case.subject import Input, Point, Subject
from harness.records import Finding, Outcome
from harness.verify import formula
from harness.verify.first import first_order
from harness.verify.formula import explain
from harness.verify.options import VerifyOptions
from harness.verify.scene import Labels, Scene

Function = Callable[[Tensor], Tensor]
CHECK = "autograd ~ ball arithmetic"


def function_with(forward: Function, backward: Callable[[Tensor, Tensor], Tensor]) -> Function:
    """A function with a backward of (cotangent, x)."""

    class Custom(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx, cotangent):
            return backward(cotangent, *ctx.saved_tensors)

    applied: Function = Custom.apply
    return applied


def explained(function: Function, *numbers: float) -> dict[str, Finding]:
    """The first-order findings at a point, explained, by check."""
    x = torch.tensor(numbers, dtype=torch.float64)
    subject = Subject(name="f", inputs={"x": Input(shape=tuple(x.shape))}, function=lambda t: (function(t["x"]),))
    scene = Scene(subject, Point(name="p", values={"x": x}, sizes={}, seed=0), Labels(case="f", seed=0, device="cpu"))
    first = first_order(scene, None, VerifyOptions())
    return {finding.check: finding for finding in explain(scene, first.findings, first.evidence)}


SIXTH = torch.tensor(1 / 6, dtype=torch.float32)
WRONG: dict[str, tuple[Function, Sequence[float]]] = {
    "a factor": (function_with(torch.exp, lambda v, x: v * x.exp() * 1.001), (0.3, -1.0)),
    "a sign": (function_with(torch.cos, lambda v, x: v * x.sin()), (0.3, -1.0)),
    "a missing term": (function_with(lambda x: x * x.exp(), lambda v, x: v * x.exp()), (0.3, -1.0)),
    "a float32 constant": (function_with(lambda x: x / 6, lambda v, x: v * SIXTH), (0.3, -1.0)),
    "the fifth digit of a constant": (
        function_with(lambda x: torch.special.ndtr(x), lambda v, x: v * (-x * x / 2).exp() * 0.39894), (0.3, -1.0)),
    "a Taylor series cut short": (function_with(torch.sin, lambda v, x: v * (1 - x * x / 2 + x**4 / 24)), (0.3, 0.1)),
    "a shape": (function_with(lambda x: x.sum() * x, lambda v, x: v * x.sum()), (0.3, -1.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_formula_is_called_wrong(name: str) -> None:
    """A backward whose formula is not the derivative must be said to be wrong even when nothing rounds."""
    function, at = WRONG[name]
    found = explained(function, *at)[CHECK]
    assert found.outcome is Outcome.FAIL
    assert "The backward formula is wrong: evaluated exactly it still gives" in found.message


def stable(x: Tensor) -> Tensor:
    """(1 − cos x)/x² without cancellation."""
    return 0.5 * ((x / 2).sin() / (x / 2)) ** 2


def quotient_rule(v: Tensor, x: Tensor) -> Tensor:
    """Its derivative by the quotient rule, which cancels near 0."""
    return v * (x * x.sin() - 2 * (1 - x.cos())) / x**3


LOSSY: dict[str, tuple[Function, Sequence[float], str]] = {
    "a quotient rule near 0": (function_with(stable, quotient_rule), (1e-3, 2e-3), "loses"),
    "a difference of large numbers": (
        function_with(lambda x: x * x, lambda v, x: v * ((x + 1e13) - 1e13) * 2), (0.3, -1.0), "loses"),
    "a downcast": (
        function_with(lambda x: x * x, lambda v, x: 2 * v * x.float().double()), (0.3, -1.1), "inside aten._to_copy"),
    "exp that overflows": (
        function_with(lambda x: torch.nn.functional.softplus(x), lambda v, x: v * x.exp() / (1 + x.exp())),
        (800.0, 1.0), "overflows"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_arithmetic_is_told_from_a_wrong_formula(name: str) -> None:
    """A backward that is the derivative, but loses digits in float64, must be said to be right evaluated exactly."""
    function, at, words = LOSSY[name]
    found = explained(function, *at)[CHECK]
    assert found.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)
    assert "The backward formula is right: evaluated exactly it gives" in found.message
    assert words in found.message


def test_the_digits_lost_are_counted() -> None:
    """A gradient that went through float32 must be said to lose between eight and nine digits."""
    message = explained(LOSSY["a downcast"][0], 0.3)[CHECK].message
    lost = float(message.split("loses ")[1].split(" digits")[0])
    assert 8 < lost < 9.5


def test_a_coarse_kernel_is_a_wrong_formula() -> None:
    """The float32 constant inside hardsigmoid's backward must be blamed on that kernel."""
    found = explained(torch.nn.functional.hardsigmoid, 0.3, -1.0)[CHECK]
    assert "The backward formula is wrong inside aten.hardsigmoid_backward" in found.message


def test_a_value_that_is_off_names_its_operator() -> None:
    """The operator whose own result loses digits must be named where a value fails."""
    found = explained(lambda x: torch.polygamma(1, x), 1.3, 2.5)["value ~ ball arithmetic"]
    assert found.outcome is Outcome.FAIL
    assert "aten.polygamma alone loses" in found.message


SILENT = {
    "a branch on data": lambda v, x: v * x * (2.5 if float(x.sum()) > 0 else 3.0),
    "numbers that leave torch": lambda v, x: v * torch.from_numpy(3 * x.numpy()),
}


@pytest.mark.parametrize("name", SILENT)
def test_no_diagnosis_rather_than_a_wrong_one(name: str) -> None:
    """A backward that cannot be recorded must fail without a word about its formula."""
    found = explained(function_with(lambda x: x * x, SILENT[name]), 0.3, 1.0)[CHECK]
    assert found.outcome is Outcome.FAIL
    assert "backward formula" not in found.message


def test_what_passes_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing fails, no backward graph may be recorded, and findings must stay as they are."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Cannot be asked here.")

    monkeypatch.setattr(formula, "formula_gradient", refuse)
    found = explained(torch.exp, 0.3, 1.0)
    assert found[CHECK].outcome is Outcome.PASS
    assert not [f for f in found.values() if "formula" in f.message]
