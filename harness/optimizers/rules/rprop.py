"""Rprop: M. Riedmiller, H. Braun, A Direct Adaptive Method for Faster Backpropagation Learning (ICNN 1993).

PyTorch's documented form has no backtracking: where the sign changed the step shrinks, and this step is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


def rprop(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 1e-2,
    etas: tuple[Any, Any] = (0.5, 1.2),
    step_sizes: tuple[Any, Any] = (1e-6, 50.0),
) -> Iterator[Any]:
    """Yield θ ← θ − s·sign(g), with s ← min(s·η⁺, s_max) while the sign stays and max(s·η⁻, s_min) where it turned."""
    smaller, larger = etas
    least, most = step_sizes
    size = 0.0 * parameter + lr
    before = 0.0 * parameter
    for gradient in gradients:
        same = gradient * before
        turned = same < 0
        size = np.where(same > 0, np.minimum(size * larger, most), size)
        size = np.where(turned, np.maximum(size * smaller, least), size)
        before = np.where(turned, 0.0 * gradient, gradient)
        parameter = parameter - size * np.sign(before)
        yield parameter
