"""Other sizes: every named size set to 0, 1, odd and even numbers and past powers of two, alone and all together.

Sees: a tail past a block's multiple that is dropped or not masked; a reduction that stops at a tile; a batch of one
that hides a missing sum; an empty input that makes the backward raise.
Cannot see: sizes declared `fixed`, or written as numbers in a case file; blocks larger than the sizes tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from harness.case.points import subject_values
from harness.case.sizes import shape_for
from harness.case.subject import Point, Subject
from harness.errors import HarnessError
from harness.records import Finding
from harness.verify.first import FirstOrder
from harness.verify.probes.infer import Declared, declared
from harness.verify.probes.judge import ENOUGH, judge_at
from harness.verify.probes.probe import Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.scene import Scene

ALONE = {
    "quick": (1, 7),
    "standard": (1, 7, 67, 12, 0, 131, 64, 13),
    "thorough": (1, 7, 67, 12, 0, 131, 64, 13, 2, 3, 16, 37, 128, 257, 1031),
}
"""Sizes one name takes while the others keep theirs, most telling first: the primes past 64, 128, 256 and 1024, and
a number of many divisors, and a usual width."""
TOGETHER = {"quick": (7,), "standard": (1, 67, 7), "thorough": (1, 67, 7, 131)}
"""Sizes all names take at once."""
MOST_ENTRIES = {"quick": 5_000, "standard": 50_000, "thorough": 500_000}
"""Entries of all inputs together beyond which a combination is left out."""


def run(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Judge the gradient at random points of other sizes."""
    tally = Tally(scene, "sizes")
    known = declared(scene.subject, scene.point, sitting.exact)
    subject = replace(scene.subject, inputs=known.inputs)
    drawn = Scene(subject, replace(scene.point, sizes=known.sizes), scene.labels, dtype=scene.dtype)
    drawn.flat.batched = scene.flat.batched
    plan = tuple(_plan(known, sitting))
    if not _names(known, sitting) and any(spec.shape for spec in known.inputs.values()):
        tally.refuse("other sizes", "every size is fixed or written as a number; name those that may vary")
    for position, (situation, sizes) in enumerate(plan):
        if len(tally.failed) >= ENOUGH:
            break
        if sitting.expired:
            tally.refuse(f"{len(plan) - position} further sizes", "the time for probes was used up")
            break
        try:
            point = _point(subject, scene, sizes)
        except (HarnessError, RuntimeError, ValueError, IndexError) as reason:
            tally.refuse(situation, f"no input can be drawn ({reason})")
            continue
        judge_at(tally, sitting, drawn, point, situation, loud=True)
    yield from tally.findings()


def _plan(known: Declared, sitting: Sitting) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Yield (situation, sizes), the most telling first: by size, not by name."""
    names = _names(known, sitting)
    if not names:
        return
    seen = {tuple(known.sizes.items())}
    together, alone = TOGETHER[sitting.effort], ALONE[sitting.effort]
    for place in range(max(len(together), len(alone))):
        steps = [dict.fromkeys(names, together[place])] if place < len(together) and len(names) > 1 else []
        steps += [{name: alone[place]} for name in names] if place < len(alone) else []
        for step in steps:
            sizes = {**known.sizes, **step}
            entries = sum(math.prod(shape_for(spec, sizes)) for spec in known.inputs.values())
            if tuple(sizes.items()) not in seen and entries <= MOST_ENTRIES[sitting.effort]:
                seen.add(tuple(sizes.items()))
                yield _named(step, known), sizes


def _names(known: Declared, sitting: Sitting) -> list[str]:
    """Sizes that may be varied."""
    used = {
        size for spec in known.inputs.values() if spec.value is None for size in spec.shape if isinstance(size, str)
    }
    return [name for name in known.sizes if name in used and name not in sitting.fixed]


def _named(step: Mapping[str, int], known: Declared) -> str:
    if len(step) == 1:
        ((name, size),) = step.items()
        axis = name.removeprefix("axis")
        return f"axes of size {axis} have size {size}" if axis != name and axis.isdigit() else f"{name} is {size}"
    return f"{', '.join(step)} are {next(iter(step.values()))} together" if known.sizes else ""


def _point(subject: Subject, scene: Scene, sizes: Mapping[str, int]) -> Point:
    text = ",".join(f"{name}={size}" for name, size in sizes.items())
    values = subject_values(subject, sizes, seed=scene.labels.seed, purpose=(scene.labels.case, "probe sizes", text))
    return Point(name=f"sizes {text}", values=values, sizes=sizes, seed=scene.labels.seed)


PROBE = Probe(
    name="sizes",
    effort="quick",
    sees="a dropped or unmasked tail, a reduction that stops at a tile, a sum missing over a batch, an empty input",
    blind_to="sizes declared fixed or written as numbers; blocks larger than the sizes tried",
    run=run,
    judges=True,
)
