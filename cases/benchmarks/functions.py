"""Functions that torch has ready, and the plain formulas they are verified against."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalise the rows of `x` (n, d), then scale and shift by `weight` and `bias` (d,)."""
    return functional.layer_norm(x, weight.shape, weight, bias)


def plain_layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Do the same from mean and variance."""
    centred = x - x.mean(dim=1, keepdim=True)
    variance = (centred**2).mean(dim=1, keepdim=True)
    return centred / torch.sqrt(variance + 1e-5) * weight + bias


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with queries, keys and values (heads, s, d)."""
    return functional.scaled_dot_product_attention(q, k, v)


def plain_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Do the same by a softmax over all scores."""
    weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1)
    return weights @ v
