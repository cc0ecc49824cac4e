"""Properties of random expressions: balls contain the 80-digit value and the derivatives, and shrink with precision."""

from __future__ import annotations

import os
from functools import cache

import mpmath
import pytest
import sympy
import torch
from flint import arb, ctx
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from harness.case.expression import FUNCTIONS, parse
from harness.case.subject import Input, Point, Subject
from harness.oracle.ball.budget import Budget, Work
from harness.oracle.ball.errors import NotCertifiedError, UndecidedError
from harness.oracle.ball.oracle import VANISHING_BITS
from harness.oracle.ball.passes import Passes
from harness.oracle.ball.values import working_precision
from harness.oracle.flat import FlatSubject

DIGITS = 80
MORE = int(os.environ.get("HARNESS_DRAWS", "1"))
"""Times as many draws; where it is set, they are other ones in each run, and a failure prints how to repeat it."""
SMOOTH = [
    "sin", "cos", "atan", "sinh", "cosh", "tanh", "asinh", "exp", "expm1", "erf", "erfc", "sigmoid", "silu", "square",
    "logsigmoid", "exp2",
]  # fmt: skip
POSITIVE = ["log", "log2", "log10", "sqrt", "rsqrt", "lgamma", "reciprocal", "digamma"]
SINGLE = [
    *SMOOTH, "tan", "asin", "acos", "atanh", "acosh", "erfinv", "log", "log2", "log10", "log1p", "sqrt", "rsqrt",
    "reciprocal", "lgamma", "digamma",
]  # fmt: skip
"""Functions of one number, tried wherever they are real. Left out: gelu, whose constants torch rounds to doubles, and
softplus, which torch replaces by x beyond 20."""
SLOW_LEFT_OF_ZERO = ("lgamma", "digamma")
"""Functions that mpmath takes to the right of zero step by step."""
OPERATORS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}
PAIRS = {
    "maximum": max, "minimum": min, "atan2": mpmath.atan2, "hypot": mpmath.hypot,
    "logaddexp": lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)),
}  # fmt: skip
"""Functions of two numbers, some of them not smooth everywhere."""
NAMES = ["x", "y", "a", "b"]
"""Inputs only: torch folds what is made of constants alone to a double, which is another function."""


def _numbers():
    return st.sampled_from(NAMES).map(lambda name: (name, name))


def _grow(inner):
    """Trees as (text for the compiler, nested tuples for SymPy)."""
    binary = st.tuples(st.sampled_from("+-*"), inner, inner).map(
        lambda t: (f"({t[1][0]} {t[0]} {t[2][0]})", (t[0], t[1][1], t[2][1]))
    )
    quotient = st.tuples(inner, inner).map(lambda t: (f"({t[0][0]} / (1 + {t[1][0]}**2))", ("/", t[0][1], t[1][1])))
    smooth = st.tuples(st.sampled_from(SMOOTH), inner).map(lambda t: (f"{t[0]}({t[1][0]})", (t[0], t[1][1])))
    positive = st.tuples(st.sampled_from(POSITIVE), inner).map(
        lambda t: (f"{t[0]}(0.5 + {t[1][0]}**2)", ("positive", t[0], t[1][1]))
    )
    power = st.tuples(inner, st.sampled_from([2, 3])).map(lambda t: (f"({t[0][0]}**{t[1]})", ("**", t[0][1], t[1])))
    return st.one_of(binary, quotient, smooth, positive, power)


def _grow_anything(inner):
    """Trees that may also choose: between two numbers, by a comparison, or by a sign."""
    pair = st.tuples(st.sampled_from(sorted(PAIRS)), inner, inner).map(
        lambda t: (f"{t[0]}({t[1][0]}, {t[2][0]})", (t[0], t[1][1], t[2][1]))
    )
    size = inner.map(lambda t: (f"abs({t[0]})", ("abs", t[1])))
    choice = st.tuples(inner, inner, inner).map(
        lambda t: (f"where({t[0][0]} > 0, {t[1][0]}, {t[2][0]})", ("where", *(part[1] for part in t)))
    )
    return st.one_of(_grow(inner), pair, size, choice)


TREES = st.recursive(_numbers(), _grow, max_leaves=6)
ROUGH_TREES = st.recursive(_numbers(), _grow_anything, max_leaves=6)
POINTS = st.fixed_dictionaries({name: st.floats(-2, 2) for name in NAMES})
DOUBLES = st.one_of(
    st.floats(-10, 10), st.floats(allow_nan=False, allow_infinity=False), st.floats(-1e-3, 1e-3), st.floats(-1e6, 1e6)
)


