"""On a machine with a GPU: that device times are those of a plain loop between two events."""

import statistics

import pytest
import torch

from harness.bench.clocks import clock_for

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA is not available"),
]

BLOCKS = 15
CALLS = 20


@pytest.fixture
def clock():
    """The clock of the first CUDA device."""
    return clock_for("cuda")


def plain_s(call):
    """Time calls as one would by hand: warm up, event, calls, event, wait; the median of some blocks."""
    for _ in range(CALLS):
        call()
    torch.cuda.synchronize()
    times = []
    for _ in range(BLOCKS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(CALLS):
            call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e-3 / CALLS)
    return statistics.median(times)


def product(size):
    """A product that keeps the device busy for much longer than its launch takes."""
    matrix = torch.ones(size, size, device="cuda")
    return lambda: matrix @ matrix


@pytest.mark.parametrize("size", [2048, 4096])
def test_device_time_is_that_of_a_plain_loop(clock, size):
    """For calls that are long against their launch both ways agree within 5 %."""
    call = product(size)
    plain_s(call)
    ours = statistics.median(clock.block(call, CALLS).time_s / CALLS for _ in range(BLOCKS))
    assert ours == pytest.approx(plain_s(call), rel=0.05)


def test_short_calls_are_not_timed_by_their_launches(clock):
    """For calls shorter than their launch, device time is no longer than the plain loop's, and launches are hidden."""
    values = torch.ones(1000, device="cuda")

    def call():
        return values + 1

    blocks = [clock.block(call, 100) for _ in range(BLOCKS)]
    assert blocks[-1].observed.launch_hidden
    assert statistics.median(block.time_s / 100 for block in blocks) <= 1.05 * plain_s(call)


def test_a_call_that_reads_back_is_seen_not_to_be_hidden(clock):
    """A call that waits for its own result cannot be queued ahead."""
    values = torch.ones(1000, device="cuda")
    blocks = [clock.block(lambda: values.sum().item(), 10) for _ in range(BLOCKS)]
    assert not blocks[-1].observed.launch_hidden


def test_cold_calls_take_no_less_than_hot_ones(clock):
    """Inputs that have to come from memory take longer than those the L2 cache still holds, or as long."""
    values = torch.ones(1_000_000, device="cuda")

    def call():
        return values + 1

    hot = statistics.median(clock.block(call, CALLS).time_s / CALLS for _ in range(BLOCKS))
    assert statistics.median(clock.cold_s(call, 30)) >= 0.95 * hot


def test_host_time_is_within_the_round_trip(clock):
    """A call has returned before the device has finished it."""
    trips = [clock.round_trip(product(2048)) for _ in range(BLOCKS)]
    assert all(0 < host <= whole for host, whole in trips)


def test_the_state_is_known_or_has_a_reason(clock):
    """Clocks are numbers, or it is said why not."""
    state = clock.accelerator.state()
    assert state.missing is not None or state.clock_mhz > 0
