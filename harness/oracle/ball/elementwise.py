"""Operators on entries at the same place: arithmetic, powers, elementary and special functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from flint import arb, fmpz

from harness.oracle.ball import functions as f
from harness.oracle.ball import special as s
from harness.oracle.ball.compare import truth
from harness.oracle.ball.errors import NotCertifiedError, UndecidedError
from harness.oracle.ball.rules import RULES, rule
from harness.oracle.ball.values import (
    ONE,
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

LARGEST_INTEGER = arb(2) ** 100_000
"""What is larger is not rounded to an integer."""
FUNCTION_COST = 4
"""An elementary function, in multiplications."""
SPECIAL_COST = 40

_ELEMENTARY: Mapping[str, Callable[[Entry], Entry]] = {
    "neg": lambda x: -x,
    "reciprocal": f.reciprocal,
    "square": lambda x: x * x,
    "rsqrt": f.reciprocal_root,
    "exp": f.exponential,
    "exp2": f.power_of_two,
    "expm1": f.exponential_minus_one,
    "log": f.logarithm,
    "log1p": f.logarithm_plus_one,
    "log2": f.logarithm_to(2),
    "log10": f.logarithm_to(10),
    "sin": f.sine,
    "cos": f.cosine,
    "tan": f.tangent,
    "sinh": f.hyperbolic_sine,
    "cosh": f.hyperbolic_cosine,
    "tanh": f.hyperbolic_tangent,
    "sigmoid": f.sigmoid,
    "asin": f.arc_sine,
    "acos": f.arc_cosine,
    "atan": f.arc_tangent,
    "asinh": f.inverse_hyperbolic_sine,
    "acosh": f.inverse_hyperbolic_cosine,
    "atanh": f.inverse_hyperbolic_tangent,
    "deg2rad": lambda x: x * arb.pi() / 180,
    "rad2deg": lambda x: x * 180 / arb.pi(),
}
_SPECIAL: Mapping[str, Callable[[Entry], Entry]] = {
    "erf": s.error_function,
    "erfc": s.complementary_error_function,
    "erfinv": s.inverse_error_function,
    "special_erfcx": s.scaled_complementary_error_function,
    "special_ndtri": s.normal_quantile,
    "lgamma": s.log_gamma,
    "digamma": s.digamma,
    "i0": s.bessel_i(0),
    "special_i1": s.bessel_i(1),
    "special_bessel_j0": s.bessel_j(0),
    "special_bessel_j1": s.bessel_j(1),
    "special_bessel_y0": s.bessel_y(0),
    "special_bessel_y1": s.bessel_y(1),
    "special_modified_bessel_i0": s.bessel_i(0),
    "special_modified_bessel_i1": s.bessel_i(1),
    "special_modified_bessel_k0": s.bessel_k(0),
    "special_modified_bessel_k1": s.bessel_k(1),
}
_SCALED: Mapping[str, Callable[[Entry], Entry]] = {
    "special_i0e": s.scaled_bessel_i(0),
    "special_i1e": s.scaled_bessel_i(1),
}
_BINARY: Mapping[str, Callable[[Entry, Entry], Entry]] = {
    "igamma": s.gamma_lower,
    "igammac": s.gamma_upper,
    "special_zeta": s.hurwitz_zeta,
}


def _unary(function: Callable[[Entry], Entry], cost: int, *, real_only: bool = False) -> Callable[..., Balls]:
    def compute(walk: Walk, a: Any) -> Balls:
        if real_only and walk.ball(a).complex:
            raise NotCertifiedError("a complex argument has no ball rule")
        return walk.map(function, a, cost=cost)

    return compute


def _signed(function: Callable[[Entry], Entry]) -> Callable[..., Balls]:
    """A function with a kink at zero, whose side is chosen there by the sign of the series."""

    def compute(walk: Walk, a: Any) -> Balls:
        def one(x: Entry) -> Entry:
            side = walk.sign(x, pick=True)
            return function(x) if constant_term(x) != 0 or side >= 0 else _mirror(x)

        def _mirror(x: Entry) -> Entry:
            return function(x) * (2 * x).exp()

        return walk.map(one, a, cost=SPECIAL_COST)

    return compute


RULES.update({name: _unary(function, FUNCTION_COST) for name, function in _ELEMENTARY.items()})
RULES.update({name: _unary(function, SPECIAL_COST, real_only=True) for name, function in _SPECIAL.items()})
RULES.update({name: _signed(function) for name, function in _SCALED.items()})


def _binary(function: Callable[[Entry, Entry], Entry]) -> Callable[..., Balls]:
    def compute(walk: Walk, a: Any, other: Any) -> Balls:
        return walk.map(function, a, other, cost=SPECIAL_COST)

    return compute


RULES.update({name: _binary(function) for name, function in _BINARY.items()})


@rule("add")
def add(walk: Walk, a: Any, other: Any, alpha: Any = 1) -> Balls:
    """a + alpha·other."""
    return walk.map(lambda x, y: x + y, a, _scaled(walk, other, alpha))


@rule("sub")
def subtract(walk: Walk, a: Any, other: Any, alpha: Any = 1) -> Balls:
    """a − alpha·other."""
    return walk.map(lambda x, y: x - y, a, _scaled(walk, other, alpha))


@rule("rsub")
def subtract_from(walk: Walk, a: Any, other: Any, alpha: Any = 1) -> Balls:
    """Other − alpha·a."""
    return subtract(walk, other, a, alpha)


def _scaled(walk: Walk, value: Any, factor: Any) -> Any:
    return value if factor == 1 and not isinstance(factor, bool) else walk.map(lambda x, y: x * y, value, factor)


@rule("mul")
def multiply(walk: Walk, a: Any, other: Any) -> Balls:
    """a·other."""
    return walk.map(lambda x, y: x * y, a, other)


@rule("div", "true_divide")
def quotient(walk: Walk, a: Any, other: Any, rounding_mode: str | None = None) -> Balls:
    """a / other, rounded down or to zero on demand."""
    result = walk.map(f.divide, a, other)
    if rounding_mode is None:
        return result
    return floor(walk, result) if rounding_mode == "floor" else truncate(walk, result)


@rule("floor_divide")
def floor_quotient(walk: Walk, a: Any, other: Any) -> Balls:
    """⌊a / other⌋."""
    return quotient(walk, a, other, "floor")


@rule("remainder")
def remainder(walk: Walk, a: Any, other: Any) -> Balls:
    """a − other·⌊a / other⌋."""
    return subtract(walk, a, multiply(walk, other, quotient(walk, a, other, "floor")))


@rule("fmod")
def remainder_to_zero(walk: Walk, a: Any, other: Any) -> Balls:
    """a − other·trunc(a / other)."""
    return subtract(walk, a, multiply(walk, other, quotient(walk, a, other, "trunc")))


@rule("pow")
def power(walk: Walk, a: Any, exponent: Any) -> Balls:
    """a to the power `exponent`."""

    def one(x: Entry, y: Entry) -> Entry:
        return root(walk, x) if isinstance(y, arb) and y == arb(0.5) else f.power(x, y)

    return walk.map(one, a, exponent, cost=FUNCTION_COST)


@rule("polygamma")
def polygamma(walk: Walk, a: Any, n: int) -> Balls:
    """ψ⁽ⁿ⁾(a)."""
    return walk.map(s.polygamma(n), a, cost=SPECIAL_COST)


def root(walk: Walk, x: Entry) -> Entry:
    """√x; 0 at an exact zero, and a series there holds for t → 0⁺ only, which is noted as a tie."""
    if isinstance(x, arb):
        return x if x.is_zero() else f.square_root(x)
    if not is_complex(x) and constant_term(x).is_zero():
        walk.tied = True
        return f.root_of_power(x)
    return f.square_root(x)


@rule("sqrt")
def square_root(walk: Walk, a: Any) -> Balls:
    """√a."""
    return walk.map(lambda x: root(walk, x), a)


@rule("addcmul")
def add_product(walk: Walk, a: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Balls:
    """a + value·tensor1·tensor2."""
    return add(walk, a, multiply(walk, tensor1, tensor2), value)


@rule("addcdiv")
def add_quotient(walk: Walk, a: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Balls:
    """a + value·tensor1/tensor2."""
    return add(walk, a, quotient(walk, tensor1, tensor2), value)


@rule("ldexp")
def scale_by_power(walk: Walk, a: Any, other: Any) -> Balls:
    """a·2^other."""
    return multiply(walk, a, walk.map(f.power_of_two, other, cost=FUNCTION_COST))


@rule("sum_to_size", "alias", "clone", "detach", "lift_fresh_copy", "lift_fresh", "contiguous", "lift", "view_of")
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


@rule("_conj", "_conj_physical", "conj_physical", "conj", "resolve_conj", "resolve_neg")
def conjugate(walk: Walk, a: Any) -> Balls:
    """Complex conjugates."""
    return walk.map(f.conjugate, a)


RULES["resolve_conj"] = RULES["resolve_neg"] = same
RULES["_neg_view"] = RULES["neg"]


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


@rule("frac")
def fraction(walk: Walk, a: Any) -> Balls:
    """a − trunc(a)."""
    return subtract(walk, a, truncate(walk, a))


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
