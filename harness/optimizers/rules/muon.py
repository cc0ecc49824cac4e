"""Muon: K. Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024).

The factor "match_rms_adamw" on the learning rate: J. Liu et al., Muon is Scalable for LLM Training (arXiv:2502.16982).
PyTorch runs the Newton–Schulz iteration in bfloat16 whatever the parameter's dtype; the rule runs it unrounded and
bounds what bfloat16 may do to it by an ensemble: every product and sum rounded up or down by a whole unit, at random.
As in the author's published code the velocity is an average, B ← μB + (1−μ)g; PyTorch's documentation leaves out the
factor, which dividing by the norm takes out again wherever the norm exceeds ε.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from harness.optimizers.bounded import Bounded

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
BFLOAT16_UNIT = 2.0**-9
ENSEMBLE = 24
"""Members of the ensemble that bounds what bfloat16's rounding does."""
DEVIATIONS = 6.0
"""Half-width of the bound in standard deviations of an ensemble whose perturbations are √3 times those of rounding."""


def muon(
    parameter: Any,
    gradients: Iterable[Any],
    *,
    lr: Any = 1e-3,
    weight_decay: Any = 0.1,
    momentum: Any = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[Any, Any, Any] = COEFFICIENTS,
    eps: Any = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
) -> Iterator[Any]:
    """Yield θ ← θ(1 − ηλ) − η·factor·NS(d), with d = B or (1−μ)g + μB."""
    rows, columns = parameter.shape
    factor = 0.2 * max(rows, columns) ** 0.5 if adjust_lr_fn == "match_rms_adamw" else max(1, rows / columns) ** 0.5
    velocity = 0.0 * parameter
    for gradient in gradients:
        velocity = momentum * velocity + (1 - momentum) * gradient
        direction = (1 - momentum) * gradient + momentum * velocity if nesterov else velocity
        parameter = parameter * (1 - lr * weight_decay)
        parameter = parameter - lr * factor * newton_schulz(direction, ns_coefficients, ns_steps, eps)
        yield parameter


def newton_schulz(matrix: Any, coefficients: tuple[Any, Any, Any], steps: int, eps: Any) -> Any:
    """Return X after `steps` of X ← aX + (bA + cA²)X with A = XXᵀ, from X = matrix/max(‖matrix‖, ε), with its bound."""
    a, b, c = (float(one) for one in coefficients)
    exact = np.asarray(getattr(matrix, "value", matrix), dtype=np.float64)
    value = _iterate(exact[None], (a, b, c), steps, float(eps), None)[0]
    if not isinstance(matrix, Bounded):
        return value
    noise = np.random.default_rng(0)
    given = np.broadcast_to(matrix.error, exact.shape).astype(np.float64)
    members = exact + given * noise.choice((-1.0, 1.0), (ENSEMBLE, *exact.shape))
    spread = _iterate(members, (a, b, c), steps, float(eps), noise) - value
    error = DEVIATIONS * np.sqrt(np.mean(spread**2, axis=0)) / 4  # `bar` is four times as much
    return Bounded(value, error + BFLOAT16_UNIT * np.abs(value), matrix.unit)


def _iterate(
    members: Any, coefficients: tuple[float, float, float], steps: int, eps: float, noise: np.random.Generator | None
) -> Any:
    """Return the iteration of a stack of matrices, (m, r, c), each operation perturbed by `noise` if there is any."""
    a, b, c = coefficients

    def rounded(values: Any) -> Any:
        return values if noise is None else values * (1 + BFLOAT16_UNIT * noise.choice((-1.0, 1.0), values.shape))

    wide = members.shape[1] > members.shape[2]
    x = rounded(members.transpose(0, 2, 1) if wide else members)
    norms = np.sqrt(np.sum(x**2, axis=(1, 2), keepdims=True))
    x = rounded(x / np.maximum(norms, eps))
    for _ in range(steps):
        gram = rounded(x @ x.transpose(0, 2, 1))
        polynomial = rounded(b * gram + c * rounded(gram @ gram))
        x = rounded(a * x + rounded(polynomial @ x))
    return x.transpose(0, 2, 1) if wide else x
