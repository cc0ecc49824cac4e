"""The device's clock on a fake device: what is in its times, what is kept out of them, and what it says of itself."""

import math

import pytest
import torch

from harness.bench.cuda_clock import COLD_CALLS, MOST_CALLS, CudaClock, OddTimeError
from harness.records import DeviceState

US = 1e-6


@pytest.fixture
def cuda(make_fake_cuda):
    """A device that needs 5 µs of host time per launch."""
    return make_fake_cuda()


def settled(clock, call, calls, blocks=12):
    """Time a few blocks, as calibration and warm-up do, and return the last."""
    return [clock.block(call, calls) for _ in range(blocks)][-1]


def test_launch_latency_is_kept_out(cuda):
    """Calls of 1 µs that take 5 µs to launch are timed as 1 µs each, from the first block on."""
    block = CudaClock(cuda).block(call := cuda.kernel(1 * US), 100)
    assert block.time_s == pytest.approx(100 * US)
    assert block.observed.launch_hidden
    assert call is not None


def test_without_sleep_the_latency_is_in_the_time_and_said(make_fake_cuda):
    """Where the device cannot be put to sleep, small calls take as long as the host launches them, and it is said."""
    cuda = make_fake_cuda(can_sleep=False)
    block = settled(CudaClock(cuda), cuda.kernel(1 * US), 100)
    assert block.time_s == pytest.approx(100 * 5 * US, rel=0.05)
    assert not block.observed.launch_hidden


def test_large_calls_are_timed_alike_either_way(make_fake_cuda):
    """Where a call keeps the device busy for longer than its launch, latency is out of the time but for the first."""
    for can_sleep in (True, False):
        cuda = make_fake_cuda(can_sleep=can_sleep)
        time_s = settled(CudaClock(cuda), cuda.kernel(1e-3), 10).time_s
        assert time_s == pytest.approx(10e-3, rel=1e-3)


def test_one_wait_at_the_end_of_a_block(cuda):
    """Nothing waits between the calls: sleep, event, calls, event, and one synchronisation on the last."""
    clock, call = CudaClock(cuda), cuda.kernel(1 * US)
    clock.block(call, 1)
    cuda.log.clear()
    clock.block(call, 3)
    assert cuda.log == ["sleep", "record", "launch", "launch", "launch", "record", "synchronize"]


def test_more_calls_than_are_queued_at_once_are_timed_in_parts(cuda):
    """All calls are made, in parts that fit, and the parts' times add up to theirs without the sleeps between."""
    clock, call = CudaClock(cuda), cuda.kernel(1 * US)
    clock.block(call, 1)
    cuda.log.clear()
    block = clock.block(call, 2 * MOST_CALLS + 10)
    assert block.time_s == pytest.approx((2 * MOST_CALLS + 10) * US)
    assert cuda.log.count("launch") == 2 * MOST_CALLS + 10
    assert cuda.log.count("sleep") == cuda.log.count("synchronize") == 3


def test_calls_of_many_kernels_are_queued_in_smaller_parts(cuda):
    """Where the queue is full before all calls are in it, fewer are put in it, until their launches are hidden."""
    call = cuda.kernel(1 * US, kernels=20)
    clock = CudaClock(cuda)
    assert not clock.block(call, 200).observed.launch_hidden
    block = settled(clock, call, 200)
    assert block.observed.launch_hidden
    assert block.time_s == pytest.approx(200 * 20 * US)


def test_a_call_that_fills_the_queue_alone_is_said_not_to_be_hidden(cuda):
    """A call of more kernels than the queue holds cannot be hidden; it is timed all the same, without a sleep."""
    clock, call = CudaClock(cuda), cuda.kernel(1 * US, kernels=3000)
    block = settled(clock, call, 1)
    assert not block.observed.launch_hidden
    cuda.log.clear()
    assert clock.block(call, 1).time_s == pytest.approx(3000 * 5 * US, rel=0.01)
    assert "sleep" not in cuda.log


def test_a_call_that_waits_for_the_device_is_said_not_to_be_hidden(cuda):
    """A call that reads a result back waits for the sleep too; after a few tries it is timed without."""
    clock, call = CudaClock(cuda), cuda.kernel(20 * US, waits=True)
    block = settled(clock, call, 4)
    assert not block.observed.launch_hidden
    assert block.time_s == pytest.approx(4 * 25 * US, rel=0.05)


def test_a_host_that_was_held_up_once_changes_nothing(cuda):
    """One block whose launches took a hundred times as long is not hidden; the next one is again."""
    clock, call = CudaClock(cuda), cuda.kernel(1 * US)
    clock.block(call, 50)
    cuda.launch_s = 500 * US
    assert not clock.block(call, 50).observed.launch_hidden
    cuda.launch_s = 5 * US
    assert clock.block(call, 50).observed.launch_hidden
    assert clock.block(call, 50).time_s == pytest.approx(50 * US)


