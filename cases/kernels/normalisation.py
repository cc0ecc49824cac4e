"""RMS norm and group norm as fused kernels, each beside its plain form.

RMS norm computes its statistics again in the backward, from differentiable operations, so that it can be differentiated
twice; group norm keeps mean and reciprocal deviation, and can be differentiated once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

EPSILON = 1e-6
GROUPS = 2


def _wide(x: Tensor) -> Tensor:
    """The tensor in the dtype sums are taken in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class RMSNorm(torch.autograd.Function):
    """Rows of x (rows × d) divided by their root mean square, times a weight (d)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """Normalise every row."""
        ctx.save_for_backward(x, weight)
        wide = _wide(x)
        scale = torch.rsqrt((wide * wide).mean(-1, keepdim=True) + EPSILON)
        return (wide * scale * _wide(weight)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Compute the row scales again; take from every row its part along the normalised row."""
        x, weight = ctx.saved_tensors
        wide, upstream = _wide(x), _wide(grad_out)
        scale = torch.rsqrt((wide * wide).mean(-1, keepdim=True) + EPSILON)
        normed = wide * scale
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            inner = upstream * _wide(weight)
            along = (inner * normed).mean(-1, keepdim=True)
            grad_x = (scale * (inner - normed * along)).to(x.dtype)
        if ctx.needs_input_grad[1]:
            grad_weight = (upstream * normed).sum(0).to(weight.dtype)
        return grad_x, grad_weight


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """Divide every row of x by its root mean square."""
    result: Tensor = RMSNorm.apply(x, weight)  # type: ignore[no-untyped-call]
    return result


def plain_rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + EPSILON) * weight


class GroupNorm(torch.autograd.Function):
    """Groups of channels of x (n × channels × length) made mean 0 and variance 1, times a weight, plus a bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Normalise every group, keeping its mean and its reciprocal standard deviation."""
        groups = _wide(x).reshape(x.shape[0], GROUPS, x.shape[1] // GROUPS * x.shape[2])
        mean = groups.mean(-1, keepdim=True)
        scale = torch.rsqrt((groups - mean).square().mean(-1, keepdim=True) + EPSILON)
        ctx.save_for_backward(x, weight, mean, scale)
        normed = ((groups - mean) * scale).reshape(x.shape)
        return (normed * _wide(weight)[:, None] + _wide(bias)[:, None]).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Take from every group its mean and its part along the normalised group."""
        x, weight, mean, scale = ctx.saved_tensors
        shape = (x.shape[0], GROUPS, x.shape[1] // GROUPS * x.shape[2])
        upstream = _wide(grad_out)
        normed = (_wide(x).reshape(shape) - mean) * scale
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            inner = (upstream * _wide(weight)[:, None]).reshape(shape)
            along = (inner * normed).mean(-1, keepdim=True)
            grad_x = (scale * (inner - inner.mean(-1, keepdim=True) - normed * along)).reshape(x.shape).to(x.dtype)
        if ctx.needs_input_grad[1]:
            grad_weight = (upstream * normed.reshape(x.shape)).sum((0, 2)).to(weight.dtype)
        if ctx.needs_input_grad[2]:
            grad_bias = upstream.sum((0, 2)).to(grad_out.dtype)
        return grad_x, grad_weight, grad_bias


def group_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalise groups of channels."""
    result: Tensor = GroupNorm.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return result


def plain_group_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    groups = x.reshape(x.shape[0], GROUPS, x.shape[1] // GROUPS * x.shape[2])
    centred = groups - groups.mean(-1, keepdim=True)
    normed = centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + EPSILON)
    return normed.reshape(x.shape) * weight[:, None] + bias[:, None]
