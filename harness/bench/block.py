"""What timing a block of calls gives: its time, and what the device told meanwhile. Nothing is run here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.records import DeviceState

Call = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What an accelerator told while a block was timed."""

    state: DeviceState
    launch_hidden: bool
    """Whether all calls were queued before the device began with the first, so that no launch is in the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The time of a block of calls together, in seconds."""

    time_s: float
    observed: Observed | None = None
    """None on a device that tells nothing of itself (a CPU)."""
