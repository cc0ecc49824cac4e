"""Finite differences with an honest bar: a full ladder of steps, Richardson extrapolation, no early stop.

Along a direction d, g(t) = f(x + t·d) is evaluated at ±t₀·2⁻ᵏ for every k of a ladder that spans many orders of
magnitude. Every row of the ladder is a candidate; its bar is the spread between neighbouring extrapolants plus
rounding, where the rounding level is what is needed to explain *all* the smaller steps. The smallest bar wins. A
candidate that aliases (a period shorter than its step) cannot explain the smaller steps, so its bar is wide.

What it cannot see: a function that is wrong in the same way at every nearby point; features narrower than the smallest
step; a kink exactly between two representable numbers. Extrapolation: L. F. Richardson (1911); the even/odd error
expansions used are the Taylor series of g(t) − g(−t) and g(t) + g(−t).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

UNIT_ROUNDOFF = 2.0**-53
FIRST_STEP = 1.0
BASE_STEPS = 34
MOST_STEPS = 80
COARSE = 2.0**-12
"""A value's rounding is finer than this, relative to the largest value on the ladder."""
TAIL = 8
"""How many of the smallest steps show what is rounding noise: it is about the same at every step."""
ISOLATED = 2.0**-30
"""A value of its own at the point is one when it is off by more than this, relative to the largest value on the ladder.
"""
LATTICE = 10
"""The smallest change seen may be 1, 2, … 10 times the spacing of the lattice of a coarse function's values."""
ON_LATTICE = 0.01
"""How far from the lattice a change may be, in units of the smallest: it is rounded once more after that."""
CLIMB = 16.0
"""Units of a coarse function's lattice that its values may change by at twice the step that changed them by one."""
MARGIN = 2.0
"""Factor on spread and rounding: measured on a held-out table of functions, it makes the bars cover the true error."""

CHUNK_ELEMENTS = 1 << 20
"""Largest number of input entries of the points evaluated in one call: 8 MiB of float64."""

Evaluate = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slopes:
    """Directional derivatives of C functions along D directions, all tensors D × C.

    `value` ± `bar` holds the derivative; where `kink` is set the one-sided slopes differ and `value` ± `bar` spans
    both; where `jump` is set the function itself jumps and the bar is infinite. `steps` (D × K) are the ladder's steps
    along each direction, `central` and `extrapolated` (D × C × K) the raw and twice-extrapolated estimates, `chosen` (D
    × C) the row that won.
    """

    value: Tensor
    bar: Tensor
    kink: Tensor
    jump: Tensor
    steps: Tensor
    central: Tensor
    extrapolated: Tensor
    chosen: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit:
    """Limit of rows as their step goes to 0: value, bar and the position of the row it was read at."""

    value: Tensor
    bar: Tensor
    row: Tensor
    table: Tensor


def limit(rows: Tensor, steps: Tensor, *, orders: tuple[int, ...], floor: Tensor, divided: bool) -> Limit:
    """Extrapolate rows to step 0 and say how well that is known.

    Args:
        rows: … × K estimates, row k made with step steps[k] = steps[0]·2⁻ᵏ; NaN where there is none.
        steps: K steps, falling.
        orders: exponents of the step in the rows' error expansion, in the order they are removed.
        floor: … rounding level of the function values that rows are made of.
        divided: whether rows were divided by the step (their noise then grows as 1/step).

    Returns:
        Value, bar (infinite where there is no usable row) and chosen row, each shaped as rows without its last axis.
    """
    table, first, best = rows, _extrapolate(rows, orders[0]), None
    for level in range(len(orders) + 1):
        if level:
            table = _extrapolate(table, orders[level - 1])
        found = _smallest_bar(table, first, steps, level=level, floor=floor, divided=divided)
        best = found if best is None else _better(best, found)
    if best is None:
        raise ValueError("Cannot extrapolate without a level.")
    return Limit(value=best.value, bar=torch.where(best.value.isnan(), torch.inf, best.bar), row=best.row, table=table)


def _extrapolate(table: Tensor, order: int) -> Tensor:
    """Remove the term of the given order from the error expansion (one Richardson level)."""
    factor = 2.0**order
    return (factor * table[..., 1:] - table[..., :-1]) / (factor - 1)


