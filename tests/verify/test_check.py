"""Faults that really shipped, each emulated with its correct twin: the fault is caught, the twin passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.records import Outcome
from harness.verify.api import Verdict, check

Backward = Callable[..., Any]


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Seeded normal numbers, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_backward(forward: Callable[..., Tensor], backward: Backward) -> Callable[..., Tensor]:
    """A differentiable function with a hand-written backward: it gets the cotangent, then the inputs."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Tensor) -> Tensor:
            ctx.save_for_backward(*inputs)
            return forward(*inputs)

        @staticmethod
        def backward(ctx: Any, cotangent: Tensor) -> Any:
            return backward(cotangent, *ctx.saved_tensors)

    return lambda *inputs: Function.apply(*inputs)


@dataclass(frozen=True)
class Fault:
    """A forward with a right and a wrong backward, and inputs on which the difference shows."""

    forward: Callable[..., Tensor]
    right: Backward
    wrong: Backward
    inputs: tuple[Tensor, ...]


def _softplus(x: Tensor) -> Tensor:
    return torch.where(x > 20, x, torch.log1p(torch.exp(x.clamp(max=20))))


def _tail_kept(g: Tensor, x: Tensor) -> Tensor:
    return 2 * g * x


def _tail_dropped(g: Tensor, x: Tensor) -> Tensor:
    gradient = 2 * g * x
    whole = len(x) // 4 * 4
    return torch.cat([gradient[:whole], torch.zeros_like(gradient[whole:])])


def _accumulated_in_half(g: Tensor, x: Tensor) -> Tensor:
    return (2 * g.half() * x.half()).to(x.dtype)


X, Y, M = normal(5), normal(5, seed=1), normal(3, 3)
FAULTS: dict[str, Fault] = {
    "wrong sign": Fault(lambda x: x**3, lambda g, x: 3 * g * x**2, lambda g, x: -3 * g * x**2, (X,)),
    "missing factor": Fault(lambda x: x**2, lambda g, x: 2 * g * x, lambda g, x: g * x, (X,)),
    "factor of a millionth": Fault(torch.sin, lambda g, x: g * x.cos(), lambda g, x: g * x.cos() * (1 + 1e-6), (X,)),
    "factor of 1e-10": Fault(torch.sin, lambda g, x: g * x.cos(), lambda g, x: g * x.cos() * (1 + 1e-10), (X,)),
    "dropped term": Fault(
        lambda x: x * x.exp(), lambda g, x: g * (1 + x) * x.exp(), lambda g, x: g * x * x.exp(), (X,)
    ),
    "term counted twice": Fault(
        lambda x: x**2 + x.sin(), lambda g, x: g * (2 * x + x.cos()), lambda g, x: g * (2 * x + 2 * x.cos()), (X,)
    ),
    "ignored cotangent": Fault(lambda x: x**2, lambda g, x: 2 * g * x, lambda g, x: 2 * x, (X,)),
    "ignored cotangent of a number": Fault(
        lambda x: (x**2).sum(), lambda g, x: 2 * g * x, lambda g, x: 2 * x, (X,)
    ),
    "first cotangent for all rows": Fault(
        lambda x: x**2, lambda g, x: 2 * g * x, lambda g, x: 2 * g[0] * x, (normal(4, 3),)
    ),
    "swapped inputs": Fault(lambda x, y: x * y, lambda g, x, y: (g * y, g * x), lambda g, x, y: (g * x, g * y), (X, Y)),
    "transposed": Fault(
        lambda x: x @ x.T, lambda g, x: (g + g.T) @ x, lambda g, x: ((g + g.T) @ x).T.contiguous(), (M,)
    ),
    "mean instead of sum over a broadcast": Fault(
        lambda x, b: x + b, lambda g, x, b: (g, g.sum(0)), lambda g, x, b: (g, g.mean(0)), (normal(4, 3), normal(3))
    ),
    "one head for all": Fault(
        lambda x, w: x * w[:, None], lambda g, x, w: (g * w[:, None], (g * x).sum(1)),
        lambda g, x, w: (g * w[0], (g * x).sum(1)), (normal(3, 4), normal(3)),
    ),
    "tail past a block dropped": Fault(lambda x: x**2, _tail_kept, _tail_dropped, (normal(7),)),
    "wrong above a threshold": Fault(
        _softplus, lambda g, x: g * torch.where(x > 20, 1.0, torch.sigmoid(x)),
        lambda g, x: g * torch.where(x > 20, 0.0, torch.sigmoid(x)),
        (torch.tensor([-1.0, 3.0, 25.0], dtype=torch.float64),),
    ),
    "no gradient for one input": Fault(
        lambda x, y: x * y, lambda g, x, y: (g * y, g * x), lambda g, x, y: (g * y, None), (X, Y)
    ),
    "a zero for one input": Fault(
        lambda x, y: x * y, lambda g, x, y: (g * y, g * x), lambda g, x, y: (g * y, torch.zeros_like(y)), (X, Y)
    ),
    "NaN at a zero": Fault(
        lambda x: x**2, lambda g, x: 2 * g * x, lambda g, x: 2 * g * x**3 / x**2,
        (torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64),),
    ),
    "downcast inside": Fault(lambda x: x**2, lambda g, x: 2 * g * x, _accumulated_in_half, (X,)),
    "float32 inside": Fault(
        lambda x: x**2, lambda g, x: 2 * g * x, lambda g, x: (2 * g.float() * x.float()).double(), (X,)
    ),
    "rounded before a cancelling subtraction": Fault(
        lambda x: -x.log_softmax(0)[0], lambda g, x: g * (x.softmax(0) - torch.eye(len(x)).double()[0]),
        lambda g, x: g * (x.softmax(0).bfloat16().double() - torch.eye(len(x)).double()[0]),
        (torch.tensor([9.0, 1.0, 0.0], dtype=torch.float64),),
    ),
    "an absolute value that forgets its sign": Fault(
        torch.abs, lambda g, x: g * x.sign(), lambda g, x: g, (X,)
    ),
    "constant of a normalised input": Fault(
        lambda x: x / x.sum(), lambda g, x: g / x.sum() - (g * x).sum() / x.sum() ** 2,
        lambda g, x: g / x.sum() - (g * x).sum(), (normal(4).abs() + 0.5,),
    ),
    "neighbours wrapped around": Fault(
        lambda x: x[1:] - x[:-1],
        lambda g, x: torch.cat([-g[:1], g[:-1] - g[1:], g[-1:]]),
        lambda g, x: torch.cat([g, g[:1]]).roll(1) - torch.cat([g, g[:1]]), (X,),
    ),
    "the smallest fault at a tiny scale": Fault(
        lambda x: 1e-9 * x**2, lambda g, x: 2e-9 * g * x, lambda g, x: 2e-9 * g * x * (1 + 1e-8), (X,)
    ),
}  # fmt: skip


