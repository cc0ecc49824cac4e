"""A CUDA device without a GPU: a queue worked off in the device's own time, a host whose time passes as it queues.

Tensors live on the CPU; a subject's calls put their kernels in the queue with `launch`, or through `kernel`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch

from harness.records import DeviceState

HZ = 1e9


@dataclass
class FakeEvent:
    """An event whose time is that of the queue's end when it was recorded."""

    cuda: FakeCuda
    at_s: float | None = None

    def record(self) -> None:
        """Mark the queue's end."""
        self.cuda.log.append("record")
        self.at_s = max(self.cuda.host_s, self.cuda.free_at_s)

    def query(self) -> bool:
        """Whether the device has come this far by now."""
        return self.at_s is not None and self.at_s <= self.cuda.host_s

    def synchronize(self) -> None:
        """Wait until it has."""
        self.cuda.log.append("synchronize")
        self.cuda.host_s = max(self.cuda.host_s, self.at_s or 0.0)

    def elapsed_time(self, end_event: FakeEvent) -> float:
        """Milliseconds to a later event, or whatever the device is told to give."""
        return self.cuda.odd_ms if self.cuda.odd_ms is not None else (end_event.at_s - self.at_s) * 1e3


@dataclass
class FakeCuda:
    """The device; all of its times are in seconds and only pass where something is queued or waited for."""

    name: str = "cuda"
    place: torch.device = field(default_factory=lambda: torch.device("cpu"))
    launch_s: float = 5e-6
    """Host time to queue a kernel."""
    depth: int = 1024
    """Kernels the queue holds; the host waits where it is full."""
    can_sleep: bool = True
    flush_s: float = 40e-6
    cold_factor: float = 3.0
    """Times a kernel takes as long when it is the first after a flush."""
    bytes_per_s: float = 1e9
    total_bytes: int = 10**9
    states: tuple[DeviceState, ...] = (DeviceState(clock_mhz=1000, throttling=()),)
    """What is told one after another; the last one from then on."""
    odd_ms: float | None = None
    """What events give instead of their time."""
    flushable: bool = True
    pinnable: bool = True
    skew: float = 1.0
    """Real numbers that are uploaded arrive times this."""
    full: bool = False
    """Whether uploads find no memory."""
    host_s: float = 0.0
    free_at_s: float = 0.0
    log: list[str] = field(default_factory=list)
    _ends: deque[float] = field(default_factory=deque)
    _cold: bool = False

    def launch(self, busy_s: float, *, word: str = "launch") -> None:
        """Queue a kernel that keeps the device busy so long."""
        self.log.append(word)
        self.host_s += self.launch_s
        while self._ends and self._ends[0] <= self.host_s:
            self._ends.popleft()
        if len(self._ends) >= self.depth:
            self.host_s = self._ends.popleft()
        self.free_at_s = max(self.host_s, self.free_at_s) + busy_s
        self._ends.append(self.free_at_s)

    def kernel(self, busy_s: float, *, kernels: int = 1, waits: bool = False) -> Callable[[], None]:
        """Make a call that queues kernels; one that `waits` reads a result back."""

        def call() -> None:
            for _ in range(kernels):
                self.launch(busy_s * (self.cold_factor if self._cold else 1.0))
                self._cold = False
            if waits:
                self.host_s = max(self.host_s, self.free_at_s)

        return call

    def current(self) -> AbstractContextManager[None]:
        """There is only one."""
        return nullcontext()

    def now_s(self) -> float:
        """Read the host's time."""
        return self.host_s

    def event(self) -> FakeEvent:
        """Make an event."""
        return FakeEvent(self)

    def synchronize(self) -> None:
        """Wait for the queue's end."""
        self.log.append("settle")
        self.host_s = max(self.host_s, self.free_at_s)

    def sleep(self, cycles: int) -> bool:
        """Queue a sleep."""
        if self.can_sleep:
            self.launch(cycles / HZ, word="sleep")
        return self.can_sleep

    def flush(self) -> None:
        """Queue a flush."""
        if not self.flushable:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.launch(self.flush_s, word="flush")
        self._cold = True

    def state(self) -> DeviceState:
        """Tell the next state."""
        first, *rest = self.states
        self.states = tuple(rest) or (first,)
        return first

    def precision(self) -> str:
        """Tell a setting."""
        return "matmul ieee, cudnn tf32"

    def free_bytes(self) -> int:
        """Tell what is left."""
        return self.total_bytes

    def peak_bytes(self, call: Callable[[], object]) -> int:
        """Call, and tell a peak."""
        call()
        return 4096

    def release(self) -> None:
        """Log it."""
        self.log.append("release")

    def pinned(self, tensor: torch.Tensor) -> torch.Tensor:
        """Copy, if such memory is to be had."""
        if not self.pinnable:
            raise RuntimeError("CUDA error: cannot pin\nmemory")
        return tensor.clone()

    def upload(self, tensor: torch.Tensor) -> torch.Tensor:
        """Queue a copy."""
        if self.full:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.launch(tensor.nbytes / self.bytes_per_s, word="upload")
        return tensor * self.skew if tensor.is_floating_point() else tensor.clone()

    def download(self, tensor: torch.Tensor, into: torch.Tensor | None = None) -> torch.Tensor:
        """Queue a copy; the host waits for one that goes to pageable memory."""
        self.launch(tensor.nbytes / self.bytes_per_s, word="download")
        if into is None:
            self.host_s = max(self.host_s, self.free_at_s)
            return tensor.clone()
        return into.copy_(tensor)
