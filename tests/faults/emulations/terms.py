"""Backwards with a wrong formula: factors, signs, terms, swaps, reductions, detached paths."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from emulations.emulation import Emulation
from torch.autograd import Function

from harness.case.subject import Input

CAP = 5.0
DELTA = 0.8
EPS = 1e-6


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


class Modulate(Function):
    """x · scale + shift, with scale and shift broadcast over the batch."""

    @staticmethod
    def forward(ctx, x, scale, shift):
        ctx.save_for_backward(x, scale)
        return x * scale + shift

    @staticmethod
    def backward(ctx, g):
        x, scale = ctx.saved_tensors
        return g * scale, (g * x).sum(0), g.sum(0)


class ModulateMean(Modulate):
    """mlpack PR 3679, tt-metal #40008: what was broadcast over the batch gets a mean instead of a sum.

    Seen by a batch of more than one.
    """

    @staticmethod
    def backward(ctx, g):
        x, scale = ctx.saved_tensors
        return g * scale, (g * x).mean(0), g.mean(0)


class Attention(Function):
    """Scaled dot-product attention; q, k and v are heads × tokens × features."""

    @staticmethod
    def forward(ctx, q, k, v):
        ctx.save_for_backward(q, k, v)
        return F.scaled_dot_product_attention(q, k, v)

    @staticmethod
    def gradient(q, k, v, g, keys):
        scale = 1 / math.sqrt(q.shape[-1])
        p = torch.softmax(scale * q @ k.mT, -1)
        dp = g @ v.mT
        ds = scale * p * (dp - (dp * p).sum(-1, keepdim=True))
        return ds @ keys, ds.mT @ q, p.mT @ g

    @staticmethod
    def backward(ctx, g):
        q, k, v = ctx.saved_tensors
        return Attention.gradient(q, k, v, g, k)


class AttentionHeadZero(Attention):
    """fla PR 781: in the backward every head reads the keys of head 0.

    Seen by any independent derivative with more than one head.
    """

    @staticmethod
    def backward(ctx, g):
        q, k, v = ctx.saved_tensors
        return Attention.gradient(q, k, v, g, k[:1].expand_as(k))


def rms_norm(x, weight):
    """RMS norm, every path differentiable."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * weight


def rms_norm_detached(x, weight):
    """As in gsplat PR 183, matgl #834, fairchem PR 779: one path to the input is detached, here the norm's.

    Seen by finite differences; not by a reference with the same detach.
    """
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS).detach() * weight


class SoftCrossEntropy(Function):
    """Cross entropy with soft targets, row by row; the targets need no gradient."""

    @staticmethod
    def forward(ctx, logits, target):
        ctx.save_for_backward(logits, target)
        return plain_soft_cross_entropy(logits, target)

    @staticmethod
    def backward(ctx, g):
        logits, target = ctx.saved_tensors
        return (logits.softmax(-1) * target.sum(-1, keepdim=True) - target) * g[:, None], None


class SoftCrossEntropyNormalised(SoftCrossEntropy):
    """NeMo-Automodel PR 2428: right only where the targets sum to one.

    Seen by targets off the simplex.
    """

    @staticmethod
    def backward(ctx, g):
        logits, target = ctx.saved_tensors
        return (logits.softmax(-1) - target) * g[:, None], None


def plain_soft_cross_entropy(logits, target):
    """Cross entropy with soft targets in plain PyTorch."""
    return -(target * logits.log_softmax(-1)).sum(-1)


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
        slug="mean-over-batch",
        wrong=ModulateMean.apply,
        right=Modulate.apply,
        reference=lambda x, scale, shift: x * scale + shift,
        inputs={"x": Input(shape=("b", "d")), "scale": Input(shape=("d",)), "shift": Input(shape=("d",))},
        dims={"b": 1, "d": 5},
        sees=("size",),
    ),
    Emulation(
        slug="head-zero",
        wrong=AttentionHeadZero.apply,
        right=Attention.apply,
        reference=F.scaled_dot_product_attention,
        inputs={name: Input(shape=("h", "t", "d")) for name in ("q", "k", "v")},
        dims={"h": 2, "t": 3, "d": 2},
        sees=("autograd",),
    ),
    Emulation(
        slug="path-detached",
        wrong=rms_norm_detached,
        right=rms_norm,
        reference=rms_norm,
        inputs={"x": Input(shape=("n", "d")), "weight": Input(shape=("d",))},
        dims={"n": 3, "d": 4},
        sees=("autograd",),
    ),
    Emulation(
        slug="normalised-targets-only",
        wrong=SoftCrossEntropyNormalised.apply,
        right=SoftCrossEntropy.apply,
        reference=plain_soft_cross_entropy,
        inputs={
            "logits": Input(shape=("n", "v")),
            "target": Input(shape=("n", "v"), draw="simplex", grad=False),
        },
        dims={"n": 3, "v": 5},
        sees=("special",),
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
