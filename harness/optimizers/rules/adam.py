"""Adam and its relatives.

Adam and Adamax: D. P. Kingma, J. Ba, Adam: A Method for Stochastic Optimization (ICLR 2015), algorithms 1 and 2.
Decoupled weight decay: I. Loshchilov, F. Hutter, Decoupled Weight Decay Regularization (ICLR 2019), algorithm 2, with
PyTorch's ηλ in place of the paper's schedule. AMSGrad: S. Reddi, S. Kale, S. Kumar, On the Convergence of Adam and
Beyond (ICLR 2018); PyTorch keeps the maximum of the raw second moment and corrects its bias afterwards, which the paper
does not. NAdam: T. Dozat, Incorporating Nesterov Momentum into Adam (2016), with the momentum schedule
μ_t = β₁(1 − ½·0.96^(tψ)). RAdam: L. Liu et al., On the Variance of the Adaptive Learning Rate and Beyond (ICLR 2020),
rectified where ρ_t > 5 as documented by PyTorch (the paper's algorithm 2 says ρ_t > 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

Betas = tuple[Any, Any]
LOG_096 = np.log(np.longdouble(0.96))


def decayed(parameter: Any, gradient: Any, lr: Any, weight_decay: Any, *, decoupled: bool) -> tuple[Any, Any]:
    """Return θ and g with weight decay: θ·(1 − ηλ) where it is decoupled, else g + λθ."""
    if decoupled:
        return parameter * (1 - lr * weight_decay), gradient
    return parameter, gradient + weight_decay * parameter


def averaged(old: Any, new: Any, keep: Any) -> Any:
    """Return the exponential average keep·old + (1 − keep)·new."""
    return keep * old + (1 - keep) * new


def adam(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    amsgrad: bool = False,
    decoupled_weight_decay: bool = False,
) -> Iterator[Any]:
    """Yield θ ← θ − η·m̂/(√v̂ + ε), with m̂ = m/(1−β₁ᵗ) and v̂ = v/(1−β₂ᵗ)."""
    first, second = betas
    mean = square = largest = 0.0 * parameter
    for t, gradient in enumerate(gradients, start=1):
        parameter, gradient = decayed(parameter, gradient, lr, weight_decay, decoupled=decoupled_weight_decay)
        mean = averaged(mean, gradient, first)
        square = averaged(square, gradient**2, second)
        largest = np.maximum(largest, square)
        corrected = (largest if amsgrad else square) / (1 - second**t)
        parameter = parameter - lr * (mean / (1 - first**t)) / (np.sqrt(corrected) + eps)
        yield parameter


def adamw(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0.01,
    amsgrad: bool = False,
) -> Iterator[Any]:
    """Yield Adam's steps with decoupled weight decay: θ shrinks by 1 − ηλ first."""
    return adam(
        parameter, gradients, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
        decoupled_weight_decay=True,
    )  # fmt: skip


def adamax(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
) -> Iterator[Any]:
    """Yield θ ← θ − η/(1−β₁ᵗ)·m/u, with the decaying maximum u ← max(β₂u, |g| + ε)."""
    first, second = betas
    mean = norm = 0.0 * parameter
    for t, gradient in enumerate(gradients, start=1):
        gradient = gradient + weight_decay * parameter
        mean = averaged(mean, gradient, first)
        norm = np.maximum(second * norm, np.abs(gradient) + eps)
        parameter = parameter - lr / (1 - first**t) * mean / norm
        yield parameter


def nadam(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    momentum_decay: Any = 4e-3,
    decoupled_weight_decay: bool = False,
) -> Iterator[Any]:
    """Yield Adam's steps with m̂ = μ_{t+1}·m/(1−Πμ_{i≤t+1}) + (1−μ_t)·g/(1−Πμ_{i≤t})."""
    first, second = betas
    mean = square = 0.0 * parameter
    product = 1.0 + 0.0 * first
    for t, gradient in enumerate(gradients, start=1):
        parameter, gradient = decayed(parameter, gradient, lr, weight_decay, decoupled=decoupled_weight_decay)
        now, after = (first * (1 - 0.5 * np.exp(count * momentum_decay * LOG_096)) for count in (t, t + 1))
        product = product * now
        mean = averaged(mean, gradient, first)
        square = averaged(square, gradient**2, second)
        ahead = after * mean / (1 - product * after) + (1 - now) * gradient / (1 - product)
        parameter = parameter - lr * ahead / (np.sqrt(square / (1 - second**t)) + eps)
        yield parameter


def radam(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    decoupled_weight_decay: bool = False,
) -> Iterator[Any]:
    """Yield θ ← θ − η·m̂·r·√(1−β₂ᵗ)/(√v + ε) where the variance is tractable (ρ_t > 5), else θ − η·m̂."""
    first, second = betas
    mean = square = 0.0 * parameter
    most = 2 / (1 - second) - 1
    for t, gradient in enumerate(gradients, start=1):
        parameter, gradient = decayed(parameter, gradient, lr, weight_decay, decoupled=decoupled_weight_decay)
        mean = averaged(mean, gradient, first)
        square = averaged(square, gradient**2, second)
        step = mean / (1 - first**t)
        length = most - 2 * t * second**t / (1 - second**t)
        if length > 5:
            rectified = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
            step = step * np.sqrt(rectified) * np.sqrt(1 - second**t) / (np.sqrt(square) + eps)
        parameter = parameter - lr * step
        yield parameter
