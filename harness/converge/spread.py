"""How runs over several seeds spread: how many arrived, and after how many steps.

A run that did not arrive is kept as "more steps than were tried", never dropped: dropping it would flatter the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.records import ConvergeRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Steps to tolerance over seeds; a quantile that falls among the runs that did not arrive is None."""

    hits: int
    total: int
    median: float | None
    lower: float | None
    """First quartile."""
    upper: float | None
    """Third quartile."""

    def __str__(self) -> str:
        """Say it in a phrase: ``8 of 10 seeds arrived, after 120 steps (median; quartiles 100 and 150)``."""
        arrived = f"{self.hits} of {self.total} seeds arrived"
        if self.median is None:
            return arrived
        upper = "not reached" if self.upper is None else f"{self.upper:g}"
        return f"{arrived}, after {self.median:g} steps (median; quartiles {self.lower:g} and {upper})"


def spread(records: Sequence[ConvergeRecord]) -> Spread:
    """Return the spread of some records' steps to tolerance, runs that did not arrive counted as infinitely many."""
    steps = sorted(
        math.inf if record.status != "hit" or record.steps_to_tolerance is None else float(record.steps_to_tolerance)
        for record in records
    )
    return Spread(
        hits=sum(record.status == "hit" for record in records),
        total=len(records),
        median=_quantile(steps, 0.5),
        lower=_quantile(steps, 0.25),
        upper=_quantile(steps, 0.75),
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return a quantile by linear interpolation (Hyndman and Fan's type 7); None where it is not finite."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    value = below if below == above else below + (above - below) * (place - math.floor(place))
    return value if math.isfinite(value) else None
