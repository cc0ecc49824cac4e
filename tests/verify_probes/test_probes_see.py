"""Each probe sees its fault, names the situation, and passes the fault's correct twin."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

import harness
from harness.case.points import draw_points
from harness.case.subject import Input, Subject
from harness.records import Finding, Outcome
from harness.verify.first import first_order
from harness.verify.options import ProbeOptions, VerifyOptions
from harness.verify.probes import transforms
from harness.verify.probes.registry import run_probes
from harness.verify.scene import Labels, Scene


def function(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """A differentiable function with a hand-written backward: it gets the context, the cotangent, then the inputs."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Tensor) -> Any:
            ctx.save_for_backward(*inputs)
            return forward(*inputs)

        @staticmethod
        def backward(ctx: Any, cotangent: Tensor) -> Any:
            return backward(ctx, cotangent, *ctx.saved_tensors)

    return lambda *inputs: Function.apply(*inputs)


def as_dense(tensor: Tensor) -> Tensor:
    """Read a tensor's memory as if it were contiguous, as a kernel without strides does."""
    start, owned = tensor.storage_offset(), tensor.untyped_storage().nbytes() // tensor.element_size()
    memory = tensor.detach().as_strided((owned - start,), (1,), start)
    return memory[torch.arange(tensor.numel()) % len(memory)].reshape(tensor.shape)


def _square(x: Tensor) -> Tensor:
    return x * x


