"""Tensors that go through NumPy and come back."""

from __future__ import annotations

import torch
from torch import Tensor


def numpy_constant(data: Tensor, w: Tensor) -> Tensor:
    """Multiply `w` (d,) by `data` (n, d), which has been a NumPy array in between."""
    return torch.from_numpy(data.numpy().copy()).to(w.device) @ w


def through_numpy(x: Tensor) -> Tensor:
    """Square `x` in NumPy."""
    return torch.from_numpy(x.numpy() ** 2)


def through_numpy_detached(x: Tensor) -> Tensor:
    """Multiply `x` by a copy of itself that NumPy has held."""
    return x * torch.from_numpy(x.detach().numpy().copy())
