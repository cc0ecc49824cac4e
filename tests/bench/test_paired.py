"""The median of a correlated series with its interval, and the reasons not to judge by one."""

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from harness.bench.paired import block_length, correlation, drifts, median_of_ratios, modes_apart

MATTERS = 0.03


def correlated(rng, rho, count):
    """A first-order autoregression of unit variance."""
    shocks = rng.normal(size=count + 30)
    return lfilter([math.sqrt(1.0 - rho**2)], [1.0, -rho], shocks)[30:]


@pytest.mark.parametrize(("rho", "least"), [(0.0, 0.83), (0.3, 0.79), (0.6, 0.7)])
def test_intervals_cover_the_median(rho, least):
    """Nominal 90 % intervals hold the true median nearly as often as that, and not much less often where it is hard."""
    rng = np.random.default_rng(7)
    ends = [median_of_ratios(correlated(rng, rho, 60), 0.9) for _ in range(200)]
    assert least <= np.mean([each.low <= 0.0 <= each.high for each in ends]) <= 0.96


def test_blocks_are_needed():
    """Resampling single samples of a correlated series would give intervals that are far too narrow."""
    rng = np.random.default_rng(8)
    series = [correlated(rng, 0.6, 60) for _ in range(100)]
    shuffled = [rng.permutation(each) for each in series]
    with_order, without = (
        np.mean([end.high - end.low for end in (median_of_ratios(each, 0.9) for each in some)])
        for some in (series, shuffled)
    )
    assert with_order > 1.3 * without


def test_the_interval_holds_its_point():
    """The median lies in its interval, which shrinks as samples are added."""
    rng = np.random.default_rng(9)
    few, many = (median_of_ratios(rng.normal(size=count), 0.9) for count in (10, 500))
    assert few.low <= few.point <= few.high
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_few_numbers_have_an_interval_all_the_same(count):
    """Nothing breaks where blocks cannot be shorter than the series."""
    ends = median_of_ratios(np.arange(float(count)), 0.9)
    assert ends.low <= ends.point <= ends.high


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.85])
def test_the_correlation_by_signs(rho):
    """A long series gives its correlation back, outliers or not."""
    rng = np.random.default_rng(10)
    series = correlated(rng, rho, 20_000)
    assert correlation(series) == pytest.approx(rho, abs=0.03)
    series[::50] += 1000.0
    assert correlation(series) == pytest.approx(rho, abs=0.05)


def test_blocks_grow_with_the_correlation_and_the_length():
    """Weakly correlated series are cut at n^⅓, strongly correlated ones at more, none above a quarter."""
    rng = np.random.default_rng(11)
    weak, strong = correlated(rng, 0.0, 1000), correlated(rng, 0.8, 1000)
    assert block_length(weak) == 10
    assert 20 < block_length(strong) < 60
    assert block_length(strong[:20]) <= 5
    assert block_length(np.ones(40)) == 3


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_noise_has_no_trend(rho):
    """Correlated noise wanders, and is not taken for a drift."""
    rng = np.random.default_rng(12)
    assert np.mean([drifts(0.05 * correlated(rng, rho, 40), MATTERS) for _ in range(200)]) <= 0.04


def test_a_trend_is_seen():
    """A drift of 10 % in noise of 2 % is seen; one of 2 % is left alone, however clear."""
    rng = np.random.default_rng(13)
    ramp, noise = np.linspace(0.0, 1.0, 40), rng.normal(0.0, 1.0, 40)
    assert drifts(0.1 * ramp + 0.02 * noise, MATTERS)
    assert not drifts(0.02 * ramp + 0.0005 * noise, MATTERS)
    assert not drifts(0.1 * ramp[:10], MATTERS)


@pytest.mark.parametrize(
    ("draw", "count"), [("standard_normal", 20), ("standard_normal", 60), ("random", 40), ("standard_cauchy", 20)]
)
def test_one_speed_is_not_two(draw, count):
    """Normal, flat and heavy-tailed series hardly ever fall into two groups."""
    rng = np.random.default_rng(14)
    assert np.mean([modes_apart(getattr(rng, draw)(size=count)) > 0.0 for _ in range(400)]) <= 0.03


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_two_speeds_are_seen(share):
    """Two groups 10 % apart are found at any share of a quarter or more, and their distance is told."""
    rng = np.random.default_rng(15)
    values = np.where(np.arange(40) < 40 * share, 0.1, 0.0) + rng.normal(0.0, 0.008, 40)
    assert modes_apart(values) == pytest.approx(0.1, abs=0.01)


def test_a_few_outliers_are_no_second_speed():
    """Six of forty samples far off are outliers: the median bears them."""
    rng = np.random.default_rng(16)
    assert modes_apart(np.where(np.arange(40) < 6, 0.5, 0.0) + rng.normal(0.0, 0.01, 40)) == 0.0
