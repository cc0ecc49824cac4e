"""Sizes: the combinations of named dims that a case is timed at.

How `sweep` is read: a list of one size sets its dim everywhere. Lists of several sizes that are equally long are
walked together (the first size of each, then the second, …), as one sweep. Lists of different lengths are swept one
after another, each with the other dims at the first size declared under `dims`. A dim without a list keeps that first
declared size. Scaling is fitted along each sweep apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Combinations of sizes in which only the dims named `over` change; in the order of the case file."""

    over: tuple[str, ...]
    sizes: tuple[Mapping[str, int], ...]

    def thinned(self, most: int) -> Sweep:
        """Keep at most `most` (at least 2) of the sizes, evenly chosen, the first and the last among them."""
        count = len(self.sizes)
        if count <= most:
            return self
        kept = sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})
        return Sweep(over=self.over, sizes=tuple(self.sizes[place] for place in kept))


def sweeps(dims: Mapping[str, int | Sequence[int]], sweep: Mapping[str, Sequence[int]]) -> tuple[Sweep, ...]:
    """List the sizes to time.

    Args:
        dims: declared sizes by name, one or several each.
        sweep: sizes to time by name; empty means the first declared size of every dim.

    Raises:
        UsageError: a swept name is not a dim, or a list is empty.
    """
    for name, values in sweep.items():
        if name not in dims:
            known = ", ".join(dims) or "none"
            raise UsageError(
                f"Cannot sweep sizes: {name}={list(values)} (type list) names no dim. Declared dims: {known}."
            )
        if not values:
            raise UsageError(f"Cannot sweep sizes: {name}=[] (type list) is empty. List at least one size.")
    base = {name: size if isinstance(size, int) else size[0] for name, size in dims.items()}
    base |= {name: values[0] for name, values in sweep.items() if len(values) == 1}
    lists = {name: values for name, values in sweep.items() if len(values) > 1}
    if not lists:
        return (Sweep(over=(), sizes=(base,)),)
    if len({len(values) for values in lists.values()}) == 1:
        return (_walk(base, lists),)
    return tuple(_walk(base, {name: values}) for name, values in lists.items())


def _walk(base: Mapping[str, int], lists: Mapping[str, Sequence[int]]) -> Sweep:
    """Walk lists of equal length together."""
    rows = zip(*lists.values(), strict=True)
    return Sweep(over=tuple(lists), sizes=tuple({**base, **dict(zip(lists, row, strict=True))} for row in rows))


def all_sizes(plan: Sequence[Sweep]) -> tuple[Mapping[str, int], ...]:
    """Every combination of sizes once, in order."""
    seen: dict[tuple[tuple[str, int], ...], Mapping[str, int]] = {}
    for sweep in plan:
        for sizes in sweep.sizes:
            seen.setdefault(tuple(sizes.items()), sizes)
    return tuple(seen.values())
