"""Statistics of timings on data whose answer is known."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.statistics import (
    enough_samples,
    growth_exponent,
    is_steady,
    median_interval,
    paired_ratio,
    unpaired_ratio,
)


def test_the_median_of_six():
    """Six samples are the fewest for 95 %: the interval is their range, which covers the median with 1 − 2⁻⁵."""
    estimate = median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    assert (estimate.point, estimate.low, estimate.high, estimate.confidence) == (3.5, 1.0, 6.0, 0.96875)


def test_the_median_of_twenty_against_tables():
    """For n = 20 the 6th and 15th order statistics cover the median with 95.86 % (binomial tables)."""
    estimate = median_interval([float(number) for number in range(1, 21)])
    assert (estimate.low, estimate.high) == (6.0, 15.0)
    assert estimate.confidence == pytest.approx(0.9586, abs=1e-4)


def test_five_samples_have_no_interval():
    """Where even the range covers the median too rarely, there is no interval at all."""
    assert not median_interval([1.0, 2.0, 3.0, 4.0, 5.0]).known


def test_no_sample_is_misuse():
    """There is no median of nothing."""
    with pytest.raises(ValueError, match="samples=\\(\\)"):
        median_interval([])


@pytest.mark.parametrize("count", [7, 20, 60])
def test_intervals_cover_the_median_as_often_as_they_say(count):
    """On skewed data (log-normal, as timings are) intervals hold the true median as often as stated."""
    rng = np.random.default_rng(count)
    estimates = [median_interval(rng.lognormal(sigma=1.0, size=count)) for _ in range(500)]
    covered = sum(not estimate.excludes(1.0) for estimate in estimates) / 500
    assert covered == pytest.approx(estimates[0].confidence, abs=0.025)


@given(st.lists(st.floats(min_value=1e-9, max_value=1e3), min_size=1, max_size=80))
def test_the_interval_holds_its_point(samples):
    """Whatever the samples, the median lies in its interval, and the interval reaches the confidence asked for."""
    estimate = median_interval(samples)
    assert estimate.point == statistics.median(samples)
    if estimate.low is not None and estimate.high is not None and estimate.confidence is not None:
        assert estimate.low <= estimate.point <= estimate.high
        assert estimate.confidence >= 0.95


@given(st.integers(min_value=0, max_value=200))
def test_enough_is_when_there_is_an_interval(count):
    """The check and the interval agree about how many samples are enough."""
    known = count > 0 and median_interval([1.0] * count).known
    assert enough_samples(count) == known


def test_one_timing_against_one_timing_decides_nothing():
    """A ratio of two single timings has no interval, however far apart they are."""
    ratio = paired_ratio([2.0], [1.0])
    assert (ratio.point, ratio.known, ratio.excludes(1.0)) == (2.0, False, False)


def test_a_clear_ratio_is_seen():
    """A true factor of 1.5 under 20 % common drift is found, and one is outside its interval."""
    rng = np.random.default_rng(1)
    drift = 1.0 + 0.2 * np.arange(30) / 30
    base = drift * rng.normal(1.0, 0.01, 30)
    slower = 1.5 * drift * rng.normal(1.0, 0.01, 30)
    ratio = paired_ratio(slower, base)
    assert ratio.point == pytest.approx(1.5, rel=0.01)
    assert ratio.excludes(1.0)


def test_equal_timings_are_not_told_apart():
    """Two samples of the same distribution keep one inside the interval."""
    rng = np.random.default_rng(2)
    assert not paired_ratio(rng.lognormal(size=40), rng.lognormal(size=40)).excludes(1.0)


def test_pairs_are_cut_to_the_shorter():
    """Rounds in which only one was sampled take no part."""
    assert paired_ratio([2.0] * 10 + [9.0] * 5, [1.0] * 10).samples == 10


def test_an_unpaired_ratio_holds_the_truth():
    """Timings that were not taken together still have a ratio, with a wider interval."""
    rng = np.random.default_rng(3)
    ratio = unpaired_ratio(rng.normal(3.0, 0.05, 40), rng.normal(1.0, 0.05, 60))
    assert ratio.excludes(1.0)
    assert not ratio.excludes(3.0)


def test_an_unpaired_ratio_of_few_has_no_interval():
    """Few samples on one side are too few."""
    assert not unpaired_ratio([1.0] * 50, [1.0] * 3).known


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5, 2.0])
def test_the_exponent_of_a_power_law(power):
    """Exact powers are fitted exactly."""
    sizes = [10, 100, 1000, 10_000]
    fit = growth_exponent(sizes, [1e-6 * size**power for size in sizes])
    assert fit.point == pytest.approx(power, abs=1e-12)
    assert fit.low <= fit.point <= fit.high


def test_overhead_is_left_out():
    """A constant that dominates the small sizes does not pull the exponent down."""
    sizes = [10, 100, 1000, 10**5, 10**6, 10**7]
    fit = growth_exponent(sizes, [1e-5 + 1e-9 * size for size in sizes])
    assert fit.point == pytest.approx(1.0, abs=0.06)
    assert fit.samples < len(sizes)


def test_bending_shows_as_a_wide_interval():
    """Where overhead cannot be left out for lack of sizes, the interval says that the exponent is not known."""
    sizes = [100, 10_000, 1_000_000]
    fit = growth_exponent(sizes, [1e-5 + 1e-9 * size for size in sizes])
    assert fit.high - fit.low > 1.0


@pytest.mark.parametrize("sizes", [[10, 100], [10, 10, 100], [0, 10, 100]])
def test_two_sizes_have_no_exponent(sizes):
    """Fewer than three different sizes give none, because they say nothing about its error."""
    assert growth_exponent(sizes, [1e-6 * (size + 1) for size in sizes]) is None


def test_the_exponents_interval_covers_the_truth():
    """With 5 % noise, the 95 % interval holds the true exponent about that often."""
    rng = np.random.default_rng(4)
    sizes = [10.0**power for power in range(3, 8)]
    fits = [growth_exponent(sizes, [size * math.exp(rng.normal(0, 0.05)) for size in sizes]) for _ in range(400)]
    covered = sum(not fit.excludes(1.0) for fit in fits) / 400
    assert covered == pytest.approx(0.95, abs=0.03)


def test_steady_and_not():
    """Windows that agree are steady; windows 5 % apart, or too few samples, are not."""
    assert is_steady([9.0, 9.0, 1.0, 1.0, 1.0, 1.005, 1.0, 1.0], 3, 0.01)
    assert not is_steady([1.0, 1.0, 1.0, 1.05, 1.05, 1.05], 3, 0.01)
    assert not is_steady([1.0] * 5, 3, 0.01)
