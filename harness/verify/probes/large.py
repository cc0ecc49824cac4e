"""Large indices with few numbers: inputs whose strides are so huge that their last entry lies past 2³¹ elements.

Sees: offsets computed in 32 bits. Cannot see: counts of elements in 32 bits; anything where that much address space
cannot be had (only the pages of real entries are ever used). Runs only when asked for by name.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from harness.records import Finding
from harness.verify.first import FirstOrder
from harness.verify.probes.ask import ask, plain, present
from harness.verify.probes.probe import NAMED, Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.routes import one_line
from harness.verify.scene import Scene

REACH = 2**31
"""First element that a signed 32-bit offset cannot name."""


def run(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Spread each input in turn over more than 2³¹ elements."""
    tally = Tally(scene, "large index", kinked=first.kinked)
    base = plain(scene, first)
    for name, value in base.flat.values.items():
        if value.ndim == 0 or value.shape[0] < 2:
            continue
        situation = f"{name} is spread over more than 2^31 elements"
        try:
            named = present(base.flat)
            named[name] = spread(value).detach().requires_grad_(named[name].requires_grad)
            found = ask(base.flat, named, base.cotangent)
        except Exception as reason:  # noqa: BLE001 - the subject's own code may raise anything, and so may so large a request
            tally.refuse(situation, f"it raises {one_line(reason)}")
        else:
            tally.same(situation, found, base)
    yield from tally.findings()


def spread(value: Tensor) -> Tensor:
    """A view of a tensor's numbers whose rows lie so far apart that the last one starts past 2³¹ elements."""
    dense = value.contiguous()
    apart = -(-REACH // (dense.shape[0] - 1))
    row = max(dense[0].numel(), 1)
    buffer = torch.empty(apart * (dense.shape[0] - 1) + row, dtype=dense.dtype, device=dense.device)
    view = buffer.as_strided(dense.shape, (apart, *dense.stride()[1:]))
    return view.copy_(dense)


PROBE = Probe(
    name="large index",
    effort=NAMED,
    sees="offsets computed in 32 bits",
    blind_to="counts of elements in 32 bits; machines without the address space",
    run=run,
)
