"""Other upstream gradients: other layouts of the same numbers, and numbers for which linearity tells the answer.

Sees: an upstream gradient read with the wrong strides; one that is clipped, clamped or used only by its sign or first
row; another path for ones; a backward that fails when some outputs are not used; a zero upstream gradient that gives
something.
Cannot see: an upstream gradient that is ignored in a way linear in it (the oracles see that); scalar outputs have no
layout.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from harness.oracle.flat import random_signs
from harness.records import Finding
from harness.verify.first import FirstOrder
from harness.verify.probes.ask import Gradients, Plain, Reseed, Seeds, ask, plain, present
from harness.verify.probes.probe import Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.probes.views import expansions, views
from harness.verify.routes import one_line
from harness.verify.scene import Scene

SCALES = (2.0**20, 2.0**-20, -1.0)
"""Powers of two, so that rounding stays the same: a scaled loss is usual in low precision."""
UNLIKE = 1e-6
"""Relative difference from a scaled gradient that counts."""


def run(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Present the upstream gradient otherwise."""
    tally = Tally(scene, "cotangents", kinked=first.kinked)
    base = plain(scene, first)
    outputs = tuple(output.detach() for output in base.flat.call(present(base.flat)))
    seeds = tuple(o for o in outputs if o.is_floating_point() or o.is_complex())
    for name in dict.fromkeys(name for seed in seeds for name, _ in views(seed)):
        _attempt(tally, base, f"the upstream gradient is {name}", _laid_out(name))
    for name in dict.fromkeys(name for seed in seeds for name, _ in expansions(seed)):
        _expanded(tally, base, name)
    _linear(tally, scene, base)
    if len(outputs) > 1:
        _one_output_at_a_time(tally, base, outputs)
    yield from tally.findings()


def _laid_out(name: str) -> Reseed:
    """Lay every upstream gradient out in one way, where it can be."""
    return lambda seeds: tuple(dict(views(seed)).get(name, seed) for seed in seeds)


def _attempt(tally: Tally, base: Plain, situation: str, reseed: Reseed) -> None:
    try:
        found = ask(base.flat, present(base.flat), base.cotangent, reseed=reseed)
    except Exception as reason:  # noqa: BLE001 - the subject's own code may raise anything; what is refused loudly is no silent fault
        tally.refuse(situation, f"it raises {one_line(reason)}")
        return
    tally.same(situation, found, base)


def _expanded(tally: Tally, base: Plain, name: str) -> None:
    """Hold an expanded upstream gradient against a dense one with the same numbers."""
    situation = f"the upstream gradient is {name} (stride 0)"

    def expanded(seeds: Seeds) -> Seeds:
        return tuple(dict(expansions(seed)).get(name, seed) for seed in seeds)

    def dense(seeds: Seeds) -> Seeds:
        return tuple(seed.clone(memory_format=torch.contiguous_format) for seed in expanded(seeds))

    try:
        expected = ask(base.flat, present(base.flat), base.cotangent, reseed=dense)
        found = ask(base.flat, present(base.flat), base.cotangent, reseed=expanded)
    except Exception as reason:  # noqa: BLE001 - as above
        tally.refuse(situation, f"it raises {one_line(reason)}")
        return
    numbers, allowed = _bounds(base, expected)
    tally.compare(situation, found, numbers, allowed, absent=expected)


