"""Rotary embedding and causal attention as kernels, each beside its plain form.

Attention walks over blocks of keys with a running maximum and sum, keeps the row's log-sum-exp and its output, and
computes the probabilities again in the backward. The rotation's backward is the inverse rotation.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BASE = 10_000.0
BLOCK = 16
"""Keys taken at a time."""


def _wide(x: Tensor) -> Tensor:
    """The tensor in the dtype sums are taken in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _angles(x: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine (positions × half the width) of the angle each pair is turned by."""
    half = x.shape[-1] // 2
    place = torch.arange(x.shape[-2], dtype=x.dtype, device=x.device)
    rate = BASE ** (-torch.arange(half, dtype=x.dtype, device=x.device) / half)
    angle = place[:, None] * rate
    return torch.cos(angle), torch.sin(angle)


class Rotary(torch.autograd.Function):
    """Pairs (first half, second half) of x (… × positions × width) turned by position-dependent angles."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, direction: int) -> Tensor:
        """Turn every pair, forwards or backwards."""
        ctx.direction = direction
        first, second = _wide(x).chunk(2, -1)
        cos, sin = _angles(first.new_empty(x.shape))
        sin = direction * sin
        return torch.cat([first * cos - second * sin, first * sin + second * cos], -1).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None]:
        """Turn the upstream gradient the other way: a rotation's transpose is its inverse."""
        turned: Tensor = Rotary.apply(grad_out, -ctx.direction)  # type: ignore[no-untyped-call]
        return turned, None


def rotary(x: Tensor) -> Tensor:
    """Turn pairs of features by angles that grow with their position."""
    result: Tensor = Rotary.apply(x, 1)  # type: ignore[no-untyped-call]
    return result


def plain_rotary(x: Tensor) -> Tensor:
    """The same in plain PyTorch, as a product of complex numbers."""
    first, second = x.chunk(2, -1)
    turned = torch.complex(first, second) * torch.complex(*_angles(x))
    return torch.cat([turned.real, turned.imag], -1)


class CausalAttention(torch.autograd.Function):
    """Softmax(q·kᵀ/√d)·v over the keys up to each query; q, k and v are heads × positions × width."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Walk over blocks of keys, correcting what was summed whenever the maximum grows."""
        scaled = _wide(q) / math.sqrt(q.shape[-1])
        total = scaled.new_zeros(*q.shape[:-1], 1)
        largest = scaled.new_full(total.shape, -math.inf)
        result = scaled.new_zeros(*q.shape[:-1], v.shape[-1])
        for start in range(0, k.shape[-2], BLOCK):
            keys, values = _wide(k[..., start : start + BLOCK, :]), _wide(v[..., start : start + BLOCK, :])
            scores = _masked(scaled @ keys.mT, start)
            grown = torch.maximum(largest, scores.amax(-1, keepdim=True))
            weights, shrink = torch.exp(scores - grown), torch.exp(largest - grown)
            total = total * shrink + weights.sum(-1, keepdim=True)
            result = result * shrink + weights @ values
            largest = grown
        result = result / total
        ctx.save_for_backward(q, k, v, result, largest + torch.log(total))
        return result.to(q.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the probabilities of each block again from the saved log-sum-exp."""
        q, k, v, result, lse = ctx.saved_tensors
        scale = 1 / math.sqrt(q.shape[-1])
        upstream, queries = _wide(grad_out), _wide(q)
        along = (upstream * result).sum(-1, keepdim=True)
        grad_q = torch.zeros_like(queries)
        grad_k, grad_v = torch.zeros_like(_wide(k)), torch.zeros_like(_wide(v))
        for start in range(0, k.shape[-2], BLOCK):
            stop = start + BLOCK
            keys, values = _wide(k[..., start:stop, :]), _wide(v[..., start:stop, :])
            weights = torch.exp(_masked(scale * queries @ keys.mT, start) - lse)
            grad_v[..., start:stop, :] = weights.mT @ upstream
            grad_scores = weights * (upstream @ values.mT - along)
            grad_q += scale * grad_scores @ keys
            grad_k[..., start:stop, :] = scale * grad_scores.mT @ queries
        return grad_q.to(q.dtype), grad_k.to(k.dtype), grad_v.to(v.dtype)


def _masked(scores: Tensor, start: int) -> Tensor:
    """Scores of keys from `start` on, −∞ where the key comes after the query."""
    query = torch.arange(scores.shape[-2], device=scores.device)[:, None]
    key = start + torch.arange(scores.shape[-1], device=scores.device)
    return scores.masked_fill(key > query, -math.inf)


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention."""
    result: Tensor = CausalAttention.apply(q, k, v)  # type: ignore[no-untyped-call]
    return result


def plain_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same in plain PyTorch, with the whole score matrix."""
    scores = _masked(q @ k.mT / math.sqrt(q.shape[-1]), 0)
    return torch.softmax(scores, -1) @ v
