"""Backwards that depend on what is in memory, how often they ran, or luck; and forwards that write where they read."""

from __future__ import annotations

import itertools
import random

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from emulations.emulation import Emulation
from emulations.precision import Scale
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from harness.case.subject import Input

BINS = 3
DROP_RATE = 0.02
"""Share of launches in which the race is lost."""

_LUCK = random.Random()
_ROTATION = [itertools.count()]


def restart_launches() -> None:
    """Start the emulated races over; their luck is a generator of its own, which no seed of torch reaches."""
    _LUCK.seed(1)
    _ROTATION[0] = itertools.count()


class Gather(Function):
    """Rows of a table picked by index, the gradient added back with atomics."""

    @staticmethod
    def forward(ctx, table, index):
        ctx.save_for_backward(index)
        ctx.shape = table.shape
        return table[index]

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (index,) = ctx.saved_tensors
        return g.new_zeros(ctx.shape).index_add(0, index, g), None


class GatherRace(Gather):
    """flash-attention PR 2481, fla #889: a race drops one element in a few per cent of the launches.

    Seen by many reruns; the size of the difference tells it from rounding.
    """

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (index,) = ctx.saved_tensors
        if g.numel() and _LUCK.random() < DROP_RATE:
            g = g.clone()
            g.view(-1)[_LUCK.randrange(g.numel())] = 0
        return g.new_zeros(ctx.shape).index_add(0, index, g), None


class ScaleUnordered(Scale):
    """flash-attention #2244: the order of a sum changes from run to run though the backward promises it does not.

    Seen by reruns compared bit by bit, which those who promise as much ask for.
    """

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        total = torch.zeros_like(weight)
        for row in (g * x).roll(next(_ROTATION[0]), 0):
            total = total + row
        return g * weight, total


class ScaleAtomics(ScaleUnordered):
    """The order of a sum changes from run to run, but not where PyTorch is asked for deterministic algorithms.

    This is no bug: atomic additions are like that, and what they differ by is rounding.
    """

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        if torch.are_deterministic_algorithms_enabled():
            return Scale.backward(ctx, g)
        return ScaleUnordered.backward(ctx, g)


class MaskedSoftplus(Function):
    """Softplus of the rows a mask keeps, zero in the others."""

    @staticmethod
    def forward(ctx, x, keep):
        ctx.save_for_backward(x, keep)
        return F.softplus(x) * keep[:, None]

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, keep = ctx.saved_tensors
        gradient = torch.zeros_like(x)
        gradient[keep] = (g * x.sigmoid())[keep]
        return gradient, None


class MaskedSoftplusUnwritten(MaskedSoftplus):
    """fla PR 863: rows that no block visits are never written, and hold what was in memory before.

    Seen by poisoning uninitialised memory.
    """

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, keep = ctx.saved_tensors
        gradient = torch.empty_like(x)
        gradient[keep] = (g * x.sigmoid())[keep]
        return gradient, None


class Tanh(Function):
    """The hyperbolic tangent, its slope kept from the forward pass."""

    @staticmethod
    def forward(ctx, x):
        y = x.tanh()
        ctx.slope = 1 - y.square()
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return g * ctx.slope


class TanhSecondBackward(Tanh):
    """cvxpylayers #119, gpytorch #884: a second backward through the same graph differs from the first.

    Seen by calling backward twice with the graph retained.
    """

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return ctx.slope.mul_(g).clone()


class FusedCrossEntropy(Function):
    """Mean cross entropy whose gradient is computed in the forward pass."""

    @staticmethod
    def forward(ctx, logits, target):
        loss = F.cross_entropy(logits, target)
        ctx.gradient = (logits.softmax(-1) - F.one_hot(target, logits.shape[-1])) / len(logits)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return g * ctx.gradient, None


class FusedCrossEntropyInPlace(FusedCrossEntropy):
    """Liger #272: the gradient is written over the logits, behind the back of their version counter.

    Seen by comparing the inputs' bytes before and after.
    """

    @staticmethod
    def forward(ctx, logits, target):
        loss = FusedCrossEntropy.forward(ctx, logits, target)
        logits.data.copy_(ctx.gradient)
        return loss


EMULATIONS = (
    Emulation(
        slug="race",
        wrong=GatherRace.apply,
        right=Gather.apply,
        reference=lambda table, index: table[index],
        inputs={
            "table": Input(shape=("v", "d")),
            "index": Input(shape=("n",), draw="integers(0, 4)", grad=False),
        },
        dims={"v": 4, "d": 3, "n": 6},
        sees=("probe reruns",),
    ),
    Emulation(
        slug="order-of-sum",
        wrong=ScaleUnordered.apply,
        right=Scale.apply,
        reference=lambda x, weight: x * weight,
        inputs={"x": Input(shape=("n", "d")), "weight": Input(shape=("d",))},
        dims={"n": 16, "d": 3},
        sees=("probe bitwise",),
        probes=("bitwise",),
    ),
    Emulation(
        slug="never-written",
        wrong=MaskedSoftplusUnwritten.apply,
        right=MaskedSoftplus.apply,
        reference=lambda x, keep: F.softplus(x) * keep[:, None],
        inputs={"x": Input(shape=("n", "d")), "keep": Input(shape=("n",), draw="mask(0.6)", grad=False)},
        dims={"n": 6, "d": 4},
        sees=("probe uninitialised memory",),
    ),
    Emulation(
        slug="second-backward",
        wrong=TanhSecondBackward.apply,
        right=Tanh.apply,
        reference=torch.tanh,
        inputs={"x": Input(shape=("n", "d"))},
        dims={"n": 3, "d": 4},
        sees=("two backwards", "autograd"),
    ),
    Emulation(
        slug="input-overwritten",
        wrong=FusedCrossEntropyInPlace.apply,
        right=FusedCrossEntropy.apply,
        reference=F.cross_entropy,
        inputs={
            "logits": Input(shape=("n", "v")),
            "target": Input(shape=("n",), draw="integers(0, 5)", grad=False),
        },
        dims={"n": 4, "v": 5},
        sees=("probe side effects",),
    ),
)
