"""How the exact counts of one call differ between the sides: operators, FLOPs, bytes saved, bytes moved.

Counts are functions of code and sizes, so any difference is one of the code. What cannot be seen here: work that is
not counted at all, see `harness.bench.counts`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from harness.gate.records import Compared
from harness.records import Counts

GATED = ("operators", "FLOPs", "bytes saved")
"""Counts that may fail the gate when they rise."""
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CountChange:
    """An exact count that is not the same on both sides."""

    name: str
    base: int
    head: int
    detail: str = ""
    """Which operators run more or less often."""

    @property
    def risen(self) -> bool:
        """Whether it may fail the gate."""
        return self.head > self.base and self.name in GATED


def count_changes(row: Compared) -> tuple[CountChange, ...]:
    """List the counts that are known on both sides and differ."""
    if row.base_counts is None or row.head_counts is None:
        return ()
    base, head = _numbers(row.base_counts), _numbers(row.head_counts)
    found = []
    for name, before in base.items():
        after = head[name]
        if before is not None and after is not None and before != after:
            detail = _operators(row.base_counts, row.head_counts) if name == "operators" else ""
            found.append(CountChange(name=name, base=before, head=after, detail=detail))
    return tuple(found)


def _numbers(counts: Counts) -> dict[str, int | None]:
    return {
        "operators": counts.operator_calls,
        "FLOPs": counts.flops,
        "bytes saved": counts.saved_bytes,
        "bytes of inputs kept": counts.saved_input_bytes,
        "bytes moved": counts.bytes_moved,
    }


def _operators(base: Counts, head: Counts) -> str:
    """Say which operators run how much more or less often, the greatest difference first."""
    difference = Counter(dict(head.operators or ()))
    difference.subtract(dict(base.operators or ()))
    changed = sorted(((name, by) for name, by in difference.items() if by), key=lambda each: (-abs(each[1]), each[0]))
    named = [f"{name} {by:+d}" for name, by in changed[:_MOST_NAMED]]
    return ", ".join([*named, f"{len(changed) - _MOST_NAMED} more"] if len(changed) > _MOST_NAMED else named)
