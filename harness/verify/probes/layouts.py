"""Inputs laid out otherwise in memory: strided, narrow, transposed, channels-last, expanded views of the same numbers.

Sees: a saved input read as if it were dense; a gradient that is None, or missing, when an input is a view; reading past
a view's end.
Cannot see: code that copies its inputs first; layouts of scalars.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from harness.records import Finding
from harness.verify.evidence import rounding_of
from harness.verify.first import FirstOrder
from harness.verify.probes.ask import MARGIN, Gradients, Plain, ask, plain, present
from harness.verify.probes.probe import Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.probes.truth import scene_at, smooth_at
from harness.verify.probes.views import expansions, views
from harness.verify.routes import one_line
from harness.verify.scene import Scene


def run(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Present the inputs otherwise: each alone, then all at once."""
    tally = Tally(scene, "layouts", kinked=first.kinked)
    base = plain(scene, first)
    layouts: dict[str, dict[str, Tensor]] = {}
    for name, value in base.flat.values.items():
        for layout, view in views(value):
            layouts.setdefault(layout, {})[name] = view
    for layout, given in layouts.items():
        for name, view in given.items():
            _attempt(tally, base, f"{name} is {layout}", {name: view})
        if len(given) > 1:
            _attempt(tally, base, f"every input is {layout}", given)
    for block in base.flat.blocks:
        for layout, view in expansions(base.flat.values[block.name]):
            _expanded(tally, scene, base, f"{block.name} is {layout} (stride 0)", {block.name: view})
    yield from tally.findings()


def _laid_out(base: Plain, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fresh inputs of which some are the given views, as leaves."""
    named = present(base.flat)
    for name, view in given.items():
        named[name] = view.detach().requires_grad_(named[name].requires_grad)
    return named


def _attempt(tally: Tally, base: Plain, situation: str, given: Mapping[str, Tensor]) -> None:
    try:
        found = ask(base.flat, _laid_out(base, given), base.cotangent)
    except Exception as reason:  # noqa: BLE001 - the subject's own code may raise anything; what is refused loudly is no silent fault
        tally.refuse(situation, f"it raises {one_line(reason)}")
        return
    tally.same(situation, found, base)


def _expanded(tally: Tally, scene: Scene, base: Plain, situation: str, given: Mapping[str, Tensor]) -> None:
    """Hold an expanded input against a dense one with the same numbers, which are others than the scene's."""
    dense = {name: view.clone(memory_format=torch.contiguous_format) for name, view in given.items()}
    try:
        outputs = base.flat.call(present(base.flat, dense))
        if sum(o.numel() for o in outputs if o.is_floating_point() or o.is_complex()) == 0 or not all(
            bool(o.isfinite().all()) for o in outputs
        ):
            tally.refuse(situation, "the value is not finite there")
            return
        expected = ask(base.flat, present(base.flat, dense), base.cotangent)
        found = ask(base.flat, _laid_out(base, given), base.cotangent)
    except Exception as reason:  # noqa: BLE001 - as above
        tally.refuse(situation, f"it raises {one_line(reason)}")
        return
    numbers = {n: torch.zeros_like(base.expected[n]) if g is None else g for n, g in expected.items()}
    allowed = {name: base.allowed_for(name, g) for name, g in numbers.items()}
    there = Tally(scene, "layouts")
    if there.compare(situation, found, numbers, allowed, absent=expected) or _only_rounding(
        scene, base, dense, found, numbers
    ):
        tally.agree(situation)
    elif not smooth_at(scene, dense):  # equal entries are ties: another layout may choose another one of them
        tally.refuse(situation, "another one of the slopes at a kink was returned")
    else:
        tally.failed += there.failed


def _only_rounding(
    scene: Scene, base: Plain, values: Mapping[str, Tensor], found: Gradients, expected: Mapping[str, Tensor]
) -> bool:
    """Whether two answers differ by what rounding does at these numbers.

    Where all entries are equal a gradient may be zero with a rounding that is not: a norm divides by no variance.
    """
    there = scene_at(scene, replace(scene.point, name="probed", values={**scene.point.values, **values}))
    bar = MARGIN * rounding_of(there.flat, base.cotangent[None], scene.generator("probe rounding"))[1][0]
    for block in there.flat.blocks:
        gradient, width = found.get(block.name), bar[block.start : block.stop]
        if block.name in found and (
            gradient is None or not bool(((gradient - expected[block.name]).abs() <= width).all())
        ):
            return False
    return True


PROBE = Probe(
    name="layouts",
    effort="quick",
    sees="an input read as if it were dense; a gradient lost, or None, when an input is a view",
    blind_to="code that copies its inputs first",
    run=run,
)
