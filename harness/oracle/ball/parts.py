"""Operators on parts of entries: real and imaginary ones, size, sign and angle; the same numbers in another dtype."""

from __future__ import annotations

from typing import Any

import torch
from flint import arb

from harness.oracle.ball import functions as f
from harness.oracle.ball.compare import truth
from harness.oracle.ball.elementwise import FUNCTION_COST, root
from harness.oracle.ball.errors import NotCertifiedError, UndecidedError
from harness.oracle.ball.rounding import truncate
from harness.oracle.ball.rules import rule
from harness.oracle.ball.values import (
    ZERO,
    Balls,
    Entry,
    constant_term,
    dtype_is_integral,
    imaginary_part,
    is_complex,
    join,
    not_a_number,
    real_part,
)
from harness.oracle.ball.walk import Walk


@rule("sum_to_size", "alias", "clone", "detach", "lift_fresh_copy", "lift_fresh", "contiguous", "lift", "view_of")
@rule("resolve_conj", "resolve_neg")
def same(walk: Walk, a: Any) -> Balls:
    """The same numbers."""
    return walk.ball(a)


@rule("_to_copy", "convert_element_type", "to")
def cast(walk: Walk, a: Any, dtype: torch.dtype | None = None) -> Any:
    """The same numbers in another dtype, not rounded: real parts for a real one, whole parts for an integral one."""
    value = walk.ball(a)
    if dtype is None or (dtype.is_complex == value.complex and dtype.is_floating_point != dtype.is_complex):
        return value
    if dtype is torch.bool:
        return truth(walk, value)
    if dtype_is_integral(dtype):
        whole = truncate(walk, value).reshape((-1, 1))
        found = walk.decide(lambda entries: int(constant_term(entries[0]).unique_fmpz()), [whole], 1)
        return torch.from_numpy(found.reshape(value.shape).copy()).to(dtype)
    return value.to_complex() if dtype.is_complex else real(walk, value)


@rule("real")
def real(walk: Walk, a: Any) -> Balls:
    """Real parts."""
    return walk.map(real_part, a, complex=False)


@rule("imag")
def imaginary(walk: Walk, a: Any) -> Balls:
    """Imaginary parts."""
    return walk.map(imaginary_part, a, complex=False)


@rule("_conj", "_conj_physical", "conj_physical", "conj")
def conjugate(walk: Walk, a: Any) -> Balls:
    """Complex conjugates."""
    return walk.map(f.conjugate, a)


@rule("view_as_complex")
def view_as_complex(walk: Walk, a: Any) -> Balls:
    """Pairs along the last axis as complex numbers."""
    pairs = walk.ball(a)
    shape = pairs.shape[:-1]
    found = walk.rows(
        lambda pair: [join(pair[0], pair[1])], [pairs.reshape((pairs.size // 2, 2))], 1, cost=1, complex=True
    )
    return found.reshape(shape)


@rule("view_as_real")
def view_as_real(walk: Walk, a: Any) -> Balls:
    """Complex numbers as pairs along a new last axis."""
    value = walk.ball(a)
    column = value.reshape((value.size, 1))
    found = walk.rows(lambda one: [real_part(one[0]), imaginary_part(one[0])], [column], 2, cost=1, complex=False)
    return found.reshape((*value.shape, 2))


@rule("complex")
def make_complex(walk: Walk, real: Any, imag: Any) -> Balls:
    """Real + i·imag."""
    return walk.map(join, real, imag, complex=True)


@rule("polar")
def polar(walk: Walk, abs: Any, angle: Any) -> Balls:
    """abs·exp(i·angle)."""
    return walk.map(lambda r, phi: join(r * phi.cos(), r * phi.sin()), abs, angle, complex=True, cost=FUNCTION_COST)


@rule("abs")
def absolute(walk: Walk, a: Any) -> Balls:
    """|a|; at an exact zero the side is that of the series."""

    def one(x: Entry) -> Entry:
        if is_complex(x):
            return root(walk, f.squared_modulus(x))
        return -x if walk.sign(x, pick=True) < 0 else x

    return walk.map(one, a, complex=False)


@rule("sign", "sgn")
def sign(walk: Walk, a: Any) -> Balls:
    """−1, 0 or 1; a/|a| for complex numbers."""

    def one(x: Entry) -> Entry:
        if not is_complex(x):
            return arb(walk.sign(x))
        squared = f.squared_modulus(x)
        return x if isinstance(squared, arb) and squared.is_zero() else f.divide(x, root(walk, squared))

    return walk.map(one, a)


@rule("copysign")
def copy_sign(walk: Walk, a: Any, other: Any) -> Balls:
    """|a| with the sign of other; the sign of an exact zero is not known here."""

    def one(x: Entry, y: Entry) -> Entry:
        size, side = (-x if walk.sign(x, pick=True) < 0 else x), walk.sign(y)
        if side == 0:
            raise NotCertifiedError("the sign of a zero is no number")
        return size if side > 0 else -size

    return walk.map(one, a, other)


@rule("hypot")
def hypotenuse(walk: Walk, a: Any, other: Any) -> Balls:
    """√(a² + other²)."""
    return walk.map(lambda x, y: root(walk, x * x + y * y), a, other, cost=FUNCTION_COST)


@rule("angle")
def angle(walk: Walk, a: Any) -> Balls:
    """The argument of complex numbers (continued analytically on the cut); 0 or π for real ones."""

    def one(x: Entry) -> Entry:
        if is_complex(x):
            return _arc_tangent(walk, imaginary_part(x), real_part(x))
        return arb.pi() if walk.sign(x) < 0 else ZERO

    return walk.map(one, a, complex=False, cost=FUNCTION_COST)


@rule("atan2")
def arc_tangent_of_two(walk: Walk, a: Any, other: Any) -> Balls:
    """The angle of the point (other, a)."""
    return walk.map(lambda y, x: _arc_tangent(walk, y, x), a, other, cost=FUNCTION_COST)


def _arc_tangent(walk: Walk, y: Entry, x: Entry) -> Entry:
    """By atan(y/x) or ±π/2 − atan(x/y), whichever denominator is not zero."""
    if isinstance(x, arb) and isinstance(y, arb):
        return arb.atan2(y, x)
    if constant_term(x) > 0:
        return f.divide(y, x).atan()
    if constant_term(y) > 0:
        return arb.pi() / 2 - f.divide(x, y).atan()
    if constant_term(y) < 0:
        return -arb.pi() / 2 - f.divide(x, y).atan()
    if not constant_term(x) < 0:
        if constant_term(x).is_zero() and constant_term(y).is_zero():
            return not_a_number(x)
        raise UndecidedError
    turn = arb.pi() if walk.sign(y) >= 0 else -arb.pi()
    return f.divide(y, x).atan() + turn
