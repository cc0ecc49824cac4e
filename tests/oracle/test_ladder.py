"""The ladder: its bars cover the true error, and it tells smooth functions from kinks, jumps and poles."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import pytest
import torch
from mpmath import mp
from torch import Tensor

from harness.oracle.ladder import Slopes, limit, scales, slopes, step_count

DIGITS = 50
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Known:
    """A function in torch and in mpmath, with points at which both are defined."""

    name: str
    torch: Function
    exact: Callable[[object], object]
    points: tuple[float, ...]


def _chebyshev(x: Tensor) -> Tensor:
    before, now = torch.ones_like(x), x
    for _ in range(29):
        before, now = now, 2 * x * now - before
    return now


def _bessel(x: Tensor) -> Tensor:
    """J₀ by the trapezoidal rule on its integral, which is exact to rounding: torch's own is off by 1e-9 in places."""
    angles = (torch.arange(64, dtype=torch.float64) + 0.5) * math.pi / 64
    return torch.cos(x[..., None] * torch.sin(angles)).mean(-1)


def _mean(x: Tensor) -> Tensor:
    """Arithmetic-geometric mean of 1 and x: the reciprocal of a complete elliptic integral."""
    a, g = torch.ones_like(x), x
    for _ in range(8):
        a, g = (a + g) / 2, torch.sqrt(a * g)
    return a


KNOWN = (
    Known("sin", torch.sin, mp.sin, (1.0, 0.1, 10.0, 1e-3, 100.0)),
    Known("exp", torch.exp, mp.exp, (0.0, 1.0, -5.0, 20.0)),
    Known("log", torch.log, mp.log, (1e-8, 1e-3, 1.0, 2.5, 1e6)),
    Known("sqrt", torch.sqrt, mp.sqrt, (1e-6, 0.5, 2.0, 1e4)),
    Known("reciprocal", lambda x: 1 / x, lambda x: 1 / x, (1e-3, 0.7, 1e3, -2.0)),
    Known("fast sine", lambda x: torch.sin(1e5 * x), lambda x: mp.sin(100000 * x), (1.0, 0.3, 2.0)),
    Known("square on a hill", lambda x: x * x + 1e8, lambda x: x * x + 10**8, (1.0, 50.0)),
    Known("square", lambda x: x * x, lambda x: x * x, (1e8, 1e-8, 3.0)),
    Known("tanh", torch.tanh, mp.tanh, (0.1, 1.0, 5.0, -3.0)),
    Known("polynomial", lambda x: x**9 - 3 * x**4 + x, lambda x: x**9 - 3 * x**4 + x, (0.5, 1.3, -1.1)),
    Known("gaussian", lambda x: torch.exp(-x * x), lambda x: mp.exp(-x * x), (0.3, 1.0, 5.0)),
    Known("runge", lambda x: 1 / (1 + 25 * x * x), lambda x: 1 / (1 + 25 * x * x), (0.1, 1.0, 0.01)),
    Known("sine of exp", lambda x: torch.sin(torch.exp(x)), lambda x: mp.sin(mp.exp(x)), (1.0, 3.0)),
    Known("steep atan", lambda x: torch.atan(1000 * x), lambda x: mp.atan(1000 * x), (0.0, 0.001, 1.0)),
    Known("cancelling", lambda x: (1 - torch.cos(x)) / x**2, lambda x: (1 - mp.cos(x)) / x**2, (0.1, 1.0)),
    Known("lgamma", torch.lgamma, mp.loggamma, (0.5, 3.0, 20.0)),
    Known("erf", torch.erf, mp.erf, (0.1, 1.0, 3.0)),
    Known("wiggle", lambda x: x * x * torch.sin(1 / x), lambda x: x * x * mp.sin(1 / x), (0.01, 0.1, 1.0)),
    Known("power", lambda x: x**2.5, lambda x: mp.power(x, mp.mpf("2.5")), (0.1, 2.0, 30.0)),
    Known("softplus", lambda x: torch.log1p(torch.exp(x)), lambda x: mp.log1p(mp.exp(x)), (-20.0, 0.0, 20.0)),
    # Functions the ladder was not tuned on.
    Known("bessel", _bessel, lambda x: mp.besselj(0, x), (0.3, 2.4, 9.0)),
    Known("modified bessel", torch.special.i0e, lambda x: mp.besseli(0, x) * mp.exp(-abs(x)), (0.4, 3.0, 12.0)),
    Known("elliptic", _mean, lambda x: mp.agm(1, x), (0.2, 1.5, 7.0)),
    Known(
        "nested logs",
        lambda x: torch.log(torch.log(torch.log(x))),
        lambda x: mp.log(mp.log(mp.log(x))),
        (20.0, 1e3, 16.0),
    ),
    Known("chebyshev 30", _chebyshev, lambda x: mp.chebyt(30, x), (0.1, 0.77, 0.99)),
    Known(
        "steep sigmoid", lambda x: torch.sigmoid(500 * x), lambda x: 1 / (1 + mp.exp(-500 * x)), (0.001, 0.01, -0.02)
    ),
    Known(
        "near a pole",
        lambda x: x / (x - 1.001953125),
        lambda x: x / (x - mp.mpf("1.001953125")),
        (1.0, 1.0005, 1.01),
    ),
    Known(
        "scales apart",
        lambda x: 1e10 * torch.sin(x) * (1e-10 * x + 1e-10),
        lambda x: mp.mpf(1e10) * mp.sin(x) * (mp.mpf(1e-10) * x + mp.mpf(1e-10)),
        (0.5, 3.0, -7.0),
    ),
    Known("flat at zero", lambda x: torch.exp(-1 / x**2), lambda x: mp.exp(-1 / x**2), (0.2, 0.5, 2.0)),
    Known(
        "gamma ratio",
        lambda x: torch.exp(torch.lgamma(x + 0.5) - torch.lgamma(x)),
        lambda x: mp.gamma(x + mp.mpf("0.5")) / mp.gamma(x),
        (0.7, 4.0, 25.0),
    ),
    Known(
        "many frequencies",
        lambda x: torch.sin(x) + torch.sin(31 * x) / 7 + torch.cos(1009 * x) / 100,
        lambda x: mp.sin(x) + mp.sin(31 * x) / 7 + mp.cos(1009 * x) / 100,
        (0.1, 1.7, -4.0),
    ),
    Known("digamma", torch.digamma, mp.digamma, (0.3, 2.0, 15.0)),
)
HELD_OUT = [(known, point) for known in KNOWN for point in known.points]


