"""Hostile graphs and inputs: a verdict with a reason for each, within a budget of work, and never an exception.

Time is bounded by budgets, whose counters refuse; nothing here sleeps or looks at a clock.
"""

from __future__ import annotations

import math

import pytest
import torch

from harness.oracle.ball.budget import Budget
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.oracle import ball_estimates, ball_hessian_products
from harness.records import Outcome
from harness.verify.api import check

SMALL = Budget(operations=50_000, coordinate_operations=20_000, precision=1024)


ONE = torch.ones(1, 1, dtype=torch.float64)


def answer(ask, *arguments, **options):
    """What an oracle says: its estimates and no reason, or none and its reason."""
    try:
        found = ask(*arguments, **options)
    except NotCertifiedError as refusal:
        return (), str(refusal)
    return (found if isinstance(found, tuple) else (found,)), ""


def real(*entries):
    return torch.tensor(entries, dtype=torch.float64)


def number(value):
    return torch.tensor(value, dtype=torch.float64)


def chain(length):
    """A graph as long as asked for, each operator of which needs the one before it."""

    def function(x):
        for _ in range(length):
            x = torch.tanh(x) + x
        return x

    return function


def nested(depth):
    """Functions of functions, as deep as asked for."""

    def function(x):
        return x if depth == 0 else torch.sin(nested(depth - 1)(x))

    return function


def tower(x):
    return torch.exp(torch.exp(torch.exp(torch.exp(x))))


