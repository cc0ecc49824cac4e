"""Memory: peaks of programs whose allocations are known, and which sizes are let in."""

import os

import psutil
import pytest
import torch

from harness.bench.memory import element_count, free_bytes, peak_memory_bytes, peak_of_changes, shortage
from harness.bench.sampling import Work
from harness.case.subject import Input

CPU = torch.device("cpu")


def test_the_peak_of_a_known_program():
    """An exp and a sin of 1000 doubles holds two results at once, and one after the other is let go: 16 000 bytes."""
    values = torch.zeros(1000, dtype=torch.float64)
    assert peak_memory_bytes(Work(call=lambda: values.exp().sin()), CPU) == 16_000


def test_what_was_there_before_is_not_counted():
    """A call that makes nothing needs nothing, whatever its inputs take."""
    values = torch.zeros(100_000)
    assert peak_memory_bytes(Work(call=lambda: values.view(-1)), CPU) == 0


def test_what_is_prepared_is_not_counted():
    """A graph made before the call belongs to what was there."""
    made = []
    work = Work(call=lambda: None, before=lambda calls: made.append(torch.zeros(calls * 1000)))
    assert peak_memory_bytes(work, CPU) == 0


def test_a_call_that_raises_is_not_hidden():
    """Work that raises raises here too; what to make of it is the caller's business."""

    def call():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        peak_memory_bytes(Work(call=call), CPU)


def test_the_profilers_setting_is_put_back():
    """The environment is as it was, even after an error."""
    before = os.environ.get("KINETO_LOG_LEVEL")
    peak_memory_bytes(Work(call=lambda: torch.zeros(1)), CPU)
    assert os.environ.get("KINETO_LOG_LEVEL") == before


def test_the_device_allocator_is_asked(monkeypatch):
    """On CUDA the peak is that of the allocator's counters, over what was allocated before."""
    held = {"now": 1000, "peak": 0}
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: held.update(peak=held["now"]))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: held["now"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: held["peak"])
    work = Work(call=lambda: held.update(peak=held["now"] + 512))
    assert peak_memory_bytes(work, torch.device("cuda")) == 512


def test_an_unknown_device_has_no_figure():
    """Where nothing counts, there is no number."""
    assert peak_memory_bytes(Work(call=lambda: None), torch.device("meta")) is None


@pytest.mark.parametrize(("changes", "peak"), [([], 0), ([4, -4, 3], 4), ([4, 5, -9, 8], 9), ([-3, 2], 0)])
def test_the_peak_of_changes(changes, peak):
    """The highest running sum; memory let go that was there before does not count against it."""
    assert peak_of_changes(changes) == peak


def test_elements_of_all_inputs():
    """Named and plain sizes multiply; a scalar is one element."""
    inputs = {"X": Input(shape=("n", 3)), "y": Input(shape=("n",)), "s": Input()}
    assert element_count(inputs, {"n": 10}) == 41


def test_a_size_that_fits():
    """A size that needs little of what is free is let in."""
    assert shortage(1000, 4, 10**9) is None


def test_a_size_that_does_not_fit():
    """A size that needs most of what is free is refused with both numbers."""
    assert "0.4 GB; 0.5 GB are free" in shortage(10**7, 4, 5 * 10**8)


def test_what_a_smaller_size_needed_counts():
    """A subject that was seen to need much per element is refused where inputs alone would fit."""
    assert shortage(10**6, 4, 10**9, peak_per_element=5000.0) is not None
    assert shortage(10**6, 4, 10**9, peak_per_element=5.0) is None


def test_unknown_memory_lets_everything_in():
    """Where nobody knows what is free, nothing is refused."""
    assert shortage(10**9, 8, None) is None


def test_the_cpu_knows_what_is_free():
    """The CPU's figure is no more than the machine has."""
    assert 0 < free_bytes(CPU) <= psutil.virtual_memory().total


def test_a_limit_of_the_process_counts(monkeypatch):
    """A process that may not grow has nothing free, whatever the machine has."""
    monkeypatch.setattr(psutil.Process, "rlimit", lambda self, kind: (1, 1), raising=False)
    assert free_bytes(CPU) == 0


def test_the_device_knows_what_is_free(monkeypatch):
    """On CUDA the driver says what is free."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (123, 456))
    assert free_bytes(torch.device("cuda")) == 123
