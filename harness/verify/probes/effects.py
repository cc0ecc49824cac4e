"""Side effects: inputs, upstream gradients and outputs are compared byte by byte before and after.

Version counters are not enough: `.data` and kernels write past them. Sees: a forward or backward that overwrites an
input, an output or the upstream gradient. Cannot see: writes into tensors the subject holds itself. An input without a
gradient may be updated openly (running statistics): only a silent write into one counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from harness.oracle.analytic import output_cotangents
from harness.oracle.flat import FlatSubject
from harness.records import Finding
from harness.verify.first import FirstOrder
from harness.verify.probes.ask import CutError, derive, present
from harness.verify.probes.probe import Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.routes import one_line
from harness.verify.scene import Scene


def run(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Run forward and backward once, and see what else they changed."""
    tally = Tally(scene, "side effects")
    flat = scene.flat
    named = present(flat)
    before, versions = _copies(named), _versions(named)
    outputs = flat.call(named)
    changed = _overwritten(scene, before, versions, named)
    for name in changed:
        tally.fail(f"The forward overwrites its input {name}.", input=name)
    returned = {f"output {place}": output for place, output in enumerate(outputs)}
    results = {name: output for name, output in returned.items() if not _shares(output, named)}
    kept, seeds = _copies(results), output_cotangents(flat, outputs, scene.cotangents[0])
    given = {f"upstream gradient {place}": seed for place, seed in enumerate(seeds)}
    upstream, before, versions = _copies(given), _copies(named), _versions(named)
    try:
        derive(named, outputs, seeds, [block.name for block in flat.blocks])
    except (CutError, RuntimeError) as reason:
        tally.refuse("the backward", f"it raises {one_line(reason)}")
    else:
        for name in _overwritten(scene, before, versions, named):
            tally.fail(f"The backward overwrites the input {name}.", input=name)
        for name in (n for n, copy in kept.items() if not same_bytes(copy, results[n])):
            tally.fail(f"The backward overwrites {name}, which the caller holds.")
        for name in (n for n, copy in upstream.items() if not same_bytes(copy, given[n])):
            tally.fail(f"The backward overwrites {name}, which other parts of a graph may share.")
        if not tally.failed:
            tally.agree("inputs, outputs and upstream gradients are left alone")
    yield from tally.findings()


def overwritten_by_forward(scene: Scene) -> tuple[str, ...]:
    """Names of inputs that one call of the subject overwrites; its own copies are used up for that, not the scene's."""
    named = {name: value.clone() for name, value in scene.point.values.items()}
    before, versions = _copies(named), _versions(named)
    with torch.no_grad():
        scene.flat.call(named)
    return _overwritten(scene, before, versions, named)


def spoiled(scene: Scene) -> tuple[str, ...]:
    """Names of inputs that making a scene overwrote: its own numbers are compared with those of its point.

    Cheap where nothing was: the subject is called once more only to tell a silent write from an open one.
    """
    fresh = FlatSubject(scene.subject, scene.point, dtype=scene.dtype, device=scene.labels.device)
    kept = all(same_bytes(value, fresh.values[name]) for name, value in scene.flat.values.items())
    return () if kept and same_bytes(scene.flat.x, fresh.x) else overwritten_by_forward(scene)


def same_bytes(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of one type hold the same numbers; a NaN equals a NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    equal = (a == b) | ((a != a) & (b != b))
    return bool(equal.all())


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _versions(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: tensor._version for name, tensor in tensors.items()}


def _overwritten(
    scene: Scene, before: Mapping[str, Tensor], versions: Mapping[str, int], named: Mapping[str, Tensor]
) -> tuple[str, ...]:
    """Inputs that hold other numbers now; those without a gradient only where their version does not say so."""
    changed = []
    for name, copy in before.items():
        openly = name not in scene.subject.differentiable and named[name]._version != versions[name]
        if not openly and not same_bytes(copy, named[name].detach()):
            changed.append(name)
    return tuple(changed)


def _shares(output: Tensor, named: Mapping[str, Tensor]) -> bool:
    """Whether an output is an input, or a view of one."""
    start = output.untyped_storage().data_ptr()
    return any(value.untyped_storage().data_ptr() == start for value in named.values())


PROBE = Probe(
    name="side effects",
    effort="quick",
    sees="inputs, outputs or upstream gradients that are overwritten, also past version counters",
    blind_to="writes into tensors the subject holds itself",
    run=run,
)
