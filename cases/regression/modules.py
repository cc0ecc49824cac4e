"""A linear model with one weight and one bias, as a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Line(nn.Module):
    """y = w·x + b, with w and b drawn uniformly from [−1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(2 * torch.rand(1) - 1)
        self.b = nn.Parameter(2 * torch.rand(1) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Predict y for every entry of `x` (n,)."""
        return self.w * x + self.b
