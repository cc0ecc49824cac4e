"""Clocks: what they count, how often they wait, and how they say that there is none."""

import time

import pytest
import torch

from harness.bench.clocks import CpuClock, NoClockError, clock_for
from harness.errors import UsageError


def test_cpu_clock_counts_a_block_in_seconds(monkeypatch):
    """The time of a block is the difference of two readings of the nanosecond counter, whatever it holds."""
    readings = iter([1_000, 3_001_000])
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(readings))
    assert CpuClock().block(lambda: None, 7).time_s == pytest.approx(3e-3)


def test_cpu_clock_makes_every_call():
    """A block of n calls calls n times."""
    calls = []
    CpuClock().block(lambda: calls.append(1), 5)
    assert len(calls) == 5


def test_cpu_clock_grows():
    """The host's time never goes back."""
    clock = CpuClock()
    assert clock.now_s() <= clock.now_s()


def test_no_cuda_is_said(monkeypatch):
    """A machine without CUDA gives the reason a skipped row shows."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NoClockError, match=r"^CUDA is not available$"):
        clock_for("cuda")


def test_cuda_where_there_is_one(monkeypatch):
    """With CUDA the clock carries the device's name."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert clock_for("cuda:1").name == "cuda:1"


def test_a_device_beyond_the_last(monkeypatch):
    """An index that does not exist is no reason for a figure from another device."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(NoClockError, match="device 3 does not exist"):
        clock_for("cuda:3")


def test_a_type_of_device_without_a_clock():
    """A device torch knows and this module does not is named, with what is known."""
    with pytest.raises(NoClockError, match="no clock for meta devices; known: cpu, cuda"):
        clock_for("meta")


def test_a_name_that_is_no_device():
    """A misspelt device is the caller's mistake."""
    with pytest.raises(UsageError, match="device='gpu'") as caught:
        clock_for("gpu")
    assert not isinstance(caught.value, NoClockError)
