"""Adadelta: M. D. Zeiler, ADADELTA: An Adaptive Learning Rate Method (arXiv:1212.5701), algorithm 1.

PyTorch scales the paper's update by a learning rate, 1 by default.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


def adadelta(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 1.0,
    rho: Any = 0.9,
    eps: Any = 1e-6,
    weight_decay: Any = 0.0,
) -> Iterator[Any]:
    """Yield θ ← θ − η·Δ, with Δ = √(E[Δ²] + ε)/√(E[g²] + ε)·g."""
    square = moved = 0.0 * parameter
    for gradient in gradients:
        gradient = gradient + weight_decay * parameter
        square = rho * square + (1 - rho) * gradient**2
        change = np.sqrt(moved + eps) / np.sqrt(square + eps) * gradient
        moved = rho * moved + (1 - rho) * change**2
        parameter = parameter - lr * change
        yield parameter
