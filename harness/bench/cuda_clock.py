"""Device time on an accelerator with a queue: between events, with the host's launch latency kept out of it.

Three ways of timing one piece of work, each telling something else:

* `CudaClock.block`: device time of calls one after another, the L2 cache as they leave it (hot). A kernel that sleeps
  goes ahead of them, so that all are queued before the device begins with the first; one event stands before them, one
  after, and the host waits once, at the end.
* `CudaClock.cold_s`: device time of single calls, each after a write that fills the L2 cache with something else. The
  write stands outside of the two events around each call.
* `CudaClock.round_trip`: host time of one call on an idle device, until it returns and until the device is done.

Whether the launches were hidden is not assumed but seen: the first event must not have been reached when the last call
is queued. Calls that wait for the device themselves, or that queue more than a queue holds, cannot be hidden; they are
told apart, and no sleep is wasted on them. Times of single calls near an event's resolution (about half a microsecond)
are not to be trusted; blocks of many are.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from itertools import repeat

import torch

from harness.bench.block import Block, Call, Observed
from harness.bench.device import Device, Event
from harness.errors import HarnessError
from harness.records import DeviceState

MOST_CALLS = 256
"""Most calls that are queued at once. A queue holds about a thousand launches."""

COLD_CALLS = 16
"""Most calls that are queued at once when each has a flush and two events to itself."""

SPIN_FACTOR = 2.0
SPIN_EXTRA_S = 50e-6
"""The device sleeps this many times as long as queueing is expected to take, and this much longer."""

FIRST_GUESS_S = 200e-6
"""Expected time to queue a call that has not been queued before."""

MISSES = 2
"""A block that was not hidden this often in a row is cut in half; a single call is then taken not to be hideable."""

PROBE_CYCLES = 1_000_000
"""Length of the sleep that the device's clock is measured with."""


class OddTimeError(HarnessError):
    """Two events gave something that is no time."""


