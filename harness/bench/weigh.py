"""Weighing: what is found out of a timed pass in calls of its own, once it was sampled: is it right, memory, counts.

Nothing is timed here, and nothing that cannot be weighed costs a timing its figure, except one: derivatives that are
not autograd's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from harness.bench.counts import warm_counts
from harness.bench.device import Device
from harness.bench.jacobians import UnfitError
from harness.bench.memory import peak_memory_bytes
from harness.bench.passes import Setting, check_derivatives
from harness.bench.sampling import Work
from harness.bench.timings import reason_of
from harness.records import Counts, Outcome, Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A pass of a variant that can run, and the place of its row."""

    place: int
    row: Timing
    """The row as it was before anything was timed."""
    setting: Setting
    work: Work


def weighed(piece: Piece, timing: Timing, device: torch.device, accelerator: Device | None) -> Timing:
    """Add peak memory and counts to a timing; a pass that raised has nothing more to say.

    Args:
        piece: what was timed.
        timing: what came of it.
        device: where it ran.
        accelerator: the same, where it is one.

    Returns:
        The timing with what was found; or the row from before, with the reason, where the derivatives are not
        autograd's.
    """
    if timing.outcome in (Outcome.ERROR, Outcome.SKIPPED):
        return timing
    try:
        check_derivatives(piece.setting, piece.work)
    except UnfitError as reason:
        return replace(piece.row, message=str(reason))
    except Exception as error:  # noqa: BLE001  The case boundary: the check calls the subject by autograd.
        return replace(piece.row, message=f"it cannot be held against autograd's gradient: {reason_of(error)}")
    return replace(timing, peak_memory_bytes=_peak(piece, device, accelerator), counts=_counts(piece))


def _peak(piece: Piece, device: torch.device, accelerator: Device | None) -> int | None:
    try:
        return peak_memory_bytes(piece.work, device, accelerator)
    except Exception:  # noqa: BLE001  The work has been timed; that it cannot be run under a profiler too is no fault of it.
        return None


def _counts(piece: Piece) -> Counts | None:
    try:
        return warm_counts(piece.work, piece.setting, piece.row.what)
    except Exception:  # noqa: BLE001  As with the peak: that what was timed cannot be counted is no fault of it.
        return None
