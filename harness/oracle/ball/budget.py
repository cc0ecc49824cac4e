"""How much work a certificate may cost, and the counter that stops it: no graph may hang the oracle."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.oracle.ball.errors import NotCertifiedError

CHUNK = 256
"""Ball operations between two looks at the clock."""
MOVES_PER_OPERATION = 16
"""Entries that are moved or looked at in the time of one ball operation, or so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one call of the oracle may spend.

    Args:
        operations: ball operations of all passes at one precision, beyond which the oracle gives up.
        coordinate_operations: the same, beyond which a few directions replace a pass for every coordinate.
        seconds: of the whole call.
        precision: most bits.
        first_precision: bits to start from.
        entries: most numbers in one tensor of the graph.
    """

    operations: int = 10_000_000
    coordinate_operations: int = 3_000_000
    seconds: float = 30.0
    precision: int = 4096
    first_precision: int = 128
    entries: int = 2_000_000


class Work:
    """Counts ball operations and watches the clock of one call."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.operations = 0
        self._deadline = time.monotonic() + budget.seconds

    def charge(self, count: int) -> None:
        """Announce ball operations that are about to run.

        Raises:
            NotCertifiedError: when they would exceed the budget, or the time is over.
        """
        self.operations += count
        if self.operations > self.budget.operations:
            raise NotCertifiedError(f"it needs more than {self.budget.operations:,} ball operations")
        self.look()

    def look(self) -> None:
        """Stop when the time is over."""
        if time.monotonic() > self._deadline:
            raise NotCertifiedError(f"it takes more than {self.budget.seconds:g} s in ball arithmetic")

    def restart(self) -> None:
        """Count anew: at another precision, or for directions instead of coordinates."""
        self.operations = 0
