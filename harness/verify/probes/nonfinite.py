"""Infinite and NaN inputs: the subject's gradient may be NaN only where the reference's is.

Sees: a NaN or an infinity that spreads to entries which do not depend on it. Cannot see: anything without a reference;
a subject that is right only for finite inputs and says so should skip it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from harness.records import Finding
from harness.verify.first import FirstOrder
from harness.verify.probes.infer import declared
from harness.verify.probes.probe import Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.probes.truth import scene_at, twin_at
from harness.verify.routes import one_line, reverse
from harness.verify.scene import Scene


def run(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Put inf, -inf and NaN into one entry of each input."""
    tally = Tally(scene, "nonfinite")
    inputs = declared(scene.subject, scene.point, sitting.exact).inputs
    for block in scene.flat.blocks:
        for number in (math.inf, -math.inf, math.nan):
            situation = f"an entry of {block.name} is {number}"
            if scene.subject.reference is None:
                tally.refuse(situation, "there is no reference to say what is right")
            elif inputs[block.name].domain is not None or block.complex:
                tally.refuse(situation, "its domain excludes it")
            else:
                values = scene.point.values[block.name].clone()
                values.view(-1)[0] = number
                _spread(tally, scene, block.name, values, situation)
    yield from tally.findings()


def _spread(tally: Tally, scene: Scene, name: str, values: Tensor, situation: str) -> None:
    point = replace(scene.point, name=situation, values={**scene.point.values, name: values})
    try:
        there = scene_at(scene, point)
        twin, gradient = twin_at(there), reverse(there.flat, there.cotangents[:1]).value[0]
    except Exception as reason:  # noqa: BLE001 - the subject's own code may raise anything at values it was not given
        tally.refuse(situation, f"it raises {one_line(reason)}")
        return
    if twin is None or twin.gradient is None:
        tally.refuse(situation, "the reference has no gradient there")
        return
    spread = gradient.isnan() & twin.gradient.isfinite()
    if bool(spread.any()):
        position = int(spread.long().argmax())
        block = next(b for b in scene.flat.blocks if b.start <= position < b.stop)
        index = block.index(position - block.start)
        tally.fail(
            f"The gradient is NaN when {situation}: {scene.symbol(block, index)} is nan but finite by the reference; "
            f"{int(spread.sum())} of {spread.numel()} numbers.",
            input=block.name, index=index, oracle="reference",
        )  # fmt: skip
    else:
        tally.agree(situation)


PROBE = Probe(
    name="nonfinite",
    effort="thorough",
    sees="a NaN or an infinity that spreads further than in the reference",
    blind_to="subjects without a reference",
    run=run,
    judges=True,
)
