"""How many steps theory allows a descent on a quadratic, to be set beside the number it took.

The bound is log(ε/e₀)/log ρ, the steps a distance e₀ takes to shrink to ε at the linear rate ρ. What comes before that
rate is reached (momentum lets a distance grow at first) is the transient; the exact recurrence on the same quadratic
says how long it is. Both are only as good as the quadratic: other losses get no bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SLACK_STEPS = 2
"""Steps beyond bound and recurrence that rounding may cost …"""
SLACK_SHARE = 0.01
"""… and as a share of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Steps to the tolerance: `rate` by the linear rate alone, `exact` by the recurrence, where it was followed so far.

    `transient` is what the recurrence takes beyond the rate's steps.
    """

    rate: int
    exact: int | None = None

    @property
    def transient(self) -> int | None:
        """Steps of the recurrence beyond the rate's, at least 0; None where the recurrence did not arrive."""
        return None if self.exact is None else max(0, self.exact - self.rate)

    @property
    def most(self) -> int | None:
        """Steps beyond which a descent is slower than theory; None where the transient is not known."""
        if self.exact is None:
            return None
        longest = max(self.rate, self.exact)
        return longest + SLACK_STEPS + math.ceil(SLACK_SHARE * longest)

    @property
    def words(self) -> str:
        """How many steps are to be expected."""
        slower = self.transient is not None and self.transient > SLACK_STEPS + SLACK_SHARE * self.rate
        transient = f" at its rate and {self.transient} of transient" if slower else ""
        return f"about {self.rate} steps{transient}"

    def excess_words(self, hit: int | None, steps: int) -> str:
        """Say that a descent is slower than theory, "" where it is not.

        Args:
            hit: the step it arrived at, None if it did not.
            steps: the steps it took.
        """
        if self.most is None or (steps if hit is None else hit) <= self.most:
            return ""
        took = f"it had not arrived after {steps} steps" if hit is None else f"it took {hit} steps"
        return (
            f"{took}, theory allows {self.rate} at this rate and {self.transient} of transient: "
            "check that the gradient followed is the loss's own, and that the optimizer is the one declared"
        )


def iteration_bound(first: float, within: float, rate: float, followed: Sequence[float] = ()) -> Bound | None:
    """Return the steps in which a distance `first` shrinks to `within` at a linear rate; None for a rate not below 1.

    Args:
        first: the distance at the start, e₀.
        within: the distance that counts as arrived, ε.
        rate: ρ.
        followed: the distance of the exact recurrence at every step, as far as it was followed.
    """
    if not 0 < rate < 1 or not 0 < within < first < math.inf:
        return None
    exact = next((step for step, error in enumerate(followed) if error <= within), None)
    return Bound(rate=math.ceil(math.log(within / first) / math.log(rate)), exact=exact)