def _better(a: Limit, b: Limit) -> Limit:
    """Of two candidates, entry by entry, the one with the smaller bar."""
    take = b.bar < a.bar
    return Limit(
        value=torch.where(take, b.value, a.value),
        bar=torch.where(take, b.bar, a.bar),
        row=torch.where(take, b.row, a.row),
        table=a.table,
    )


def _smallest_bar(table: Tensor, first: Tensor, steps: Tensor, *, level: int, floor: Tensor, divided: bool) -> Limit:
    """Pick the row of one extrapolation level whose bar is smallest."""
    count = table.shape[-1]
    power = steps if divided else torch.ones_like(steps)
    left = (table[..., 1:] - table[..., :-1]).abs()
    edge = torch.full_like(left[..., :1], torch.inf)
    spread = torch.maximum(torch.cat([edge, left], -1), torch.cat([left, edge], -1))
    # What every smaller step says, weighed by its step: the noise that would explain it if this candidate were true.
    gaps = (first[..., None, :] - table[..., :, None]).abs() * power[: first.shape[-1]]
    smaller = torch.arange(first.shape[-1])[None, :] >= torch.arange(count)[:, None] + level + 1
    usable = smaller & ~gaps.isnan()
    noise = gaps.masked_fill(~usable, 0.0).amax(-1)
    noise = torch.where(usable.sum(-1) >= 3, noise, torch.full_like(noise, torch.inf))
    amplified = 1.0 if level == 0 else 1.5
    bars = MARGIN * (spread + amplified * (noise + floor[..., None]) / power[level : level + count])
    bars = (bars + 2 * UNIT_ROUNDOFF * table.abs()).nan_to_num(torch.inf, torch.inf)
    bar, row = bars.min(-1)
    own = gaps.gather(-2, row[..., None, None].expand(*row.shape, 1, gaps.shape[-1]))[..., 0, :]
    usable = usable.gather(-2, row[..., None, None].expand(*row.shape, 1, gaps.shape[-1]))[..., 0, :]
    coarse = UNIT_ROUNDOFF * (first.abs() * power[: first.shape[-1]]).nan_to_num(0.0)
    diverges = _diverges(own, usable, bar, power[: first.shape[-1]], coarse.maximum(floor[..., None]))
    return Limit(
        value=table.gather(-1, row[..., None])[..., 0], bar=torch.where(diverges, torch.inf, bar), row=row, table=table
    )


def _diverges(gaps: Tensor, usable: Tensor, bar: Tensor, power: Tensor, level: Tensor) -> Tensor:
    """Whether some smaller step contradicts the candidate by far more than noise can: the rows have no finite limit.

    Rounding noise is about the same at every step, so what the smallest eight steps show bounds it; and where most of
    them show far more than the larger half of the steps, it is no noise, but a feature as narrow as the ladder's end.
    Neither counts below `level`, the rounding of the values at each step: far from the point they may be much larger
    than at it.
    """
    gaps = gaps.masked_fill(~usable, 0.0)
    late, half = gaps[..., -TAIL:], gaps.shape[-1] // 2
    noise = late.amax(-1, keepdim=True).maximum(level)
    contradicted = ((gaps / power > 4 * bar[..., None]) & (gaps > 64 * noise)).any(-1)
    early = gaps[..., :half].amax(-1).maximum(level.amax(-1))
    narrow = (usable[..., :half].sum(-1) >= TAIL) & (late.median(-1).values > 64 * early)
    return contradicted | narrow


def step_count(x: Tensor, *, most: int = MOST_STEPS) -> int:
    """Number of steps needed to go from the largest scale to far below the smallest one."""
    if x.numel() == 0:
        return BASE_STEPS
    size = x.abs()
    nonzero = size[size > 0]
    smallest = float(nonzero.min()) if nonzero.numel() else 1.0
    extra = -math.log2(min(smallest, 1.0)) + math.log2(max(float(size.max()), 1.0)) / 2
    return min(most, BASE_STEPS + int(extra))


