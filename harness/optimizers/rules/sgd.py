"""Stochastic gradient descent with momentum: B. T. Polyak (1964) and Y. Nesterov (1983), in PyTorch's documented form.

PyTorch's velocity is not scaled by the learning rate, starts as the first gradient (which is therefore not dampened),
and Nesterov's look-ahead is applied to the gradient: I. Sutskever et al., On the importance of initialization and
momentum in deep learning (ICML 2013), as rewritten in the documentation of `torch.optim.SGD`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def sgd(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 1e-3,
    momentum: Any = 0.0,
    dampening: Any = 0.0,
    weight_decay: Any = 0.0,
    nesterov: bool = False,
) -> Iterator[Any]:
    """Yield θ ← θ − η·d, with d = g (+ λθ), the velocity v ← μv + (1−τ)d, or d + μv (Nesterov)."""
    velocity = None
    for gradient in gradients:
        direction = gradient + weight_decay * parameter
        if momentum:
            velocity = direction if velocity is None else momentum * velocity + (1 - dampening) * direction
            direction = direction + momentum * velocity if nesterov else velocity
        parameter = parameter - lr * direction
        yield parameter
