"""Clocks: how long a block of calls takes on a device. The one seam between the benchmarks and a device's own timing.

A clock measures and nothing else: how many calls make a sample, when to stop, and what the samples mean are
`sampling`'s and `statistics`' jobs. To add a device, write a class with the members of `Clock` and name it in `CLOCKS`
under the device's type; sampling, passes and records need no change. Tests give a clock of their own the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat
from typing import Protocol, cast

import torch

from harness.bench.block import Block, Call
from harness.errors import UsageError

class NoClockError(UsageError):
    """There is no clock for a device here; the message is the reason, as a skipped timing shows it."""


class Clock(Protocol):
    """Measures blocks of calls on one device."""

    @property
    def name(self) -> str:
        """The device as records name it: ``cpu``, ``cuda``, ``cuda:1``."""

    @property
    def device(self) -> torch.device:
        """Where tensors have to live for this clock to time work on them."""

    def now_s(self) -> float:
        """Read a steadily growing host time, in seconds; budgets are kept by it."""

    def block(self, call: Call, calls: int) -> Block:
        """Run `call` `calls` times; return how long the device worked on all of them together, and what it told."""

    def settle(self) -> None:
        """Wait until the device has no work left."""


class CpuClock:
    """The host's monotonic clock, with the resolution of `time.perf_counter_ns`."""

    def __init__(self, device: torch.device | None = None) -> None:
        """Take the device; there is only one CPU."""
        self.device = device or torch.device("cpu")
        self.name = "cpu"

    def now_s(self) -> float:
        """Read the host's time, in seconds."""
        return time.perf_counter_ns() * 1e-9

    def block(self, call: Call, calls: int) -> Block:
        """Time `calls` calls on the host."""
        turns = repeat(None, calls)
        start = time.perf_counter_ns()
        for _ in turns:
            call()
        return Block(time_s=(time.perf_counter_ns() - start) * 1e-9)

    def settle(self) -> None:
        """Do nothing: work on the CPU is done when a call returns."""


class Event(Protocol):
    """The part of `torch.cuda.Event` that timing needs."""

    def record(self) -> None:
        """Mark the present end of the device's queue."""

    def synchronize(self) -> None:
        """Wait until the device has reached the mark."""

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds between this mark and a later one."""


class CudaClock:
    """Device time between two events around a block, with one synchronisation after it.

    The calls of a block are queued without waiting for each other, so the host's launch latency is hidden wherever a
    call keeps the device busy for longer than its launch takes; for smaller calls the figure is the rate at which the
    host can launch them.
    """

    def __init__(
        self,
        device: torch.device | None = None,
        *,
        make_event: Callable[[], Event] | None = None,
        settle: Callable[[], None] | None = None,
        now_s: Callable[[], float] | None = None,
    ) -> None:
        """Take the device, and stand-ins for its events, its synchronisation and the host's time (for tests)."""
        self.device = device or torch.device("cuda")
        self.name = str(self.device)
        # Events are recorded on the current device's stream, so the device has to be the current one.
        self._current: Callable[[], AbstractContextManager[None]] = nullcontext if make_event else self._device_current
        self._make_event = make_event or self._device_event
        self._settle = settle or self._device_settle
        self._now_s = now_s or time.perf_counter

    def now_s(self) -> float:
        """Read the host's time, in seconds."""
        return self._now_s()

    def block(self, call: Call, calls: int) -> Block:
        """Time `calls` calls on the device, from the start of the first to the end of the last, in seconds."""
        with self._current():
            start, end = self._make_event(), self._make_event()
            start.record()
            for _ in repeat(None, calls):
                call()
            end.record()
            end.synchronize()
            return Block(time_s=start.elapsed_time(end) * 1e-3)

    def settle(self) -> None:
        """Wait until the device has no work left."""
        self._settle()

    def _device_current(self) -> AbstractContextManager[None]:
        return torch.cuda.device(self.device)

    def _device_event(self) -> Event:
        return cast("Event", torch.cuda.Event(enable_timing=True))

    def _device_settle(self) -> None:
        torch.cuda.synchronize(self.device)


def _cuda_clock(device: torch.device) -> Clock:
    if not torch.cuda.is_available():
        raise NoClockError("CUDA is not available")
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise NoClockError(f"CUDA device {device.index} does not exist; there are {torch.cuda.device_count()}")
    return CudaClock(device)


CLOCKS: Mapping[str, Callable[[torch.device], Clock]] = {"cpu": CpuClock, "cuda": _cuda_clock}
"""By type of device: how its clock is made, or NoClockError raised with the reason it cannot be timed here."""


def clock_for(device: str) -> Clock:
    """Make the clock of a device.

    Args:
        device: a device as torch names it: ``cpu``, ``cuda``, ``cuda:1``.

    Raises:
        NoClockError: the device is not here, or there is no clock for its type.
        UsageError: there is no device of that name in torch.
    """
    try:
        place = torch.device(device)
    except RuntimeError as error:
        message = f"Cannot benchmark: device={device!r} (type str) is not a device of torch. Name cpu, cuda or cuda:N."
        raise UsageError(message) from error
    if place.type not in CLOCKS:
        raise NoClockError(f"there is no clock for {place.type} devices; known: {', '.join(CLOCKS)}")
    return CLOCKS[place.type](place)
