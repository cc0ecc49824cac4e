"""Linear rates of convergence: what theory says on a quadratic loss, what a run showed, and the largest stable step.

Theory covers gradient descent and SGD with momentum or Nesterov's, without weight decay, on quadratic losses with fixed
data. Everything else has no theoretical rate here: None, never a guess.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.converge.bounds import Bound, iteration_bound
from harness.converge.minimum import constant_hessian
from harness.converge.objective import HESSIAN_LIMIT, Objective
from harness.converge.optimizers import GD, Option, hyperparameter
from harness.converge.regression import EPS, ROUNDINGS, RateFit, fit_rate

DISAGREEMENT = 0.01
"""Difference between an observed rate and the recurrence's that is worth a word."""
RECURRENCE_STEPS = 20_000
"""Steps up to which the exact recurrence is followed beside a descent."""
EXCITED = 1e-12
"""A direction counts as excited when the start's distance along it is this share of the largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Rates and bounds of one run; None where they make no sense or cannot be had."""

    fit: RateFit | None = None
    """The observed rate with its interval."""
    theoretical: float | None = None
    curvature: float | None = None
    """λ_max, the largest eigenvalue of the Hessian."""
    bound: float | None = None
    """2/λ_max, above which gradient descent diverges on a quadratic."""
    stable: float | None = None
    """The same bound for the run's own momentum."""
    quadratic: bool = False
    expected: float | None = None
    """What the observed rate's own fit reads off the exact recurrence, over as many steps."""
    steps: Bound | None = None
    """How many steps theory allows."""
    growth: float | None = None
    """How many times the start's distance the exact recurrence grew to, over as many steps."""

    @property
    def observed(self) -> float | None:
        """The observed rate, None where the errors fall along no line."""
        return None if self.fit is None else self.fit.rate

    @property
    def disagree(self) -> bool:
        """Whether the observed rate is off the recurrence's; both carry the fit's error, so it does not count."""
        if self.observed is None or self.expected is None:
            return False
        return abs(self.observed - self.expected) > DISAGREEMENT


def rates_of(
    objective: Objective,
    *,
    optimizer: str,
    options: Mapping[str, Option],
    start: Tensor,
    minimum: Tensor | None,
    errors: Sequence[float] = (),
    rounding: float = EPS,
    within: float | None = None,
) -> Rates:
    """Return curvature, bounds and rates.

    Args:
        objective: the loss on the whole data.
        optimizer: its name; only GD and SGD have a theory here.
        options: as given to it.
        start: where the descent began, (n,).
        minimum: the minimiser it should reach, (n,); without one the curvature is taken at the start.
        errors: the distance to it at every step, empty where steps saw different data: then there are no rates.
        rounding: the relative rounding of the dtype the descent ran in.
        within: the distance that counts as arrived; None gives no bound on the steps.
    """
    scale = 1.0 if minimum is None else float(minimum.abs().max())
    fit = fit_rate(errors, scale=scale, rounding=rounding)
    if optimizer not in (GD, "SGD"):
        return Rates(fit=fit)
    place = start if minimum is None else minimum
    largest = objective.largest_curvature(place)
    hessian = constant_hessian(objective, start) if objective.size <= HESSIAN_LIMIT else None
    bound = 2.0 / largest if largest is not None and largest > 0 else None
    theoretical = expected = steps = growth = None
    if hessian is not None and minimum is not None and errors:
        theoretical = theoretical_rate(optimizer, options, _excited(hessian, start - minimum))
        followed: list[float] = []
        if theoretical is not None and len(errors) <= RECURRENCE_STEPS:
            followed = recurrence_errors(optimizer, options, hessian, start - minimum, len(errors) - 1)
            expected = observed_rate(followed, scale=scale, rounding=rounding)
            growth = max(followed) / followed[0] if followed[0] > 0 else None
        if theoretical is not None and within is not None and within > ROUNDINGS * rounding * max(1.0, scale):
            steps = iteration_bound(errors[0], within, theoretical, followed)
    return Rates(
        fit=fit,
        steps=steps,
        growth=growth,
        theoretical=theoretical,
        expected=expected,
        curvature=largest,
        bound=bound,
        stable=None if largest is None else stable_rate(optimizer, options, largest),
        quadratic=hessian is not None,
    )


