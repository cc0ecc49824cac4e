"""Clocks that tests control: time passes only where a test says so."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch

from harness.bench.block import Block


@dataclass
class FakeClock:
    """A clock whose time grows by what is spent, and by `per_call_s` for every call of a block."""

    per_call_s: float = 0.0
    name: str = "cpu"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    time_s: float = 0.0
    settled: int = 0

    def spend(self, seconds: float) -> None:
        """Let time pass."""
        self.time_s += seconds

    def now_s(self) -> float:
        """Read the time."""
        return self.time_s

    def block_s(self, call: Callable[[], object], calls: int) -> float:
        """Run the calls and return what they spent."""
        start = self.time_s
        for _ in range(calls):
            call()
            self.spend(self.per_call_s)
        return self.time_s - start

    def block(self, call: Callable[[], object], calls: int) -> Block:
        """Run the calls and return what they spent, as a block."""
        return Block(time_s=self.block_s(call, calls))

    def settle(self) -> None:
        """Count."""
        self.settled += 1


@dataclass
class FakeDevice:
    """A device whose queue works through calls in its own time, and that keeps a log of what was asked of it."""

    time_ms: float = 0.0
    log: list[str] = field(default_factory=list)

    def launch(self) -> None:
        """Queue a call that keeps the device busy for 2 ms."""
        self.time_ms += 2.0
        self.log.append("launch")

    def event(self) -> FakeEvent:
        """Make an event."""
        return FakeEvent(device=self)

    def settle(self) -> None:
        """Log a synchronisation of the whole device."""
        self.log.append("settle")


@dataclass
class FakeEvent:
    """An event of a fake device."""

    device: FakeDevice
    mark_ms: float = 0.0

    def record(self) -> None:
        """Mark the present end of the queue."""
        self.mark_ms = self.device.time_ms
        self.device.log.append("record")

    def synchronize(self) -> None:
        """Log the wait."""
        self.device.log.append("synchronize")

    def elapsed_time(self, end_event: FakeEvent) -> float:
        """Milliseconds to a later event."""
        return end_event.mark_ms - self.mark_ms


@pytest.fixture(autouse=True)
def no_collecting(monkeypatch) -> list[int]:
    """Count collections instead of making them: each takes a tenth of a second with all of torch loaded."""
    collections: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda *generation: collections.append(1) or 0)
    return collections


@pytest.fixture
def make_fake_clock() -> type[FakeClock]:
    """Make fake clocks."""
    return FakeClock


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock whose time passes only where it is spent."""
    return FakeClock()


@pytest.fixture
def fake_device() -> FakeDevice:
    """A device with events, without a GPU."""
    return FakeDevice()
