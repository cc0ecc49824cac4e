"""The learning rates a sweep tries: evenly spaced in their logarithm between two ends. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.errors import UsageError

COUNT = 36
"""Rates of a grid, if nothing else is said."""
MOST = 10_000
"""Most rates a grid may have."""
ENDS = {
    "Adadelta": (1e-3, 1e3),  # its own default is 1: the rule brings its scale along
    "Adagrad": (1e-4, 1e2),  # its steps shrink as 1/√t, so that rates that work lie higher
    "LBFGS": (1e-3, 1e1),  # a fraction of a quasi-Newton step
    "Rprop": (1e-6, 1e0),  # only the first step's size
}
"""Ends of the default grid, by optimizer."""
OTHERS = (1e-5, 1e1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """`count` rates from `low` to `high`, both among them."""

    low: float
    high: float
    count: int = COUNT

    def __post_init__(self) -> None:
        """Refuse what is no grid."""
        if not (0.0 < self.low < self.high < math.inf and 2 <= self.count <= MOST):
            raise UsageError(
                f"Cannot sweep: grid={self} is not LOW:HIGH:COUNT with 0 < LOW < HIGH and 2 ≤ COUNT ≤ {MOST}. "
                "Write, for example, --grid 1e-4:1:25."
            )

    def rates(self) -> tuple[float, ...]:
        """Return the rates, ascending."""
        first, last = math.log10(self.low), math.log10(self.high)
        between = (10.0 ** (first + (last - first) * place / (self.count - 1)) for place in range(1, self.count - 1))
        return (self.low, *between, self.high)

    def __str__(self) -> str:
        """Write it as the command line takes it."""
        return f"{self.low!r}:{self.high!r}:{self.count}"


def default_grid(optimizer: str) -> Grid:
    """Return the grid for an optimizer by name: six decades (LBFGS: four)."""
    low, high = ENDS.get(optimizer, OTHERS)
    return Grid(low=low, high=high)


def parse_grid(text: str) -> Grid:
    """Return the grid that ``LOW:HIGH:COUNT`` says; the count may be left out.

    Raises:
        UsageError: it says none.
    """
    parts = text.split(":")
    try:
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2]) if len(parts) > 2 else COUNT
    except (ValueError, IndexError):
        low, high, count = math.nan, math.nan, 0
    if len(parts) > 3 or not count:
        raise UsageError(
            f"Cannot sweep: grid={text!r} (type str) is not LOW:HIGH:COUNT. Write, for example, --grid 1e-4:1:25."
        )
    return Grid(low=low, high=high, count=count)


def sweep_grid(text: str | None, seeds: int | None, *, sweeps: bool, bless: bool) -> Grid | None:
    """Return the grid that options of a command say; None where each optimizer's own is meant.

    Raises:
        UsageError: the text says none, or options do not go together.
    """
    if not sweeps and (text is not None or seeds is not None):
        which = f"grid={text!r}" if text is not None else f"seeds={seeds}"
        raise UsageError(f"Cannot run: {which} is given without --sweep lr, which it belongs to. Add --sweep lr.")
    if sweeps and bless:
        raise UsageError(
            "Cannot bless a sweep: bless=True with sweep='lr'. Bless the entries' own rates: leave it out."
        )
    return None if text is None else parse_grid(text)
