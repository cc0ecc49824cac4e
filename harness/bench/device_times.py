"""What a timing on an accelerator holds beside its hot device time: cold and host times, clocks, throttling.

Called for a piece of work that has been sampled; what it adds is measured in passes of its own, since a block whose
launches are hidden has no end-to-end time, and a flushed cache would disturb the block. Figures that cannot be had are
None with a note; the timing itself stands. A timing with throttled samples says so, and decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch

from harness.bench.clocks import Clock
from harness.bench.cuda_clock import COLD_CALLS, CudaClock
from harness.bench.sampling import DIGITS, Effort, Measurement, Work, block
from harness.bench.statistics import median_interval
from harness.bench.timings import reason_of
from harness.errors import UsageError
from harness.records import DeviceState, DeviceTimes, Measured, Outcome, Timing

T = TypeVar("T")

Trip = tuple[float, float]
"""Host time until a call returned, and until the device was done, in seconds."""


def with_device_times(
    timing: Timing, measurement: Measurement, work: Work, clock: CudaClock, effort: Effort, *, cold: bool = True
) -> Timing:
    """Add to a timing what only an accelerator has.

    Args:
        timing: made of the measurement; one of work that raised is returned as it is.
        measurement: what sampling gave.
        work: what was sampled.
        clock: the clock it was sampled with.
        effort: how long to sample what is added: as many samples, within the same budget.
        cold: whether a flushed cache means anything to this work.
    """
    if measurement.error is not None or not measurement.samples:
        return timing
    notes: list[str] = []
    flushed = _guarded("cold", lambda: _cold_s(work, clock, effort), clock, notes) if cold else []
    trips = _guarded("host and end-to-end", lambda: _trips(work, clock, effort), clock, notes)
    states = tuple(observed.state for observed in measurement.observed)
    known = states if any(state.missing is None or state.clock_mhz is not None for state in states) else ()
    if states and (reason := states[0].missing) is not None:
        notes.append(f"clocks and throttling are not known: {reason}")
    times = DeviceTimes(
        cold=_measured(flushed),
        host=_measured([host for host, _ in trips]),
        end_to_end=_measured([whole for _, whole in trips]),
        launch_exposed=sum(not observed.launch_hidden for observed in measurement.observed),
        states=known,
        throttled=sum(bool(state.throttling) for state in known),
        precision=clock.accelerator.precision(),
        notes=tuple(notes),
    )
    return _explained(replace(timing, on_device=times), times)


def unthrottled_s(work: Work, clock: Clock, calls: int) -> float:
    """Time a block that something will be decided by, in seconds.

    Args:
        work: what is timed.
        clock: any device's.
        calls: how many calls make the block.

    Raises:
        UsageError: the device was throttled meanwhile.
    """
    taken = block(work, clock, calls)
    held = taken.observed.state.throttling if taken.observed is not None else None
    if held:
        raise UsageError(
            f"Cannot decide by this timing: device={clock.name} (type str) was throttled while it was sampled "
            f"({', '.join(held)}). Let it cool, raise its power limit or lock lower clocks, and run again."
        )
    return taken.time_s


def _explained(timing: Timing, times: DeviceTimes) -> Timing:
    """Say in the message what is odd about a timing, and take back a figure that is none."""
    if min(timing.samples) <= 0:
        message = "the device's events tell its time apart from none in some samples only: it is below their resolution"
        return replace(timing, outcome=Outcome.INCONCLUSIVE, message=message, median_s=None, low_s=None, high_s=None)
    parts, count = [timing.message], len(timing.samples)
    if times.launch_exposed:
        parts.append(f"launch latency may be in {times.launch_exposed} of {count} samples")
    if times.throttled:
        parts.append(f"{times.throttled} of {count} samples throttled ({_reasons(times.states)}): not gated")
    return replace(timing, message="; ".join(parts))


def _reasons(states: tuple[DeviceState, ...]) -> str:
    """Name the reasons for throttling, the most frequent first."""
    words = Counter(word for state in states for word in state.throttling or ())
    return ", ".join(word for word, _ in words.most_common())


def _cold_s(work: Work, clock: CudaClock, effort: Effort) -> list[float]:
    """Sample single calls that find a flushed cache."""
    count = min(COLD_CALLS, work.most_calls)
    samples: list[float] = []
    until = clock.now_s() + effort.budget_s
    while len(samples) < effort.samples and (len(samples) < effort.fewest or clock.now_s() < until):
        if work.before is not None:
            work.before(count)
        samples += clock.cold_s(work.call, count)
    return samples[: effort.samples]


def _trips(work: Work, clock: CudaClock, effort: Effort) -> list[Trip]:
    """Sample single calls on an idle device, by the host's clock."""
    trips: list[Trip] = []
    until = clock.now_s() + effort.budget_s
    while len(trips) < effort.samples and (len(trips) < effort.fewest or clock.now_s() < until):
        if work.before is not None:
            work.before(1)
        trips.append(clock.round_trip(work.call))
    return trips


def _guarded(what: str, take: Callable[[], list[T]], clock: CudaClock, notes: list[str]) -> list[T]:
    """Take samples, or note why there are none: the timing they would stand beside has been taken already."""
    try:
        return take()
    except torch.OutOfMemoryError:
        clock.accelerator.release()
        notes.append(f"no {what} times: the device has no memory left for them")
    except Exception as error:  # noqa: BLE001  The case boundary: the work is the subject's.
        notes.append(f"no {what} times: {reason_of(error)}")
    return []


def _measured(samples: list[float]) -> Measured | None:
    if not samples:
        return None
    kept = tuple(round(sample, DIGITS) for sample in samples)
    median = median_interval(kept)
    return Measured(median_s=median.point, low_s=median.low, high_s=median.high, samples=kept)
