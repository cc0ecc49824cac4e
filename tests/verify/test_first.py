"""First-order checks at one point: which comparisons are made, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import harness
from harness.case.subject import Input, Point, Subject
from harness.oracle.symbolic import Symbolic
from harness.records import Finding, Outcome
from harness.verify.first import FirstOrder, first_order
from harness.verify.options import VerifyOptions
from harness.verify.scene import Labels, Scene

X = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)


def first_of(function: Callable[[Tensor], Tensor], x: Tensor = X, **more: Any) -> FirstOrder:
    """First-order checks of a function of one tensor."""
    subject = Subject(
        name="f", inputs={"x": Input(shape=tuple(x.shape))}, function=lambda t: (function(t["x"]),), **more
    )
    scene = Scene(subject, Point(name="p", values={"x": x}, sizes={}, seed=0), Labels(case="f", seed=0, device="cpu"))
    return first_order(scene, Symbolic(subject), VerifyOptions())


def named(found: FirstOrder, check: str) -> Finding:
    """The finding of one check."""
    return next(f for f in found.findings if f.check == check)


def test_every_route_is_checked() -> None:
    """A plain function is held against finite differences and itself, by every route."""
    checks = {f.check for f in first_of(torch.sin).findings}
    assert checks >= {
        "autograd ~ finite differences",
        ".backward() ~ autograd.grad",
        "accumulation over two backwards",
        "cotangent is used linearly",
        "forward ~ reverse (adjoint identity)",
        "forward ~ ball arithmetic",
        "autograd ~ ball arithmetic",
    }


def test_a_pass_has_its_evidence() -> None:
    """The finding has numbers, bar, resolution, digits and a detection limit."""
    found = named(first_of(torch.sin), "autograd ~ finite differences")
    assert None not in (found.actual, found.expected, found.bar, found.resolution, found.digits, found.detection_limit)


def test_a_sharp_detection_limit() -> None:
    """A smooth function is seen to fail at relative faults far below 1e-9."""
    found = named(first_of(torch.sin), "autograd ~ finite differences")
    assert found.detection_limit is not None
    assert found.detection_limit <= 1e-10


def test_a_failure_names_entry_numbers_and_pattern() -> None:
    """The sentence has the derivative, both numbers and the bar; the diagnosis says what it looks like."""

    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.sum()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return (2 * g).expand(3)

    finding = named(first_of(lambda x: Doubled.apply(x)), "autograd ~ finite differences")
    assert finding.message.startswith("∂f/∂x[")
    assert "is 2 by autograd but 1 by finite differences: off by 1, allowed" in finding.message
    assert finding.diagnosis is not None
    assert "factor 2 too many" in finding.diagnosis.text


def test_a_detached_function_is_a_failure() -> None:
    """No gradient at all is a FAIL with the reason."""
    (only,) = first_of(lambda x: x.detach()).findings
    assert (only.outcome, "detached" in only.message) == (Outcome.FAIL, True)


def test_a_kink_is_remembered() -> None:
    """Later checks know that there is no second derivative."""
    assert first_of(torch.relu, torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)).kinked


def test_smooth_points_are_not_kinked() -> None:
    """Smooth functions are."""
    assert not first_of(torch.sin).kinked


def test_no_numbers_after_nan() -> None:
    """A gradient that is not finite fails, and is not built upon."""
    found = first_of(lambda x: (x.clamp(min=0) ** 2).sum().sqrt(), torch.zeros(3, dtype=torch.float64))
    assert found.gradient is None


def test_complex_step_is_opt_in() -> None:
    """The complex step appears only where it is asked for."""
    assert not any("complex step" in f.check for f in first_of(torch.sin).findings)


def test_a_reference_of_another_length_fails() -> None:
    """A reference that returns fewer numbers cannot be a reference."""
    found = first_of(torch.sin, reference=lambda t: (t["x"].sin().sum(),))
    assert named(found, "value ~ reference").outcome is Outcome.FAIL


def test_an_accumulation_that_differs_is_told() -> None:
    """A backward that counts its calls fails the check of accumulation."""
    calls = {"n": 0}

    class Counting(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            calls["n"] += 1
            return 2 * g * calls["n"]

    outcomes = {f.check: f.outcome for f in first_of(lambda x: Counting.apply(x)).findings}
    assert outcomes["accumulation over two backwards"] is Outcome.FAIL


def test_finite_differences_that_an_enclosure_refutes_are_silent() -> None:
    """x**1000000007 at 1 is steeper than any step can show; its gradient is certified, and no false alarm is raised."""
    verdict = harness.check(
        lambda x: x**1000000007, {"x": torch.tensor([1.0], dtype=torch.float64)}, name="steep", effort="quick"
    )
    assert verdict.outcome is not Outcome.PASS  # quick asks for no certificate, and differences alone are misled
    certified = harness.check(lambda x: x**1000000007, {"x": torch.tensor([1.0], dtype=torch.float64)}, name="steep")
    assert not [finding for finding in certified.findings if finding.outcome is Outcome.FAIL]


@torch.library.custom_op("harness_tests::square", mutates_args=())
def custom_square(x: Tensor) -> Tensor:
    """x² as an operator of torch's library, which has no way to be given a forward mode."""
    return x * x


custom_square.register_autograd(
    lambda ctx, upstream: 2 * ctx.saved_tensors[0] * upstream,
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
)


def test_a_custom_operator_without_forward_mode_passes() -> None:
    """torch.func.jvp gives zeros for it without a word; it has no forward mode, which is skipped with that reason."""
    verdict = harness.check(custom_square, {"x": torch.tensor([1.5, -0.5], dtype=torch.float64)}, name="custom")
    assert verdict.outcome is Outcome.PASS
    (forward,) = [finding for finding in verdict.findings if finding.check.startswith("forward ~ reverse")]
    assert forward.outcome is Outcome.SKIPPED and "jvp" in forward.message


def test_a_forward_mode_of_zeros_fails() -> None:
    """PyTorch's scatter_reduce(prod) has a forward mode, and its zeros are wrong."""
    index = torch.tensor([0, 0, 1])
    verdict = harness.check(
        lambda x: torch.ones(2, dtype=x.dtype).scatter_reduce(0, index, x, "prod"),
        {"x": torch.tensor([1.5, -0.5, 2.0], dtype=torch.float64)}, name="prod",
    )  # fmt: skip
    assert any(f.check.startswith("forward ~") and f.outcome is Outcome.FAIL for f in verdict.findings)
