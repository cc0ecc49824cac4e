"""Steps by theory beside steps taken, and the word where they do not agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.converge.bounds import iteration_bound
from harness.records import Outcome

SCALAR = {"x": {"shape": []}}
PLANE = {"x": {"shape": [2]}}


def test_the_bound_is_a_quotient_of_logarithms() -> None:
    """From 1 to 1e-3 at a rate of 0.1 it takes 3 steps."""
    bound = iteration_bound(1.0, 1.0001e-3, 0.1)
    assert bound is not None
    assert (bound.rate, bound.exact, bound.most) == (3, None, None)


@pytest.mark.parametrize(
    ("first", "within", "rate"), [(1.0, 2.0, 0.5), (1.0, 0.1, 1.0), (1.0, 0.1, 0.0), (0.0, 0.1, 0.5)]
)
def test_no_bound_where_there_is_none(first: float, within: float, rate: float) -> None:
    """A start within the tolerance, or a rate that does not shrink, has no bound."""
    assert iteration_bound(first, within, rate) is None


def test_the_transient_is_what_the_recurrence_takes_longer() -> None:
    """A recurrence that first stands still has a transient, and only beyond both there is a word."""
    bound = iteration_bound(1.0, 0.3, 0.5, [1.0, 1.0, 1.0, 0.5, 0.25])
    assert bound is not None
    assert (bound.rate, bound.exact, bound.transient) == (2, 4, 2)
    assert bound.excess_words(7, 7) == ""
    assert bound.excess_words(8, 8).startswith("it took 8 steps, theory allows 2")
    assert bound.excess_words(None, 8).startswith("it had not arrived after 8 steps")
    assert bound.excess_words(None, 3) == ""


@pytest.mark.parametrize(
    "options", [{"lr": 0.1}, {"lr": 0.1, "momentum": 0.8}, {"lr": 0.1, "momentum": 0.8, "nesterov": True}]
)
def test_right_descents_keep_to_theory(one: Callable, options: dict) -> None:
    """GD, momentum and Nesterov on a quadratic take the recurrence's steps, and nothing is said against them."""
    entry = {"options": options, "start": {"x": [1.0, -2.0]}, "minimum": {"x": [0.0, 0.0]}, "steps": 2000}
    record = one("x[0]**2 + 0.1*x[1]**2", PLANE, **entry)
    assert record.outcome is Outcome.PASS
    assert record.steps_to_tolerance == record.exact_steps
    assert f"theory: about {record.iteration_bound} steps" in record.message
    assert "theory allows" not in record.message


def test_a_weaker_gradient_takes_longer_than_theory_allows(one: Callable) -> None:
    """A gradient of half its size arrives all the same; the message says that it is too slow."""
    entry = {"optimizer": "GD", "options": {"lr": 0.1}, "start": {"x": 1}, "minimum": {"x": 0}, "gradient": "analytic"}
    record = one("x**2", SCALAR, **entry, analytic={"x": "x"})
    assert record.outcome is Outcome.PASS
    assert "theory allows 62 at this rate and 0 of transient" in record.message
    assert record.steps_to_tolerance > record.iteration_bound