def climb(function: Function, point: float, *, low: float | None = None, high: float | None = None) -> Slopes:
    """The ladder of one function of one variable, along the unit direction."""
    x = torch.tensor([point], dtype=torch.float64)
    ends = [None if end is None else torch.tensor([end], dtype=torch.float64) for end in (low, high)]
    floor = function(x).abs().nan_to_num(0.0) * 2.0**-53
    return slopes(function, x, torch.ones(1, 1, dtype=torch.float64), floor=floor, low=ends[0], high=ends[1])


def covered(known: Known, point: float) -> bool:
    """Whether the bar covers the error against mpmath's derivative at 50 digits."""
    with mp.workdps(DIGITS):
        true = mp.diff(known.exact, mp.mpf(point), h=mp.mpf(10) ** -20)
        found = climb(known.torch, point)
        bar = float(found.bar)
        return math.isinf(bar) or bool(abs(mp.mpf(float(found.value)) - true) <= bar)


def test_the_table_is_large_enough() -> None:
    """A coverage of 99 % needs enough points to mean something."""
    assert len(HELD_OUT) >= 60


def test_bars_cover_the_true_error() -> None:
    """At least 99 of 100 bars hold the derivative that mpmath has to 50 digits."""
    missed = [(known.name, point) for known, point in HELD_OUT if not covered(known, point)]
    assert len(missed) <= 0.01 * len(HELD_OUT), missed


def test_bars_cover_the_true_error_at_random_points() -> None:
    """The same at points drawn around the table's, where nothing is a round number."""
    draw = random.Random(7)
    places = [(known, point * draw.uniform(0.8, 1.25)) for known, point in HELD_OUT if point]
    missed = [(known.name, point) for known, point in places if not covered(known, point)]
    assert len(missed) <= 0.01 * len(places), missed


