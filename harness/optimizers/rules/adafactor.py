"""Adafactor: N. Shazeer, M. Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost (ICML 2018).

Algorithm 4. PyTorch's documented deviations: the relative step is min(η, 1/√t); ε₁ is applied to the denominators,
not to the squared gradient, and is the dtype's machine epsilon unless given; means stand for sums; weight decay is
decoupled, by ηλ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

MACHINE_EPSILON = 2.0**-52
"""Of float64."""


def adafactor(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 1e-2,
    beta2_decay: Any = -0.8,
    eps: tuple[Any, Any] = (None, 1e-3),
    d: Any = 1.0,
    weight_decay: Any = 0.0,
) -> Iterator[Any]:
    """Yield θ ← θ(1 − ηλ) − max(ε₂, RMS θ)·min(η, 1/√t)·U/max(1, RMS(U)/d), with U = G/√V̂."""
    tiny = 2 * getattr(parameter, "unit", MACHINE_EPSILON / 2) if eps[0] is None else eps[0]
    rows = columns = square = 0.0
    for t, gradient in enumerate(gradients, start=1):
        keep = 1 - np.exp(beta2_decay * np.log(np.longdouble(t)))
        rate = np.minimum(lr, 1 / np.sqrt(np.longdouble(t)))
        scale = np.maximum(eps[1], _rms(parameter)) * rate
        parameter = parameter * (1 - lr * weight_decay)
        if len(gradient.shape) > 1:
            rows = keep * rows + (1 - keep) * np.mean(gradient**2, axis=-1, keepdims=True)
            columns = keep * columns + (1 - keep) * np.mean(gradient**2, axis=-2, keepdims=True)
            variance = rows @ columns / np.maximum(np.mean(rows, axis=-2, keepdims=True), tiny)
        else:
            variance = square = keep * square + (1 - keep) * gradient**2
        update = gradient / np.maximum(np.sqrt(variance), tiny)
        parameter = parameter - scale * update / np.maximum(1.0, _rms(update) / d)
        yield parameter


def _rms(values: Any) -> Any:
    """Return the root mean square."""
    return np.sqrt(np.mean(values**2))