def _right(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
    return 2 * g * x


def _race(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
    gradient = 2 * g * x
    if LAUNCHES.random() < 0.02:
        gradient[0, 0] = 0
    return gradient


LAUNCHES = random.Random(5)


def _unwritten(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
    gradient = torch.empty_like(x)
    memory = gradient if gradient.isnan().all() else gradient.copy_(2 * g * x)  # what a lucky allocator returns
    memory[1:] = (2 * g * x)[1:]
    return memory


def _tail(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
    gradient = 2 * g * x
    gradient[:, x.shape[1] // 4 * 4 :] = 0
    return gradient


def _tile(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
    gradient = 2 * g * x
    gradient[:, 64:] *= 0.5
    return gradient


def _stops(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
    if x.numel() == 0:
        raise IndexError("max of no entries")
    return 2 * g * x


def _overwrites(ctx: Any, g: Tensor, x: Tensor, scratch: Tensor) -> Any:
    scratch.data.mul_(0.5)
    return 2 * g * x, None


def _mul_wrong(ctx: Any, g: Tensor, a: Tensor, b: Tensor) -> Any:
    return (g * b if ctx.needs_input_grad[1] else g * 0), g * a


def _mul_same(ctx: Any, g: Tensor, a: Tensor, b: Tensor) -> Any:
    return g * b, (g * 0 if a.data_ptr() == b.data_ptr() else g * a)


def _even_tail(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
    gradient = 2 * g * x
    if x.shape[1] > 8 and x.shape[1] % 2 == 0:
        gradient[:, -2:] = 0
    return gradient


def _first_terms(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
    return g * torch.where(x.abs() < 1e-3, 1.0, x.exp())


def _short_rows(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
    return g * torch.where(x.norm(dim=-1, keepdim=True) < 1e-2, 1.0, x.exp())


def _clamps_its_input(x: Tensor) -> Tensor:
    x.data.clamp_(min=-3)
    return x.clamp(min=-3)


def _compiled(x: Tensor) -> Tensor:
    factor = 1.0 if torch.compiler.is_compiling() else 2.0
    return function(_square, lambda ctx, g, x: factor * g * x)(x)


X = {"x": Input(shape=("n", "d"))}
AB = {"a": Input(shape=("n", "d")), "b": Input(shape=("n", "d"))}
DIMS = {"n": 3, "d": 4}
SQUARE, PRODUCT = function(_square, _right), function(lambda a, b: a * b, lambda ctx, g, a, b: (g * b, g * a))


@dataclass(frozen=True)
class Row:
    """A probe, a wrong subject it must see, its right twin, and words the finding must say."""

    probe: str
    wrong: Callable[..., Any]
    says: str
    right: Callable[..., Any] = SQUARE
    inputs: Mapping[str, Input] = field(default_factory=lambda: X)


ROWS = {
    "cotangent read as dense": Row(
        "cotangents", function(_square, lambda ctx, g, x: 2 * as_dense(g) * x), "upstream gradient is a transposed view"
    ),
    "cotangent clipped": Row(
        "cotangents", function(_square, lambda ctx, g, x: 2 * g.clamp(-100, 100) * x), "multiplied by 1.04858e+06"
    ),
    "input read as dense": Row(
        "layouts", function(_square, lambda ctx, g, x: 2 * g * as_dense(x)), "x is a transposed view"
    ),
    "None for a view": Row(
        "layouts", function(_square, lambda ctx, g, x: 2 * g * x if x.is_contiguous() else None), "None for x"
    ),
    "unwritten": Row("uninitialised memory", function(_square, _unwritten), "uninitialised memory holds NaN"),
    "needs the other": Row("requires_grad", function(lambda a, b: a * b, _mul_wrong), "only a", PRODUCT, AB),
    "half of two": Row("same tensor twice", function(lambda a, b: a * b, _mul_same), "both a and b", PRODUCT, AB),
    "race": Row("reruns", function(_square, _race), "run to run"),
    "compiled branch": Row("compile", _compiled, "is_compiling"),
    "tail": Row("sizes", function(_square, _tail), "are 1 together"),
    "tile": Row("sizes", function(_square, _tile), "d is 67"),
    "empty": Row("sizes", function(_square, _stops), "backward raises when n is 0"),
    "saturated": Row("values", function(_square, lambda ctx, g, x: torch.where(x > 20, 3, 2) * g * x), "near 22"),
    "NaN at zero": Row("values", function(_square, lambda ctx, g, x: 2 * g * x * x / x), "zero"),
    "threshold": Row("values", function(_square, lambda ctx, g, x: torch.where(x > 9.5, 3, 2) * g * x), "9.5"),
    "tie of inputs": Row(
        "values",
        function(torch.minimum, lambda ctx, g, a, b: (g * (a <= b), g * (b <= a))),
        "b equals a",
        torch.minimum,
        AB,
    ),
    "even tail": Row("sizes", function(_square, _even_tail), "d is 1"),
    "series near zero": Row("values", function(torch.exp, _first_terms), "around 0.001", torch.exp),
    "series of short rows": Row("values", function(torch.exp, _short_rows), "half as long as 0.01", torch.exp),
    "clamps its input": Row("values", _clamps_its_input, "overwrites its input x when", lambda x: x.clamp(min=-3)),
    "path for ones": Row(
        "cotangents", function(_square, lambda ctx, g, x: 2 * g * x / (1 + (g == 1).all())), "is 1 everywhere"
    ),
    "input overwritten": Row(
        "side effects",
        function(lambda x, scratch: x * x, _overwrites),
        "overwrites the input scratch",
        function(lambda x, scratch: x * x, lambda ctx, g, x, scratch: (2 * g * x, None)),
        {**X, "scratch": Input(shape=("n",), grad=False)},
    ),
}


def probed(fn: Callable[..., Any], *probes: str, inputs: Mapping[str, Input] = X) -> list[Finding]:
    """What probes find about a function whose gradient was judged at one random point."""
    LAUNCHES.seed(5)
    subject = Subject(name="probed", inputs=inputs, function=lambda tensors: (fn(*tensors.values()),))
    (point,) = draw_points(inputs, DIMS, name="probed", seed=0, count=1)
    scene = Scene(subject, point, Labels(case="probed", seed=0, device="cpu"))
    first = first_order(scene, None, VerifyOptions(certify=False))
    assert not [f.message for f in first.findings if f.outcome is Outcome.FAIL]
    return list(run_probes(scene, first, ProbeOptions(names=probes, budget_s=60.0)))


@pytest.mark.parametrize("name", ROWS)
def test_a_probe_sees_its_fault_and_passes_the_twin(name: str) -> None:
    """The wrong subject fails in that probe's words; the right one passes and the probe says what it tried."""
    row = ROWS[name]
    found = probed(row.wrong, row.probe, inputs=row.inputs)
    assert any(f.outcome is Outcome.FAIL and row.says in f.message for f in found), [f.message for f in found]
    found = probed(row.right, row.probe, inputs=row.inputs)
    assert Outcome.FAIL not in {f.outcome for f in found}
    assert any(f.outcome is Outcome.PASS for f in found)


def test_without_the_probe_the_hidden_faults_pass() -> None:
    """What the probes see is hidden from the points themselves: with no probe the transposed cotangent passes."""
    verdict = harness.check(
        ROWS["cotangent read as dense"].wrong, X, dims=DIMS, probes=[], name="probed", effort="quick"
    )
    assert verdict.outcome is Outcome.PASS


def test_a_random_forward_is_named() -> None:
    """Dropout leaves the verdict open, and the sentence says that the forward is random."""
    verdict = harness.check(lambda x: torch.nn.functional.dropout(x, 0.5), X, dims=DIMS, name="dropout", effort="quick")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "forward is random" in verdict.message
    assert "one seed" in verdict.message


def test_a_forward_that_overwrites_its_input_fails_at_once() -> None:
    """Writing past the version counter in the forward is a fault of its own, whatever the oracles would say."""

    def overwrites(x: Tensor) -> Tensor:
        y = x * x
        x.data.zero_()
        return y

    verdict = harness.check(overwrites, X, dims=DIMS, name="overwrites", effort="quick")
    assert verdict.outcome is Outcome.FAIL
    assert "overwrites its input x" in verdict.message


def test_bitwise_is_asked_for_by_name() -> None:
    """An order of summation that changes is rounding to `reruns`, and a fault to `bitwise`."""
    calls = iter(range(10**9))

    def backward(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
        return 2 * g * x * (1 + 2**-52 * (next(calls) % 2))

    wrong = function(_square, backward)
    assert all(f.outcome is Outcome.PASS for f in probed(wrong, "reruns"))
    assert any(f.outcome is Outcome.FAIL and "last bit" in f.message for f in probed(wrong, "bitwise"))


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x.median(-1).values,
        lambda x: x.sort(-1).values * torch.arange(x.shape[-1], dtype=x.dtype),
        lambda x: x.max(-1).values,
        lambda x: torch.nn.functional.leaky_relu(x, 0.1),
        lambda x: x.norm(dim=-1),
        lambda x: torch.linalg.svdvals(x),
        lambda x: torch.special.softmax(x, -1),
    ],
)
def test_right_subjects_with_kinks_and_ties_pass(fn: Callable[[Tensor], Tensor]) -> None:
    """Where a function has no gradient, any slope like those nearby is right: no false alarm at ties and kinks."""
    found = probed(fn, "values", "layouts", "cotangents")
    assert not [f.message for f in found if f.outcome is Outcome.FAIL]


def test_vmap_sees_a_batch_that_is_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both of PyTorch's vmaps return the first row for every row, the second row fails."""
    right = transforms._batched
    monkeypatch.setattr(transforms, "_batched", lambda base, *, newer: 3 * right(base, newer=newer)[:1])
    (fault, passed) = probed(SQUARE, "vmap")
    assert (fault.outcome, passed.outcome) == (Outcome.FAIL, Outcome.PASS)
    assert "batched by vmap (row 1 of the batch)" in fault.message


def test_vmap_does_not_blame_a_subject_for_pytorch() -> None:
    """torch.func's batching rule for cdist is wrong; the older one is right, and so is the subject."""
    found = probed(lambda x: torch.cdist(x, 2 * x + 1), "vmap")
    assert Outcome.FAIL not in {f.outcome for f in found}
