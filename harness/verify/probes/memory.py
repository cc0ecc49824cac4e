"""Uninitialised memory filled with NaN: what a kernel forgets to write is seen at once.

Sees: a result of `torch.empty` of which a part is never written, in forward or backward. Cannot see: memory obtained
without torch (NumPy, a kernel's own buffers); what is forgotten and then multiplied away.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from harness.records import Finding
from harness.verify.first import FirstOrder
from harness.verify.probes.ask import ask, plain, present
from harness.verify.probes.probe import Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.routes import one_line
from harness.verify.scene import Scene


def run(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Differentiate once with poisoned memory."""
    tally = Tally(scene, "uninitialised memory", kinked=first.kinked)
    base = plain(scene, first)
    situation = "uninitialised memory holds NaN"
    try:
        with poisoned():
            found = ask(base.flat, present(base.flat), base.cotangent)
    except Exception as reason:  # noqa: BLE001 - the subject's own code may raise anything; what is refused loudly is no silent fault
        tally.refuse(situation, f"it raises {one_line(reason)}")
    else:
        tally.same(situation, found, base)
    yield from tally.findings()


@contextmanager
def poisoned() -> Iterator[None]:
    """Make torch fill new memory with NaN (integers: their largest); deterministic algorithms are a by-product.

    Source: torch.utils.deterministic.fill_uninitialized_memory.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    deterministic: Any = torch.utils.deterministic
    fill = deterministic.fill_uninitialized_memory
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # operators without a deterministic variant say so
        torch.use_deterministic_algorithms(True, warn_only=True)
        deterministic.fill_uninitialized_memory = True
        try:
            yield
        finally:
            deterministic.fill_uninitialized_memory = fill
            torch.use_deterministic_algorithms(before, warn_only=warn_only)


PROBE = Probe(
    name="uninitialised memory",
    effort="quick",
    sees="a buffer of torch.empty of which a part is never written",
    blind_to="memory obtained without torch; what is forgotten and then multiplied by zero",
    run=run,
)
