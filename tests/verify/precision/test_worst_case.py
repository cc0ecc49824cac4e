"""Rounding bars: which of worst case and Monte Carlo arithmetic is taken, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from harness.case.subject import Input, Point, Subject
from harness.oracle.flat import FlatSubject
from harness.verify.precision.worst_case import Bars, sharpened
from harness.verify.routes import reverse

MONTE_CARLO = "rounding of float32: Monte Carlo arithmetic, 8 samples × 8"


def bars(
    function: Callable[[Tensor], Tensor], x: Tensor, monte_carlo: float, dtype: torch.dtype = torch.float32
) -> Bars:
    """The bars of a function of one tensor, where Monte Carlo arithmetic gives one number for all."""
    subject = Subject(name="f", inputs={"x": Input(shape=tuple(x.shape))}, function=lambda t: (function(t["x"]),))
    flat = FlatSubject(subject, Point(name="p", values={"x": x}, sizes={}, seed=0))
    ones = torch.ones(1, flat.outputs(flat.x).numel(), dtype=torch.float64)
    given = {"value_bar": torch.full((ones.shape[1],), monte_carlo), "bar": torch.full((1, flat.size), monte_carlo)}
    return sharpened(flat, ones, dtype, reverse(flat, ones), required=1e-2, **given)


X = torch.tensor([1.0, -2.0], dtype=torch.float64)


def test_the_worst_case_is_taken_where_it_is_smaller() -> None:
    """A wide estimate must give way to the bound, and the origin must name the dtype's bits."""
    found = bars(torch.exp, X, 1e-3)
    assert float(found.gradient.max()) < 1e-5
    assert found.origin == found.value_origin == "rounding of float32: worst case in balls at 24 bits"


def test_a_smaller_estimate_stays() -> None:
    """A bound above the estimate must change nothing, and be mentioned."""
    found = bars(torch.exp, X, 1e-12)
    assert bool((found.gradient == torch.tensor(1e-12)).all())
    assert found.origin == f"{MONTE_CARLO} (the worst case in balls is wider)"


def test_of_two_entries_each_has_its_smaller_bar() -> None:
    """Where the bound is sharper at some entries only, each must have the smaller bar and the origin name both."""
    found = bars(lambda x: x * x, torch.tensor([1e-6, 1e3], dtype=torch.float32).double(), 1e-6)
    assert float(found.gradient[0, 0]) < 1e-11
    assert float(found.gradient[0, 1]) <= 1e-6 * (1 + 1e-6)
    assert found.origin.endswith(
        "worst case in balls at 24 bits, or Monte Carlo arithmetic, 8 samples × 8, whichever is smaller"
    )


def test_a_bound_too_wide_says_so() -> None:
    """A bound that could not have seen a fault must leave the estimate, and the origin must say why."""
    wide = torch.linspace(1, 2, 8, dtype=torch.float64).to(torch.bfloat16).double()
    found = bars(lambda x: ((x - x.mean()) ** 3).sum(), wide, 1e-4, torch.bfloat16)
    assert found.origin.endswith("(the worst case in balls is too wide to be of use)")
    assert bool((found.gradient == torch.tensor(1e-4)).all())


def test_what_has_no_model_keeps_its_estimate() -> None:
    """An operator outside the model must leave Monte Carlo arithmetic alone, without a word."""
    found = bars(torch.lgamma, X.abs() + 0.5, 1e-4)
    assert found.origin == MONTE_CARLO
    assert bool((found.value == torch.tensor(1e-4)).all())
