"""From how descents ended to what a sweep says: rates that work, their basin, the best rate in it; nothing runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Literal

from harness.converge.row_watch import DIVERGED, HIT, RowEnd
from harness.records import Basin, SweptRate


def swept_rate(rate: float, ends: Sequence[RowEnd]) -> SweptRate:
    """Return what a rate did, from how it ended from each seed."""
    diverged = sum(end.status == DIVERGED for end in ends)
    works = all(end.status == HIT for end in ends)
    status: Literal["works", "diverges", "censored"] = "works" if works else "diverges" if diverged else "censored"
    return SweptRate(
        rate=rate,
        status=status,
        steps=tuple(end.steps if end.status == HIT else None for end in ends),
        losses=tuple(end.loss for end in ends),
        diverged=diverged,
    )


def basin_of(rates: Sequence[SweptRate]) -> Basin | None:
    """Return the basin of working rates, None where no rate works.

    Of two as large, it is the one whose best rate arrives sooner; of two rates as good, the lower is best.

    Args:
        rates: all of a grid, ascending.
    """
    found = [_described(rates, first, last) for first, last in _unbroken(rates)]
    return max(found, key=lambda basin: (basin.count, -basin.best_steps), default=None)


def middle_steps(rate: SweptRate) -> float | None:
    """Return the median steps to arrival over seeds, those that did not arrive counted as infinite; None if it is."""
    steps = median(math.inf if count is None else float(count) for count in rate.steps)
    return steps if math.isfinite(steps) else None


def basin_words(rates: Sequence[SweptRate], basin: Basin | None, *, budget: int, seeds: int) -> str:
    """Say what a sweep found, in a sentence without subject."""
    every = "" if seeds == 1 else f" from every one of {seeds} seeds"
    if basin is None:
        parts = [f"none of {len(rates)} rates from {rates[0].rate:.3g} to {rates[-1].rate:.3g} arrives{every}"]
    else:
        beyond = " or below" * basin.open_low, " or above" * basin.open_high
        ends = f"from {basin.low:.3g}{beyond[0]} to {basin.high:.3g}{beyond[1]}"
        at_least = "at least " if basin.open_low or basin.open_high else ""
        wide = f"{at_least}{basin.decades:.1f} decades, {basin.count} of {len(rates)} rates"
        parts = [f"works {ends} ({wide}){every}", f"best in it {basin.best_rate:.3g}, {basin.best_steps:g} steps"]
    diverging = [rate.rate for rate in rates if rate.status == "diverges"]
    if diverging:
        parts.append(f"{_rates(len(diverging))} diverge, the lowest {diverging[0]:.3g}")
    censored = sum(rate.status == "censored" for rate in rates)
    if censored:
        parts.append(f"{_rates(censored)} would need more than {budget} steps, if they arrive")
    outside = sum(rate.status == "works" for rate in rates) - (0 if basin is None else basin.count)
    if outside:
        parts.append(f"{_rates(outside)} outside of the basin work{'s' if outside == 1 else ''}, too")
    return "; ".join(parts)


def place_words(rate: float | None, basin: Basin | None) -> str:
    """Say where the declared rate lies; nothing without a rate or a basin."""
    if rate is None or basin is None:
        return ""
    inside = basin.low <= rate <= basin.high
    return f"; the declared {rate:.3g} lies {'inside' if inside else 'outside'}"


def _rates(count: int) -> str:
    return f"{count} rate{'' if count == 1 else 's'}"


def _unbroken(rates: Sequence[SweptRate]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of every longest run of working rates."""
    first = None
    for place, rate in enumerate(rates):
        works = rate.status == "works"
        first = place if works and first is None else first
        if first is not None and (not works or place == len(rates) - 1):
            yield first, place if works else place - 1
            first = None


def _described(rates: Sequence[SweptRate], first: int, last: int) -> Basin:
    inside = rates[first : last + 1]
    steps = {rate.rate: middle_steps(rate) or 0.0 for rate in inside}
    best = min(steps, key=lambda rate: (steps[rate], rate))
    return Basin(
        low=inside[0].rate,
        high=inside[-1].rate,
        decades=math.log10(inside[-1].rate / inside[0].rate),
        count=len(inside),
        open_low=first == 0,
        open_high=last == len(rates) - 1,
        best_rate=best,
        best_steps=steps[best],
    )
