"""Where an accelerator overtakes the CPU, from ratios made up so that the answer is known."""

import math

import pytest

from harness.bench.crossover import At, crossover, find_crossovers
from harness.bench.sizes import Sweep
from harness.bench.statistics import Interval
from harness.records import DeviceTimes, Measured, Outcome, Timing

SIZES = (100, 1_000, 10_000, 100_000)


def at(elements, ratio, half=1.1):
    """A ratio with an interval that reaches by a factor to both sides."""
    return At(elements=elements, ratio=Interval(point=ratio, low=ratio / half, high=ratio * half, samples=10))


def found(ratios, half=1.1):
    """The crossover of ratios at the sizes."""
    points = [at(size, ratio, half) for size, ratio in zip(SIZES, ratios, strict=True)]
    return crossover(points, "value", "autograd", "cuda", "device", ("n",))


def test_a_power_law_is_met_exactly():
    """A ratio of (n/3000)^-1/2 crosses 1 at 3000, whatever the sizes measured: straight in logarithms."""
    result = found([(size / 3000) ** -0.5 for size in SIZES])
    assert result.status == "crosses"
    assert result.elements == pytest.approx(3000)


def test_the_interval_is_that_of_the_ratios():
    """Where the ratio's ends cross: a factor of 1.1 in time is 1.1² in size where time's ratio falls as n^-1/2."""
    result = found([(size / 3000) ** -0.5 for size in SIZES])
    assert result.low == pytest.approx(3000 / 1.1**2)
    assert result.high == pytest.approx(3000 * 1.1**2)
    assert result.low < result.elements < result.high


def test_the_sentence_gives_three_digits():
    """What people read: size, interval, and which time."""
    assert found([(size / 3000) ** -0.5 for size in SIZES]).message == (
        "by device time cuda overtakes the CPU at about 3,000 elements (between 2,480 and 3,630)"
    )


def test_always_and_never_are_about_the_sizes_measured():
    """Faster at every size, or slower at every size; no size is made up beyond them."""
    always, never = found([0.5, 0.4, 0.3, 0.2]), found([4.0, 3.0, 3.0, 2.0])
    assert (always.status, never.status) == ("always", "never")
    assert always.elements is always.low is never.elements is None
    assert (never.smallest, never.largest) == (100, 100_000)
    assert (
        never.message
        == "by device time cuda is slower than the CPU at all sizes measured, from 100 to 100,000 elements"
    )
    assert "at all sizes measured" in always.message


def test_a_tie_at_the_largest_size_is_not_told():
    """Where the last interval holds 1, nothing is claimed."""
    result = found([4.0, 3.0, 2.0, 1.02])
    assert (result.status, result.elements) == ("inconclusive", None)
    assert "cannot be told" in result.message


def test_wide_intervals_are_inconclusive():
    """The same ratios with intervals of a factor of 100 decide nothing."""
    assert found([4.0, 2.0, 0.5, 0.2], half=100.0).status == "inconclusive"


def test_faster_only_in_the_middle_is_mixed():
    """An accelerator that falls behind again at the largest size has not overtaken."""
    result = found([4.0, 0.5, 0.5, 2.0])
    assert (result.status, result.elements) == ("mixed", None)


def test_the_last_of_several_crossings_counts():
    """Faster, slower, faster for good: the size from which it stays faster."""
    result = found([0.5, 2.0, 2.0, 0.5])
    assert result.elements == pytest.approx(math.sqrt(10_000 * 100_000))


def test_a_crossing_below_the_smallest_size():
    """Probably faster at the smallest size, certainly later: at or below where it is certain."""
    result = found([0.95, 0.8, 0.5, 0.2])
    assert (result.status, result.elements, result.low) == ("crosses", None, None)
    assert 100 < result.high < 1000
    assert "at or below" in result.message
    begins = found([1.05, 0.5, 0.3, 0.2])
    assert begins.low is None and "between below 100 and" in begins.message


def test_order_of_points_does_not_matter():
    """Sizes are sorted."""
    points = [at(size, (size / 3000) ** -0.5) for size in reversed(SIZES)]
    assert crossover(points, "value", "autograd", "cuda", "device").elements == pytest.approx(3000)


def timing(device, size, time_s, *, end_to_end_s=None, throttled=0, what="value"):
    """A timing of eight samples around a time."""
    samples = tuple(time_s * (1 + step * 1e-3) for step in range(-4, 4))
    whole = None
    if end_to_end_s is not None:
        whole = Measured(median_s=end_to_end_s, samples=tuple(end_to_end_s for _ in range(8)))
    on_device = DeviceTimes(end_to_end=whole, throttled=throttled) if device != "cpu" else None
    return Timing(
        outcome=Outcome.PASS, message="", what=what, variant="autograd", device=device, dtype="float32",
        sizes=(("n", size),), elements=size, samples=samples, on_device=on_device,
    )  # fmt: skip


SWEEP = Sweep(over=("n",), sizes=tuple({"n": size} for size in SIZES))


def timings(**changes):
    """The CPU takes 10 ns per element, the accelerator 10 µs of its own time and 100 µs end to end, at any size."""
    on_cpu = [timing("cpu", size, 1e-8 * size) for size in SIZES]
    return on_cpu + [timing("cuda", size, 1e-5, end_to_end_s=1e-4, **changes) for size in SIZES]


def test_device_and_end_to_end_time_cross_apart():
    """What the device needs and what one waits for it are two sizes."""
    results = find_crossovers(timings(), (SWEEP,))
    assert [(result.by, result.over) for result in results] == [("device", ("n",)), ("end to end", ("n",))]
    assert [result.elements for result in results] == pytest.approx([1_000, 10_000], rel=1e-2)


def test_throttled_timings_take_no_part():
    """A throttled row decides nothing."""
    assert find_crossovers(timings(throttled=1), (SWEEP,)) == ()


def test_one_size_in_common_is_no_sweep():
    """Without two sizes on both devices there is nothing to interpolate."""
    rows = timings()
    assert find_crossovers(rows[:4] + rows[4:5], (SWEEP,)) == ()
    assert find_crossovers(rows, (Sweep(over=(), sizes=({"n": 100},)),)) == ()


def test_without_an_accelerator_there_is_none():
    """CPU timings alone give no crossover."""
    assert find_crossovers(timings()[:4], (SWEEP,)) == ()


def test_transfers_have_no_counterpart():
    """What only an accelerator has is compared with nothing."""
    rows = timings()[:4] + [timing("cuda", size, 1e-5, what="host_to_device") for size in SIZES]
    assert find_crossovers(rows, (SWEEP,)) == ()


def test_too_few_samples_are_no_point():
    """Sizes whose ratio has no interval are left out."""
    from dataclasses import replace

    rows = [replace(row, samples=row.samples[:2]) for row in timings()]
    assert find_crossovers(rows, (SWEEP,)) == ()


def test_a_time_of_zero_is_no_point():
    """A size at which the events told no time apart from none is left out, and the others stay."""
    from dataclasses import replace

    rows = timings()
    rows[4] = replace(rows[4], samples=(0.0,) * 8)
    result = find_crossovers(rows, (SWEEP,))[0]
    assert (result.smallest, result.largest) == (1_000, 100_000)
