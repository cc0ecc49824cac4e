"""RMSprop: T. Tieleman, G. Hinton, lecture 6.5 of Neural Networks for Machine Learning (2012).

Centred: A. Graves, Generating Sequences With Recurrent Neural Networks (arXiv:1308.0850), equations 38 to 41. PyTorch
adds ε to the root, not to the radicand, and lets the momentum run over the scaled gradients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


def rmsprop(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 1e-2,
    alpha: Any = 0.99,
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    momentum: Any = 0.0,
    centered: bool = False,
) -> Iterator[Any]:
    """Yield θ ← θ − η·b, with b ← μb + g/(√v + ε) and v = E[g²] (− E[g]² if centred)."""
    square = mean = velocity = 0.0 * parameter
    for gradient in gradients:
        gradient = gradient + weight_decay * parameter
        square = alpha * square + (1 - alpha) * gradient**2
        mean = alpha * mean + (1 - alpha) * gradient
        variance = square - mean**2 if centered else square
        velocity = momentum * velocity + gradient / (np.sqrt(variance) + eps)
        parameter = parameter - lr * velocity
        yield parameter
