"""float16 and bfloat16 beside a reference: correct operators pass, what loses more than its dtype must does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from harness.case.subject import Input, Point, Subject
from harness.records import Finding, Outcome
from harness.verify.api import check
from harness.verify.first import FirstOrder
from harness.verify.precision.check import low_precision
from harness.verify.precision.policies import Policy, policy_of
from harness.verify.scene import Labels

F16, BF16 = torch.float16, torch.bfloat16
HALVES = [F16, BF16]
LONG = 4096


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    """Seeded normal numbers, float64."""
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def findings(
    function: Callable[..., Tensor],
    inputs: Mapping[str, Tensor],
    dtype: torch.dtype,
    *,
    reference: Callable[..., Tensor] | None = None,
    policy: Policy | None = None,
) -> tuple[Finding, ...]:
    """The low-precision findings alone, without what float64 has to say."""
    subject = Subject(
        name="subject",
        inputs={name: Input(shape=tuple(value.shape)) for name, value in inputs.items()},
        function=lambda tensors: (function(*tensors.values()),),
        reference=None if reference is None else lambda tensors: (reference(*tensors.values()),),
    )
    point = Point(name="given", values=dict(inputs), sizes={}, seed=0)
    labels = Labels(case="subject", seed=0, device="cpu")
    return low_precision(subject, point, labels, dtype, FirstOrder(findings=()), policy)


def outcomes(found: tuple[Finding, ...]) -> set[Outcome]:
    """The outcomes of some findings."""
    return {finding.outcome for finding in found}


LABELS = torch.tensor([1, 0, 5])
CORRECT: dict[str, tuple[Callable[..., Tensor], Callable[[int], dict[str, Tensor]]]] = {
    "matmul": (torch.matmul, lambda n: {"a": normal(2, n), "b": normal(n, 3, seed=1)}),
    "linear": (F.linear, lambda n: {"x": normal(2, n), "w": normal(3, n, seed=1), "b": normal(3, seed=2)}),
    "softmax": (lambda x: x.softmax(-1), lambda n: {"x": normal(2, n, scale=2.0)}),
    "layer norm": (
        lambda x, w, b: F.layer_norm(x, w.shape, w, b),
        lambda n: {"x": normal(3, n) + 1, "w": normal(n, seed=1), "b": normal(n, seed=2)},
    ),
    "RMS norm": (lambda x, w: F.rms_norm(x, w.shape, w), lambda n: {"x": normal(3, n), "w": normal(n, seed=1)}),
    "cross-entropy": (lambda x: F.cross_entropy(x, LABELS), lambda n: {"x": normal(3, n, scale=2.0)}),
    "GELU": (F.gelu, lambda n: {"x": normal(n, scale=2.0)}),
    "attention": (
        F.scaled_dot_product_attention,
        lambda n: {"q": normal(1, 1, 3, 8), "k": normal(1, 1, n, 8, seed=1), "v": normal(1, 1, n, 8, seed=2)},
    ),
}


@pytest.mark.parametrize("size", [7, LONG])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", CORRECT)
def test_correct_operators_pass(name: str, dtype: torch.dtype, size: int) -> None:
    """Torch's own operators pass in half precision, in short reductions and long ones."""
    function, draw = CORRECT[name]
    assert outcomes(findings(function, draw(size), dtype, reference=function)) == {Outcome.PASS}


