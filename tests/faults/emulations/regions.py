"""Backwards that are wrong in a region or on its border: saturation, ties, the ends of a domain."""

from __future__ import annotations

import torch
from emulations.emulation import Emulation
from torch.autograd import Function

from harness.case.subject import Input


class Softplus(Function):
    """log(1 + exp(x + bias)), the time step of a state-space model."""

    @staticmethod
    def forward(ctx, x, bias):
        ctx.save_for_backward(x, bias)
        return plain_softplus(x, bias)

    @staticmethod
    def backward(ctx, g):
        x, bias = ctx.saved_tensors
        slope = g * (x + bias).sigmoid()
        return slope, slope.sum(0)


class SoftplusSaturated(Softplus):
    """mamba PR 574, mended in 713: the branch for x > 20 multiplies by the value instead of 1.

    Seen by saturated inputs.
    """

    @staticmethod
    def backward(ctx, g):
        x, bias = ctx.saved_tensors
        shifted = x + bias
        slope = g * torch.where(shifted > 20, shifted, shifted.sigmoid())
        return slope, slope.sum(0)


def plain_softplus(x, bias):
    """Softplus in plain PyTorch, exact for large arguments."""
    shifted = x + bias
    return torch.logaddexp(shifted, torch.zeros_like(shifted))


class RowMaximum(Function):
    """Largest entry of every row; tied entries share the gradient."""

    @staticmethod
    def forward(ctx, x):
        top = x.amax(-1, keepdim=True)
        ctx.save_for_backward(x == top)
        return top.squeeze(-1)

    @staticmethod
    def backward(ctx, g):
        (best,) = ctx.saved_tensors
        return best * (g / best.sum(-1))[..., None]


class RowMaximumTies(RowMaximum):
    """Liger #1373: where inputs tie, each of them gets the whole gradient.

    Seen by ties, held against one-sided slopes in dense directions or a reference.
    """

    @staticmethod
    def backward(ctx, g):
        (best,) = ctx.saved_tensors
        return best * g[..., None]


def _grid_position(grid, signal):
    """Positions in samples, left neighbours and whether inside, for normalised coordinates."""
    last = signal.shape[0] - 1
    position = (grid + 1) / 2 * last
    clamped = position.clamp(0, last)
    left = clamped.detach().floor().long().clamp(0, max(last - 1, 0))
    return position, clamped, left, (left + 1).clamp(max=last)


def plain_grid_sample(grid, signal):
    """Linear interpolation of a signal at coordinates in [−1, 1], clamped at the borders."""
    _, clamped, left, right = _grid_position(grid, signal)
    share = clamped - left
    return signal[left] * (1 - share) + signal[right] * share


class GridSample(Function):
    """Linear interpolation of a signal at coordinates in [−1, 1], clamped at the borders."""

    @staticmethod
    def forward(ctx, grid, signal):
        ctx.save_for_backward(grid, signal)
        return plain_grid_sample(grid, signal)

    @staticmethod
    def gradient(ctx, g, factor):
        grid, signal = ctx.saved_tensors
        position, clamped, left, right = _grid_position(grid, signal)
        last = signal.shape[0] - 1
        share = clamped - left
        inside = factor(position, last)
        by_signal = torch.zeros_like(signal).index_add(0, left, g * (1 - share)).index_add(0, right, g * share)
        return g * inside * (signal[right] - signal[left]) * last / 2, by_signal

    @staticmethod
    def backward(ctx, g):
        return GridSample.gradient(ctx, g, lambda at, last: ((at >= 0) & (at <= last)).to(g.dtype))


class GridSampleBorder(GridSample):
    """pytorch #23925: at exact borders the coordinate counts as reflected and its sign is flipped.

    Seen by border values.
    """

    @staticmethod
    def backward(ctx, g):
        return GridSample.gradient(
            ctx, g, lambda at, last: torch.where((at > 0) & (at < last), 1.0, -((at == 0) | (at == last)).to(g.dtype))
        )


EMULATIONS = (
    Emulation(
        slug="saturated-branch",
        wrong=SoftplusSaturated.apply,
        right=Softplus.apply,
        reference=plain_softplus,
        inputs={"x": Input(shape=("t", "d")), "bias": Input(shape=("d",))},
        dims={"t": 4, "d": 3},
        sees=("probe values",),
    ),
    Emulation(
        slug="tie-two-way",
        wrong=RowMaximumTies.apply,
        right=RowMaximum.apply,
        reference=lambda x: x.amax(-1),
        inputs={"x": Input(shape=("n", "d"))},
        dims={"n": 3, "d": 4},
        sees=("probe values",),
    ),
    Emulation(
        slug="border-flipped",
        wrong=GridSampleBorder.apply,
        right=GridSample.apply,
        reference=plain_grid_sample,
        inputs={"grid": Input(shape=("m",), draw="uniform(-1, 1)"), "signal": Input(shape=("n",))},
        dims={"m": 6, "n": 5},
        sees=("probe values",),
    ),
)