def _bounds(base: Plain, expected: Gradients, factor: float = 1.0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """An answer as numbers (None is 0), and how far another presentation may be off it."""
    numbers = {n: torch.zeros_like(base.expected[n]) if g is None else g for n, g in expected.items()}
    return numbers, {name: factor * base.allowed_for(name, g) for name, g in numbers.items()}


def _linear(tally: Tally, scene: Scene, base: Plain) -> None:
    """Scaled, split and zero upstream gradients, and ones."""
    for scale in SCALES:
        found = ask(base.flat, present(base.flat), scale * base.cotangent)
        expected = {name: scale * value for name, value in base.expected.items()}
        # Some backwards choose their algorithm by the size of what they are given (the matrix exponential's does).
        allowed = {
            name: abs(scale) * (value + UNLIKE * base.expected[name].abs().max())
            for name, value in base.allowed.items()
        }
        situation = f"the upstream gradient is multiplied by {scale:g}, beyond that factor"
        tally.compare(situation, found, expected, allowed, absent=base.found)
    found = ask(base.flat, present(base.flat), torch.zeros_like(base.cotangent))
    nothing = {name: torch.zeros_like(value) for name, value in base.expected.items()}
    tally.compare("the upstream gradient is zero", found, nothing, base.allowed)
    if not scene.scalar:
        keep = random_signs(tuple(base.cotangent.shape), scene.generator("split cotangent")) > 0
        keep[0], keep[-1] = True, False
        _split(tally, base, keep)
        _ones(tally, base, keep)


def _split(tally: Tally, base: Plain, keep: Tensor) -> None:
    """Split the upstream gradient in two by entries; the two answers add up to the whole one."""
    allowed = {name: 2 * value for name, value in base.allowed.items()}
    situation = "the upstream gradient is split into two that add up to it"
    total = _added(base, base.cotangent, keep)
    tally.compare(situation, total, dict(base.expected), allowed, absent=base.found)


def _ones(tally: Tally, base: Plain, keep: Tensor) -> None:
    """An upstream gradient of ones, which a sum over the outputs gives and some backwards take for a scalar loss."""
    ones = torch.ones_like(base.cotangent)
    expected = _added(base, ones, keep)
    found = ask(base.flat, present(base.flat), ones)
    numbers, allowed = _bounds(base, expected, 2.0)
    tally.compare("the upstream gradient is 1 everywhere", found, numbers, allowed, absent=expected)


def _added(base: Plain, cotangent: Tensor, keep: Tensor) -> Gradients:
    """The sum of the answers for two parts of an upstream gradient; None where both are."""
    parts = [ask(base.flat, present(base.flat), cotangent * mask) for mask in (keep, ~keep)]
    total: dict[str, Tensor | None] = {}
    for name, plain_part in base.expected.items():
        known = [gradient for part in parts if (gradient := part[name]) is not None]
        total[name] = sum(known, torch.zeros_like(plain_part)) if known else None
    return total


def _one_output_at_a_time(tally: Tally, base: Plain, outputs: Seeds) -> None:
    """Leave all outputs but one unused: the backward is given undefined upstream gradients for the others."""
    for position, output in enumerate(outputs):
        if not (output.is_floating_point() or output.is_complex()):
            continue
        situation = f"only output {position} is used"

        def zeroed(seeds: Seeds, position: int = position) -> Seeds:
            return tuple(s if place == position else torch.zeros_like(s) for place, s in enumerate(seeds))

        try:
            expected = ask(base.flat, present(base.flat), base.cotangent, reseed=zeroed)
            found = _of_one(base, position)
        except Exception as reason:  # noqa: BLE001 - as above
            tally.refuse(situation, f"it raises {one_line(reason)}")
            continue
        numbers, allowed = _bounds(base, expected, 2.0)
        tally.compare(situation, found, numbers, allowed)


def _of_one(base: Plain, position: int) -> Gradients:
    """The gradient of one output alone; None everywhere when it has no history."""
    from harness.oracle.analytic import output_cotangents
    from harness.verify.probes.ask import derive

    named = present(base.flat)
    outputs = base.flat.call(named)
    names = [block.name for block in base.flat.blocks]
    if not outputs[position].requires_grad:
        return dict.fromkeys(names)
    seed = output_cotangents(base.flat, outputs, base.cotangent)[position]
    return derive(named, (outputs[position],), (seed,), names)


PROBE = Probe(
    name="cotangents",
    effort="quick",
    sees="an upstream gradient read with the wrong strides, clipped, or needed for every output",
    blind_to="mistakes linear in the upstream gradient; layouts of a scalar output's",
    run=run,
)