def verdict_of(fault: Fault, backward: Backward) -> Verdict:
    """Check a forward with a backward at the fault's own inputs."""
    names = "abc"[: len(fault.inputs)]
    return check(with_backward(fault.forward, backward), dict(zip(names, fault.inputs, strict=True)))


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_caught(name: str) -> None:
    """A wrong backward fails."""
    assert verdict_of(FAULTS[name], FAULTS[name].wrong).outcome is Outcome.FAIL


@pytest.mark.parametrize("name", FAULTS)
def test_the_twin_passes(name: str) -> None:
    """The same forward with the right backward passes."""
    verdict = verdict_of(FAULTS[name], FAULTS[name].right)
    assert verdict.outcome is Outcome.PASS, verdict.message


def detached(x: Tensor) -> Tensor:
    """A function with one path cut."""
    return (x * x.detach().sin()).sum()


def counting() -> Callable[[Tensor], Tensor]:
    """A square whose second backward differs from its first."""
    calls = {"n": 0}

    def backward(g: Tensor, x: Tensor) -> Tensor:
        calls["n"] += 1
        return 2 * g * x * (1 if calls["n"] % 2 else 1.5)

    return with_backward(lambda x: x**2, backward)


class DetachedSecond(torch.autograd.Function):
    """x³ whose second derivative is silently zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Cube."""
        ctx.x = x.detach()
        return x**3

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        """Its first derivative, from a tensor without history."""
        return 3 * g * ctx.x**2


class WrongSecond(torch.autograd.Function):
    """x³ whose second derivative has the factor of one term missing."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Cube."""
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        """Its first derivative, half of it cut."""
        (x,) = ctx.saved_tensors
        return 3 * g * x * x.detach()


