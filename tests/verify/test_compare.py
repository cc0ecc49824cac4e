"""One comparison: what passes, what fails, and what says nothing."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.records import Outcome
from harness.verify.compare import Comparison, agreement, compare, detection_limit

SEEDED = settings(deadline=None, max_examples=60, derandomize=True)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False, width=32)
VECTORS = st.lists(st.tuples(NUMBERS, NUMBERS, st.floats(0, 1e3, width=32)), min_size=1, max_size=8)


def vector(*numbers: float) -> Tensor:
    """A float64 vector."""
    return torch.tensor(numbers, dtype=torch.float64)


def judge(actual: Tensor, expected: Tensor, bar: Tensor, **more: float) -> Comparison:
    """Compare with the resolution required of a float64 gradient."""
    return compare(actual, expected, bar, required=1e-4, **more)


def test_within_the_bars_passes() -> None:
    """Error ≤ bar, and a bar small enough to have seen something."""
    assert judge(vector(1, 2), vector(1, 2 + 1e-9), vector(1e-8, 1e-8)).outcome is Outcome.PASS


def test_outside_the_bars_fails() -> None:
    """Error > bar at one entry is enough."""
    assert judge(vector(1, 2), vector(1, 2.1), vector(1e-8, 1e-8)).outcome is Outcome.FAIL


def test_on_the_bar_passes() -> None:
    """The bar itself belongs to the inside."""
    assert judge(vector(1.5), vector(1.0), vector(0.5)).outcome is not Outcome.FAIL


def test_a_zero_gradient_is_vacuous() -> None:
    """Where a zero would have passed, agreement tells nothing."""
    assert judge(vector(0, 0), vector(0, 0), vector(1e-9, 1e-9)).outcome is Outcome.VACUOUS


def test_no_entries_are_vacuous() -> None:
    """An empty comparison tells nothing."""
    assert judge(vector(), vector(), vector()).outcome is Outcome.VACUOUS


def test_a_zero_with_a_scale_passes() -> None:
    """A number that may be zero passes when it is known far better than its scale."""
    assert judge(vector(0), vector(0), vector(1e-9), zero_scale=1.0).outcome is Outcome.PASS


def test_wide_bars_are_inconclusive() -> None:
    """Agreement within bars that could have hidden a fault is no pass."""
    assert judge(vector(1.0), vector(1.0), vector(0.1)).outcome is Outcome.INCONCLUSIVE


def test_an_unknown_entry_is_inconclusive() -> None:
    """An entry the oracle knows nothing about is not passed over."""
    assert judge(vector(1, 2), vector(1, 2), vector(1e-9, math.inf)).outcome is Outcome.INCONCLUSIVE


def test_a_wrong_entry_beats_an_unknown_one() -> None:
    """What is surely wrong fails, whatever else is unknown."""
    assert judge(vector(5, 2), vector(1, 2), vector(1e-9, math.inf)).outcome is Outcome.FAIL


def test_a_kink_does_not_blind() -> None:
    """Bars that span two one-sided slopes do not count as blindness of the others."""
    kink = torch.tensor([True, False])
    found = compare(vector(0.3, 2), vector(0.5, 2), vector(0.5, 1e-9), required=1e-4, kink=kink)
    assert found.outcome is Outcome.PASS


def test_beyond_the_slopes_of_a_kink_fails() -> None:
    """At a kink a number outside the one-sided slopes is wrong."""
    kink = torch.tensor([True, False])
    found = compare(vector(1.3, 2), vector(0.5, 2), vector(0.5, 1e-9), required=1e-4, kink=kink)
    assert found.outcome is Outcome.FAIL


def test_the_worst_entry_is_named() -> None:
    """The position is that of the largest error in units of its bar."""
    assert judge(vector(1, 2, 3), vector(1.1, 2.5, 3), vector(0.01, 0.4, 0.01)).position == 0


def test_the_number_of_wrong_entries() -> None:
    """How many entries fail is counted."""
    found = judge(vector(1, 2, 3), vector(1, 2.5, 4), vector(1e-9, 1e-9, 1e-9))
    assert (found.failing, found.entries) == (2, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_fails(value: float) -> None:
    """NaN and infinities are wrong where a finite number is known."""
    assert judge(vector(value, 1), vector(2, 1), vector(1e-9, 1e-9)).outcome is Outcome.FAIL


@SEEDED
@given(VECTORS, st.data())
def test_nan_never_passes(entries: list[tuple[float, float, float]], data: st.DataObject) -> None:
    """Whatever else is compared, a NaN among the subject's numbers is no pass."""
    actual, expected, bar = (list(part) for part in zip(*entries, strict=True))
    actual[data.draw(st.integers(0, len(actual) - 1))] = math.nan
    assert judge(vector(*actual), vector(*expected), vector(*bar)).outcome is not Outcome.PASS


