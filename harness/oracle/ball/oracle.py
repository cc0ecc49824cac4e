"""The ball oracle: certified enclosures of a subject's values, gradients and Hessian products.

A gradient takes one pass per input coordinate, in which that input is x + t, while that is affordable; a few dense
random directions otherwise. The precision doubles until every enclosure is tight. At a tie (|x| at 0) both one-sided
slopes are enclosed. Cannot see a mistake of the function itself, nor past an operator without a rule, which it names.

What is certified is the traced graph over the real numbers: constants in it are the doubles they are (torch folds what
is made of constants alone), casts to fewer bits do not round, and decompositions are torch's own. On a branch cut of a
complex function the branch is continued analytically.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from flint import arb
from torch import Tensor

from harness.oracle.ball.budget import Budget, Work
from harness.oracle.ball.errors import NotCertifiedError, UndecidedError
from harness.oracle.ball.functions import dot
from harness.oracle.ball.passes import Direction, Passes, Taylor
from harness.oracle.ball.values import (
    Entry,
    is_tight,
    radius_bits,
    spanning_double,
    tail_of,
    to_double,
    working_precision,
)
from harness.oracle.differences import dense_directions
from harness.oracle.estimate import Estimate
from harness.oracle.flat import FlatSubject

ORACLE = "ball arithmetic"
TIGHT_BITS = 60
"""An enclosure is tight when its radius is below 2⁻⁶⁰ of its magnitude."""
NEGLIGIBLE_BITS = 120
"""… or below 2⁻¹²⁰ of the largest entry of its gradient."""
VANISHING_BITS = 1100
"""… or, where no entry is known not to be zero, below 2⁻¹¹⁰⁰, which no double can show."""
FINITE_BITS = 512
"""What is not finite at this precision is taken not to become so."""
PROBES = 3
"""Passes after which the cost of all is foreseen."""


@dataclass(slots=True)
class _Slope:
    """The derivative along one direction for every cotangent, from the right and from the left."""

    right: list[Entry]
    left: list[Entry]


@dataclass(slots=True)
class _Table:
    """What is known so far: slopes by direction, and the precision they took."""

    directions: list[Direction]
    slopes: list[_Slope | None] = field(default_factory=list)
    bits: int = 0

    def __post_init__(self) -> None:
        self.slopes = [None] * len(self.directions)


def ball_estimates(
    flat: FlatSubject, cotangents: Tensor, *, generator: torch.Generator | None = None, budget: Budget | None = None
) -> tuple[Estimate, Estimate]:
    """Enclose the outputs (M) and the gradients of ⟨cotangent, outputs⟩ (C × N) at a point.

    Args:
        flat: the subject at the point; its inputs count as exact.
        cotangents: C × M.
        generator: source of the directions that replace coordinates when those cost too much (seeded with 0 if absent).
        budget: what the call may spend.

    Returns:
        Outputs and gradients (or projections C × D on D directions, see `Estimate.directions`); entries without a
        finite enclosure are NaN with an infinite bar.

    Raises:
        NotCertifiedError: saying why there is no certificate.
    """
    work = Work(budget or Budget())
    passes = Passes(flat, work)
    values, bits = _values(passes, work)
    if cotangents.shape[1] != len(values):
        raise NotCertifiedError(f"the graph has {len(values)} outputs, the subject {cotangents.shape[1]}")
    weights = [[arb(w) for w in row] for row in cotangents.tolist()]
    table, projected = _Table(_coordinates(flat.size)), None
    if not _fill(passes, work, table, weights, bits, foresee=True):
        projected = dense_directions(flat, generator or torch.Generator().manual_seed(0))
        table = _Table([_sparse(row) for row in projected.tolist()])
        work.restart()
        _fill(passes, work, table, weights, bits, foresee=False)
    return _value_estimate(values, bits), _gradient_estimate(table, projected, len(weights))


def ball_values(flat: FlatSubject, *, budget: Budget | None = None) -> Estimate:
    """Enclose the outputs (M) alone.

    Args:
        flat: the subject at the point; its inputs count as exact.
        budget: what the call may spend.

    Raises:
        NotCertifiedError: saying why there is no enclosure.
    """
    work = Work(budget or Budget())
    return _value_estimate(*_values(Passes(flat, work), work))


def ball_hessian_products(
    flat: FlatSubject, cotangent: Tensor, directions: Tensor, *, budget: Budget | None = None
) -> Estimate:
    """Enclose H·d for the Hessian H of ⟨cotangent, outputs⟩ and D directions, from second series coefficients.

    With q(v) the coefficient of t² along v, (H·d)ᵢ = q(d + eᵢ) − q(d) − q(eᵢ).

    Args:
        flat: the subject at the point.
        cotangent: M.
        directions: D × N.
        budget: what the call may spend.

    Returns:
        D × N products; beyond the budget their projections D × D on the directions (`Estimate.directions`).

    Raises:
        NotCertifiedError: saying why, a kink among the reasons.
    """
    work = Work(budget or Budget())
    passes = Passes(flat, work)
    _, bits = _values(passes, work)
    weights = [arb(w) for w in cotangent.tolist()]
    rows, axes = [_sparse(row) for row in directions.tolist()], _coordinates(flat.size)
    work.restart()
    for row in rows[:1]:
        _curvature(passes, row, weights)
    full = (len(axes) + len(rows) * (len(axes) + 1)) * work.operations <= work.budget.coordinate_operations
    work.restart()
    found, bits = _products(passes, work, rows, axes if full else rows, weights, bits)
    pairs = [to_double(ball) for line in found for ball in line]
    shape = (len(rows), len(axes) if full else len(rows))
    return Estimate(
        value=_tensor([v for v, _ in pairs], shape), bar=_tensor([b for _, b in pairs], shape), oracle=ORACLE,
        origin=_origin(bits), independent=True, rigorous=True, directions=None if full else directions,
    )  # fmt: skip


def _coordinates(size: int) -> list[Direction]:
    return [{place: 1.0} for place in range(size)]


def _sparse(row: Sequence[float]) -> Direction:
    return {place: step for place, step in enumerate(row) if step}


def _plus(left: Direction, right: Direction) -> Direction:
    """The exact sum of two directions."""
    places = {**left, **right}
    total = {place: arb(left.get(place, 0.0)) + arb(right.get(place, 0.0)) for place in places}
    return {place: step for place, step in total.items() if not step.is_zero()}


def _values(passes: Passes, work: Work) -> tuple[list[Entry], int]:
    """Enclose the outputs tightly; returns the precision it took."""
    bits, best = work.budget.first_precision, None
    while True:
        work.restart()
        try:
            best = passes.values(bits)
        except UndecidedError as reason:
            if bits >= work.budget.precision:
                raise NotCertifiedError(_undecided(bits)) from reason
            bits *= 2
            continue
        with working_precision(bits, 1):
            floor = _floor(best)
            if bits >= work.budget.precision or all(_settled(ball, bits, floor) for ball in best):
                return best, bits
        bits *= 2


def _undecided(bits: int) -> str:
    return f"two numbers that a comparison must tell apart still overlap at {bits} bits"


def _fill(passes: Passes, work: Work, table: _Table, weights: list[list[Entry]], bits: int, *, foresee: bool) -> bool:
    """Compute the slopes along every direction, at doubling precision; False when that is foreseen to cost too much."""
    pending, table.bits = list(range(len(table.directions))), bits
    while pending:
        work.restart()
        undecided, table.bits = [], bits
        for done, position in enumerate(pending):
            try:
                table.slopes[position] = _slope(passes, table.directions[position], weights)
            except UndecidedError:
                undecided.append(position)
            except NotCertifiedError:
                if any(slope is None for slope in table.slopes):
                    raise
                return True
            if foresee and done + 1 == min(PROBES, len(pending)):
                if work.operations / (done + 1) * len(pending) > work.budget.coordinate_operations:
                    return False
                foresee = False
        pending = _loose(table, undecided, bits)
        if not pending:
            break
        if bits >= work.budget.precision:
            if undecided:
                raise NotCertifiedError(_undecided(bits))
            break
        bits *= 2
        if not _raise_precision(passes, work, bits, table):
            break
    return True


def _raise_precision(passes: Passes, work: Work, bits: int, table: _Table) -> bool:
    """Repeat the constant pass at more bits; False when the budget ends there and every slope is enclosed already."""
    try:
        work.restart()
        passes.values(bits)
    except NotCertifiedError:
        if any(slope is None for slope in table.slopes):
            raise
        return False
    return True


def _slope(passes: Passes, direction: Direction, weights: list[list[Entry]]) -> _Slope:
    taylor = passes.along(direction, 1)
    right = _weigh(passes, taylor, weights, 1)
    if not taylor.tied:
        return _Slope(right=right, left=right)
    mirrored = passes.along({place: -step for place, step in direction.items()}, 1)
    with working_precision(passes.bits, 1):  # even a change of sign rounds to the working precision
        return _Slope(right=right, left=[-ball for ball in _weigh(passes, mirrored, weights, 1)])


def _weigh(passes: Passes, taylor: Taylor, weights: list[list[Entry]], order: int) -> list[Entry]:
    """⟨cotangent, coefficient of t^order⟩ for every cotangent; outputs of weight zero do not count."""
    moved = taylor.terms[order - 1]
    result = []
    with working_precision(passes.bits, 1):
        for line in weights:
            used = [(line[place], ball) for place, ball in moved.items() if not line[place].is_zero()]
            result.append(dot([w for w, _ in used], [ball for _, ball in used]))
    return result


def _loose(table: _Table, undecided: list[int], bits: int) -> list[int]:
    """Directions whose slopes are not tight yet."""
    known = [slope for slope in table.slopes if slope is not None]
    loose = set(undecided)
    with working_precision(bits, 1):
        for row in range(len(known[0].right) if known else 0):
            floor = _floor([slope.right[row] for slope in known])
            for position, slope in enumerate(table.slopes):
                if slope is not None and not all(
                    _settled(ball[row], bits, floor) for ball in (slope.right, slope.left)
                ):
                    loose.add(position)
    return sorted(loose)


def _settled(ball: Entry, bits: int, floor: Entry) -> bool:
    return is_tight(ball, TIGHT_BITS, floor) or (not ball.is_finite() and bits >= FINITE_BITS)


def _floor(balls: Sequence[Entry]) -> Entry:
    """The radius below which an entry among others need not be known better."""
    largest = arb(0)
    for ball in balls:
        if ball.is_finite() and not ball.contains(0) and abs(ball.mid()) > largest:
            largest = abs(ball.mid())
    return largest * arb(2) ** -NEGLIGIBLE_BITS if largest > 0 else arb(2) ** -VANISHING_BITS


def _value_estimate(values: list[Entry], bits: int) -> Estimate:
    with working_precision(2 * bits, 1):
        pairs = [to_double(ball) for ball in values]
        tails = [tail_of(ball, value) for ball, (value, _) in zip(values, pairs, strict=True)]
        radius = radius_bits(values, bits)
    shape = (len(pairs),)
    return Estimate(
        value=_tensor([v for v, _ in pairs], shape), bar=_tensor([b for _, b in pairs], shape), oracle=ORACLE,
        origin=_origin(bits), independent=True, rigorous=True, tail=_tensor(tails, shape), radius_bits=radius,
    )  # fmt: skip


def _gradient_estimate(table: _Table, projected: Tensor | None, count: int) -> Estimate:
    shape = (len(table.directions), count)
    values, bars, tails, kinks = [], [], [], []
    with working_precision(2 * table.bits, 1):
        for slope in table.slopes:
            for right, left in zip(slope.right, slope.left, strict=True) if slope is not None else ():
                kinks.append(bool(right.is_finite() and left.is_finite() and not right.overlaps(left)))
                value, bar = spanning_double(right, left)
                values.append(value)
                bars.append(bar)
                tails.append(tail_of(right, value) if right is left else 0.0)
        sides = [ball for slope in table.slopes if slope is not None for ball in (*slope.right, *slope.left)]
        radius_of = radius_bits(sides, table.bits)
    centre, radius = _tensor(values, shape).T, _tensor(bars, shape).T
    kink = torch.tensor(kinks, dtype=torch.bool).reshape(shape).T
    if centre.numel() and bool(centre.isnan().all()):
        raise NotCertifiedError(
            "no derivative has a finite enclosure: the function jumps, overflows or is not differentiable there"
        )
    return Estimate(
        value=centre.contiguous(), bar=radius.contiguous(), oracle=ORACLE, origin=_origin(table.bits),
        independent=True, rigorous=True,
        directions=projected, tail=_tensor(tails, shape).T.contiguous(), radius_bits=radius_of,
        kink=kink.contiguous() if bool(kink.any()) else None,
        note=f"a kink at {int(kink.any(0).sum())} of {kink.shape[1]} entries" if bool(kink.any()) else None,
    )  # fmt: skip


def _origin(bits: int) -> str:
    return f"ball arithmetic at {bits} bits, rounded once"


def _tensor(numbers: list[float], shape: tuple[int, ...]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64).reshape(shape)


def _curvature(passes: Passes, direction: Direction, weights: list[Entry]) -> Entry:
    """The coefficient of t² along a direction.

    Raises:
        NotCertifiedError: at a kink.
    """
    taylor = passes.along(direction, 2)
    if taylor.tied:
        raise NotCertifiedError("there is no second derivative: a comparison is tied here")
    return _weigh(passes, taylor, [weights], 2)[0]


def _products(
    passes: Passes, work: Work, rows: list[Direction], axes: list[Direction], weights: list[Entry], bits: int
) -> tuple[list[list[Entry]], int]:
    """bᵀ·H·d for every direction d (rows) and b (axes), at doubling precision."""
    best: list[list[Entry]] | None = None
    while True:
        try:
            work.restart()
            along = [_curvature(passes, row, weights) for row in rows]
            alone = [_curvature(passes, axis, weights) for axis in axes]
            with working_precision(passes.bits, 1):
                sums = [[_plus(row, axis) for axis in axes] for row in rows]
            mixed = [[_curvature(passes, step, weights) for step in line] for line in sums]
            with working_precision(passes.bits, 1):
                best = [
                    [m - q - p for m, p in zip(line, alone, strict=True)] for line, q in zip(mixed, along, strict=True)
                ]
                floors = [_floor(line) for line in best]
                if all(_settled(ball, bits, floor) for line, floor in zip(best, floors, strict=True) for ball in line):
                    return best, bits
        except UndecidedError as reason:
            if bits >= work.budget.precision:
                raise NotCertifiedError(_undecided(bits)) from reason
        except NotCertifiedError:
            if best is None:
                raise
            return best, bits
        if bits >= work.budget.precision:
            return best or [], bits
        bits *= 2
        work.restart()
        passes.values(bits)