class OtherDtype(torch.autograd.Function):
    """A square whose gradient is computed in half precision."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Square."""
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        """Return another dtype than the input's."""
        (x,) = ctx.saved_tensors
        return (2 * g * x).to(torch.float16)


class WrongForward(torch.autograd.Function):
    """A sine whose forward mode has the wrong sign."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        """Sine."""
        return x.sin()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep the input for both modes."""
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        """Right."""
        return g * ctx.saved_tensors[0].cos()

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        """Wrong."""
        return -tangent * ctx.saved_tensors[0].cos()


def overwriting(g: Tensor, x: Tensor) -> Tensor:
    """A right gradient, after which the upstream gradient is spoilt."""
    gradient = 2 * g * x
    g.data.mul_(3)
    return gradient


WRONG: dict[str, Callable[[Tensor], Tensor]] = {
    "a detached path": detached,
    "a second backward that differs": counting(),
    "a second derivative that is silently zero": DetachedSecond.apply,
    "half a second derivative": WrongSecond.apply,
    "forward mode of the wrong sign": WrongForward.apply,
    "an upstream gradient written into": with_backward(lambda x: x**2, overwriting),
}


@pytest.mark.parametrize("name", WRONG)
def test_faults_of_other_routes_are_caught(name: str) -> None:
    """Cut paths, second derivatives, repeated backwards and forward modes are checked, too."""
    assert check(WRONG[name], {"x": normal(4)}).outcome is Outcome.FAIL


def test_another_dtype_is_no_silent_pass() -> None:
    """A gradient computed in half precision fails in float64, whatever autograd makes of its dtype."""
    assert check(OtherDtype.apply, {"x": normal(4)}).outcome is Outcome.FAIL


@pytest.mark.parametrize(("size", "place"), [(1000, 617), (1000, 0), (100_000, 77_777)])
def test_one_wrong_entry_is_found(size: int, place: int) -> None:
    """One entry off by 10 among many fails, and the finding names the very entry."""

    def backward(g: Tensor, x: Tensor) -> Tensor:
        gradient = g * x.cos()
        gradient[place] += 10 * g
        return gradient

    verdict = check(with_backward(lambda x: x.sin().sum(), backward), {"x": normal(size)}, effort="quick")
    worst = next(f for f in verdict.findings if f.check == "autograd ~ finite differences")
    assert (verdict.outcome, worst.index) == (Outcome.FAIL, (place,))


@pytest.mark.parametrize("size", [1000, 100_000])
def test_large_inputs_pass(size: int) -> None:
    """The correct twins of the above."""
    function = with_backward(lambda x: x.sin().sum(), lambda g, x: g * x.cos())
    assert check(function, {"x": normal(size)}, effort="quick").outcome is Outcome.PASS


def test_low_precision_accumulation_is_caught() -> None:
    """A backward that accumulates a long reduction in bfloat16 fails in float32."""
    size = 400

    def backward(g: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        if x.dtype == torch.float64:
            return g[:, None] * w, (g[:, None] * x).sum(0)
        return g[:, None] * w, (g[:, None] * x).bfloat16().sum(0).to(x.dtype)

    function = with_backward(lambda x, w: x @ w, backward)
    assert check(function, {"x": normal(size, 2).float(), "w": normal(2).float()}).outcome is Outcome.FAIL


def test_both_sides_of_a_low_precision_check_get_the_same_cotangents() -> None:
    """Sums of cotangents that bfloat16 cannot hold are no fault of the subject."""
    verdict = check(lambda x: torch.nn.functional.pad(x, (2, 1), mode="circular"), {"x": normal(1, 1, 5).bfloat16()})
    assert verdict.outcome is Outcome.PASS, verdict.message


def test_a_dtype_that_raises_keeps_the_verdict_of_float64() -> None:
    """A wrong gradient stays a FAIL when the subject cannot run in the dtype it was given in."""

    def forward(x: Tensor) -> Tensor:
        if x.dtype == torch.bfloat16:
            raise NotImplementedError("no kernel for BFloat16")
        return x**2

    verdict = check(with_backward(forward, lambda g, x: g * x), {"x": normal(3).bfloat16()})
    assert verdict.outcome is Outcome.FAIL
    assert any(f.outcome is Outcome.ERROR and "bfloat16" in f.message for f in verdict.findings)
