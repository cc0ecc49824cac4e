"""The interval of an observed rate: narrow where errors are a geometric sequence, wide where they hang together."""

from __future__ import annotations

import math

import numpy as np

from harness.converge.regression import fit_rate


def test_a_geometric_sequence_has_a_narrow_interval() -> None:
    """Errors ρᵏ leave nothing but rounding."""
    fit = fit_rate([3 * 0.9**k for k in range(100)])
    assert fit is not None
    assert fit.low <= fit.rate <= fit.high
    assert fit.high - fit.low < 1e-9


def test_an_oscillation_has_a_wide_interval_with_the_rate_in_it() -> None:
    """The staircase an oscillation leaves is no independent noise, and the interval knows it."""
    fit = fit_rate([0.9**k * abs(math.cos(0.3 * k)) for k in range(200)])
    assert fit is not None
    assert fit.low < 0.9 < fit.high
    assert fit.high - fit.low > 1e-4


def test_a_slower_part_still_to_come_widens_the_interval() -> None:
    """Two rates at once leave residuals that hang together: the interval is wider than that of either alone."""
    mixed = fit_rate([0.8**k + 0.02 * 0.95**k for k in range(60)])
    assert mixed is not None
    assert mixed.high - mixed.low > 1e-3


def test_correlated_noise_is_covered() -> None:
    """Of 200 sequences with AR(1) noise in their logarithm the interval covers the rate of nearly all.

    The error's upper envelope is fitted, and an AR(1) of 60 steps says little of its own correlation, so that less than
    the nominal 95 % is to be expected; an interval for independent noise covers half of that.
    """
    generator = np.random.default_rng(0)
    covered = fitted = 0
    for _ in range(200):
        noise = np.zeros(120)
        for step in range(1, 120):
            noise[step] = 0.8 * noise[step - 1] + 0.05 * generator.standard_normal()
        fit = fit_rate([float(error) for error in 0.95 ** np.arange(120) * np.exp(noise)])
        if fit is not None:
            fitted += 1
            covered += fit.low <= 0.95 <= fit.high
    assert fitted > 190
    assert covered / fitted > 0.85
