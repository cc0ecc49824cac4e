"""Backwards that are wrong for some sizes only: tails, sizes past a tile, huge offsets, empty inputs."""

from __future__ import annotations

import math

import torch
from emulations.emulation import Emulation
from emulations.layouts import EPS, RmsNorm, plain_rms_norm
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from harness.case.subject import Input

BLOCK = 16
TILE = 64


class Softmax(Function):
    """Softmax over the last axis."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.softmax(-1)

    @staticmethod
    def gradient(x, g):
        p = x.softmax(-1)
        return p * (g - (p * g).sum(-1, keepdim=True))

    @staticmethod
    def backward(ctx, g):
        return Softmax.gradient(ctx.saved_tensors[0], g)


class SoftmaxTail(Softmax):
    """fla PR 1141, mamba bb3a82a: past the last whole block the gradient is left zero.

    Seen by sizes beyond a block that are no multiple of it.
    """

    @staticmethod
    def backward(ctx, g):
        gradient = Softmax.gradient(ctx.saved_tensors[0], g)
        size = gradient.shape[-1]
        whole = size if size < BLOCK else size // BLOCK * BLOCK
        return torch.cat([gradient[..., :whole], torch.zeros_like(gradient[..., whole:])], -1)


def _last_tile_sum(terms):
    """Sum over the last tile of the last axis, where the loop over tiles overwrites instead of adding."""
    return terms[..., (terms.shape[-1] - 1) // TILE * TILE :].sum(-1, keepdim=True)


class RmsNormLastTile(RmsNorm):
    """fla PR 941: a reduction over the features keeps its last tile only, once there is more than one.

    Seen by sizes above the tile.
    """

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        inverse = torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS)
        unit, weighted = x * inverse, g * weight
        mean = (_last_tile_sum(weighted * unit)) / max(1, x.shape[-1])
        return inverse * (weighted - unit * mean), (g * unit).sum(0)


class LinearAttention(Function):
    """q (kᵀ v) without a softmax; q and k are tokens × keys, v is tokens × values."""

    @staticmethod
    def forward(ctx, q, k, v):
        ctx.save_for_backward(q, k, v)
        return q @ (k.T @ v)

    @staticmethod
    def backward(ctx, g):
        q, k, v = ctx.saved_tensors
        by_state = q.T @ g
        return g @ (k.T @ v).T, v @ by_state.T, k @ by_state


class LinearAttentionLastTile(LinearAttention):
    """fla PR 941: only where keys and values are both wider than a tile, a reduction keeps its last tile.

    Seen by sizes above the tile with both dims scaled together.
    """

    @staticmethod
    def backward(ctx, g):
        q, k, v = ctx.saved_tensors
        by_q, by_k, by_v = LinearAttention.backward(ctx, g)
        if q.shape[-1] > TILE and v.shape[-1] > TILE:
            start = (v.shape[-1] - 1) // TILE * TILE
            by_q = g[:, start:] @ (k.T @ v)[:, start:].T
        return by_q, by_k, by_v


def _read_with_32_bit_offsets(x):
    """Read the rows of a matrix at offsets that wrap at 32 bits, from wherever in the storage they then point to."""
    stored = x.untyped_storage().nbytes() // x.element_size() - x.storage_offset()
    rows, columns = (torch.arange(size)[:, None] for size in x.shape)
    offsets = (rows * x.stride(0) + columns.T * x.stride(1)).to(torch.int32).to(torch.int64)
    return x.as_strided((stored,), (1,))[offsets % max(1, stored)]


class SquaredRows(Function):
    """Sum of the squares of every row; a kernel without a second derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square().sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0] * g[:, None]


class SquaredRowsOffset(SquaredRows):
    """mamba #884, Liger #1246, pytorch #188467: offsets into memory wrap at 32 bits.

    Seen by an input whose strides are huge; its elements may be few.
    """

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return 2 * _read_with_32_bit_offsets(ctx.saved_tensors[0]) * g[:, None]


class LogCosh(Function):
    """log cosh x, entry by entry."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return plain_log_cosh(x)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].tanh()


class LogCoshEmpty(LogCosh):
    """pytorch #94336: the backward of an empty input raises.

    Seen by sizes of zero, which the forward takes.
    """

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        if float(x.detach().abs().amax()) > 300:  # tanh is ±1 there
            return g * x.detach().clamp(-1, 1)
        return g * x.tanh()


def plain_log_cosh(x):
    """Log cosh x, without overflow."""
    return torch.logaddexp(x, -x) - math.log(2)


EMULATIONS = (
    Emulation(
        slug="tail-dropped",
        wrong=SoftmaxTail.apply,
        right=Softmax.apply,
        reference=lambda x: x.softmax(-1),
        inputs={"x": Input(shape=("n", "d"))},
        dims={"n": 2, "d": BLOCK},
        sees=("probe sizes",),
    ),
    Emulation(
        slug="last-tile-only",
        wrong=RmsNormLastTile.apply,
        right=RmsNorm.apply,
        reference=plain_rms_norm,
        inputs={"x": Input(shape=("n", "d")), "weight": Input(shape=("d",))},
        dims={"n": 2, "d": 8},
        sees=("probe sizes",),
    ),
    Emulation(
        slug="last-tile-of-two",
        wrong=LinearAttentionLastTile.apply,
        right=LinearAttention.apply,
        reference=lambda q, k, v: q @ (k.T @ v),
        inputs={"q": Input(shape=("t", "k")), "k": Input(shape=("t", "k")), "v": Input(shape=("t", "v"))},
        dims={"t": 3, "k": 4, "v": 5},
        sees=("probe sizes",),
    ),
    Emulation(
        slug="offset-32-bit",
        wrong=SquaredRowsOffset.apply,
        right=SquaredRows.apply,
        reference=lambda x: x.square().sum(-1),
        inputs={"x": Input(shape=("n", "d"))},
        dims={"n": 3, "d": 4},
        sees=("probe large index",),
        probes=("large index",),
    ),
    Emulation(
        slug="empty-crashes",
        wrong=LogCoshEmpty.apply,
        right=LogCosh.apply,
        reference=plain_log_cosh,
        inputs={"x": Input(shape=("n", "d"))},
        dims={"n": 3, "d": 4},
        sees=("probe sizes",),
    ),
)
