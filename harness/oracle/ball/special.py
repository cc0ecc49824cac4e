"""Special functions of an entry: Arb's own, or exact identities between them (reflection, hypergeometric, Coulomb).

Where Arb has a function for numbers only, its Taylor coefficients come from a series Arb has: ψ from log Γ, the inverse
of erf by reversion.
"""

from __future__ import annotations

from collections.abc import Callable

from flint import acb, acb_series, arb, arb_series, ctx

from harness.oracle.ball.functions import compose, divide
from harness.oracle.ball.values import (
    SERIES,
    Entry,
    constant_term,
    not_a_number,
    real_part,
    series,
    terms,
    working_precision,
)


def error_function(x: Entry) -> Entry:
    """erf x."""
    return x.erf()


def complementary_error_function(x: Entry) -> Entry:
    """erfc x = 1 − erf x."""
    return x.erfc()


def scaled_complementary_error_function(x: Entry) -> Entry:
    """erfcx x = exp(x²)·erfc x."""
    return (x * x).exp() * x.erfc()


def inverse_error_function(x: Entry) -> Entry:
    """The inverse of erf, its Taylor coefficients by reversion of those of erf."""
    return compose(_inverse_error_taylor, x)


def _inverse_error_taylor(center: Entry, length: int) -> list[Entry]:
    return _inverted(center.erfinv(), arb_series.erf, length)


def inverse_complementary_error_function(x: Entry) -> Entry:
    """The inverse of erfc, likewise; it does not cancel near 0."""
    return compose(lambda center, length: _inverted(center.erfcinv(), arb_series.erfc, length), x)


def _inverted(value: Entry, forward: Callable[[Entry], Entry], length: int) -> list[Entry]:
    """Taylor coefficients of an inverse function whose value is known, by reversion of those of the function."""
    if length == 1 or not value.is_finite():
        return [value] * length
    around = forward(arb_series([value, 1], prec=length))
    return [value, *terms(arb_series([0, *terms(around)[1:]], prec=length).reversion())[1:]]


def normal_quantile(x: Entry) -> Entry:
    """The inverse of the standard normal distribution function: −√2·erfc⁻¹(2x)."""
    return -arb(2).sqrt() * inverse_complementary_error_function(2 * x)


def log_gamma(x: Entry) -> Entry:
    """log |Γ(x)|; left of zero by the reflection π/sin(πx)/Γ(1 − x)."""
    center = constant_term(x)
    if center > 0:
        return x.lgamma()
    sine = x.sin_pi()
    if constant_term(sine) < 0:
        sine = -sine
    return divide(arb.pi(), sine).log() - (1 - x).lgamma()


def polygamma(order: int) -> Callable[[Entry], Entry]:
    """ψ⁽ⁿ⁾: its Taylor coefficients are those of log Γ, derived n + 1 times."""

    def taylor(center: Entry, length: int) -> list[Entry]:
        longer = length + order + 1
        with working_precision(ctx.prec, longer):
            derived = _digamma_series(center, longer)
            for _ in range(order):
                derived = derived.derivative()
        return terms(derived)[:length]

    def function(x: Entry) -> Entry:
        return compose(taylor, x)

    return function


def _digamma_series(center: Entry, length: int) -> arb_series:
    """ψ around a center, to one term less than `length`; ψ(x) = ψ(1 − x) − π·cot(πx) left of zero."""
    if center > 0:
        return arb_series([center, 1], prec=length).lgamma().derivative()
    reflected = arb_series([1 - center, -1], prec=length).lgamma().derivative()
    return -reflected - arb.pi() * arb_series([center, 1], prec=length).cot_pi()


digamma = polygamma(0)


def bessel_i(order: int) -> Callable[[Entry], Entry]:
    """I₀ or I₁ by ₀F₁: (x/2)ⁿ·₀F₁(n + 1; x²/4)."""

    def function(x: Entry) -> Entry:
        if isinstance(x, arb):
            return x.bessel_i(order)
        return _hypergeometric(x * x / 4, order + 1) * (x / 2) ** order

    return function


def scaled_bessel_i(order: int) -> Callable[[Entry], Entry]:
    """exp(−|x|)·Iₙ(x); |x| by the sign of the value (zero is the caller's)."""
    plain = bessel_i(order)

    def function(x: Entry) -> Entry:
        return plain(x) * (x if constant_term(x) < 0 else -x).exp()

    return function


def bessel_j(order: int) -> Callable[[Entry], Entry]:
    """J₀ or J₁ by ₀F₁: (x/2)ⁿ·₀F₁(n + 1; −x²/4)."""

    def function(x: Entry) -> Entry:
        if isinstance(x, arb):
            return x.bessel_j(order)
        return _hypergeometric(-x * x / 4, order + 1) * (x / 2) ** order

    return function


def bessel_y(order: int) -> Callable[[Entry], Entry]:
    """Y₀ or Y₁ by Coulomb's function: −√(2/(πx))·G(n − 1/2, 0, x)."""

    def function(x: Entry) -> Entry:
        if isinstance(x, arb):
            return x.bessel_y(order)
        return -divide(2 / arb.pi(), x).sqrt() * x.coulomb_g(arb(order) - arb(0.5), arb(0))

    return function


def bessel_k(order: int) -> Callable[[Entry], Entry]:
    """K₀ or K₁ of a number; Arb has no series of it, so there is no derivative."""

    def function(x: Entry) -> Entry:
        return not_a_number(x) if isinstance(x, SERIES) else x.bessel_k(order)

    return function


def _hypergeometric(argument: Entry, parameter: int) -> Entry:
    """₀F₁(parameter; argument) of a real series (Γ(n) is 1 for the parameters 1 and 2)."""
    found = acb_series.hypgeom([], [acb(parameter)], acb_series(argument))
    return series([real_part(term) for term in terms(found)], found.prec)


def gamma_lower(a: Entry, x: Entry) -> Entry:
    """The regularised lower incomplete gamma function P(a, x); differentiable in x."""
    if isinstance(a, SERIES):
        return not_a_number(a)
    return arb_series.gamma_lower(a, x, 1) if isinstance(x, arb_series) else arb.gamma_lower(x, a, 1)


def gamma_upper(a: Entry, x: Entry) -> Entry:
    """The regularised upper incomplete gamma function Q(a, x) = 1 − P(a, x)."""
    return 1 - gamma_lower(a, x)


def hurwitz_zeta(s: Entry, q: Entry) -> Entry:
    """ζ(s, q); its Taylor coefficients in q are binomial(−s, k)·ζ(s + k, q)."""
    if isinstance(s, SERIES):
        return not_a_number(s)

    def taylor(center: Entry, length: int) -> list[Entry]:
        coefficients, binomial = [], arb(1)
        for k in range(length):
            coefficients.append(binomial * (s + k).zeta(center))
            binomial = binomial * (-s - k) / (k + 1)
        return coefficients

    return compose(taylor, q)
