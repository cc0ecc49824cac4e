"""The seam between the benchmarks and CUDA: every function of `torch.cuda` that timing needs, as one protocol.

Nothing else under `harness.bench` calls `torch.cuda`, so that a device with a queue and a clock of its own can stand
in for it where there is no GPU. This module asks and does not judge: what the times mean is `cuda_clock`'s job.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from harness.bench.device_state import state_reader
from harness.records import DeviceState

DEFAULT_FLUSH_BYTES = 256 * 2**20
"""Written to flush an L2 cache of unknown size: more than any device has."""

FLUSH_FACTOR = 2
"""Times the size of the L2 cache that is written to flush it: caches do not replace strictly the oldest lines."""


class Event(Protocol):
    """The part of `torch.cuda.Event` that timing needs."""

    def record(self) -> None:
        """Mark the present end of the device's queue."""

    def query(self) -> bool:
        """Tell whether the device has reached the mark."""

    def synchronize(self) -> None:
        """Wait until the device has reached the mark."""

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds between this mark and a later one."""


class Device(Protocol):
    """An accelerator with a queue: what is asked of it is queued, and done in order in its own time."""

    @property
    def name(self) -> str:
        """The device as records name it: ``cuda``, ``cuda:1``."""

    @property
    def place(self) -> torch.device:
        """Where tensors have to live for work on them to be this device's."""

    def current(self) -> AbstractContextManager[None]:
        """Make it the current device: events are recorded on the current device's stream."""

    def now_s(self) -> float:
        """Read a steadily growing host time, in seconds."""

    def event(self) -> Event:
        """Make an event that keeps time."""

    def synchronize(self) -> None:
        """Wait until the device has no work left."""

    def sleep(self, cycles: int) -> bool:
        """Queue a kernel that does nothing for some cycles of the device's clock; False where there is none."""

    def flush(self) -> None:
        """Queue a write to a buffer larger than the L2 cache, which leaves nothing else in it.

        Raises:
            torch.OutOfMemoryError: there is no room for the buffer.
        """

    def state(self) -> DeviceState:
        """Ask for clocks and throttling."""

    def precision(self) -> str:
        """Say what float32 products may be rounded to, as torch is set."""

    def free_bytes(self) -> int:
        """Memory the device has left."""

    def peak_bytes(self, call: Callable[[], object]) -> int:
        """Peak of what the allocator held during a call, over what it held before."""

    def release(self) -> None:
        """Give cached memory back to the device."""

    def pinned(self, tensor: Tensor) -> Tensor:
        """Copy a tensor on the CPU into page-locked memory.

        Raises:
            RuntimeError: no such memory is to be had.
        """

    def upload(self, tensor: Tensor) -> Tensor:
        """Copy a tensor from the CPU; one in page-locked memory without waiting for it."""

    def download(self, tensor: Tensor, into: Tensor | None = None) -> Tensor:
        """Copy a tensor to the CPU: into page-locked memory without waiting for it, or into new, pageable memory."""


@dataclass
class TorchCuda:
    """A CUDA device through torch."""

    place: torch.device = field(default_factory=lambda: torch.device("cuda"))

    @property
    def name(self) -> str:
        """The device as records name it."""
        return str(self.place)

    def current(self) -> AbstractContextManager[None]:
        """Make it the current device."""
        return torch.cuda.device(self.place)

    def now_s(self) -> float:
        """Read the host's time."""
        return time.perf_counter_ns() * 1e-9

    def event(self) -> Event:
        """Make an event that keeps time."""
        return cast("Event", torch.cuda.Event(enable_timing=True))

    def synchronize(self) -> None:
        """Wait until the device has no work left."""
        torch.cuda.synchronize(self.place)

    def sleep(self, cycles: int) -> bool:
        """Queue a sleeping kernel; torch has one for its own tests, under a private name that may go away."""
        sleeper: Callable[[int], None] | None = getattr(torch.cuda, "_sleep", None)
        if sleeper is None:
            return False
        sleeper(cycles)
        return True

    def flush(self) -> None:
        """Write zeros to a buffer larger than the L2 cache; the buffer is made at the first flush and kept."""
        self._flushed.zero_()

    def state(self) -> DeviceState:
        """Ask the driver for clocks and throttling."""
        return self._read_state()

    def precision(self) -> str:
        """Say what float32 matrix products and convolutions may be rounded to."""
        return f"matmul {_matmul_precision()}, cudnn {'tf32' if torch.backends.cudnn.allow_tf32 else 'ieee'}"

    def free_bytes(self) -> int:
        """Memory the device has left, for all processes."""
        return int(torch.cuda.mem_get_info(self.place)[0])

    def peak_bytes(self, call: Callable[[], object]) -> int:
        """Peak of the caching allocator during a call, over what it held before."""
        torch.cuda.synchronize(self.place)
        torch.cuda.reset_peak_memory_stats(self.place)
        start = torch.cuda.memory_allocated(self.place)
        call()
        torch.cuda.synchronize(self.place)
        return max(0, torch.cuda.max_memory_allocated(self.place) - start)

    def release(self) -> None:
        """Give cached memory back, so that one size's failure to fit is not the next one's."""
        torch.cuda.empty_cache()

    def pinned(self, tensor: Tensor) -> Tensor:
        """Copy into page-locked memory."""
        return tensor.pin_memory()

    def upload(self, tensor: Tensor) -> Tensor:
        """Copy to the device."""
        return tensor.to(self.place, non_blocking=tensor.is_pinned())

    def download(self, tensor: Tensor, into: Tensor | None = None) -> Tensor:
        """Copy to the CPU."""
        return tensor.cpu() if into is None else into.copy_(tensor, non_blocking=True)

    @cached_property
    def _properties(self) -> Any:
        return torch.cuda.get_device_properties(self.place)

    @cached_property
    def _flushed(self) -> Tensor:
        known = int(getattr(self._properties, "L2_cache_size", 0))
        count = FLUSH_FACTOR * known if known > 0 else DEFAULT_FLUSH_BYTES
        return torch.zeros(count, dtype=torch.int8, device=self.place)

    @cached_property
    def _read_state(self) -> Callable[[], DeviceState]:
        found = self._properties
        bus, slot, domain = (getattr(found, name, 0) or 0 for name in ("pci_bus_id", "pci_device_id", "pci_domain_id"))
        return state_reader(str(getattr(found, "uuid", "")), f"{domain:08X}:{bus:02X}:{slot:02X}.0")


def _matmul_precision() -> str:
    """Ask how float32 matrix products are computed, in the setting's present form or its older one."""
    settings: Any = torch.backends.cuda.matmul
    chosen = getattr(settings, "fp32_precision", "none")
    if chosen in ("ieee", "tf32"):
        return str(chosen)
    return "tf32" if torch.get_float32_matmul_precision() != "highest" else "ieee"


def missing(place: torch.device) -> str | None:
    """Why a CUDA device cannot be timed here, or None when it can."""
    if not torch.cuda.is_available():
        return "CUDA is not available"
    if place.index is not None and place.index >= torch.cuda.device_count():
        return f"CUDA device {place.index} does not exist; there are {torch.cuda.device_count()}"
    return None