def test_bars_are_narrow() -> None:
    """Coverage is not bought with wide bars: half of them are narrower than 1e-11 of the derivative."""
    widths = sorted(float(f.bar / f.value.abs().clamp(min=1e-300)) for f in (climb(k.torch, p) for k, p in HELD_OUT))
    assert widths[len(widths) // 2] < 1e-11


@pytest.mark.parametrize("rate", [0.37, 2.9, 61.0, 1234.5])
@pytest.mark.parametrize("phase", [0.0, 1.1])
def test_random_oscillations_are_covered(rate: float, phase: float) -> None:
    """Bars hold for any frequency and phase, aliased first steps or not."""
    known = Known("", lambda x: torch.sin(rate * x + phase), lambda x: mp.sin(mp.mpf(rate) * x + mp.mpf(phase)), (0.7,))
    assert covered(known, 0.7)


KINKS: dict[str, tuple[Function, float, tuple[float, float]]] = {
    "abs": (torch.abs, 0.0, (-1.0, 1.0)),
    "relu": (torch.relu, 0.0, (0.0, 1.0)),
    "clamp": (lambda x: x.clamp(min=2.0), 2.0, (0.0, 1.0)),
    "softshrink": (torch.nn.functional.softshrink, 0.5, (0.0, 1.0)),
    "tie of a maximum": (lambda x: torch.maximum(x, 2 - x), 1.0, (-1.0, 1.0)),
    "tiny kink on a slope": (lambda x: (x - 1).abs() * 1e-6 + x * 1e3, 1.0, (1e3 - 1e-6, 1e3 + 1e-6)),
}


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_is_seen(name: str) -> None:
    """One-sided slopes that differ are marked as a kink."""
    function, point, _ = KINKS[name]
    assert bool(climb(function, point).kink)


@pytest.mark.parametrize("name", KINKS)
def test_the_bar_at_a_kink_spans_both_slopes(name: str) -> None:
    """Value and bar hold both one-sided slopes."""
    function, point, (left, right) = KINKS[name]
    found = climb(function, point)
    assert all(abs(float(found.value) - slope) <= float(found.bar) for slope in (left, right))


JUMPS: dict[str, tuple[Function, float]] = {
    "floor": (torch.floor, 1.0),
    "sign": (torch.sign, 0.0),
    "small step on a slope": (lambda x: (x > 0.3).double() * 1e-9 + x, 0.3),
    "one value of its own": (lambda x: torch.where(x == 1.0, 5.0, x), 1.0),
}


@pytest.mark.parametrize("name", JUMPS)
def test_a_jump_is_seen(name: str) -> None:
    """Where the function itself jumps nothing is known about the derivative."""
    function, point = JUMPS[name]
    found = climb(function, point)
    assert (bool(found.jump), math.isinf(float(found.bar))) == (True, True)


SMOOTH: dict[str, tuple[Function, float, float]] = {
    "beside a kink": (torch.abs, 1e-9, 1.0),
    "huber at its seam": (lambda x: torch.nn.functional.huber_loss(x, torch.zeros_like(x), reduction="none"), 1.0, 1.0),
    "floor between integers": (torch.floor, 1.5, 0.0),
    "a constant": (lambda x: torch.full_like(x, 3.7), 0.4, 0.0),
    "x to the power of 1.5 at zero": (lambda x: x.abs() ** 1.5, 0.0, 0.0),
    "a maximum whose kink is a millionth away": (lambda x: torch.maximum(x, torch.full_like(x, 2e-6)), 1e-6, 0.0),
    "a line far below one": (lambda x: 1.7 * x, 1e-7, 1.7),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_no_kink_where_there_is_none(name: str) -> None:
    """Smooth and piecewise-constant functions are not mistaken for kinked ones, however near the next kink."""
    function, point, true = SMOOTH[name]
    found = climb(function, point)
    close = abs(float(found.value) - true) <= float(found.bar) <= 1e-6
    assert (bool(found.kink), bool(found.jump), close) == (False, False, True)


@pytest.mark.parametrize("function", [torch.sqrt, lambda x: torch.sign(x) * x.abs() ** (1 / 3)])
def test_an_infinite_slope_has_no_narrow_bar(function: Function) -> None:
    """A vertical tangent is not given a finite derivative with a bar that would pass for knowledge."""
    assert float(climb(function, 0.0).bar) > 1


@pytest.mark.parametrize(("low", "high", "point"), [(0.0, None, 0.0), (None, 1.0, 1.0), (0.5, None, 0.5)])
def test_one_sided_domains(low: float | None, high: float | None, point: float) -> None:
    """At an end of its domain a function is differentiated from inside."""
    found = climb(lambda x: torch.exp(2 * x), point, low=low, high=high)
    assert abs(float(found.value) - 2 * math.exp(2 * point)) <= float(found.bar) <= 1e-6


def test_nothing_outside_the_domain_is_evaluated() -> None:
    """The function is not called outside a declared domain."""
    seen: list[float] = []

    def function(x: Tensor) -> Tensor:
        seen.append(float(x.min()))
        return x.sqrt()

    climb(function, 0.25, low=0.0)
    assert min(seen) >= 0.0


def test_values_coarser_than_rounding_are_noticed() -> None:
    """A function that loses digits inside stands still at small steps; its bar says so instead of a slope of zero."""
    found = climb(lambda x: (x * 1e-3 + 1e8) - 1e8, 0.3)
    assert abs(float(found.value) - 1e-3) <= float(found.bar)


def test_a_feature_narrower_than_the_ladder_is_no_knowledge() -> None:
    """A spike as narrow as the smallest steps leaves a wide bar, not a confident slope of zero."""
    width = 2.0**-31
    found = climb(lambda x: 1e8 * torch.exp(-(((x - 0.3) / width - 1) ** 2)), 0.3)
    true = 2e8 * math.exp(-1) / width
    assert abs(float(found.value) - true) <= float(found.bar)


def test_scaling_a_function_scales_its_slopes() -> None:
    """A factor of a power of two changes value and bar by that factor, exactly."""
    one, big = climb(torch.sin, 0.7), climb(lambda x: 1024 * torch.sin(x), 0.7)
    assert (float(big.value), float(big.bar)) == (1024 * float(one.value), 1024 * float(one.bar))


def test_several_functions_and_directions_at_once() -> None:
    """D directions and C functions come back as D × C, each its own directional derivative."""
    x = torch.tensor([0.3, -1.2], dtype=torch.float64)
    directions = torch.tensor([[1.0, 0.0], [0.5, -2.0], [0.0, 1.0]], dtype=torch.float64)
    found = slopes(
        lambda xs: torch.stack([xs.sin().sum(-1), (xs**2).sum(-1)], -1), x, directions, floor=torch.zeros(2).double()
    )
    expected = directions @ torch.stack([x.cos(), 2 * x], -1)
    assert bool(((found.value - expected).abs() <= found.bar).all())


def test_no_limit_without_rows() -> None:
    """Rows that are all NaN leave an infinite bar."""
    rows = torch.full((1, 8), torch.nan, dtype=torch.float64)
    steps = 2.0 ** -torch.arange(8, dtype=torch.float64)
    found = limit(rows, steps, orders=(2,), floor=torch.zeros(1, dtype=torch.float64), divided=True)
    assert math.isinf(float(found.bar))


def test_smaller_entries_get_longer_ladders() -> None:
    """The ladder reaches far below the smallest entry, up to its bound."""
    counts = [step_count(torch.tensor([size], dtype=torch.float64)) for size in (1.0, 1e-6, 1e-300)]
    assert counts == sorted(set(counts))


def test_scales_are_powers_of_two() -> None:
    """X ± step is exact or nearly so: scales are powers of two, at least 1, and at most |x| beyond that."""
    x = torch.tensor([0.0, 1e-9, 0.7, 3.0, -1e6], dtype=torch.float64)
    assert scales(x).tolist() == [1.0, 1.0, 1.0, 2.0, 2.0**19]


def test_mpmath_agrees_with_itself() -> None:
    """The yardstick of this file is right: mpmath's numerical derivative of a function with a known one."""
    with mp.workdps(DIGITS):
        assert abs(mpmath.diff(mp.sin, mp.mpf(1), h=mp.mpf(10) ** -20) - mp.cos(1)) < mp.mpf(10) ** -15
