"""Special values: what ordinary draws never hit and backwards often get wrong, within what each input may be.

Sees: NaN at zeros, ties, borders and axis-aligned vectors; a wrong branch at large values; leaks from the dead branch
of a `where`; a wrong slope next to a threshold that the code compares with.
Cannot see: values outside a declared domain; a wrong slope between the one-sided slopes at a kink; points at which the
value is not finite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import Tensor

from harness.case.subject import Input
from harness.records import Finding
from harness.verify.first import FirstOrder
from harness.verify.probes.infer import declared
from harness.verify.probes.judge import ENOUGH, judge_at
from harness.verify.probes.kinds import Kind, allowed, draw_name, kinds, made
from harness.verify.probes.probe import EFFORTS, Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.probes.thresholds import threshold_kinds, thresholds
from harness.verify.scene import Scene

MOST_ALONE = 4
"""Inputs that take special values one at a time; more only at thorough effort."""
Plan = Iterator[tuple[str, dict[str, Tensor], bool]]
"""Situations, with the values that differ from the scene's, and whether those may lie outside what the subject is for.
"""


def run(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Judge the gradient where inputs take special values: each input alone, or all together."""
    tally = Tally(scene, "values")
    inputs = declared(scene.subject, scene.point, sitting.exact).inputs
    levels = EFFORTS[: EFFORTS.index(sitting.effort) + 1]
    around = threshold_kinds(thresholds(scene)) if sitting.at_least("standard") else ()
    plan = [*_same(scene, inputs), *_special(scene, inputs, (*around, *kinds(levels)), sitting)]
    for position, (situation, changed, outside) in enumerate(plan):
        if len(tally.failed) >= ENOUGH:
            break
        if sitting.expired:
            tally.refuse(f"{len(plan) - position} further situations", "the time for probes was used up")
            break
        point = replace(scene.point, name=f"values: {situation}", values={**scene.point.values, **changed})
        judge_at(tally, sitting, scene, point, situation, outside=outside)
    yield from tally.findings()


def _special(scene: Scene, inputs: Mapping[str, Input], wanted: tuple[Kind, ...], sitting: Sitting) -> Plan:
    """Plan every kind, most telling first."""
    values = scene.point.values
    names = list(inputs) if sitting.at_least("thorough") or len(inputs) <= MOST_ALONE else []
    for kind in wanted:
        changed = {name: new for name in inputs if (new := made(kind, inputs[name], values[name])) is not None}
        inside = {name: new for name, new in changed.items() if allowed(new, inputs[name])}
        if kind.together and (len(inside) > 1 or not kind.alone) and inside:
            yield f"{_listed(inside)} {'is' if len(inside) == 1 else 'are'} {kind.text}", inside, False
        for name in names if kind.alone else ():
            if name in inside:
                yield f"{name} is {kind.text}", {name: inside[name]}, False
            elif name in changed and name in sitting.exact and scene.subject.reference is not None:
                yield f"{name} is {kind.text}", {name: changed[name]}, True


def _same(scene: Scene, inputs: Mapping[str, Input]) -> Plan:
    """Give two inputs of one shape equal values: ties between inputs."""
    values, names = scene.point.values, list(scene.subject.differentiable)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            alike = values[name].shape == values[other].shape and values[name].dtype == values[other].dtype
            drawn_alike = draw_name(inputs[name]) == draw_name(inputs[other])
            if alike and drawn_alike and allowed(values[name], inputs[other]) and values[name].numel():
                yield f"{other} equals {name}", {other: values[name]}, False
                return


def _listed(names: Mapping[str, Tensor]) -> str:
    return ", ".join(names)


PROBE = Probe(
    name="values",
    effort="quick",
    sees="NaN or a wrong slope at zeros, ties, borders, thresholds, axis-aligned vectors, large and small values",
    blind_to="values outside a declared domain; slopes between the one-sided ones at a kink",
    run=run,
    judges=True,
)
