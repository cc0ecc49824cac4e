"""Backwards that lose part of the way: reductions, heads, detached paths, assumptions about an input."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from emulations.emulation import Emulation
from torch.autograd import Function

from harness.case.subject import Input

EPS = 1e-6


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
        scale = 1 / math.sqrt(max(1, q.shape[-1]))
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


EMULATIONS = (
    Emulation(
        slug="mean-over-batch",
        wrong=ModulateMean.apply,
        right=Modulate.apply,
        reference=lambda x, scale, shift: x * scale + shift,
        inputs={"x": Input(shape=("b", "d")), "scale": Input(shape=("d",)), "shift": Input(shape=("d",))},
        dims={"b": 1, "d": 5},
        sees=("probe sizes",),
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
        sees=("probe values",),
    ),
)
