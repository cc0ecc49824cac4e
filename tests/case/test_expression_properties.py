"""Property: random scalar expressions compute what an independent evaluation in 40-digit arithmetic computes."""

from __future__ import annotations

import math

import mpmath
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from harness.case.expression import FUNCTIONS, parse

UNIT_ROUNDOFF = 2.0**-53
SMOOTH = [
    "sin",
    "cos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "exp",
    "expm1",
    "erf",
    "sigmoid",
    "softplus",
    "silu",
    "gelu",
    "square",
    "cbrt",
    "abs",
    "erfc",
    "exp2",
    "logsigmoid",
]
POSITIVE = ["log", "log2", "log10", "sqrt", "rsqrt", "lgamma", "reciprocal", "digamma"]


def _numbers() -> st.SearchStrategy[tuple[str, object]]:
    floats = st.floats(-3, 3, allow_nan=False).map(lambda v: (f"({v!r})", v))
    names = st.sampled_from(["x", "y"]).map(lambda name: (name, name))
    return st.one_of(floats, names, st.integers(-4, 4).map(lambda v: (f"({v})", v)))


def _grow(inner):
    """Trees as (text for the compiler, nested tuples for the independent evaluation)."""
    binary = st.tuples(st.sampled_from(["+", "-", "*"]), inner, inner).map(
        lambda t: (f"({t[1][0]} {t[0]} {t[2][0]})", (t[0], t[1][1], t[2][1]))
    )
    quotient = st.tuples(inner, inner).map(
        lambda t: (f"({t[0][0]} / (1 + {t[1][0]}**2))", ("quotient", t[0][1], t[1][1]))
    )
    smooth = st.tuples(st.sampled_from(SMOOTH), inner).map(lambda t: (f"{t[0]}({t[1][0]})", (t[0], t[1][1])))
    positive = st.tuples(st.sampled_from(POSITIVE), inner).map(
        lambda t: (f"{t[0]}(0.5 + {t[1][0]}**2)", ("safe", t[0], t[1][1]))
    )
    minus = inner.map(lambda t: (f"(-{t[0]})", ("-", 0, t[1])))
    return st.one_of(binary, quotient, smooth, positive, minus)


TREES = st.recursive(_numbers(), _grow, max_leaves=8)


class _Measured:
    """A value in 40 digits, with a bound on what float64 evaluation may have lost to rounding so far."""

    def __init__(self, value: mpmath.mpf, loss: mpmath.mpf) -> None:
        self.value, self.loss = value, loss + 4 * UNIT_ROUNDOFF * abs(value) + mpmath.mpf(2) ** -1060


def _apply(name: str, inner: _Measured) -> _Measured:
    """A function by its mpmath twin; the loss grows by the largest slope nearby."""
    function = FUNCTIONS[name].precise
    assert function is not None
    value = function(inner.value)
    reach = inner.loss + mpmath.mpf(10) ** -12
    shifted = [function(inner.value + sign * reach) for sign in (-1, 1)]
    slope = max(abs(other - value) for other in shifted) / reach
    return _Measured(value, 2 * slope * inner.loss + 60 * UNIT_ROUNDOFF * (abs(value) + abs(slope * inner.value)))


def _evaluate(tree: object, values: dict[str, float]) -> _Measured:
    """The independent evaluation: nothing of the compiler is used but the names of the mpmath functions."""
    match tree:
        case str():
            return _Measured(mpmath.mpf(values[tree]), mpmath.mpf(0))
        case int() | float():
            return _Measured(mpmath.mpf(tree), mpmath.mpf(0))
        case ("+" | "-" as sign, left, right):
            a, b = _evaluate(left, values), _evaluate(right, values)
            return _Measured(a.value + b.value if sign == "+" else a.value - b.value, a.loss + b.loss)
        case ("*", left, right):
            return _times(_evaluate(left, values), _evaluate(right, values))
        case ("quotient", left, right):
            a, b = _evaluate(left, values), _plus_square(1, _evaluate(right, values))
            return _Measured(a.value / b.value, a.loss / b.value + abs(a.value) * b.loss / b.value**2)
        case ("safe", name, inner):
            return _apply(name, _plus_square(0.5, _evaluate(inner, values)))
        case (name, inner):
            return _apply(name, _evaluate(inner, values))
    raise TypeError(tree)


def _times(a: _Measured, b: _Measured) -> _Measured:
    return _Measured(a.value * b.value, abs(a.value) * b.loss + abs(b.value) * a.loss + a.loss * b.loss)


def _plus_square(constant: float, a: _Measured) -> _Measured:
    square = _times(a, a)
    return _Measured(constant + square.value, square.loss)


@settings(max_examples=1000, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, st.floats(-2, 2), st.floats(-2, 2))
def test_compiled_expressions_agree_with_mpmath(tree, x, y):
    """The compiled expression lies within its rounding bound of the 40-digit value."""
    text, shape = tree
    with mpmath.workdps(40):
        try:
            expected = _evaluate(shape, {"x": x, "y": y})
        except (OverflowError, ZeroDivisionError):
            assume(False)
        assume(abs(expected.value) < 1e150 and expected.loss < 1e-3 * (1 + abs(expected.value)))
        values = {"x": torch.tensor(x, dtype=torch.float64), "y": torch.tensor(y, dtype=torch.float64)}
        actual = parse(text, names=values).evaluate(values).item()
        assert math.isfinite(actual)
        assert abs(mpmath.mpf(actual) - expected.value) <= expected.loss, text
