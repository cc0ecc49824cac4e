"""Nonlinear least squares by SciPy, on residuals with their exact Jacobian, as one more way to descend.

`scipy.optimize.least_squares` chooses the steps; this shows the descent every point it accepts and stops it when the
descent has ended. One evaluation of the Jacobian counts as one gradient evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

from harness.converge.objective import Objective

Vector = NDArray[np.float64]
Seen = Callable[[Tensor], bool]
"""Told every accepted point (n,); answers whether the descent has ended."""

SMALLEST = 4 * float(np.finfo(np.float64).eps)
"""The least tolerance SciPy's solvers can be asked for."""


class LeastSquares:
    """Options of `scipy.optimize.least_squares`, over parameters that a descent moves.

    Args:
        params: the parameters; the descent moves them.
        method: trf (trust region reflective), dogbox, or lm (MINPACK's Levenberg–Marquardt).
        ftol: relative change of the sum of squares at which it stops.
        xtol: relative change of the parameters at which it stops.
        gtol: norm of the gradient at which it stops.
        x_scale: "jac" scales by the Jacobian's columns, a number by itself.
    """

    def __init__(
        self,
        params: Iterable[Tensor],  # noqa: ARG002  every optimizer is made from them
        *,
        method: Literal["trf", "dogbox", "lm"] = "trf",
        ftol: float = SMALLEST,
        xtol: float = SMALLEST,
        gtol: float = SMALLEST,
        x_scale: Literal["jac"] | float = "jac",
    ) -> None:
        """Keep the options; it works in float64, whatever the parameters are."""
        if method not in ("trf", "dogbox", "lm"):
            raise ValueError(f"method={method!r} is none of trf, dogbox, lm")
        self.method, self.ftol, self.xtol, self.gtol, self.x_scale = method, ftol, xtol, gtol, x_scale

    def step(self, closure: Callable[[], Tensor]) -> object:  # noqa: ARG002  as above
        """Refuse: a least-squares solver takes its steps itself."""
        raise RuntimeError("least squares takes no single steps")

    def solve(self, objective: Objective, start: Tensor, seen: Seen, *, most: int) -> str:
        """Minimise the sum of squares from a start.

        Args:
            objective: the problem; its subject has residuals.
            start: where it begins, (n,) in float64.
            seen: told the start and every point accepted after it.
            most: the largest number of points.

        Returns:
            Why it ended, in SciPy's words; "" where `seen` ended it.
        """
        points = 0

        def residuals(point: Vector) -> Vector:
            with torch.no_grad():
                return objective.residuals(torch.as_tensor(point)).numpy().copy()

        def jacobian(point: Vector) -> Vector:
            nonlocal points
            flat = torch.as_tensor(point)
            if points >= most or seen(flat):
                raise _EndedError
            points += 1
            return objective.jacobian(flat).numpy()

        try:
            with np.errstate(all="ignore"):
                result = optimize.least_squares(
                    residuals, start.numpy(), jac=jacobian, method=self.method, ftol=self.ftol, xtol=self.xtol,
                    gtol=self.gtol, x_scale=self.x_scale, max_nfev=100 * most,
                )  # fmt: skip
        except _EndedError:
            return ""
        seen(torch.as_tensor(result.x))
        return str(result.message)


class _EndedError(Exception):
    """The descent has ended; the solver is left where it stands."""