@SEEDED
@given(VECTORS)
def test_pass_means_error_at_most_bar(entries: list[tuple[float, float, float]]) -> None:
    """A pass has no entry whose error exceeds its bar; a fail has one."""
    actual, expected, bar = (vector(*part) for part in zip(*entries, strict=True))
    found = judge(actual, expected, bar)
    within = bool(((actual - expected).abs() <= bar).all())
    assert (found.outcome is Outcome.FAIL) == (not within)


@SEEDED
@given(VECTORS, st.randoms(use_true_random=False))
def test_the_order_of_entries_does_not_matter(entries: list[tuple[float, float, float]], shuffle: object) -> None:
    """Permuting entries leaves outcome and resolution alone."""
    turned = list(entries)
    shuffle.shuffle(turned)  # type: ignore[attr-defined]
    one, two = (judge(*(vector(*part) for part in zip(*rows, strict=True))) for rows in (entries, turned))
    assert (one.outcome, one.resolution, one.failing) == (two.outcome, two.resolution, two.failing)


@SEEDED
@given(VECTORS, st.integers(-40, 40))
def test_scale_does_not_matter(entries: list[tuple[float, float, float]], exponent: int) -> None:
    """Multiplying everything by a power of two leaves outcome and resolution alone: no absolute tolerance hides."""
    parts = [vector(*part) for part in zip(*entries, strict=True)]
    one, two = judge(*parts), judge(*(part * 2.0**exponent for part in parts))
    assert (one.outcome, one.resolution) == (two.outcome, two.resolution)


@SEEDED
@given(VECTORS)
def test_comparing_an_estimate_with_itself_never_fails(entries: list[tuple[float, float, float]]) -> None:
    """Equal numbers are never wrong."""
    _, expected, bar = (vector(*part) for part in zip(*entries, strict=True))
    assert judge(expected, expected, bar).outcome is not Outcome.FAIL


def test_digits_are_norm_wise() -> None:
    """Agreement is counted in digits of the whole vector."""
    assert agreement(vector(100, 1.001), vector(100, 1)) == pytest.approx(5.0, abs=0.01)


def test_digits_need_finite_numbers() -> None:
    """There are no digits of NaN."""
    assert agreement(vector(math.nan), vector(1)) is None


def test_the_detection_limit_follows_the_bar() -> None:
    """A bar of 1e-6 sees faults of 1e-5 and no smaller power of ten."""
    assert detection_limit(vector(1), vector(1), vector(2e-6)) == pytest.approx(1e-5)


def test_blind_comparisons_have_no_detection_limit() -> None:
    """A bar wider than the number sees nothing."""
    assert detection_limit(vector(1), vector(1), vector(2)) is None


def test_infinite_numbers_within_their_bars_tell_nothing():
    """Where what is expected is infinite there is no scale, and so no resolution: that must be said, not raised."""
    infinite = torch.tensor([torch.inf], dtype=torch.float64)
    found = compare(infinite, infinite, torch.zeros(1, dtype=torch.float64), required=1e-4)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reason.endswith("any fault")
