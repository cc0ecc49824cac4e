"""Backwards with a wrong formula: factors, signs, terms, swaps."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from emulations.emulation import Emulation
from torch.autograd import Function

from harness.case.subject import Input

CAP = 5.0
DELTA = 0.8


class CappedScores(Function):
    """Attention scores q kᵀ / √d, squashed into ±cap where a cap is given."""

    @staticmethod
    def forward(ctx, q, k, cap):
        ctx.save_for_backward(q, k)
        ctx.cap = cap
        scores = q @ k.T / math.sqrt(q.shape[-1])
        return scores if cap is None else cap * torch.tanh(scores / cap)

    @staticmethod
    def slope(ctx, q, k):
        scores = q @ k.T / math.sqrt(q.shape[-1])
        return 1.0 if ctx.cap is None else 1 - torch.tanh(scores / ctx.cap).square()

    @staticmethod
    def gradient(q, k, g):
        scaled = g / math.sqrt(q.shape[-1])
        return scaled @ k, scaled.T @ q, None

    @staticmethod
    def backward(ctx, g):
        q, k = ctx.saved_tensors
        return CappedScores.gradient(q, k, g * CappedScores.slope(ctx, q, k))


class CappedScoresWithoutSlope(CappedScores):
    """fla PR 1071, mamba PR 746: a factor missing under one option only, here the slope of the cap.

    Seen by any independent derivative once the option is on.
    """

    @staticmethod
    def backward(ctx, g):
        return CappedScores.gradient(*ctx.saved_tensors, g)


class RadialKernel(Function):
    """Squared-exponential kernel exp(−‖x − z‖² / 2ℓ²)."""

    @staticmethod
    def forward(ctx, x, z, length):
        ctx.save_for_backward(x, z, length)
        return plain_radial_kernel(x, z, length)

    @staticmethod
    def gradient(ctx, g):
        x, z, length = ctx.saved_tensors
        apart = x[:, None] - z[None]
        weight = g * plain_radial_kernel(x, z, length)
        moved = weight[..., None] * apart / length**2
        return -moved.sum(1), moved.sum(0), (weight * apart.square().sum(-1)).sum() / length**3

    @staticmethod
    def backward(ctx, g):
        return RadialKernel.gradient(ctx, g)


class RadialKernelSign(RadialKernel):
    """autograd PR 412, gpytorch #2563: the sign of one gradient is wrong, here the length scale's.

    Seen by any independent derivative.
    """

    @staticmethod
    def backward(ctx, g):
        x, z, length = RadialKernel.gradient(ctx, g)
        return x, z, -length


def plain_radial_kernel(x, z, length):
    """Squared-exponential kernel in plain PyTorch."""
    return torch.exp(-(x[:, None] - z[None]).square().sum(-1) / (2 * length**2))


class PseudoHuber(Function):
    """Robust loss δ² (√(1 + (r/δ)²) − 1), entry by entry."""

    @staticmethod
    def forward(ctx, residual):
        ctx.save_for_backward(residual)
        return plain_pseudo_huber(residual)

    @staticmethod
    def backward(ctx, g):
        (residual,) = ctx.saved_tensors
        return g * residual / torch.sqrt(1 + (residual / DELTA).square())


class PseudoHuberScaled(PseudoHuber):
    """theseus #39: the whole gradient is scaled by a constant.

    Seen by any independent derivative.
    """

    @staticmethod
    def backward(ctx, g):
        return DELTA * PseudoHuber.backward(ctx, g)


def plain_pseudo_huber(residual):
    """Robust loss in plain PyTorch."""
    return DELTA**2 * (torch.sqrt(1 + (residual / DELTA).square()) - 1)


class SwiGlu(Function):
    """SiLU(a) · b."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return F.silu(a) * b

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        s = a.sigmoid()
        return g * b * s * (1 + a * (1 - s)), g * a * s


class SwiGluSwapped(SwiGlu):
    """Fast-LLM PR 493: the gradients of two inputs of one shape are swapped.

    Seen by any independent derivative at unequal values.
    """

    @staticmethod
    def backward(ctx, g):
        a, b = SwiGlu.backward(ctx, g)
        return b, a


class Splat(Function):
    """Weight of a two-dimensional Gaussian with inverse covariance (a, b; b, c) at offsets (dx, dy)."""

    @staticmethod
    def forward(ctx, offset, conic):
        ctx.save_for_backward(offset, conic)
        return plain_splat(offset, conic)

    @staticmethod
    def gradient(ctx, g, cross):
        offset, conic = ctx.saved_tensors
        (dx, dy), (a, b, c) = offset.unbind(-1), conic.unbind(-1)
        weight = g * plain_splat(offset, conic)
        by_offset = torch.stack([-(a * dx + cross * b * dy), -(c * dy + b * dx)], -1)
        by_conic = torch.stack([-dx * dx / 2, -dx * dy, -dy * dy / 2], -1)
        return weight[..., None] * by_offset, weight[..., None] * by_conic

    @staticmethod
    def backward(ctx, g):
        return Splat.gradient(ctx, g, 1)


class SplatTermTwice(Splat):
    """diff-gaussian-rasterization #86: one term of the gradient is counted twice.

    Seen by any independent derivative where the term is not zero.
    """

    @staticmethod
    def backward(ctx, g):
        return Splat.gradient(ctx, g, 2)


def plain_splat(offset, conic):
    """Weight of a two-dimensional Gaussian in plain PyTorch."""
    (dx, dy), (a, b, c) = offset.unbind(-1), conic.unbind(-1)
    return torch.exp(-(a * dx * dx + c * dy * dy) / 2 - b * dx * dy)


EMULATIONS = (
    Emulation(
        slug="factor-missing-under-option",
        wrong=lambda q, k: CappedScoresWithoutSlope.apply(q, k, CAP),
        right=lambda q, k: CappedScores.apply(q, k, CAP),
        reference=lambda q, k: CAP * torch.tanh(q @ k.T / math.sqrt(q.shape[-1]) / CAP),
        inputs={"q": Input(shape=("t", "d")), "k": Input(shape=("s", "d"))},
        dims={"t": 3, "s": 4, "d": 5},
        sees=("autograd",),
    ),
    Emulation(
        slug="sign",
        wrong=RadialKernelSign.apply,
        right=RadialKernel.apply,
        reference=plain_radial_kernel,
        inputs={
            "x": Input(shape=("n", "d")),
            "z": Input(shape=("m", "d")),
            "length": Input(draw="uniform(0.7, 1.5)"),
        },
        dims={"n": 3, "m": 2, "d": 2},
        sees=("autograd",),
    ),
    Emulation(
        slug="constant-factor",
        wrong=PseudoHuberScaled.apply,
        right=PseudoHuber.apply,
        reference=plain_pseudo_huber,
        inputs={"residual": Input(shape=("n", "d"))},
        dims={"n": 4, "d": 3},
        sees=("autograd",),
    ),
    Emulation(
        slug="inputs-swapped",
        wrong=SwiGluSwapped.apply,
        right=SwiGlu.apply,
        reference=lambda a, b: F.silu(a) * b,
        inputs={"a": Input(shape=("n", "d")), "b": Input(shape=("n", "d"))},
        dims={"n": 3, "d": 4},
        sees=("autograd",),
    ),
    Emulation(
        slug="term-twice",
        wrong=SplatTermTwice.apply,
        right=Splat.apply,
        reference=plain_splat,
        inputs={"offset": Input(shape=("n", 2)), "conic": Input(shape=("n", 3), draw="uniform(0.2, 1)")},
        dims={"n": 5},
        sees=("autograd",),
    ),
)
