"""Crossover: the size from which an accelerator is faster than the CPU, found in timings that are there already.

At every size measured on both there is a ratio of times with an interval. Between two sizes the logarithm of the ratio,
and of both ends of its interval, is taken to run straight over the logarithm of the size. The crossover is where the
ratio last comes down to 1, its interval where the interval's lower and upper ends do. Only sizes that were measured
are spoken of: "always" and "never" are about them, and nothing is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.bench.sizes import Sweep
from harness.bench.statistics import Interval, unpaired_ratio
from harness.records import Crossover, Outcome, Timing

DEVICE = "device"
END_TO_END = "end to end"


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """The accelerator's time over the CPU's, at one size."""

    elements: int
    ratio: Interval


def find_crossovers(timings: Sequence[Timing], sweeps: Sequence[Sweep]) -> tuple[Crossover, ...]:
    """Find the crossover of every pass and variant that was timed on the CPU and on an accelerator, along every sweep.

    Args:
        timings: of one case on all devices; throttled ones are left out.
        sweeps: those of at least two sizes count.

    Returns:
        Two per pass, variant, accelerator and sweep: by device time, and by end-to-end time.
    """
    timed = [row for row in timings if row.outcome is Outcome.PASS and not row.throttled and row.samples]
    on_cpu = {_work(row): row for row in timed if row.device == "cpu"}
    kinds = dict.fromkeys(_kind(row) for row in timed if row.device != "cpu")
    found: list[Crossover] = []
    for sweep in (sweep for sweep in sweeps if len(sweep.sizes) > 1):
        along = {tuple(sizes.items()) for sizes in sweep.sizes}
        for kind in kinds:
            rows = [row for row in timed if _kind(row) == kind and row.sizes in along]
            both = [(row, on_cpu[_work(row)]) for row in rows if _work(row) in on_cpu]
            for by in (DEVICE, END_TO_END):
                points = [point for row, cpu in both if (point := _at(row, cpu, by)) is not None]
                if len(points) > 1:
                    found.append(crossover(points, kind[0], kind[1], kind[2], by, sweep.over))
    return tuple(found)


def crossover(
    points: Sequence[At], what: str, variant: str, device: str, by: str, over: tuple[str, ...] = ()
) -> Crossover:
    """Find where the accelerator overtakes the CPU.

    Args:
        points: ratios at two sizes or more.
        what: the pass.
        variant: its variant.
        device: the accelerator.
        by: which of its times the ratios are of.
        over: the dims that change from point to point.
    """
    ordered = sorted(points, key=lambda point: point.elements)
    status = _status(ordered)
    crosses = status == "crosses"
    middle, low, high = (_last_descent(ordered, end) if crosses else None for end in ("point", "low", "high"))
    first, last = ordered[0].elements, ordered[-1].elements
    return Crossover(
        what=what, variant=variant, device=device, by=by, status=status, over=over,
        elements=middle, low=low, high=high, smallest=first, largest=last,
        message=_sentence(status, device, by, (middle, low, high), (first, last)),
    )  # fmt: skip


def _kind(row: Timing) -> tuple[str, str, str, str]:
    return row.what, row.variant, row.device, row.dtype


def _work(row: Timing) -> tuple[object, ...]:
    """Return what has to be equal for two devices to have done the same."""
    return row.what, row.variant, row.dtype, row.sizes


def _at(row: Timing, cpu: Timing, by: str) -> At | None:
    """Make the ratio at one size; None where the accelerator's time or an interval is missing."""
    samples = row.samples
    if by == END_TO_END:
        whole = row.on_device.end_to_end if row.on_device is not None else None
        samples = whole.samples if whole is not None else ()
    if not row.elements or not samples or min(samples) <= 0 or min(cpu.samples) <= 0:
        return None
    ratio = unpaired_ratio(samples, cpu.samples)
    return At(elements=row.elements, ratio=ratio) if ratio.known else None


def _faster(point: At) -> bool:
    return point.ratio.high is not None and point.ratio.high < 1.0


def _slower(point: At) -> bool:
    return point.ratio.low is not None and point.ratio.low > 1.0


def _status(points: Sequence[At]) -> str:
    """Say how the ratios run over the sizes, from the sizes at which the faster side is certain."""
    if all(_faster(point) for point in points):
        return "always"
    if all(_slower(point) for point in points):
        return "never"
    if _faster(points[-1]):
        return "crosses"
    if any(_faster(point) for point in points) and _slower(points[-1]):
        return "mixed"
    return "inconclusive"


def _last_descent(points: Sequence[At], end: str) -> float | None:
    """Interpolate the largest size at which a curve comes down to 1; None where it lies below 1 from the first size."""
    curve = [(math.log(point.elements), math.log(getattr(point.ratio, end))) for point in points]
    for (x0, y0), (x1, y1) in reversed(list(pairwise(curve))):
        if y0 >= 0 > y1:
            return math.exp(x0 + (x1 - x0) * y0 / (y0 - y1))
    return None


def _sentence(
    status: str, device: str, by: str, found: tuple[float | None, float | None, float | None], sizes: tuple[int, int]
) -> str:
    span = f"from {sizes[0]:,} to {sizes[1]:,} elements"
    if status == "crosses":
        return f"by {by} time {device} overtakes the CPU {_place(*found, smallest=sizes[0])}"
    return {
        "always": f"by {by} time {device} is faster than the CPU at all sizes measured, {span}",
        "never": f"by {by} time {device} is slower than the CPU at all sizes measured, {span}",
        "mixed": f"by {by} time {device} is faster than the CPU at some sizes and slower at the largest, {span}",
    }.get(status, f"whether {device} overtakes the CPU by {by} time cannot be told, {span}")


def _place(middle: float | None, low: float | None, high: float | None, *, smallest: int) -> str:
    """Say where a crossover lies, to three digits: the sizes measured tell no more."""
    upper = _rounded(high or smallest)
    if middle is None:
        return f"at or below {upper} elements"
    lower = f"below {smallest:,}" if low is None else _rounded(low)
    return f"at about {_rounded(middle)} elements (between {lower} and {upper})"


def _rounded(count: float) -> str:
    return f"{float(f'{count:.3g}'):,.0f}"
