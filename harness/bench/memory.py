"""Memory: what a piece of work needs at its peak, measured in a pass of its own, and what a device has left.

The CPU's peak comes from the profiler's record of every allocation and release of torch's allocator, summed in order
of time; the device's from the counters of its caching allocator. Both count what torch allocates while the work runs,
over what was allocated before it: inputs are not in it, and neither are buffers that a library takes for itself.
Nothing here is timed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil
import torch

from harness.bench.device import Device, TorchCuda
from harness.bench.sampling import Work
from harness.case.subject import Input

SHARE = 0.5
"""The part of the memory left that a size may take: other work needs some too."""

COPIES = 8
"""Tensors of an input's size that timing all passes is assumed to hold at once: leaves, gradients, what graphs save."""


def peak_memory_bytes(work: Work, device: torch.device, accelerator: Device | None = None) -> int | None:
    """Measure the peak of torch's allocations during one call, over what was allocated before it.

    Args:
        work: called once, after a call that warmed it up.
        device: where it runs.
        accelerator: the same as an accelerator, where it is one.

    Returns:
        Bytes; None for a type of device that no counter is known for.

    Raises:
        Exception: whatever the work raises.
    """
    if work.before is not None:
        work.before(1)
    accelerator = accelerator or _accelerator(device)
    if accelerator is not None:
        return accelerator.peak_bytes(work.call)
    return _cpu_peak_bytes(work) if device.type == "cpu" else None


def _accelerator(device: torch.device) -> Device | None:
    return TorchCuda(device) if device.type == "cuda" else None


def _cpu_peak_bytes(work: Work) -> int:
    with _quiet_profiler(), torch.autograd.profiler.profile(use_cpu=True, profile_memory=True) as profiler:
        result = work.call()
    del result
    recorded = profiler.kineto_results
    events = recorded.events() if recorded is not None else []
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return peak_of_changes([change for _, change in changes])


def peak_of_changes(changes: list[int]) -> int:
    """Find the highest running sum of allocations (positive) and releases (negative), from 0."""
    held = peak = 0
    for change in changes:
        held += change
        peak = max(peak, held)
    return peak


@contextmanager
def _quiet_profiler() -> Iterator[None]:
    """Keep the profiler's library from writing its own progress to stderr."""
    name = "KINETO_LOG_LEVEL"
    before = os.environ.get(name)
    os.environ.setdefault(name, "99")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def free_bytes(device: torch.device, accelerator: Device | None = None) -> int | None:
    """Ask how much memory a device has left, in bytes; None where that is unknown. A process limit counts too."""
    accelerator = accelerator or _accelerator(device)
    if accelerator is not None:
        return accelerator.free_bytes()
    if device.type != "cpu":
        return None
    process, free = psutil.Process(), int(psutil.virtual_memory().available)
    if hasattr(process, "rlimit"):
        limit = process.rlimit(psutil.RLIMIT_AS)[0]
        if limit != psutil.RLIM_INFINITY:
            free = min(free, max(0, limit - process.memory_info().vms))
    return free


def element_count(inputs: Mapping[str, Input], sizes: Mapping[str, int]) -> int:
    """Count the elements of all inputs together, at given sizes of the named dims."""
    total = 0
    for spec in inputs.values():
        count = 1
        for size in spec.shape:
            count *= size if isinstance(size, int) else sizes[size]
        total += count
    return total


def shortage(elements: int, item_bytes: int, free: int | None, *, peak_per_element: float = 0.0) -> str | None:
    """Why a size cannot be held in memory, or None when it can, as far as that is known beforehand.

    Args:
        elements: elements of the inputs together.
        item_bytes: bytes of one element in the dtype that is timed.
        free: memory left, in bytes; None when unknown.
        peak_per_element: bytes per element that a smaller size was seen to need at its peak.
    """
    # Inputs are drawn in double precision and then converted.
    needed = int(elements * (8 + max(COPIES * item_bytes, peak_per_element)))
    if free is None or needed <= SHARE * free:
        return None
    return f"it needs about {needed / 1e9:.3g} GB; {free / 1e9:.3g} GB are free and at most {SHARE:.0%} of that is used"