@dataclass(slots=True)
class _Queueing:
    """What has been seen of queueing one call."""

    most: int = MOST_CALLS
    call_s: float = FIRST_GUESS_S
    """Host time to queue one call."""
    misses: int = 0
    hideable: bool = True

    def learn(self, calls: int, host_s: float, *, hidden: bool) -> None:
        """Take in how queueing some calls went."""
        self.call_s = host_s / calls
        self.misses = 0 if hidden else self.misses + 1
        if self.misses >= MISSES:
            self.hideable = calls > 1
            self.most, self.misses = (max(1, calls // 2), 0) if self.hideable else (MOST_CALLS, 0)


@dataclass
class CudaClock:
    """The times of work on a device, see the module; one clock serves all pieces of work on it."""

    accelerator: Device
    most_calls: int = MOST_CALLS
    _cycles_per_s: float | None = field(default=None, init=False)
    _queueings: MutableMapping[Call, _Queueing] = field(default_factory=weakref.WeakKeyDictionary, init=False)

    @property
    def name(self) -> str:
        """The device as records name it."""
        return self.accelerator.name

    @property
    def device(self) -> torch.device:
        """Where tensors have to live."""
        return self.accelerator.place

    def now_s(self) -> float:
        """Read the host's time, in seconds."""
        return self.accelerator.now_s()

    def settle(self) -> None:
        """Wait until the device has no work left."""
        self.accelerator.synchronize()

    def block(self, call: Call, calls: int) -> Block:
        """Time calls on the device, from the start of the first to the end of the last, with a hot L2 cache.

        Args:
            call: what is timed.
            calls: how often it is called; more than can be queued at once are timed in parts.

        Raises:
            OddTimeError: the events gave no time.
        """
        queueing, time_s, hidden, left = self._queueing(call), 0.0, True, calls
        state = DeviceState()
        with self.accelerator.current():
            while left:
                count = min(left, queueing.most)
                part_s, was_hidden, state = self._hot_part(call, count, queueing)
                time_s, hidden, left = time_s + part_s, hidden and was_hidden, left - count
        return Block(time_s=time_s, observed=Observed(state=state, launch_hidden=hidden))

    def cold_s(self, call: Call, calls: int) -> tuple[float, ...]:
        """Time single calls on the device, in seconds, the L2 cache flushed before each.

        Args:
            call: what is timed.
            calls: how often.

        Raises:
            OddTimeError: the events gave no time.
            torch.OutOfMemoryError: there is no room for the buffer that flushes.
        """
        times: list[float] = []
        with self.accelerator.current():
            self.accelerator.flush()
            while len(times) < calls:
                count = min(calls - len(times), COLD_CALLS, self._queueing(call).most)
                times += self._cold_part(call, count)
        return tuple(times)

    def round_trip(self, call: Call) -> tuple[float, float]:
        """Call once on an idle device.

        Returns:
            Host time until the call returned, and until the device was done, in seconds from the call's start.
        """
        device = self.accelerator
        device.synchronize()
        start = device.now_s()
        call()
        returned = device.now_s()
        device.synchronize()
        return returned - start, device.now_s() - start

    def _hot_part(self, call: Call, calls: int, queueing: _Queueing) -> tuple[float, bool, DeviceState]:
        """Time calls that fit in the queue: seconds, whether launches were hidden, and the device's state meanwhile."""
        device = self.accelerator
        start, end = device.event(), device.event()
        asleep = queueing.hideable and self._sleep_while(calls * queueing.call_s)
        start.record()
        begun = device.now_s()
        for _ in repeat(None, calls):
            call()
        took_s = device.now_s() - begun
        hidden = asleep and not start.query()
        end.record()
        # The device is at work now, so its clocks are those of the work and not of idling.
        state = device.state()
        end.synchronize()
        if asleep:
            queueing.learn(calls, took_s, hidden=hidden)
        return elapsed_s(start, end), hidden, state

    def _cold_part(self, call: Call, calls: int) -> list[float]:
        device, queueing = self.accelerator, self._queueing(call)
        pairs = [(device.event(), device.event()) for _ in repeat(None, calls)]
        if queueing.hideable:
            self._sleep_while(calls * 2 * queueing.call_s)
        for start, end in pairs:
            device.flush()
            start.record()
            call()
            end.record()
        pairs[-1][1].synchronize()
        return [elapsed_s(start, end) for start, end in pairs]

    def _queueing(self, call: Call) -> _Queueing:
        return self._queueings.setdefault(call, _Queueing())

    def _sleep_while(self, queueing_s: float) -> bool:
        """Let the device sleep while calls are queued that take about so long to queue; False where it cannot."""
        if self._cycles_per_s is None:
            self._cycles_per_s = self._measured_cycles_per_s()
        cycles = round((SPIN_FACTOR * queueing_s + SPIN_EXTRA_S) * self._cycles_per_s)
        return cycles > 0 and self.accelerator.sleep(cycles)

    def _measured_cycles_per_s(self) -> float:
        """Measure how many cycles of sleep make a second; 0 where the device cannot be put to sleep."""
        device = self.accelerator
        if not device.sleep(PROBE_CYCLES):
            return 0.0
        start, end = device.event(), device.event()
        start.record()
        device.sleep(PROBE_CYCLES)
        end.record()
        end.synchronize()
        took_s = elapsed_s(start, end)
        return PROBE_CYCLES / took_s if took_s > 0 else 0.0


def elapsed_s(start: Event, end: Event) -> float:
    """Seconds between two events that the device has reached.

    Raises:
        OddTimeError: what the device gives is no number, or lies before the start.
    """
    milliseconds = start.elapsed_time(end)
    if not (math.isfinite(milliseconds) and milliseconds >= 0):
        raise OddTimeError(
            f"Cannot time on this device: elapsed_time={milliseconds!r} (type {type(milliseconds).__name__}) between "
            "two events is no time in ms. Check the driver, and whether the device was reset meanwhile."
        )
    return milliseconds * 1e-3
