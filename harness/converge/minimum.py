"""Where a descent should arrive: a given minimum, a closed-form least squares solution, or scipy's, each checked.

A minimum found here is differentiated and searched in float64 through the function itself, never through the analytic
gradient under test. A check compares gradient and curvature only: it cannot tell a local minimum from the global one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

from harness.case.points import parse_value
from harness.case.schema import ConvergeModel, Value
from harness.case.subject import Tensors
from harness.converge.objective import HESSIAN_LIMIT, Objective
from harness.converge.problem import Problem
from harness.errors import UsageError

REDRAWS = 64
"""Held-out draws the gradient is averaged over where data are fresh at every step."""
STANDARD_ERRORS = 5.0
"""Half-width of the interval that average must have zero in (chance 6e-7 per parameter to miss it wrongly)."""
FLAT = 1e-12
"""Curvature below this share of the largest counts as none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """The acceptable minimisers `values` (m, n), their source, and why they may not be minima (None: checked)."""

    values: Tensor
    source: str
    """given · least_squares · scipy"""
    doubt: str | None = None

    def nearest(self, point: Tensor, *, relative: bool) -> int:
        """Return the index of the minimiser nearest to a point (n,), by the distance descents are judged by."""
        scale = scales(self.values) if relative else 1.0
        distances = ((self.values - point) / scale).abs().amax(dim=1)
        return int(torch.nan_to_num(distances, nan=torch.inf).argmin())


def scales(minima: Tensor) -> Tensor:
    """Return what distances from minimisers (m, n) are relative to: the size of each entry, 1 for a zero."""
    return torch.where(minima == 0, torch.ones_like(minima), minima.abs())


def find_minimum(problem: Problem, entry: ConvergeModel, *, sizes: Mapping[str, int]) -> Minimum | None:
    """Find and check what the descent should reach; None where the entry names no minimum.

    Args:
        problem: at its start; least squares and scipy begin there.
        entry: `minimum` says how, `within` how exact it has to be.
        sizes: the named sizes, for values given as expressions.

    Raises:
        UsageError: a given value does not fit its parameter, or the asked-for method finds no minimum.
            A given minimum that is none does not raise: its doubt is a verdict.
    """
    if entry.minimum is None:
        return None
    objective, start = problem.objective(), problem.flat().double().cpu()
    if entry.minimum == "least_squares":
        source, values = "least_squares", least_squares(objective, start)[None]
    elif entry.minimum == "scipy":
        source, values = "scipy", scipy_minimum(objective, start)[None]
    else:
        source, values = "given", given_minima(objective, entry.minimum, sizes)
        values = values if problem.units is None else values / flat_units(objective, problem.units)
    doubt = _doubt_any(problem, objective, values, tolerance(entry), relative=entry.digits is not None)
    if doubt is not None and source != "given":
        raise UsageError(
            f"Cannot find a minimum to within {tolerance(entry):g} by {source}: where it ended, {doubt}. "
            "Give the minimum, or another start."
        )
    return Minimum(values=values, source=source, doubt=doubt)


def tolerance(entry: ConvergeModel) -> float:
    """Return the largest distance that counts as arrived: absolute, or relative where the entry asks for digits."""
    return entry.within if entry.digits is None else 10.0**-entry.digits


def flat_units(objective: Objective, units: Tensors) -> Tensor:
    """Return the parameters' units as one vector (n,), as they are flattened."""
    return torch.cat([units[name].double().cpu().reshape(-1) for name in objective.shapes])


def given_minima(objective: Objective, given: Mapping[str, Value], sizes: Mapping[str, int]) -> Tensor:
    """Return the given minimisers, flattened, (m, n).

    A value of its parameter's shape is one minimum; values with one more leading dim list m of them; a single number
    stands for every entry.
    """
    unknown = [name for name in given if name not in objective.shapes]
    missing = [name for name in objective.shapes if name not in given]
    if unknown or missing:
        what = f"{unknown[0]} is not a parameter" if unknown else f"{missing[0]} is missing"
        raise UsageError(f"Cannot use `minimum`: {what}. Give a value for each of: {', '.join(objective.shapes)}.")
    parts = {name: parse_value(value, sizes).double() for name, value in given.items()}
    several = {len(part) for name, part in parts.items() if part.ndim == len(objective.shapes[name]) + 1}
    if len(several) > 1:
        raise UsageError(f"Cannot use `minimum`: the parameters list different numbers of minima, {sorted(several)}.")
    count = several.pop() if several else 1
    rows = [_rows(name, parts[name], shape, count) for name, shape in objective.shapes.items()]
    return torch.cat(rows, dim=1)