VERDICTS = {
    "a square beyond the largest number": (torch.square, {"x": number(1e308)}, "not finite"),
    "an exponential beyond it": (torch.exp, {"x": number(1e308)}, "not finite"),
    "a tower of exponentials": (tower, {"x": number(3.0)}, "not finite"),
    "a tower that underflows": (lambda x: torch.exp(-torch.exp(torch.exp(x))), {"x": number(5.0)}, "zero at every"),
    "a sine of 1e308": (torch.sin, {"x": number(1e308)}, "bars are too wide"),
    "numbers of both ends": (lambda x: torch.logsumexp(x, 0), {"x": real(1e308, -1e308, 1.0)}, "no answer"),
    "a sum of 1e308": (lambda x: (x / 4).sum(), {"x": real(1e308, 1e308, -1e308)}, "certified"),
    "the smallest number": (lambda x: 3 * x, {"x": number(5e-324)}, "certified"),
    "what cancels 1e308": (lambda x: (x + 1e308) - 1e308 + x, {"x": number(1.0)}, "certified"),
    "NaN": (lambda x: 2 * x, {"x": number(math.nan)}, "not finite"),
    "infinity": (lambda x: 2 * x, {"x": real(math.inf, 1.0)}, "not finite"),
    "a NaN in the graph": (lambda x: x * math.nan, {"x": number(1.0)}, "not finite"),
    "infinities in the graph": (lambda x: 2 * x.clamp(-math.inf, math.inf), {"x": number(1.0)}, "certified"),
    "no numbers": (torch.sum, {"x": torch.zeros(0, dtype=torch.float64)}, "no real numbers"),
    "no results": (lambda x: x[:0], {"x": real(1.0, 2.0)}, "no real numbers"),
    "a zero-dimensional tensor": (lambda x: x.sum() * x.max(), {"x": number(2.0)}, "certified"),
    "integers and truth values": (
        lambda x, n, m: torch.where(m, x**n, x / n),
        {"x": real(2.0, 3.0), "n": torch.tensor([3, 4]), "m": torch.tensor([True, False])},
        "certified",
    ),
    "integers beyond 2^53": (lambda x, n: x * n, {"x": number(2.0), "n": torch.tensor(2**62 + 1)}, "certified"),
    "complex numbers": (lambda z: torch.exp(z) * z, {"z": torch.tensor([1 + 2j])}, "certified"),
    "a complex infinity": (lambda z: 2 * z, {"z": torch.tensor([complex(math.inf, 1)])}, "not finite"),
    "a branch cut": (torch.log, {"z": torch.tensor([-1 + 0j])}, "open"),
    "a deep nest": (nested(60), {"x": number(0.5)}, "certified"),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_hostile_subjects_get_a_verdict_with_its_reason(name):
    """Whatever the numbers, there must be an outcome other than failure or error, and the reason that is true."""
    function, inputs, reason = VERDICTS[name]
    wide = {key: value.to(torch.complex128) if value.is_complex() else value for key, value in inputs.items()}
    verdict = check(function, wide, name="hostile", probes=[])
    assert verdict.outcome in (Outcome.PASS, Outcome.SKIPPED, Outcome.VACUOUS, Outcome.INCONCLUSIVE)
    assert reason in verdict.message
    assert all(finding.message for finding in verdict.findings)


WRONG = {
    "a NaN behind a branch": (lambda x: torch.where(x > 0, x, torch.sqrt(x - 10)), {"x": real(1.0, 2.0)}, "is nan by"),
    "truth values as results": (lambda x: x > 0, {"x": number(1.0)}, "integers or booleans"),
    "a value that underflows on the way": (lambda x: x * x * 1e300, {"x": number(1e-300)}, "f is 0 but 1e-300 by"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_at_hostile_numbers_still_fails(name):
    """Odd numbers must not hide a gradient that is not there, or not a number, or a value without a digit."""
    function, inputs, reason = WRONG[name]
    verdict = check(function, inputs, name="hostile", probes=[])
    assert verdict.outcome is Outcome.FAIL
    assert any(reason in finding.message for finding in verdict.findings)


EXPENSIVE = {
    "a very long chain": (chain(400), {"x": number(0.1)}),
    "a wide and long graph": (chain(40), {"x": torch.ones(400, dtype=torch.float64)}),
    "a large product": (lambda x: (x @ x).sum(), {"x": torch.ones(60, 60, dtype=torch.float64)}),
    "a large factorisation": (lambda x: torch.linalg.det(x), {"x": torch.eye(70, dtype=torch.float64) + 0.01}),
    "more entries than are allowed": (lambda x: x.expand(3_000_000) * x, {"x": number(1.0)}),
}


@pytest.mark.parametrize("name", EXPENSIVE)
def test_expensive_graphs_end_within_their_budget(name, flat_of):
    """A graph that costs too much must be answered within the budget's operations, or refused with the reason."""
    function, inputs = EXPENSIVE[name]
    flat = flat_of(function, **inputs)
    ones = torch.ones(1, flat.outputs(flat.x).numel(), dtype=torch.float64)
    found, reason = answer(ball_estimates, flat, ones, budget=SMALL)
    assert "more than" in reason or all(bool(estimate.bar.isfinite().all()) for estimate in found)


EXPONENTS = {
    "a huge power": lambda x: x**1e300,
    "a huge integer power": lambda x: x**1000000007,
    "a huge negative power": lambda x: x ** (-1e300),
    "a power of itself": lambda x: x**x,
    "an exponent of an exponent": lambda x: 2.0 ** (2.0 ** (2.0**x)),
    "a gamma of an exponential": lambda x: torch.lgamma(torch.exp(x)),
    "a sine of an exponential": lambda x: torch.sin(torch.exp(x)),
    "a floor of an exponential": lambda x: torch.floor(torch.exp(x)) * x,
    "digamma": torch.digamma,
    "Bessel": torch.special.bessel_j0,
    "a remainder": lambda x: torch.remainder(x, 1e-300),
    "a long product": lambda x: x.expand(50).prod(),
}
NUMBERS = [1e308, -1e308, 5e-324, -0.0, 1.0, 700.5, -1e15 - 0.5, math.nan, math.inf]


@pytest.mark.parametrize("name", EXPONENTS)
def test_huge_exponents_end_within_their_budget(name, flat_of):
    """First and second order must end in an estimate with bars, or in a reason, at numbers of any size."""
    for value in NUMBERS:
        flat = flat_of(EXPONENTS[name], x=number(value))
        for found, reason in (
            answer(ball_estimates, flat, ONE, budget=SMALL),
            answer(ball_hessian_products, flat, ONE[0], ONE, budget=SMALL),
        ):
            assert reason or all(bool((estimate.bar >= 0).all()) for estimate in found)
