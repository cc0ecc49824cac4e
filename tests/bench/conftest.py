"""Clocks that tests control: time passes only where a test says so."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from harness.bench.block import Block

sys.path.insert(0, str(Path(__file__).parent))

from fake_cuda import FakeCuda


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
def make_fake_cuda() -> type[FakeCuda]:
    """Make CUDA devices without a GPU."""
    return FakeCuda
