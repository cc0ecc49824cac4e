"""SwiGLU and a smooth clamp as kernels that keep only their inputs, each beside its plain form.

Both backwards are written in differentiable operations, so that they can be differentiated again.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

LOW, HIGH, SHARPNESS = -1.0, 2.0, 4.0
"""Ends of the smooth clamp, and how sharply it turns at them."""


def _wide(x: Tensor) -> Tensor:
    """The tensor in the dtype arithmetic is done in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class SwiGLU(torch.autograd.Function):
    """silu(gate) · up, without keeping silu(gate)."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        """Multiply by the gate."""
        ctx.save_for_backward(gate, up)
        wide = _wide(gate)
        return (wide * torch.sigmoid(wide) * _wide(up)).to(gate.dtype)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Compute the sigmoid again; silu′(a) = σ(a)·(1 + a·σ(−a))."""
        gate, up = ctx.saved_tensors
        wide, upstream = _wide(gate), _wide(grad_out)
        share = torch.sigmoid(wide)
        grad_gate = grad_up = None
        if ctx.needs_input_grad[0]:
            slope = share * (1 + wide * torch.sigmoid(-wide))
            grad_gate = (upstream * _wide(up) * slope).to(gate.dtype)
        if ctx.needs_input_grad[1]:
            grad_up = (upstream * wide * share).to(up.dtype)
        return grad_gate, grad_up


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """Multiply `up` by silu of the gate."""
    result: Tensor = SwiGLU.apply(gate, up)  # type: ignore[no-untyped-call]
    return result


def plain_swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    return torch.nn.functional.silu(gate) * up


class SoftClamp(torch.autograd.Function):
    """A smooth clamp: lo + (softplus(β(x − lo)) − softplus(β(x − hi)))/β."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Clamp smoothly."""
        ctx.save_for_backward(x)
        wide = _wide(x)
        low, high = SHARPNESS * (wide - LOW), SHARPNESS * (wide - HIGH)
        rise = torch.nn.functional.softplus(low) - torch.nn.functional.softplus(high)
        return (LOW + rise / SHARPNESS).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> Tensor:
        """Compute σ(a) − σ(b) as σ(a)·σ(−b)·(1 − e^(b−a)), which does not cancel where both are saturated."""
        (x,) = ctx.saved_tensors
        wide = _wide(x)
        low, high = SHARPNESS * (wide - LOW), SHARPNESS * (wide - HIGH)
        width = -math.expm1(-SHARPNESS * (HIGH - LOW))
        slope = torch.sigmoid(low) * torch.sigmoid(-high) * width
        return (_wide(grad_out) * slope).to(x.dtype)


def soft_clamp(x: Tensor) -> Tensor:
    """Clamp smoothly between LOW and HIGH."""
    result: Tensor = SoftClamp.apply(x)  # type: ignore[no-untyped-call]
    return result


def plain_soft_clamp(x: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    ends = [torch.nn.functional.softplus(SHARPNESS * (x - end)) for end in (LOW, HIGH)]
    return LOW + (ends[0] - ends[1]) / SHARPNESS
