"""Functions of one or two entries (numbers or series, real or complex), composed of Arb's own by exact identities.

No derivative rule is written here: what Arb lacks for series is expressed by what it has, sinh by exp for example.
Where two identities hold, the one without cancellation is taken; where every one cancels, more precision pays for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flint import acb, acb_series, arb, arb_series

from harness.oracle.ball.errors import LostTermError
from harness.oracle.ball.values import (
    ONE,
    SERIES,
    ZERO,
    Entry,
    constant_term,
    imaginary_part,
    is_complex,
    not_a_number,
    real_part,
    series,
    terms,
)

I = acb(0, 1)  # noqa: E741 - the imaginary unit
LARGEST_POWER = 2**62


class Sums:
    """How sums of several terms round: by `per_term` for each term, relative to the sum of their magnitudes.

    That holds for every order of summation (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 4.2). Zero
    means that sums are exact, as they are but where a worst case is asked for.
    """

    per_term = 0.0


@contextmanager
def rounded_sums(per_term: float) -> Iterator[None]:
    """Let sums of numbers (not of series) round meanwhile, see `Sums`."""
    saved, Sums.per_term = Sums.per_term, per_term
    try:
        yield
    finally:
        Sums.per_term = saved


def divide(a: Entry, b: Entry) -> Entry:
    """a / b; a quotient that is no power series says nothing."""
    try:
        return a / b
    except (ValueError, ZeroDivisionError):
        return not_a_number(a + b)


def reciprocal(x: Entry) -> Entry:
    """1 / x."""
    return divide(ONE, x)


def square_root(x: Entry) -> Entry:
    """√x; a series that starts at an exact zero has none (see `root_of_power`)."""
    if isinstance(x, arb) and x == arb.pos_inf():
        return x
    return x.sqrt()


def root_of_power(x: Entry) -> Entry:
    """√x of a real series that starts with an even power of t, for t → 0⁺.

    Raises:
        LostTermError: when no known term differs from zero.
    """
    found = terms(x)
    order = next((k for k, term in enumerate(found) if not term.is_zero()), None)
    if order is None:
        raise LostTermError
    if order % 2:
        return not_a_number(x)
    root = series(found[order:], x.prec - order).sqrt()
    return series([ZERO] * (order // 2) + terms(root), x.prec - order // 2)


def reciprocal_root(x: Entry) -> Entry:
    """1/√x."""
    return x.rsqrt()


def exponential(x: Entry) -> Entry:
    """eˣ."""
    return x.exp()


def exponential_minus_one(x: Entry) -> Entry:
    """eˣ − 1."""
    return x.expm1() if isinstance(x, arb | acb) else x.exp() - 1


def power_of_two(x: Entry) -> Entry:
    """2ˣ."""
    return (x * arb(2).log()).exp()


def logarithm(x: Entry) -> Entry:
    """log x; −∞ at an exact zero, as in floating point."""
    if isinstance(x, arb) and (x.is_zero() or x == arb.pos_inf()):
        return arb.neg_inf() if x.is_zero() else x
    return x.log()


def logarithm_plus_one(x: Entry) -> Entry:
    """log(1 + x)."""
    return x.log1p() if isinstance(x, arb) and not x.is_zero() else logarithm(x + 1)


def logarithm_to(base: int) -> Callable[[Entry], Entry]:
    """The logarithm to a base."""

    def function(x: Entry) -> Entry:
        return logarithm(x) / arb(base).log()

    return function


def sine(x: Entry) -> Entry:
    """sin x."""
    return x.sin()


def cosine(x: Entry) -> Entry:
    """cos x."""
    return x.cos()


def tangent(x: Entry) -> Entry:
    """tan x."""
    return x.tan()


def hyperbolic_sine(x: Entry) -> Entry:
    """sinh x = (eˣ − e⁻ˣ)/2."""
    return x.sinh() if isinstance(x, arb | acb) else (x.exp() - (-x).exp()) / 2


def hyperbolic_cosine(x: Entry) -> Entry:
    """cosh x = (eˣ + e⁻ˣ)/2."""
    return x.cosh() if isinstance(x, arb | acb) else (x.exp() + (-x).exp()) / 2


def hyperbolic_tangent(x: Entry) -> Entry:
    """tanh x = ±(1 − e)/(1 + e) with e = exp(∓2x), the exponent that does not overflow."""
    if isinstance(x, arb | acb):
        return x.tanh()
    if _is_negative(x):
        e = (2 * x).exp()
        return divide(e - 1, e + 1)
    e = (-2 * x).exp()
    return divide(1 - e, 1 + e)


def sigmoid(x: Entry) -> Entry:
    """1/(1 + e⁻ˣ)."""
    if _is_negative(x):
        e = x.exp()
        return divide(e, 1 + e)
    return divide(ONE, 1 + (-x).exp())


def _is_negative(x: Entry) -> bool:
    """Whether the value is certainly negative (its real part, for complex numbers): a choice between equal formulas."""
    return bool(constant_term(real_part(x)) < 0)


def arc_sine(x: Entry) -> Entry:
    """asin x; complex series by −i·log(ix + √(1 − x²))."""
    return -I * (I * x + (1 - x * x).sqrt()).log() if isinstance(x, acb_series) else x.asin()


def arc_cosine(x: Entry) -> Entry:
    """acos x; complex series by π/2 − asin x."""
    return arb.pi() / 2 - arc_sine(x) if isinstance(x, acb_series) else x.acos()


def arc_tangent(x: Entry) -> Entry:
    """atan x."""
    return x.atan()


def inverse_hyperbolic_sine(x: Entry) -> Entry:
    """asinh x = log(x + √(x² + 1)), an odd function."""
    if isinstance(x, arb | acb):
        return x.asinh()
    return -_asinh(-x) if _is_negative(x) else _asinh(x)


def _asinh(x: Entry) -> Entry:
    return (x + (x * x + 1).sqrt()).log()


def inverse_hyperbolic_cosine(x: Entry) -> Entry:
    """acosh x = log(x + √(x + 1)·√(x − 1))."""
    return x.acosh() if isinstance(x, arb | acb) else (x + (x + 1).sqrt() * (x - 1).sqrt()).log()


def inverse_hyperbolic_tangent(x: Entry) -> Entry:
    """atanh x = (log(1 + x) − log(1 − x))/2."""
    return x.atanh() if isinstance(x, arb | acb) else ((1 + x).log() - (1 - x).log()) / 2


def power(a: Entry, b: Entry) -> Entry:
    """aᵇ: by multiplication for a constant integer exponent, by exp(b·log a) otherwise."""
    whole = _integer(b)
    if whole is not None:
        if whole >= 0:
            return a**whole
        return divide(ONE, a ** (-whole))
    if isinstance(a, arb) and a.is_zero() and bool(constant_term(real_part(b)) > 0):
        return a
    return a**b if isinstance(a, arb | acb) and isinstance(b, arb | acb) else (b * a.log()).exp()


def _integer(b: Entry) -> int | None:
    """A constant exact integer exponent of a size that can be multiplied out."""
    if isinstance(b, acb) and b.imag.is_zero():
        b = b.real
    if isinstance(b, arb) and b.is_exact() and b.is_finite() and abs(b) < LARGEST_POWER:
        found = b.unique_fmpz()
        return None if found is None else int(found)
    return None


def conjugate(x: Entry) -> Entry:
    """The complex conjugate."""
    if isinstance(x, acb_series):
        return acb_series([term.conjugate() for term in terms(x)], prec=x.prec)
    return x.conjugate() if isinstance(x, acb) else x


def squared_modulus(x: Entry) -> Entry:
    """|x|², real."""
    if not is_complex(x):
        return x * x
    real, imaginary = real_part(x), imaginary_part(x)
    return real * real + imaginary * imaginary


def total(entries: list[Entry], zero: Entry = ZERO) -> Entry:
    """Sum of some entries; `zero` of none."""
    result: Any = None
    for entry in entries:
        result = entry if result is None else result + entry
    if result is None:
        return zero
    return result + _sum_rounding(entries) if Sums.per_term and len(entries) > 1 else result


def _sum_rounding(entries: list[Entry]) -> Entry:
    """A ball around zero as wide as a sum of products may round, which is one rounding more than a plain sum has."""
    share = (len(entries) + 1) * Sums.per_term
    size: Any = ZERO
    for entry in entries:
        size = size + entry.abs_upper()
    return arb(0, size * (share / (1 - share))) if share < 1 else arb.nan()


def product(entries: list[Entry]) -> Entry:
    """Product of some entries; 1 of none."""
    result: Any = None
    for entry in entries:
        result = entry if result is None else result * entry
    return ONE if result is None else result


def dot(left: list[Entry], right: list[Entry]) -> Entry:
    """Σ leftᵢ·rightᵢ."""
    if Sums.per_term:
        return total([a * b for a, b in zip(left, right, strict=True)])
    result: Any = None
    for a, b in zip(left, right, strict=True):
        term = a * b
        result = term if result is None else result + term
    return ZERO if result is None else result


def compose(taylor: Callable[[Entry, int], list[Entry]], x: Entry) -> Entry:
    """f(x) for a function known by its Taylor coefficients: `taylor(c, n)` are the first n at c."""
    if not isinstance(x, SERIES):
        return taylor(x, 1)[0]
    length = x.prec
    inner = series([ZERO, *terms(x)[1:]], length)
    return arb_series(taylor(x[0], length), prec=length)(inner)
