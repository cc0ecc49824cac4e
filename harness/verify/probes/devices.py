"""The same gradient in other surroundings: under autocast, and on a CUDA device.

Sees: gradients that come back in another dtype, are lost or not finite under autocast; a CUDA path that differs from
the CPU's beyond rounding. Cannot see: accuracy under autocast, which is what it trades away; anything on a machine
without CUDA, where it says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch

from harness.oracle.flat import FlatSubject
from harness.records import Finding
from harness.verify.first import FirstOrder
from harness.verify.probes.ask import ask, plain, present
from harness.verify.probes.probe import Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.routes import RouteUnavailableError, one_line, reverse
from harness.verify.scene import Scene

CUDA_MARGIN = 16.0
"""Further rounding bars granted to another device: its libraries promise a few units more for special functions."""


def run_autocast(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Differentiate in float32 under autocast to bfloat16; gradients must be float32, finite and there."""
    tally = Tally(scene, "autocast")
    situation = "autocast is on (bfloat16)"
    flat = FlatSubject(scene.subject, scene.point, dtype=torch.float32, device=scene.labels.device)
    try:
        plainly = reverse(flat, scene.cotangents[:1])
        with warnings.catch_warnings(), torch.autocast(flat.device.type, torch.bfloat16):
            warnings.simplefilter("ignore")
            found = reverse(flat, scene.cotangents[:1])
    except (RouteUnavailableError, Exception) as reason:  # noqa: BLE001 - what autocast cannot run says so loudly
        tally.refuse(situation, f"it raises {one_line(reason)}")
        yield from tally.findings()
        return
    for fault in sorted(set(found.dtype_faults) - set(plainly.dtype_faults)):
        tally.fail(f"The gradient has another dtype than its input when {situation}: {fault}.")
    for name in sorted(set(found.missing) - set(plainly.missing)):
        tally.fail(f"The gradient of {name} is lost (None) when {situation}.", input=name)
    if bool(plainly.value.isfinite().all()) and bool(found.outputs.isfinite().all() & ~found.value.isnan().any()):
        if not tally.failed:
            tally.agree(situation)
    elif bool(plainly.value.isfinite().all() & found.outputs.isfinite().all()):
        tally.fail(f"The gradient is NaN when {situation}, and finite without it.")
    yield from tally.findings()


def run_cuda(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Differentiate on the first CUDA device."""
    tally = Tally(scene, "cuda", kinked=first.kinked)
    situation = "it runs on CUDA"
    if not torch.cuda.is_available():
        tally.refuse(situation, "there is no CUDA device")
    elif scene.flat.device.type != "cpu":
        tally.refuse(situation, "the subject runs there already")
    else:
        base = plain(scene, first)
        flat = FlatSubject(scene.subject, scene.point, dtype=scene.dtype, device="cuda")
        try:
            found = ask(flat, present(flat), base.cotangent)
        except Exception as reason:  # noqa: BLE001 - what a device cannot run says so loudly
            tally.refuse(situation, f"it raises {one_line(reason)}")
        else:
            allowed = {name: CUDA_MARGIN * value for name, value in base.allowed.items()}
            tally.compare(situation, found, dict(base.expected), allowed, absent=base.found)
    yield from tally.findings()


AUTOCAST = Probe(
    name="autocast",
    effort="thorough",
    sees="gradients of another dtype, lost or NaN under autocast",
    blind_to="accuracy under autocast",
    run=run_autocast,
)
CUDA = Probe(
    name="cuda",
    effort="thorough",
    sees="a CUDA path that differs from the CPU's beyond rounding",
    blind_to="anything without a CUDA device",
    run=run_cuda,
)
