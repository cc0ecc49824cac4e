"""Backwards that misread their upstream gradient, or write into it."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from emulations.emulation import Emulation, as_if_contiguous
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from harness.case.subject import Input

EPS = 1e-5


class LayerNorm(Function):
    """Layer norm over the last axis, without weights."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return F.layer_norm(x, x.shape[-1:], eps=EPS)

    @staticmethod
    def backward(ctx, g):
        return LayerNorm.gradient(ctx.saved_tensors[0], g)

    @staticmethod
    def gradient(x, g):
        centred = x - x.mean(-1, keepdim=True)
        inverse = (centred.square().mean(-1, keepdim=True) + EPS).rsqrt()
        unit = centred * inverse
        return inverse * (g - g.mean(-1, keepdim=True) - unit * (g * unit).mean(-1, keepdim=True))


class LayerNormCotangentStrides(LayerNorm):
    """flash-attention #355, fla PR 871, pytorch #194719: the upstream gradient read with the wrong strides.

    Seen by cotangents that are views: narrowed, transposed, expanded.
    """

    @staticmethod
    def backward(ctx, g):
        return LayerNorm.gradient(ctx.saved_tensors[0], as_if_contiguous(g))


class LinearLayer(Function):
    """x Wᵀ + b."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return g @ weight, g.T @ x, g.sum(0)


class LinearBiasIgnoresCotangent(LinearLayer):
    """pytorch #21961, fla PR 963: one term of the backward leaves out the upstream gradient.

    Seen by any independent derivative under a cotangent that is not all ones.
    """

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return g @ weight, g.T @ x, torch.ones_like(g).sum(0)


class CrossEntropyRows(Function):
    """Softmax cross entropy of every row (no reduction)."""

    @staticmethod
    def forward(ctx, logits, target):
        ctx.save_for_backward(logits, target)
        return F.cross_entropy(logits, target, reduction="none")

    @staticmethod
    def backward(ctx, g):
        logits, target = ctx.saved_tensors
        return (logits.softmax(-1) - F.one_hot(target, logits.shape[-1])) * g[:, None], None


class CrossEntropyFirstRowCotangent(CrossEntropyRows):
    """Liger PR 1298, #678: with reduction "none" every row is multiplied by the first row's upstream gradient.

    Seen by cotangents that vary by row; the sum of all rows does not see it.
    """

    @staticmethod
    def backward(ctx, g):
        logits, target = ctx.saved_tensors
        return (logits.softmax(-1) - F.one_hot(target, logits.shape[-1])) * g[:1, None], None


class SigmoidGate(Function):
    """The logistic function; not twice differentiable, as fused kernels mostly are not."""

    @staticmethod
    def forward(ctx, x):
        y = x.sigmoid()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y * (1 - y)


class SigmoidGateOverwritesCotangent(SigmoidGate):
    """apex #1430: the backward writes its result into the upstream gradient, which others may share.

    Seen by comparing the cotangent's bytes before and after; its version counter does not move.
    """

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        g.data.mul_(y * (1 - y))
        return g


EMULATIONS = (
    Emulation(
        slug="cotangent-strides",
        wrong=LayerNormCotangentStrides.apply,
        right=LayerNorm.apply,
        reference=lambda x: F.layer_norm(x, x.shape[-1:], eps=EPS),
        inputs={"x": Input(shape=("n", "d"))},
        dims={"n": 4, "d": 6},
        sees=("probe cotangents",),
    ),
    Emulation(
        slug="cotangent-ignored",
        wrong=LinearBiasIgnoresCotangent.apply,
        right=LinearLayer.apply,
        reference=F.linear,
        inputs={"x": Input(shape=("n", "i")), "weight": Input(shape=("o", "i")), "bias": Input(shape=("o",))},
        dims={"n": 3, "i": 4, "o": 2},
        sees=("autograd",),
    ),
    Emulation(
        slug="cotangent-first-row",
        wrong=CrossEntropyFirstRowCotangent.apply,
        right=CrossEntropyRows.apply,
        reference=lambda logits, target: F.cross_entropy(logits, target, reduction="none"),
        inputs={
            "logits": Input(shape=("n", "v")),
            "target": Input(shape=("n",), draw="integers(0, 5)", grad=False),
        },
        dims={"n": 4, "v": 5},
        sees=("autograd",),
    ),
    Emulation(
        slug="cotangent-overwritten",
        wrong=SigmoidGateOverwritesCotangent.apply,
        right=SigmoidGate.apply,
        reference=torch.sigmoid,
        inputs={"x": Input(shape=("n", "d"))},
        dims={"n": 3, "d": 4},
        sees=("cotangent is left alone", "probe side effects"),
    ),
)