def theoretical_rate(optimizer: str, options: Mapping[str, Option], curvatures: Sequence[float]) -> float | None:
    """Return the linear rate ρ on a quadratic: the error shrinks like ρᵏ.

    The largest spectral radius over the curvatures λ of the recurrence's companion matrix. Its trace and determinant
    are 1 − ηλ and 0 for gradient descent, 1 + μ − η(1−τ)λ and μ with momentum μ and dampening τ (the heavy ball), and
    (1+μ)(1−ηλ) and μ(1−ηλ) for Nesterov's in torch's form.

    Args:
        optimizer: GD or SGD.
        options: as given to it.
        curvatures: Hessian eigenvalues of the excited directions with nonzero curvature.
    """
    if optimizer not in (GD, "SGD") or not curvatures or _shifted(optimizer, options):
        return None
    return max(_radius(*_trace_determinant(optimizer, options, curvature)) for curvature in curvatures)


def stable_rate(optimizer: str, options: Mapping[str, Option], curvature: float) -> float | None:
    """Return the learning rate above which the optimizer diverges along curvature λ > 0; None where no theory applies.

    2/λ for gradient descent, 2(1+μ)/((1−τ)λ) with momentum, (2+2μ)/((1+2μ)λ) for Nesterov's: where the companion
    matrix has an eigenvalue −1.
    """
    if optimizer not in (GD, "SGD") or curvature <= 0 or _shifted(optimizer, options):
        return None
    momentum = hyperparameter(optimizer, options, "momentum")
    if options.get("nesterov"):
        return (2 + 2 * momentum) / ((1 + 2 * momentum) * curvature)
    if momentum == 0:
        return 2 / curvature
    return 2 * (1 + momentum) / ((1 - hyperparameter(optimizer, options, "dampening")) * curvature)


def observed_rate(errors: Sequence[float], *, scale: float = 1.0, rounding: float = EPS) -> float | None:
    """Return the rate of `harness.converge.regression.fit_rate` without its interval."""
    fit = fit_rate(errors, scale=scale, rounding=rounding)
    return None if fit is None else fit.rate


def recurrence_errors(
    optimizer: str, options: Mapping[str, Option], hessian: Tensor, offset: Tensor, steps: int
) -> list[float]:
    """Follow gradient descent or SGD on a quadratic exactly, in the Hessian's eigenbasis, one direction at a time.

    Args:
        optimizer: GD or SGD.
        options: as given to it.
        hessian: the constant Hessian, (n, n).
        offset: start minus minimiser, (n,).
        steps: how many to take.

    Returns:
        The max-norm distance to the minimiser at steps 0 … `steps`, up to where it is no longer finite.
    """
    curvatures, directions = (part.numpy() for part in torch.linalg.eigh(hessian))
    rate, momentum, damping = (hyperparameter(optimizer, options, name) for name in ("lr", "momentum", "dampening"))
    parts = directions.T @ offset.numpy()
    velocity, errors = curvatures * parts, [float(np.abs(offset.numpy()).max())]
    for step in range(steps):
        gradient = curvatures * parts
        velocity = momentum * velocity + (1 - damping) * gradient if step and momentum else gradient
        parts = parts - rate * (gradient + momentum * velocity if options.get("nesterov") else velocity)
        errors.append(float(np.abs(directions @ parts).max()))
        if not errors[-1] < 1e100:
            break
    return errors


def steps_to_go(error: float, within: float, rate: float | None) -> int | None:
    """Return how many more steps an error shrinking by `rate` a step needs to come to `within`; None without a rate."""
    if rate is None or not 0 < rate < 1 or not error > within:
        return None
    return math.ceil(math.log(within / error) / math.log(rate))


def _trace_determinant(optimizer: str, options: Mapping[str, Option], curvature: float) -> tuple[float, float]:
    """Return trace and determinant of the recurrence's companion matrix along one curvature."""
    rate = hyperparameter(optimizer, options, "lr")
    momentum = hyperparameter(optimizer, options, "momentum")
    if options.get("nesterov"):
        return (1 + momentum) * (1 - rate * curvature), momentum * (1 - rate * curvature)
    damped = 1 - hyperparameter(optimizer, options, "dampening") if momentum else 1.0
    return 1 + momentum - rate * damped * curvature, momentum


def _radius(trace: float, determinant: float) -> float:
    """Return the spectral radius of a 2×2 matrix."""
    return float(np.abs(np.roots([1.0, -trace, determinant])).max())


def _shifted(optimizer: str, options: Mapping[str, Option]) -> bool:
    """Return whether an option changes what is minimised, so that theory for the loss itself does not apply."""
    return bool(hyperparameter(optimizer, options, "weight_decay")) or bool(options.get("maximize"))


def _excited(hessian: Tensor, offset: Tensor) -> list[float]:
    """Return the curvatures λ ≠ 0 along whose directions the start lies off the minimum."""
    curvatures, directions = torch.linalg.eigh(hessian)
    parts = (directions.T @ offset).abs()
    chosen = (parts > EXCITED * parts.max()) & (curvatures.abs() > EXCITED * curvatures.abs().max())
    return [float(value) for value in curvatures[chosen]]
