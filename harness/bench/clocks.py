"""Clocks: how long a block of calls takes on a device, and which clock a device has.

A clock measures and nothing else: how many calls make a sample, when to stop, and what the samples mean are
`sampling`'s and `statistics`' jobs. CUDA's clock is in `cuda_clock`, over the seam in `device`. To add a device, write
a class with the members of `Clock` and name it in `CLOCKS` under the device's type; sampling, passes and records need
no change. Tests give a clock of their own the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Protocol

import torch

from harness.bench.block import Block, Call
from harness.bench.cuda_clock import CudaClock
from harness.bench.device import TorchCuda, missing
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


def _cuda_clock(device: torch.device) -> Clock:
    reason = missing(device)
    if reason is not None:
        raise NoClockError(reason)
    return CudaClock(TorchCuda(device))


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
