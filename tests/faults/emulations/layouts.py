"""Backwards that are wrong for some layouts, some aliasing, or some choice of inputs that require a gradient."""

from __future__ import annotations

import torch
from emulations.emulation import Emulation, as_if_contiguous
from torch.autograd import Function

from harness.case.subject import Input

EPS = 1e-6


def plain_rms_norm(x, weight):
    """RMS norm in plain PyTorch."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * weight


class RmsNorm(Function):
    """RMS norm over the last axis, with a weight."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return plain_rms_norm(x, weight)

    @staticmethod
    def gradient(x, weight, g):
        inverse = torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS)
        unit, weighted = x * inverse, g * weight
        by_x = inverse * (weighted - unit * (weighted * unit).mean(-1, keepdim=True))
        return by_x, (g * unit).sum(0)

    @staticmethod
    def backward(ctx, g):
        return RmsNorm.gradient(*ctx.saved_tensors, g)


class RmsNormInputStrides(RmsNorm):
    """pytorch #175188: the forward honours the input's strides, the backward reads what was saved as contiguous.

    Seen by inputs that are strided or permuted views.
    """

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return RmsNorm.gradient(as_if_contiguous(x), weight, g)


def plain_distances(x, z):
    """Squared distances between the rows of x and z."""
    return (x[:, None] - z[None]).square().sum(-1)


class Distances(Function):
    """Squared distances between the rows of x and z."""

    @staticmethod
    def forward(ctx, x, z):
        ctx.save_for_backward(x, z)
        return plain_distances(x, z)

    @staticmethod
    def backward(ctx, g):
        x, z = ctx.saved_tensors
        weighted = 2 * g[..., None] * (x[:, None] - z[None])
        return weighted.sum(1), -weighted.sum(0)


class DistancesNone(Distances):
    """gpytorch #1543: the gradient is silently None when an input is not contiguous.

    Seen by strided inputs, where None is told apart from a zero that was computed.
    """

    @staticmethod
    def backward(ctx, g):
        if not all(tensor.is_contiguous() for tensor in ctx.saved_tensors):
            return None, None
        return Distances.backward(ctx, g)


class Project(Function):
    """x Wᵀ."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight.T

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return (
            g @ weight if ctx.needs_input_grad[0] else None,
            g.T @ x if ctx.needs_input_grad[1] else None,
        )


class ProjectFrozenInput(Project):
    """Liger #1156, pytorch #148476: nothing is computed when the first input needs no gradient.

    Seen by asking for the gradients of subsets of the inputs.
    """

    @staticmethod
    def backward(ctx, g):
        if not ctx.needs_input_grad[0]:
            return None, None
        return Project.backward(ctx, g)


class RowDot(Function):
    """Dot product of the rows of a with those of b."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return (a * b).sum(-1)

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return g[..., None] * b, g[..., None] * a


class RowDotAliased(RowDot):
    """pytorch #183604: the same tensor given for both inputs gets the gradient of one side only.

    Seen by passing one tensor twice.
    """

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        same = a.data_ptr() == b.data_ptr() and a.numel() > 0
        return g[..., None] * b, None if same else g[..., None] * a


EMULATIONS = (
    Emulation(
        slug="input-strides",
        wrong=RmsNormInputStrides.apply,
        right=RmsNorm.apply,
        reference=plain_rms_norm,
        inputs={"x": Input(shape=("n", "d")), "weight": Input(shape=("d",))},
        dims={"n": 3, "d": 4},
        sees=("probe layouts",),
    ),
    Emulation(
        slug="none-when-strided",
        wrong=DistancesNone.apply,
        right=Distances.apply,
        reference=plain_distances,
        inputs={"x": Input(shape=("n", "d")), "z": Input(shape=("m", "d"))},
        dims={"n": 3, "m": 4, "d": 2},
        sees=("probe layouts",),
    ),
    Emulation(
        slug="frozen-first-input",
        wrong=ProjectFrozenInput.apply,
        right=Project.apply,
        reference=lambda x, weight: x @ weight.T,
        inputs={"x": Input(shape=("n", "i")), "weight": Input(shape=("o", "i"))},
        dims={"n": 3, "i": 4, "o": 2},
        sees=("probe requires_grad",),
    ),
    Emulation(
        slug="same-tensor-twice",
        wrong=RowDotAliased.apply,
        right=RowDot.apply,
        reference=lambda a, b: (a * b).sum(-1),
        inputs={"a": Input(shape=("n", "d")), "b": Input(shape=("n", "d"))},
        dims={"n": 3, "d": 4},
        sees=("probe same tensor twice",),
    ),
)
