"""Bounds of rounding errors hold, and say so where they cannot."""

from __future__ import annotations

import numpy as np
import pytest

from harness.optimizers.bounded import Bounded, UndecidedError, UnknownRoundingError, bounded


def _formula(x, y):
    return np.sqrt(x * x + y**2) / (np.abs(x) + 0.3) - np.exp(-y) * np.maximum(x, y) + np.mean(x) * np.tanh(y)


@pytest.mark.parametrize("seed", range(5))
def test_float64_stays_within_the_bound(seed):
    """A formula evaluated in float64 is no further from the extended evaluation than its bar, which is not wide."""
    noise = np.random.default_rng(seed)
    x, y = noise.standard_normal((2, 50))
    exact = _formula(bounded(x), bounded(y))
    error = np.abs(_formula(x, y) - exact.value)
    assert (error <= exact.bar).all()
    assert (exact.bar <= 1e-13 * (1 + np.abs(exact.value))).all()


def test_cancellation_widens_the_bound():
    """What cancels is known as badly as its operands."""
    one = bounded(np.asarray([1.0])) / 3.0
    assert (one - 1.0 / 3.0 * np.ones(1)).bar[0] > 1e-17


def test_bounds_scale_with_the_unit():
    """In float32 the same formula is bounded 2²⁹ times wider."""
    x = np.asarray([0.7, 1.3])
    wide, narrow = Bounded(x, 0.0, 2.0**-24) * 3.1, Bounded(x, 0.0) * 3.1
    assert np.allclose(wide.bar / narrow.bar, 2.0**29)


def test_a_branch_that_rounding_decides_is_refused():
    """Comparisons and signs within the error raise; those outside do not."""
    value = bounded(np.asarray([0.1])) * 3.0
    with pytest.raises(UndecidedError):
        _ = value > 0.3
    with pytest.raises(UndecidedError):
        np.sign(value - 0.3)
    assert (value > 0.2).all()
    assert np.sign(value).value[0] == 1.0


def test_functions_without_a_rule_are_named():
    """Nothing is bounded by guessing."""
    with pytest.raises(UnknownRoundingError, match="arctan"):
        np.arctan(bounded(np.ones(2)))
    with pytest.raises(UnknownRoundingError, match="sort"):
        np.sort(bounded(np.ones(2)))


def test_root_of_zero_is_known():
    """√0 of an exact zero has no error, that of an uncertain zero the root of its error."""
    roots = np.sqrt(Bounded(np.zeros(2), np.asarray([0.0, 1e-20])))
    assert roots.bar[0] == 0.0
    assert 1e-10 < roots.bar[1] < 1e-9
