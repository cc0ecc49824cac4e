"""The ladder of targets: how soon a descent came within a tenth, a thousandth, … of the way to the minimum's loss.

A target τ is reached at the first point whose loss is at most f* + τ(f₀ − f*), the best so far (Moré and Wild,
"Benchmarking derivative-free optimization algorithms", 2009). Counted are the steps and the gradient evaluations before
that point. It says nothing where f* is not known, and nothing about distances.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left

from harness.records import Target

TAUS = (1e-1, 1e-3, 1e-5, 1e-7)
ROUNDINGS = 16.0
"""A target closer to f* than this many roundings of f* cannot be told from f* itself, and is left out."""


class Progress:
    """The best loss so far of a descent, kept at the points where it fell."""

    def __init__(self) -> None:
        self._losses, self._steps, self._evaluations = array("d"), array("q"), array("q")

    def note(self, step: int, evaluations: int, loss: float) -> None:
        """Take note of the loss at a point.

        Args:
            step: the step the point belongs to.
            evaluations: gradient evaluations spent before it.
            loss: the loss there; one that is not finite is no progress.
        """
        if math.isfinite(loss) and (not self._losses or loss < self._losses[-1]):
            self._losses.append(loss)
            self._steps.append(step)
            self._evaluations.append(evaluations)

    @property
    def best(self) -> float | None:
        """The smallest loss, None before the first finite one."""
        return self._losses[-1] if self._losses else None

    @property
    def first(self) -> float | None:
        """The loss at the start, None where it was not finite."""
        return self._losses[0] if self._losses and self._steps[0] == 0 else None

    def reached(self, loss: float) -> tuple[int, int] | None:
        """Return (step, evaluations) of the first point at or below a loss, None where there was none."""
        place = bisect_left(self._losses, -loss, key=lambda value: -value)
        return None if place == len(self._losses) else (self._steps[place], self._evaluations[place])


def targets(progress: Progress, *, minimum: float | None, rounding: float) -> tuple[Target, ...]:
    """Return when each target of the ladder was reached, largest τ first.

    Args:
        progress: the best losses of the descent, the one at its start, f₀, first.
        minimum: the loss at the minimum, f*; None where it is not known, and then there are no targets.
        rounding: the relative rounding of the dtype the descent ran in.

    Returns:
        None of the ladder where the start is no higher than the minimum.
    """
    first = progress.first
    if minimum is None or first is None or not math.isfinite(minimum) or not first > minimum:
        return ()
    floor = ROUNDINGS * rounding * abs(minimum)
    return tuple(_target(progress, tau, minimum, first) for tau in TAUS if tau * (first - minimum) > floor)


def _target(progress: Progress, tau: float, minimum: float, first: float) -> Target:
    loss = minimum + tau * (first - minimum)
    step, evaluations = progress.reached(loss) or (None, None)
    return Target(tau=tau, loss=loss, step=step, evaluations=evaluations)