@pytest.mark.parametrize("dtype", HALVES)
def test_attention_written_out_is_no_failure(dtype: torch.dtype) -> None:
    """Attention step by step stores more in the dtype than the fused operator; that is no fault of it."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v

    found = findings(attention, CORRECT["attention"][1](512), dtype, reference=F.scaled_dot_product_attention)
    assert Outcome.FAIL not in outcomes(found)


class InFloat32(torch.autograd.Function):
    """Cross-entropy whose backward subtracts in float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The loss, computed like the reference."""
        ctx.save_for_backward(x)
        wide = x if x.dtype == torch.float64 else x.float()
        return F.cross_entropy(wide, LABELS).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        """Probabilities less one at the labels."""
        (x,) = ctx.saved_tensors
        wide = x if x.dtype == torch.float64 else x.float()
        return (g * (wide.softmax(-1) - F.one_hot(LABELS, x.shape[-1])) / len(LABELS)).to(x.dtype)


class RoundedProbability(InFloat32):
    """Cross-entropy whose backward rounds the probabilities before it subtracts."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        """Probabilities in the dtype less one at the labels."""
        (x,) = ctx.saved_tensors
        return g * (x.softmax(-1) - F.one_hot(LABELS, x.shape[-1])) / len(LABELS)


def confident(n: int = 8, margin: float = 7.0) -> dict[str, Tensor]:
    """Logits that make the labels nearly sure."""
    return {"x": normal(3, n, scale=0.3) + margin * F.one_hot(LABELS, n)}


def transposed_cross_entropy(x: Tensor) -> Tensor:
    """Cross-entropy along the other axis, where torch's kernel keeps its sums in float32."""
    return -x.T.contiguous().log_softmax(0)[LABELS, torch.arange(len(LABELS))].mean()


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("reference", [lambda x: F.cross_entropy(x, LABELS), transposed_cross_entropy])
def test_a_probability_rounded_before_one_is_subtracted_fails(
    reference: Callable[[Tensor], Tensor], dtype: torch.dtype
) -> None:
    """Confident inputs show what a rounded probability loses, though torch's own kernel is off there as well."""
    found = findings(RoundedProbability.apply, confident(), dtype, reference=reference)
    assert found[-1].outcome is Outcome.FAIL


@pytest.mark.parametrize("dtype", HALVES)
def test_subtracting_in_float32_passes(dtype: torch.dtype) -> None:
    """The twin that subtracts before it rounds passes at the same inputs."""
    found = findings(InFloat32.apply, confident(), dtype, reference=transposed_cross_entropy)
    assert found[-1].outcome is Outcome.PASS


@pytest.mark.parametrize("dtype", HALVES)
def test_what_the_reference_gives_bit_for_bit_is_a_weak_yardstick(dtype: torch.dtype) -> None:
    """Torch's own cross-entropy at confident inputs is far off itself: neither a pass nor a failure."""
    function = CORRECT["cross-entropy"][0]
    found = findings(function, confident(margin=9.0), dtype, reference=function)[-1]
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "Yardstick weak" in found.message


@pytest.mark.parametrize("dtype", HALVES)
def test_torch_s_own_operators_are_no_failure(dtype: torch.dtype) -> None:
    """Nor do they fail beside another way to write the same; a wrong formula in them does."""
    right = CORRECT["cross-entropy"][0]
    found = findings(right, confident(margin=9.0), dtype, reference=transposed_cross_entropy)
    assert Outcome.FAIL not in outcomes(found)
    wrong = findings(lambda x: 1.5 * right(x), confident(margin=2.0), dtype, reference=transposed_cross_entropy)
    assert outcomes(wrong) == {Outcome.FAIL}