def scales(x: Tensor) -> Tensor:
    """Scale of each entry's ladder: a power of two near |x|, at least 1, so that x ± step is exact or nearly so."""
    magnitude = x.abs().clamp(min=1.0)
    _, exponent = torch.frexp(magnitude)
    return torch.ldexp(torch.ones_like(x), exponent - 1)


def slopes(
    evaluate: Evaluate,
    x: Tensor,
    directions: Tensor,
    *,
    floor: Tensor,
    low: Tensor | None = None,
    high: Tensor | None = None,
    most_steps: int = MOST_STEPS,
) -> Slopes:
    """Differentiate C functions along D directions at x.

    Args:
        evaluate: maps B × N points to B × C values; called with all points of the ladder (it chunks as it likes).
        x: the point, N entries, float64.
        directions: D × N.
        floor: C rounding levels of the function values.
        low: N lower ends of the domain, or None for no limit.
        high: N upper ends of the domain, or None for no limit.
        most_steps: cap on the number of steps.

    Returns:
        The directional derivatives, see `Slopes`.
    """
    count = step_count(x, most=most_steps)
    steps = FIRST_STEP * 2.0 ** -torch.arange(count, dtype=torch.float64)
    center = evaluate(x[None])[0]
    values = _climb(evaluate, x, directions, torch.cat([steps, -steps]), center, low, high)
    values = torch.where(values.isfinite(), values, torch.nan).movedim(-1, 1)  # D × C × 2K
    plus, minus = values[..., :count], values[..., count:]
    rounded = [(x.abs() / d.abs()).masked_fill(d == 0, 0.0).amax() for d in directions]
    actual = _actual_steps(x, directions, steps)
    return _read(plus, minus, center, steps, directions, actual, floor, UNIT_ROUNDOFF * torch.stack(rounded))