def symbolic(tree):
    """The tree as a SymPy expression of its inputs."""
    return interpret(
        tree, lambda name: sympy.Symbol(name, real=True), lambda name: FUNCTIONS[name].symbolic, sympy.Rational(1, 2)
    )


def precise(tree, values):
    """The tree in mpmath's working precision."""
    return interpret(tree, values.__getitem__, lambda name: FUNCTIONS[name].precise, mpmath.mpf(0.5))


def interpret(tree, leaf, function, half):
    """Evaluate a tree with what makes leaves and functions."""

    def visit(tree):
        match tree:
            case str():
                return leaf(tree)
            case ("/", a, b):
                return visit(a) / (1 + visit(b) ** 2)
            case ("**", a, n):
                return visit(a) ** n
            case ("positive", name, inner):
                return function(name)(half + visit(inner) ** 2)
            case ("+" | "-" | "*" as op, a, b):
                return OPERATORS[op](visit(a), visit(b))
            case ("where", condition, a, b):
                return visit(a) if visit(condition) > 0 else visit(b)
            case (name, a, b):
                return PAIRS[name](visit(a), visit(b))
            case ("abs", a):
                return abs(visit(a))
            case (name, a):
                return function(name)(visit(a))
        raise TypeError(tree)

    return visit(tree)


def passes_of(text, point):
    """The expression's graph in balls at a point."""
    values = {name: torch.tensor(point[name], dtype=torch.float64) for name in NAMES}
    expression = parse(text, names=values)
    subject = Subject(
        name="test", inputs={n: Input() for n in values}, function=lambda v: (expression.evaluate(v) + 0 * v["x"],)
    )
    flat = FlatSubject(subject, Point(name="point 1", values=values, sizes={}, seed=0))
    return Passes(flat, Work(Budget()))


def contains(ball, number, digits=DIGITS - 25):
    """Whether a ball contains an 80-digit number, up to the number's own last digits."""
    with mpmath.workdps(DIGITS + 20):
        sign, mantissa, exponent, _ = number._mpf_
        bits, ctx.prec = ctx.prec, 2000
        try:
            exact = arb(int(-mantissa if sign else mantissa)) * arb(2) ** int(exponent)
            margin = (abs(exact) + arb(10) ** -25) * arb(10) ** -digits
            return bool(ball.overlaps(arb(exact.mid(), margin.upper())))
        finally:
            ctx.prec = bits


def finite(compute):
    """A number of ordinary size computed to 20 digits more than needed; None where there is none."""
    with mpmath.workdps(DIGITS + 20):
        try:
            found = mpmath.mpmathify(compute())
        except (ZeroDivisionError, OverflowError, ValueError):
            return None
        if isinstance(found, mpmath.mpc):
            return None
        return found if mpmath.isfinite(found) and abs(found) < mpmath.mpf(10) ** 300 else None


def profile(examples):
    """A run of many draws, the same ones each time unless more are asked for."""
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    return settings(
        max_examples=examples * MORE, deadline=None, derandomize=MORE == 1, print_blob=True, database=None,
        suppress_health_check=quiet,
    )  # fmt: skip


def holds(ball, number, digits=DIGITS - 25):
    """Whether a ball is finite and contains a number; one that says nothing is counted, and breaks no promise."""
    if not ball.is_finite():
        event("no finite enclosure")
        return True
    return contains(ball, number, digits)


def value(text, point):
    """The value in balls; draws that are refused (a comparison of equal numbers, say) do not count."""
    try:
        return passes_of(text, point).values(512)[0]
    except (NotCertifiedError, UndecidedError):
        assume(False)


def derivatives(text, point):
    """First and second derivative by x, in balls, where they are not refused."""
    try:
        passes = passes_of(text, point)
        passes.values(512)
        terms = passes.along({0: 1.0}, 2).terms
    except (NotCertifiedError, UndecidedError):
        assume(False)
    with working_precision(512, 1):
        return [terms[order - 1].get(0, arb(0)) * order for order in (1, 2)]


@profile(320)
@given(TREES, POINTS)
def test_balls_contain_the_value(tree, point):
    """The ball of a random expression must contain its 80-digit value."""
    text, shape = tree
    expected = finite(lambda: precise(shape, {name: mpmath.mpf(v) for name, v in point.items()}))
    assume(expected is not None)
    assert holds(value(text, point), expected), text


