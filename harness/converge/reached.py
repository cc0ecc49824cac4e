"""Which of the acceptable minima a descent reached, and the loss there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from harness.converge.descent import Descent
from harness.converge.minimum import Minimum
from harness.converge.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A minimiser (n,), its position among the acceptable ones, and the loss on the whole data there.

    The loss is None where data are fresh at every step, since no draw has its minimum at the minimiser, and where it is
    not finite.
    """

    point: Tensor
    index: int
    loss: float | None


def reached_minimum(problem: Problem, minimum: Minimum | None, descent: Descent, *, relative: bool) -> Reached | None:
    """Return the minimum a descent arrived at, or else the one nearest to its end; None where none is declared.

    Args:
        problem: what was descended on.
        minimum: the acceptable minima.
        descent: what happened.
        relative: whether distances are relative to the minimisers' own entries.
    """
    if minimum is None:
        return None
    index = minimum.nearest(descent.final if descent.arrived is None else descent.arrived, relative=relative)
    point = minimum.values[index]
    loss = None if problem.redraws is not None or minimum.doubt is not None else float(problem.objective()(point))
    return Reached(point=point, index=index, loss=loss if loss is None or math.isfinite(loss) else None)
