"""Operators that round entries to whole numbers. Where that depends on digits not known, the ball is undecided."""

from __future__ import annotations

from typing import Any

from flint import arb, fmpz

from harness.oracle.ball.errors import NotCertifiedError, UndecidedError
from harness.oracle.ball.rules import rule
from harness.oracle.ball.values import ONE, Balls, Entry, constant_term
from harness.oracle.ball.walk import Walk

LARGEST_INTEGER = arb(2) ** 100_000
"""What is larger is not rounded to an integer."""


@rule("floor")
def floor(walk: Walk, a: Any) -> Balls:
    """⌊a⌋."""
    return walk.map(lambda x: _floor(walk, x), a)


@rule("ceil")
def ceiling(walk: Walk, a: Any) -> Balls:
    """⌈a⌉."""
    return walk.map(lambda x: -_floor(walk, -x), a)


@rule("trunc", "fix")
def truncate(walk: Walk, a: Any) -> Balls:
    """a, rounded towards zero."""
    return walk.map(lambda x: -_floor(walk, -x) if walk.sign(x) < 0 else _floor(walk, x), a)


@rule("round")
def nearest(walk: Walk, a: Any, decimals: int = 0) -> Balls:
    """a, rounded to the nearest multiple of 10^−decimals, halves to even."""
    factor = 10 ** abs(decimals)

    def one(x: Entry) -> Entry:
        scaled = x * factor if decimals >= 0 else x / factor
        whole = _round(walk, scaled)
        return whole / factor if decimals >= 0 else whole * factor

    return walk.map(one, a)


def _round(walk: Walk, x: Entry) -> Entry:
    low = _floor(walk, x)
    half = walk.sign(x - low, arb(0.5))
    if half == 0:
        return low if int(low.unique_fmpz()) % 2 == 0 else low + ONE
    return low + ONE if half > 0 else low


def _floor(walk: Walk, x: Entry) -> Entry:
    """The floor of a real entry, a constant; an exact integer goes down when its series does."""
    center = constant_term(x)
    if center.is_finite() and not abs(center) < LARGEST_INTEGER:  # FLINT would write it out, and abort without memory
        if abs(center) > LARGEST_INTEGER:
            raise NotCertifiedError("a number is too large to be rounded to an integer")
        raise UndecidedError
    low = center.lower().floor().unique_fmpz() if center.is_finite() else None
    if low is None:
        raise UndecidedError
    whole = arb(fmpz(low))
    if not center < whole + 1:
        if not (center >= whole + 1 and center < whole + 2):
            raise UndecidedError
        whole = whole + 1
    return whole - 1 if walk.sign(x, whole) < 0 else whole
