"""Operators on entries at the same place: arithmetic, powers, elementary and special functions.

Rounding to whole numbers is in `rounding`; parts, sizes, signs and angles are in `parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flint import arb

from harness.oracle.ball import functions as f
from harness.oracle.ball import special as s
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.rounding import floor, truncate
from harness.oracle.ball.rules import RULES, rule
from harness.oracle.ball.values import Balls, Entry, constant_term, is_complex
from harness.oracle.ball.walk import Walk

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
RULES["_neg_view"] = RULES["neg"]
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


@rule("frac")
def fraction(walk: Walk, a: Any) -> Balls:
    """a − trunc(a)."""
    return subtract(walk, a, truncate(walk, a))


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