def added_up(step: int, dtype: torch.dtype | None) -> Callable[[Tensor, Tensor], Tensor]:
    """A dot product added up in steps in a dtype; None adds up in float32."""

    class Dot(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
            ctx.save_for_backward(a, b)
            return total(a * b if a.dtype == torch.float64 else a.float() * b.float()).to(a.dtype)

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
            a, b = ctx.saved_tensors
            return g * b, g * a

    def total(terms: Tensor) -> Tensor:
        kept = terms.dtype if dtype is None or terms.dtype == torch.float64 else dtype
        result = torch.zeros((), dtype=kept)
        for part in terms.split(step):
            result = (result + part.sum()).to(kept)
        return result

    return Dot.apply


@pytest.mark.parametrize("dtype", HALVES)
def test_adding_up_in_the_dtype_fails(dtype: torch.dtype) -> None:
    """A long sum of positive terms kept in half precision stops growing."""
    inputs = {"a": normal(LONG).abs() / 16, "b": normal(LONG, seed=1).abs() / 16}
    reference: Callable[..., Tensor] = torch.dot
    assert Outcome.FAIL in outcomes(findings(added_up(1, dtype), inputs, dtype, reference=reference))
    assert outcomes(findings(added_up(16, None), inputs, dtype, reference=reference)) == {Outcome.PASS}


def through(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """A mean of squares whose backward goes through a dtype, except in float64."""

    class Through(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return (x * x).mean()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
            (x,) = ctx.saved_tensors
            kept = x.dtype if x.dtype == torch.float64 else dtype
            return (2 * g.to(kept) * x.to(kept) / x.numel()).to(x.dtype)

    return Through.apply


@pytest.mark.parametrize("dtype", [BF16, torch.float32])
def test_a_backward_in_float16_fails(dtype: torch.dtype) -> None:
    """Small gradients of a long mean fall below float16's range, and float32 has more digits than it."""
    inputs = {"x": normal(LONG, scale=1e-2)}
    reference = lambda x: (x * x).mean()  # noqa: E731
    assert Outcome.FAIL in outcomes(findings(through(F16), inputs, dtype, reference=reference))
    assert outcomes(findings(through(dtype), inputs, dtype, reference=reference)) == {Outcome.PASS}


@pytest.mark.parametrize("dtype", HALVES)
def test_without_a_reference_torch_operators_are_no_failure(dtype: torch.dtype) -> None:
    """A composition of torch's operators is its own yardstick."""
    found = findings(CORRECT["cross-entropy"][0], confident(margin=9.0), dtype)
    assert Outcome.FAIL not in outcomes(found)


def test_a_number_on_the_way_beyond_the_range_is_skipped() -> None:
    """Where the formula overflows float16 in between there is nothing to compare."""
    found = findings(lambda x: (x * x) / 1000, {"x": torch.tensor([300.0], dtype=torch.float64)}, F16)
    assert outcomes(found) == {Outcome.SKIPPED}


def test_numbers_of_a_finding() -> None:
    """A finding carries its error against truth, eager and floor, and a factor shows in all of them."""

    class Louder(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
            (x,) = ctx.saved_tensors
            return 1.25 * g * x.cos()

    found = findings(Louder.apply, {"x": normal(40)}, BF16, reference=torch.sin)[-1]
    assert found.outcome is Outcome.FAIL
    precision = found.precision
    assert precision is not None
    assert precision.relative_l2 == pytest.approx(0.25, abs=0.02)
    assert precision.bias == pytest.approx(0.25, abs=0.02)
    assert precision.cosine == pytest.approx(1.0, abs=1e-3)
    assert (precision.floors or 0) > 8 > 2 > (precision.eager_floors or 0)
    assert (precision.ratio_to_eager or 0) > 20
    assert "× the rounding floor" in found.message
    assert "× eager" in found.message


@pytest.mark.parametrize(
    ("policy", "loose"),
    [
        ("flash-2x", None),
        ({"rms-ratio": 0.02}, {"rms-ratio": 1.0}),
        ({"allclose": {"rtol": 0.05, "atol": 1e-3}}, {"allclose": {"rtol": 0.1, "atol": 9.0}}),
    ],
)
def test_policies_decide(policy: object, loose: object) -> None:
    """A policy accepts the correct subject, refuses one that is 10 % off, and says when it cannot fail."""
    inputs = {"x": normal(40)}
    off = lambda x: x.sin() + 0.1 * (x.sin() - x.sin().detach())  # noqa: E731
    right = findings(torch.sin, inputs, BF16, reference=torch.sin, policy=policy_of(policy))[-1]
    wrong = findings(off, inputs, BF16, reference=torch.sin, policy=policy_of(policy))[-1]
    assert (right.outcome, wrong.outcome) == (Outcome.PASS, Outcome.FAIL)
    if loose is not None:
        blind = findings(off, inputs, BF16, reference=torch.sin, policy=policy_of(loose))[-1]
        assert blind.outcome is Outcome.VACUOUS
        assert "cannot fail" in blind.message


def test_flash_says_when_eager_is_as_bad() -> None:
    """Twice the error of an eager implementation that is far off itself is no pass."""
    function = CORRECT["cross-entropy"][0]
    found = findings(function, confident(margin=9.0), BF16, reference=function, policy=policy_of("flash-2x"))[-1]
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "Yardstick weak" in found.message


def test_a_kernel_at_home_in_half_precision() -> None:
    """A subject that always computes in float32 is not run in float64; its reference answers there."""

    def kernel(x: Tensor) -> Tensor:
        return x.float().square().to(x.dtype)

    verdict = check(kernel, {"x": normal(5).to(BF16)}, reference=torch.square, effort="quick", probes=[])
    assert verdict.outcome is Outcome.PASS
    assert all("reference" in f.check for f in verdict.findings if f.dtype == "float64")


def test_dtypes_and_policy_from_python() -> None:
    """`harness.check` runs the dtypes asked for, and a policy that cannot fail makes the verdict vacuous."""
    verdict = check(
        torch.sin, {"input": normal(5)}, reference=torch.sin, dtypes=["bfloat16"], effort="quick", probes=[],
        policy={"rms-ratio": 2.0},
    )  # fmt: skip
    assert verdict.outcome is Outcome.VACUOUS
    assert {f.dtype for f in verdict.findings} == {"float64", "bfloat16"}