@profile(150)
@given(ROUGH_TREES, POINTS)
def test_balls_contain_the_value_of_what_chooses(tree, point):
    """The same must hold with comparisons, magnitudes and functions of two numbers in the expression."""
    text, shape = tree
    expected = finite(lambda: precise(shape, {name: mpmath.mpf(v) for name, v in point.items()}))
    assume(expected is not None)
    assert holds(value(text, point), expected), text


@profile(70)
@given(st.sampled_from(SINGLE), DOUBLES)
def test_balls_contain_single_functions_anywhere(name, x):
    """Value and derivative of one function must be contained at any double, the largest and the smallest among them."""
    assume(x > -1e4 or name not in SLOW_LEFT_OF_ZERO)
    formulas = derivative_of(name)
    expected = [finite(lambda f=f: f(mpmath.mpf(x))) for f in (FUNCTIONS[name].precise, *formulas)]
    assume(None not in expected)
    point = dict.fromkeys(NAMES, x)
    assert holds(value(f"{name}(x)", point), expected[0]), name
    assert holds(derivatives(f"{name}(x)", point)[0], expected[1]), name


@cache
def derivative_of(name):
    """SymPy's first derivative of a function, as mpmath code; none where SymPy has none."""
    symbol = sympy.Symbol("x", real=True)
    return [sympy.lambdify([symbol], sympy.diff(FUNCTIONS[name].symbolic(symbol), symbol), modules="mpmath")]


@profile(110)
@given(TREES, POINTS)
def test_balls_contain_the_derivatives(tree, point):
    """Series coefficients must contain derivatives by differences in several hundred digits."""
    text, shape = tree

    def along(x):
        return precise(shape, {name: mpmath.mpf(v) if name != "x" else x for name, v in point.items()})

    expected = [finite(lambda n=n: mpmath.diff(along, mpmath.mpf(point["x"]), n)) for n in (1, 2)]
    assume(None not in expected)
    for ball, number in zip(derivatives(text, point), expected, strict=True):
        assert holds(ball, number, digits=30), text


@profile(100)
@given(TREES, POINTS)
def test_balls_contain_the_symbolic_derivatives(tree, point):
    """Series coefficients must contain SymPy's derivatives to 80 digits."""
    text, shape = tree
    expression, symbol = symbolic(shape), sympy.Symbol("x", real=True)
    formulas = [sympy.lambdify(NAMES, sympy.diff(expression, symbol, n), modules="mpmath") for n in (1, 2)]
    expected = [finite(lambda f=f: f(*[mpmath.mpf(point[name]) for name in NAMES])) for f in formulas]
    assume(None not in expected)
    for ball, number in zip(derivatives(text, point), expected, strict=True):
        assert holds(ball, number), text


@profile(130)
@given(TREES, POINTS)
def test_enclosures_shrink_with_precision(tree, point):
    """At 32 times the bits a ball must overlap the first one and be no wider, or too narrow for any double to show.

    Few bits may be lucky: exp at 10⁻⁷⁸ is 1 ± 10⁻⁷⁸ whatever the precision, narrower than a rounding to 256 bits is.
    """
    text, _ = tree
    try:
        passes = passes_of(text, point)
        wide, narrow = passes.values(64)[0], passes.values(2048)[0]
    except (NotCertifiedError, UndecidedError):
        assume(False)
    assume(wide.is_finite())
    assert wide.overlaps(narrow)
    assert narrow.rad() <= wide.rad() or narrow.rad() < arb(2) ** -VANISHING_BITS


def test_a_lucky_enclosure_is_no_counterexample():
    """Where a tiny argument makes few bits enough, more of them must still contain the same number."""
    passes = passes_of("sigmoid(y)", {**dict.fromkeys(NAMES, 0.0), "y": 1.1532034571565468e-78})
    wide, lucky, narrow = (passes.values(bits)[0] for bits in (64, 256, 2048))
    assert wide.rad() < lucky.rad()
    assert narrow.rad() < wide.rad()
    assert wide.overlaps(narrow)


@pytest.mark.parametrize("error", [10.0**-40, -2.0], ids=["40 digits", "sign"])
def test_a_wrong_value_is_not_contained(error):
    """The containment test itself must refuse a value that is right to 40 digits only, or has the wrong sign."""
    with mpmath.workdps(DIGITS + 20):
        wrong = mpmath.exp(mpmath.mpf(0.3)) * (1 + mpmath.mpf(error))
    assert not contains(passes_of("exp(x)", dict.fromkeys(NAMES, 0.3)).values(512)[0], wrong)
