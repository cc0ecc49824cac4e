"""Averaged SGD: B. T. Polyak, A. B. Juditsky, Acceleration of Stochastic Approximation by Averaging (1992).

PyTorch documents its options only by name; their meaning is that of L. Bottou's description (Stochastic Gradient
Descent Tricks, 2012, section 5.3): η_t = η₀/(1 + λη₀t)^α, and θ shrinks by 1 − λη_t. The step t (from 1) uses
η_{t−1}. What is stepped is θ; the average only stands in the state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def asgd(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 1e-2,
    lambd: Any = 1e-4,
    alpha: Any = 0.75,
    t0: Any = 1e6,  # noqa: ARG001  from when on the state's average is taken; θ does not depend on it
    weight_decay: Any = 0.0,
) -> Iterator[Any]:
    """Yield θ ← θ·(1 − λη) − η·g."""
    rate = lr
    for t, gradient in enumerate(gradients, start=1):
        gradient = gradient + weight_decay * parameter
        parameter = parameter * (1 - lambd * rate) - rate * gradient
        rate = lr / (1 + lambd * lr * t) ** float(alpha)
        yield parameter
