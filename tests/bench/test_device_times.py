"""Timings that something is decided by: none from a throttled device."""

import pytest

from harness.bench.cuda_clock import CudaClock
from harness.bench.device_times import unthrottled_s
from harness.bench.sampling import Work
from harness.errors import UsageError
from harness.records import DeviceState


def timed_s(make_fake_cuda, *throttling):
    """Time ten calls of 1 ms on a device in some state."""
    cuda = make_fake_cuda(states=(DeviceState(throttling=throttling),))
    return unthrottled_s(Work(call=cuda.kernel(1e-3)), CudaClock(cuda), 10)


def test_a_device_at_its_clocks_gives_a_time(make_fake_cuda):
    """Without throttling the time is the block's."""
    assert timed_s(make_fake_cuda) == pytest.approx(1e-2)


def test_a_throttled_device_gives_none(make_fake_cuda):
    """With it there is no time, and the reasons are named."""
    with pytest.raises(UsageError, match=r"throttled while it was sampled \(power cap, power brake\)"):
        timed_s(make_fake_cuda, "power cap", "power brake")


def test_a_cpu_tells_nothing_and_gives_a_time(fake_clock):
    """A clock that tells nothing of its device is taken at its word."""
    assert unthrottled_s(Work(call=lambda: fake_clock.spend(1.0)), fake_clock, 3) == 3.0
