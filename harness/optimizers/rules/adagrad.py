"""Adagrad: J. Duchi, E. Hazan, Y. Singer, Adaptive Subgradient Methods for Online Learning (JMLR 12, 2011).

The decay of the learning rate and the accumulator's first value are PyTorch's documented additions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


def adagrad(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 1e-2,
    lr_decay: Any = 0.0,
    weight_decay: Any = 0.0,
    initial_accumulator_value: Any = 0.0,
    eps: Any = 1e-10,
) -> Iterator[Any]:
    """Yield θ ← θ − η/(1 + (t−1)·decay) · g/(√Σg² + ε)."""
    total = 0.0 * parameter + initial_accumulator_value
    for t, gradient in enumerate(gradients, start=1):
        gradient = gradient + weight_decay * parameter
        total = total + gradient**2
        parameter = parameter - lr / (1 + (t - 1) * lr_decay) * gradient / (np.sqrt(total) + eps)
        yield parameter