def test_every_call_has_a_queueing_of_its_own(cuda):
    """What was learnt of a call that waits does not hold for another one."""
    clock = CudaClock(cuda)
    settled(clock, waiting := cuda.kernel(1 * US, waits=True), 1)
    assert clock.block(call := cuda.kernel(1 * US), 10).observed.launch_hidden
    assert call is not waiting


def test_what_was_learnt_goes_with_the_call(cuda):
    """A clock does not keep calls, and the tensors they hold, alive."""
    clock = CudaClock(cuda)
    clock.block(cuda.kernel(1 * US), 1)
    assert len(clock._queueings) == 0


def test_cold_calls_find_a_flushed_cache(cuda):
    """Each call after a flush takes three times as long here, and neither flush nor launch is in its time."""
    clock, call = CudaClock(cuda), cuda.kernel(2 * US)
    hot = clock.block(call, 40).time_s / 40
    cold = clock.cold_s(call, 40)
    assert hot == pytest.approx(2 * US)
    assert cold == pytest.approx([6 * US] * 40)


def test_a_flush_goes_before_every_cold_call(cuda):
    """Flush, event, call, event for each, and one synchronisation per part."""
    clock, call = CudaClock(cuda), cuda.kernel(2 * US)
    clock.block(call, 1)
    cuda.log.clear()
    clock.cold_s(call, COLD_CALLS + 1)
    one = ["flush", "record", "launch", "record"]
    assert cuda.log == ["flush", "sleep", *one * COLD_CALLS, "synchronize", "sleep", *one, "synchronize"]


def test_without_room_for_the_flush_nothing_is_cold(make_fake_cuda):
    """Where there is no room for the buffer, it is said by raising, not by figures of a hot cache."""
    cuda = make_fake_cuda(flushable=False)
    with pytest.raises(torch.OutOfMemoryError):
        CudaClock(cuda).cold_s(cuda.kernel(1 * US), 3)


def test_a_round_trip_holds_launch_and_work(cuda):
    """The host has the call back after its launches; the device is done when its last kernel is."""
    host_s, end_to_end_s = CudaClock(cuda).round_trip(cuda.kernel(100 * US, kernels=2))
    assert host_s == pytest.approx(10 * US)
    assert end_to_end_s == pytest.approx(205 * US)


def test_a_round_trip_starts_on_an_idle_device(cuda):
    """Work queued before is waited for outside of the times."""
    cuda.launch(1.0)
    assert CudaClock(cuda).round_trip(cuda.kernel(100 * US))[1] == pytest.approx(105 * US)


def test_every_block_bears_the_devices_state(make_fake_cuda):
    """Clocks and throttling are asked for once per block, while the device works."""
    states = (DeviceState(clock_mhz=900), DeviceState(clock_mhz=500, throttling=("power cap",)))
    cuda = make_fake_cuda(states=states)
    clock, call = CudaClock(cuda), cuda.kernel(1 * US)
    assert [clock.block(call, 2).observed.state for _ in range(2)] == list(states)


@pytest.mark.parametrize("odd", [-1.0, math.nan, math.inf])
def test_an_odd_time_is_no_time(cuda, odd):
    """A negative, infinite or missing time between events raises with the number in the message."""
    cuda.odd_ms = odd
    with pytest.raises(OddTimeError, match=f"elapsed_time={odd!r}"):
        CudaClock(cuda).block(cuda.kernel(1 * US), 1)


def test_a_clock_that_tells_zero_makes_no_sleep_of_it(cuda):
    """Events that always give zero: the block is zero, and no sleep is asked for from a rate that is not known."""
    cuda.odd_ms = 0.0
    block = CudaClock(cuda).block(cuda.kernel(1 * US), 3)
    assert (block.time_s, block.observed.launch_hidden) == (0.0, False)


def test_the_clock_bears_the_devices_name_and_time(make_fake_cuda):
    """Name, place and host time are the device's."""
    cuda = make_fake_cuda(name="cuda:1", host_s=12.5)
    clock = CudaClock(cuda)
    assert (clock.name, clock.device, clock.now_s()) == ("cuda:1", torch.device("cpu"), 12.5)


def test_settling_waits_for_the_queue(cuda):
    """After settling the host's time has reached the queue's end."""
    cuda.launch(1.0)
    CudaClock(cuda).settle()
    assert cuda.host_s == pytest.approx(1.0, rel=1e-4)
