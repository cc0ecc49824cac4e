"""Which inputs require a gradient, and inputs that are one tensor: each alone, all but one, the same one twice.

Sees: a gradient that is wrong, zero or lost when another input needs none; half the gradient where a tensor is passed
twice. Cannot see: larger subsets than those; subjects with one input.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import torch
from torch import Tensor

from harness.records import Finding
from harness.verify.first import FirstOrder
from harness.verify.probes.ask import CutError, Plain, ask, plain, present
from harness.verify.probes.infer import declared
from harness.verify.probes.kinds import allowed, draw_name
from harness.verify.probes.probe import Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.routes import one_line
from harness.verify.scene import Scene

MOST_PAIRS = 6
"""Pairs of inputs given one tensor."""


def run(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Ask for the gradient of some inputs only."""
    tally = Tally(scene, "requires_grad", kinked=first.kinked)
    base = plain(scene, first)
    names = [block.name for block in base.flat.blocks]
    if len(names) > 1:
        wanted: dict[tuple[str, ...], str] = {(name,): f"only {name} requires a gradient" for name in names}
        wanted |= {
            tuple(n for n in names if n != left): f"{left} requires no gradient" for left in names if len(names) > 2
        }
        for some, situation in wanted.items():
            _attempt(tally, base, some, situation)
    yield from tally.findings()


def _attempt(tally: Tally, base: Plain, some: tuple[str, ...], situation: str) -> None:
    named = present(base.flat)
    for block in base.flat.blocks:
        named[block.name].requires_grad_(block.name in some)
    try:
        found = ask(base.flat, named, base.cotangent, wanted=some)
    except CutError:
        found = dict.fromkeys(some)
    except Exception as reason:  # noqa: BLE001 - the subject's own code may raise anything; what is refused loudly is no silent fault
        tally.refuse(situation, f"it raises {one_line(reason)}")
        return
    expected = {name: base.expected[name] for name in some}
    tally.compare(situation, found, expected, base.allowed)  # without a path, None is right where the gradient is zero


def run_twice(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Pass one tensor as two inputs: its gradient is the sum of both."""
    tally = Tally(scene, "same tensor twice")
    base = plain(scene, first)
    inputs = declared(scene.subject, scene.point, sitting.exact).inputs
    pairs = 0
    for one, other in combinations((block.name for block in base.flat.blocks), 2):
        value = base.flat.values[one]
        alike = value.shape == base.flat.values[other].shape and value.dtype == base.flat.values[other].dtype
        if not alike or draw_name(inputs[one]) != draw_name(inputs[other]) or not allowed(value, inputs[other]):
            continue
        _together(tally, base, one, other)
        pairs += 1
        if pairs == MOST_PAIRS:
            break
    yield from tally.findings()


def _together(tally: Tally, base: Plain, one: str, other: str) -> None:
    """Hold one tensor passed twice against two tensors with equal numbers."""
    situation = f"one tensor is both {one} and {other}"
    value = base.flat.values[one]
    try:
        apart = present(base.flat, {other: value})
        if not all(bool(output.isfinite().all()) for output in base.flat.call(apart)):
            tally.refuse(situation, "the value is not finite there")
            return
        parts = ask(base.flat, apart, base.cotangent)
        named = present(base.flat)
        named[other] = named[one]
        found = ask(base.flat, named, base.cotangent, wanted=(one,))
    except Exception as reason:  # noqa: BLE001 - as above
        tally.refuse(situation, f"it raises {one_line(reason)}")
        return
    both = [part for part in (parts[one], parts[other]) if part is not None]
    zero = torch.zeros_like(base.expected[one])
    total: Tensor = sum(both, zero)
    allowed_here = sum((base.allowed_for(one, part) for part in both), torch.full_like(zero, 1e-300))
    tally.compare(situation, found, {one: total}, {one: allowed_here})


PROBE = Probe(
    name="requires_grad",
    effort="quick",
    sees="a gradient that is wrong or lost when only some inputs require one",
    blind_to="subsets other than each input alone and all but one",
    run=run,
)
TWICE = Probe(
    name="same tensor twice",
    effort="quick",
    sees="half a gradient where one tensor is passed as two inputs",
    blind_to="inputs of different shapes or draws",
    run=run_twice,
)
