"""Gradients that are right in plain reverse mode and wrong one level up: second derivatives, compilation."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from emulations.emulation import Emulation
from torch.autograd import Function

from harness.case.subject import Input


class Silu(Function):
    """x · sigmoid(x), twice differentiable."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return F.silu(x)

    @staticmethod
    def backward(ctx, g):
        return Silu.gradient(ctx.saved_tensors[0], g)

    @staticmethod
    def gradient(x, g):
        s = x.sigmoid()
        return g * s * (1 + x * (1 - s))


class SiluFlat(Silu):
    """tiny-cuda-nn #58, pytorch #106789: the second derivative is silently zero.

    Seen by double backward against an independent second derivative.
    """

    @staticmethod
    def backward(ctx, g):
        return Silu.gradient(ctx.saved_tensors[0].detach(), g)


class Rotary(Function):
    """Pairs of features (halves of the last axis) turned by an angle."""

    @staticmethod
    def forward(ctx, x, angle):
        ctx.save_for_backward(x, angle)
        return plain_rotary(x, angle)

    @staticmethod
    def backward(ctx, g):
        x, angle = ctx.saved_tensors
        turned = g * plain_rotary(x, angle + torch.pi / 2)
        left, right = turned.chunk(2, -1)
        return plain_rotary(g, -angle), left + right


def plain_rotary(x, angle):
    """Pairs of features turned by an angle, in plain PyTorch."""
    left, right = x.chunk(2, -1)
    return torch.cat([left * angle.cos() - right * angle.sin(), left * angle.sin() + right * angle.cos()], -1)


def rotary(x, angle):
    """Rotary embedding through the custom backward, compiled or not."""
    return Rotary.apply(x, angle)


def rotary_lost_by_compile(x, angle):
    """As in pytorch #193279 and #182012, under torch.compile the custom backward is lost and gives zeros.

    Seen by holding the compiled gradient against the eager one.
    """
    result = Rotary.apply(x, angle)
    return result.detach() + 0 * result if torch.compiler.is_compiling() else result


EMULATIONS = (
    Emulation(
        slug="second-derivative-zero",
        wrong=SiluFlat.apply,
        right=Silu.apply,
        reference=F.silu,
        inputs={"x": Input(shape=("n", "d"))},
        dims={"n": 3, "d": 4},
        sees=("double backward", "Hessian"),
    ),
    Emulation(
        slug="lost-by-compile",
        wrong=rotary_lost_by_compile,
        right=rotary,
        reference=plain_rotary,
        inputs={"x": Input(shape=("t", 6)), "angle": Input(shape=("t", 3))},
        dims={"t": 4},
        sees=("probe compile",),
    ),
)