def least_squares(objective: Objective, start: Tensor) -> Tensor:
    """Return the minimiser (n,) of a loss that is quadratic in its parameters, in closed form.

    w* = w₀ − H⁻¹∇f(w₀) with the constant Hessian H (for ‖y − Xw‖² these are the normal equations), repeated from the
    result twice, which corrects the rounding of the first solve (iterative refinement). It is done through gradient and
    Hessian rather than a QR of the residuals' Jacobian because a subject offers its scalar loss, not its residuals.

    Raises:
        UsageError: the loss is not quadratic, is not convex, or has no unique minimiser.
    """
    if objective.size > HESSIAN_LIMIT:
        raise UsageError(
            f"Cannot solve least squares: {objective.size} parameters are more than {HESSIAN_LIMIT}. "
            "Use minimum: scipy."
        )
    hessian = constant_hessian(objective, start)
    if hessian is None:
        raise UsageError(
            "Cannot solve least squares in closed form: the loss is not quadratic in its parameters (its Hessian "
            "changes from place to place). Use minimum: scipy, or give the minimum."
        )
    curvatures = torch.linalg.eigvalsh(hessian)
    largest = float(curvatures.abs().max())
    cutoff = 10 * len(curvatures) * torch.finfo(torch.float64).eps * largest
    if largest == 0.0 or float(curvatures.min()) < -cutoff:
        raise UsageError(
            "Cannot solve least squares: the quadratic loss has no minimum (its curvature is not positive)."
        )
    rank = int((curvatures > cutoff).sum())
    if rank < len(curvatures):
        raise UsageError(
            "Cannot solve least squares: the minimiser is not unique "
            f"(the Hessian has rank {rank} of {len(curvatures)}). Use more rows of data, or judge by loss_below."
        )
    solution = start
    for _ in range(3):
        solution = solution - torch.linalg.solve(hessian, objective.gradient(solution)[1])
    return solution


def constant_hessian(objective: Objective, start: Tensor) -> Tensor | None:
    """Return the Hessian (n, n) of a loss quadratic in its parameters; None where it changes (or is not finite).

    Compared at the start and at two seeded points beside it, to 1e-8 of its largest entry.
    """
    hessian = objective.hessian(start)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        shift = torch.randn(len(start), dtype=torch.float64, generator=generator) * (1.0 + start.abs())
        change = (objective.hessian(start + shift) - hessian).abs().max()
        if not bool(change <= 1e-8 * hessian.abs().max()):
            return None
    return hessian


