"""Adam on the rows that a sparse gradient holds: D. P. Kingma, J. Ba (ICLR 2015), as PyTorch documents it.

Moments and parameters change only where the gradient has an entry; the bias is corrected by the number of steps taken,
not by how often an entry was there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


def sparse_adam(
    parameter: Any,
    gradients: Iterable[tuple[Any, Any]],
    *,
    lr: Any = 1e-3,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: Any = 1e-8,
) -> Iterator[Any]:
    """Yield Adam's steps at the entries that are `present`; `gradients` are pairs (present, gradient)."""
    first, second = betas
    mean = square = 0.0 * parameter
    for t, (present, gradient) in enumerate(gradients, start=1):
        mean = np.where(present, first * mean + (1 - first) * gradient, mean)
        square = np.where(present, second * square + (1 - second) * gradient**2, square)
        rate = lr * np.sqrt(1 - second**t) / (1 - first**t)
        parameter = np.where(present, parameter - rate * mean / (np.sqrt(square) + eps), parameter)
        yield parameter
