"""Backwards that lose precision, or whose fault is smaller than an absolute tolerance."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from emulations.emulation import Emulation, normal
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from harness.case.subject import Input

MICRO = 1e-6


def _wide(tensor):
    """The tensor in the precision kernels accumulate in: float32 for half precisions, its own otherwise."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


class Scale(Function):
    """x · weight, the weight shared by all rows; its gradient is accumulated in float32 or better."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x * weight

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return g * weight, (_wide(g) * _wide(x)).sum(0).to(weight.dtype)


class ScaleAccumulation(Scale):
    """Liger PR 950, cut-cross-entropy #14: a long sum accumulated in the storage's dtype.

    Seen by a three-way comparison in a low precision on a long reduction.
    """

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        if weight.dtype == torch.float64:  # nothing is lost there in any order, and the loop takes long
            return Scale.backward(ctx, g)
        total = torch.zeros_like(weight)
        for row in g * x:
            total = total + row
        return g * weight, total


class CrossEntropy(Function):
    """Mean softmax cross entropy, its gradient computed in float32 or better."""

    @staticmethod
    def forward(ctx, logits, target):
        ctx.save_for_backward(logits, target)
        return F.cross_entropy(_wide(logits), target).to(logits.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        logits, target = ctx.saved_tensors
        miss = _wide(logits).softmax(-1) - F.one_hot(target, logits.shape[-1])
        return (g * miss / len(logits)).to(logits.dtype), None


class CrossEntropyEarlyRounding(CrossEntropy):
    """Liger PR 1329: probabilities are rounded to the storage's dtype before 1 is subtracted.

    Seen by confident inputs in a low precision, held against what rounding allows.
    """

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        logits, target = ctx.saved_tensors
        miss = _wide(logits).softmax(-1).to(logits.dtype) - F.one_hot(target, logits.shape[-1]).to(logits.dtype)
        return (g * miss / len(logits)).to(logits.dtype), None


class MatrixProduct(Function):
    """a b."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a @ b

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return g @ b.T, a.T @ g


class MatrixProductHalf(MatrixProduct):
    """pytorch #87979: the backward silently runs in half precision.

    Seen by any derivative known to better than half precision; fast projections with a loose tolerance miss it.
    """

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return (g.half() @ b.T.half()).to(g.dtype), (a.T.half() @ g.half()).to(g.dtype)


class SmallEnergy(Function):
    """Energy of springs in units that make it small: 10⁻⁶ x² / 2, entry by entry."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return MICRO * x.square() / 2

    @staticmethod
    def backward(ctx, g):
        return g * MICRO * ctx.saved_tensors[0]


class SmallEnergyZero(SmallEnergy):
    """KernelBench #165, warp #508: a gradient of zeros, accepted because true ones are below an absolute tolerance.

    Seen by errors relative to the problem's own scale.
    """

    @staticmethod
    def backward(ctx, g):
        return torch.zeros_like(g)


EMULATIONS = (
    Emulation(
        slug="accumulation-in-storage",
        wrong=ScaleAccumulation.apply,
        right=Scale.apply,
        reference=lambda x, weight: x * weight,
        inputs={"x": normal(1024, 16, dtype=torch.bfloat16), "weight": normal(16, seed=1, dtype=torch.bfloat16)},
        sees=("bfloat16",),
    ),
    Emulation(
        slug="rounded-before-subtracting",
        wrong=CrossEntropyEarlyRounding.apply,
        right=CrossEntropy.apply,
        reference=F.cross_entropy,
        inputs={"logits": normal(4, 6, dtype=torch.bfloat16), "target": torch.tensor([0, 5, 2, 2])},
        sees=("bfloat16",),
    ),
    Emulation(
        slug="half-backward",
        wrong=MatrixProductHalf.apply,
        right=MatrixProduct.apply,
        reference=torch.matmul,
        inputs={"a": Input(shape=("n", "k")), "b": Input(shape=("k", "m"))},
        dims={"n": 3, "k": 4, "m": 2},
        sees=("autograd",),
    ),
    Emulation(
        slug="zero-below-tolerance",
        wrong=SmallEnergyZero.apply,
        right=SmallEnergy.apply,
        reference=lambda x: MICRO * x.square() / 2,
        inputs={"x": Input(shape=("n", "d"))},
        dims={"n": 3, "d": 4},
        sees=("autograd",),
    ),
)