def scipy_minimum(objective: Objective, start: Tensor) -> Tensor:
    """Return the local minimiser (n,) that scipy finds from `start`, polished by Newton steps.

    BFGS while the parameters are few, L-BFGS-B beyond; Newton steps are kept while they shrink the gradient.

    Raises:
        UsageError: it ends at a point that is not finite.
    """

    def value_and_gradient(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        flat = torch.as_tensor(point, dtype=torch.float64)
        return float(objective(flat).detach()), objective.gradient(flat)[1].numpy()

    small = objective.size <= HESSIAN_LIMIT
    options = {"gtol": 1e-10, "maxiter": 5000}
    with np.errstate(all="ignore"):
        result = optimize.minimize(
            value_and_gradient, start.numpy(), jac=True, method="BFGS" if small else "L-BFGS-B", options=options
        )
    if not (np.isfinite(result.fun) and np.isfinite(result.x).all()):
        raise UsageError(f"Cannot find a minimum: scipy ended at a point that is not finite ({result.message}).")
    found = torch.as_tensor(result.x, dtype=torch.float64)
    return _polish(objective, found) if small else found


def doubt_about(
    objective: Objective, point: Tensor, gradient: Tensor, within: float, *, relative: bool = False
) -> str | None:
    """Say why `point` is no minimum to within `within`, or None if nothing speaks against it.

    With `relative`, lengths are measured in the point's own entries (of a zero, in ones), as digits are.

    A point is accepted when the Newton step from it, H⁻¹∇f, which is how far the true stationary point lies, is at
    most `within` in every coordinate, no curvature is negative, and no gradient is left along flat directions. Beyond
    `HESSIAN_LIMIT` parameters only ‖∇f‖∞ ≤ λ_max·within is asked, which is necessary, not sufficient.
    """
    norm = float(gradient.abs().max())
    if not bool(torch.isfinite(gradient).all()):
        return "the gradient there is not finite"
    if len(point) > HESSIAN_LIMIT:
        largest = objective.largest_curvature(point)
        bar = within if largest is None else abs(largest) * within
        return None if norm <= bar else f"the gradient there is {norm:.3g}, not 0"
    hessian = objective.hessian(point)
    if not bool(torch.isfinite(hessian).all()):
        return None if norm <= within else f"the gradient there is {norm:.3g}, not 0"
    if relative:
        scale = torch.where(point == 0, 1.0, point.abs())
        hessian, gradient, point = hessian * scale * scale[:, None], gradient * scale, point / scale
    return _newton_doubt(hessian, gradient, point, within)


def _newton_doubt(hessian: Tensor, gradient: Tensor, point: Tensor, within: float) -> str | None:
    """Apply `doubt_about`'s rule for a small, finite Hessian."""
    curvatures, directions = torch.linalg.eigh(hessian)
    parts, largest, norm = directions.T @ gradient, float(curvatures.abs().max()), float(gradient.abs().max())
    if float(curvatures.min()) < -1e-6 * largest and float(curvatures.min()) < -1e-8:
        return f"the loss curves down there (smallest curvature {float(curvatures.min()):.3g}): a saddle or a maximum"
    curved = curvatures.abs() > max(FLAT * largest, 1e-300)
    rounding = 1e-8 * max(1.0, largest * float(point.abs().max()))
    if bool((parts[~curved].abs() > rounding).any()):
        return f"the gradient there is {norm:.3g}, not 0, along a direction without curvature"
    steps = torch.where(curved, parts / torch.where(curved, curvatures, 1.0), 0.0)
    away = float((directions @ steps).abs().max())
    if away <= within or norm <= 1e-14 * max(1.0, largest):
        return None
    return f"the gradient there is {norm:.3g}, not 0: the stationary point lies about {away:.3g} away"


def _doubt_any(problem: Problem, objective: Objective, values: Tensor, within: float, *, relative: bool) -> str | None:
    """Return the first doubt about any of the minima (m, n)."""
    for point in values:
        if problem.redraws is None:
            doubt = doubt_about(objective, point, objective.gradient(point)[1], within, relative=relative)
        else:
            doubt = _doubt_on_average(problem, point, list(islice(problem.redraws, REDRAWS)))
        if doubt is not None:
            return doubt
    return None


def _doubt_on_average(problem: Problem, point: Tensor, draws: list[Tensors]) -> str | None:
    """Say whether the gradient at `point`, averaged over fresh draws, is off zero by more than chance."""
    gradients = torch.stack([problem.objective(data).gradient(point)[1] for data in draws])
    mean, spread = gradients.mean(dim=0), gradients.std(dim=0)
    bar = STANDARD_ERRORS * spread / len(draws) ** 0.5 + 1e-8 * gradients.abs().max().clamp(max=1.0)
    worst = int((mean.abs() - bar).argmax())
    if bool(mean[worst].abs() <= bar[worst]):
        return None
    return f"the gradient there, averaged over {len(draws)} fresh draws, is {float(mean[worst]):.3g}, not 0"


def _polish(objective: Objective, point: Tensor) -> Tensor:
    """Take Newton steps (at most 20) while each shrinks the gradient."""
    gradient = objective.gradient(point)[1]
    for _ in range(20):
        hessian = objective.hessian(point)
        if not bool(torch.isfinite(hessian).all()):
            return point
        candidate = point - torch.linalg.pinv(hessian, hermitian=True) @ gradient
        shrunk = objective.gradient(candidate)[1]
        if not bool(shrunk.abs().max() < gradient.abs().max()):
            return point
        point, gradient = candidate, shrunk
    return point


def _rows(name: str, part: Tensor, shape: tuple[int, ...], count: int) -> Tensor:
    """Return one parameter's value in each of `count` minima, flattened, (count, entries)."""
    if part.numel() == 1:
        part = part.reshape(()).expand(shape)
    elif tuple(part.shape) == shape:
        part = part.expand(shape)
    elif tuple(part.shape[1:]) != shape:
        raise UsageError(f"Cannot use `minimum`: {name} has shape {tuple(part.shape)}, the parameter {shape}.")
    else:
        return part.reshape(count, -1)
    return part.reshape(1, -1).expand(count, -1)