def _climb(
    evaluate: Evaluate,
    x: Tensor,
    directions: Tensor,
    signed: Tensor,
    center: Tensor,
    low: Tensor | None,
    high: Tensor | None,
) -> Tensor:
    """Values at all points of the ladder (D × 2K × C), a few points at a time; NaN outside the domain."""
    values = torch.full((len(directions) * len(signed), len(center)), torch.nan, dtype=torch.float64)
    for rows in torch.split(torch.arange(len(values)), max(1, CHUNK_ELEMENTS // x.numel())):
        moved = x + directions[rows // len(signed)] * signed[rows % len(signed), None]
        inside = torch.ones(len(rows), dtype=torch.bool)
        if low is not None:
            inside &= (moved >= low).all(-1)
        if high is not None:
            inside &= (moved <= high).all(-1)
        if bool(inside.any()):
            values[rows[inside]] = evaluate(moved[inside])
    return values.reshape(len(directions), len(signed), -1)


def _read(
    plus: Tensor,
    minus: Tensor,
    center: Tensor,
    steps: Tensor,
    directions: Tensor,
    actual: Tensor,
    floor: Tensor,
    shift: Tensor,
) -> Slopes:
    """Read derivative, kinks and jumps off the ladder's values (D × C × K each side).

    `shift` (D) is how far along its direction the point may be off by one rounding: a function that rounds its argument
    (sin(1e5·x) rounds 1e5·x) is differentiated that far away, which costs curvature × shift and shows in no difference.
    """
    count = steps.shape[0]
    level = torch.maximum(floor.expand(plus.shape[:2]), _quantum(plus, minus))
    central = (plus - minus) / (2 * actual[:, None, :])
    best = limit(central, steps, orders=(2, 4), floor=level, divided=True)
    value, bar = best.value, best.bar
    middle = center[None, :, None]
    if bool(plus.isnan().any() | minus.isnan().any()):
        for side, sign in ((plus, 1.0), (minus, -1.0)):
            one = limit(sign * (side - middle) / steps, steps, orders=(1, 2, 3), floor=4 * level, divided=True)
            better = one.bar < bar
            value, bar = torch.where(better, one.value, value), torch.where(better, one.bar, bar)
    second = (plus + minus - 2 * middle) / steps
    curvature = (second / steps).gather(-1, best.row[..., None])[..., 0].abs().nan_to_num(0.0)
    bar = bar + 2 * shift[:, None] * curvature
    bend = limit(second, steps, orders=(1, 3), floor=2 * level, divided=True)
    gap = limit(plus - minus, steps, orders=(1, 3), floor=level, divided=False)
    kink = (bend.value.abs() > 2 * bend.bar) & (bend.value.abs() > 1e-11 * (value.abs() + bar))
    apart = limit(plus + minus - 2 * middle, steps, orders=(2, 4), floor=2 * level, divided=False)
    largest = torch.maximum(plus.abs(), minus.abs()).nan_to_num(0.0).amax(-1).maximum(center.abs())
    noise = (ISOLATED * largest).maximum(level)  # the point's own rounding is in every row
    jump = _leaps(gap, level) | _leaps(apart, noise)
    drowned = _drowned(plus, minus, center, bar * steps[best.row], level)
    bar = torch.where(kink, bar + 0.5 * bend.value.abs() + bend.bar, bar)
    bar = torch.where(jump | (drowned & ~kink), torch.inf, bar)
    return Slopes(
        value=value,
        bar=bar,
        kink=kink & ~jump,
        jump=jump,
        steps=steps * directions.abs().amax(-1, keepdim=True),
        central=central,
        extrapolated=torch.nn.functional.pad(best.table, (0, count - best.table.shape[-1]), value=torch.nan),
        chosen=best.row,
    )


def _drowned(plus: Tensor, minus: Tensor, center: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Whether the noise behind a bar is about as large as all that the function does on the ladder (D × C).

    Then it is no noise, but the function itself at scales below the ladder's (fast oscillations, a nearly singular
    matrix).
    """
    values = torch.cat([plus, minus, center[None, :, None].expand(*plus.shape[:2], 1)], -1)
    largest = values.nan_to_num(-torch.inf, neginf=-torch.inf).amax(-1)
    smallest = values.nan_to_num(torch.inf, posinf=torch.inf).amin(-1)
    variation = largest - smallest
    return (variation > 4 * level) & (noise > variation / 4)


def _leaps(difference: Limit, level: Tensor) -> Tensor:
    """Whether a difference of neighbouring values stays away from 0 as the step goes to 0, beyond rounding."""
    return (difference.value.abs() > 2 * difference.bar) & (difference.value.abs() > 64 * level)


def _quantum(plus: Tensor, minus: Tensor) -> Tensor:
    """Smallest change of a function that stands still at the smallest steps (D × C): its values are that coarse.

    A function that is truly flat nearby also stands still; its smallest change is no rounding, and does not count. Told
    apart by size, and by the next larger changes: those of a coarse function are on the lattice of its values, and the
    very next one is a few units of it, as the step is only twice as long.
    """
    change = (plus - minus).abs().nan_to_num(0.0)
    largest = torch.maximum(plus.abs(), minus.abs()).nan_to_num(0.0).amax(-1)
    stands = (change[..., -3:] == 0).all(-1)
    smallest = change.masked_fill(change == 0, torch.inf).amin(-1)
    ratio = change / smallest[..., None]
    near = (change > 0) & (ratio <= 2**10)
    on_lattice = torch.zeros_like(stands)
    for multiple in range(1, LATTICE + 1):
        off = (multiple * ratio - (multiple * ratio).round()).abs() / multiple
        on_lattice |= ((off <= ON_LATTICE) | ~near).all(-1)
    last = (change.shape[-1] - 1 - (change > 0).flip(-1).int().argmax(-1, keepdim=True)).clamp(min=1)
    climbs = ratio.gather(-1, last - 1)[..., 0] > CLIMB
    coarse = stands & (smallest <= COARSE * largest) & on_lattice & ~climbs
    return torch.where(coarse, smallest, 0.0)


def _actual_steps(x: Tensor, directions: Tensor, steps: Tensor) -> Tensor:
    """Half the distance really travelled (D × K): for a direction along one axis, (x⁺ − x⁻)/2 after rounding."""
    axis = directions.abs().argmax(-1, keepdim=True)
    size = directions.gather(-1, axis)
    travelled = ((x[axis] + size * steps) - (x[axis] - size * steps)) / 2 / size
    alone = (directions != 0).sum(-1, keepdim=True) == 1
    return torch.where(alone & (travelled > 0), travelled, steps)
