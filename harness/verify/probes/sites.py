"""Where probes come in when a subject is verified: before its first point is judged, and once all points are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from harness.case.case import Case
from harness.records import Finding, Outcome
from harness.verify.first import FirstOrder
from harness.verify.options import ProbeOptions, ProbeSkip
from harness.verify.probes.effects import overwritten_by_forward
from harness.verify.probes.randomness import random_forward
from harness.verify.probes.registry import run_probes
from harness.verify.scene import Scene

MOST_ENTRIES = 20_000
"""Inputs of more entries are probed only where there is no smaller point."""


def case_probes(case: Case, effort: str) -> ProbeOptions:
    """Read off a case which probes it asks for and which it leaves out."""
    verify = case.model.verify
    skips = verify.skip if isinstance(verify.skip, list) else []
    return ProbeOptions(
        effort=effort,
        names=None if verify.probes is None else tuple(verify.probes),
        skips=tuple(ProbeSkip(probe=skip.probe, reason=skip.reason, until=skip.until) for skip in skips),
        fixed=case.fixed,
    )


def before(scene: Scene, options: ProbeOptions | None) -> Finding | None:
    """Look for what would spoil every other check: a random forward, or one that overwrites its inputs.

    Returns:
        A finding that stands for the whole point, or None.
    """
    if options is None:
        return None
    if (found := random_forward(scene)) is not None:
        return found
    if names := overwritten_by_forward(scene):
        message = (
            f"The forward overwrites its input {names[0]}: the caller's numbers are lost, and a gradient at them is "
            "none at what is left."
        )
        return scene.finding("probe side effects", Outcome.FAIL, message, input=names[0], route="probe")
    return None


def probe_sites(sites: Sequence[tuple[Scene, FirstOrder]], options: ProbeOptions | None) -> Iterator[Finding]:
    """Probe a subject at the most telling of its points, see `worth`.

    Args:
        sites: the points at which its gradient was judged, with what was found there.
        options: which probes; None runs none.
    """
    judged = [(scene, first) for scene, first in sites if first.gradient is not None]
    if options is None or not judged:
        return
    scene, first = max(judged, key=lambda site: worth(*site))
    yield from run_probes(scene, first, options)


def worth(scene: Scene, first: FirstOrder) -> tuple[bool, bool, bool, int, int]:
    """Order points by what probes can show there: ordinary, smooth, not too large, gradients alive, many numbers."""
    alive = torch.zeros(1, scene.flat.size, dtype=torch.bool)
    if first.gradient is not None and first.bar is not None:
        alive = first.gradient.abs() > first.bar
    inputs = sum(bool(alive[:, block.start : block.stop].any()) for block in scene.flat.blocks)
    numbers = sum(value.numel() for value in scene.point.values.values())
    return scene.point.special is None, not first.kinked, scene.flat.size <= MOST_ENTRIES, inputs, numbers
