"""The same gradient again and again: on one graph and on fresh ones.

Sees: races (an element dropped or doubled now and then), stale state, a first call that differs from later ones; when
asked, any difference in the last bit.
Cannot see: what happens less often than one time in as many reruns as the time allows; what differs only on another
machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle.analytic import output_cotangents
from harness.records import Finding
from harness.verify.first import FirstOrder
from harness.verify.probes.ask import Gradients, Plain, derive, plain, present
from harness.verify.probes.probe import Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.scene import Scene, number

RERUNS = {"quick": 20, "standard": 400, "thorough": 2000}
"""A race in 2 % of launches hides from 400 reruns once in 3000 times."""
SECONDS = {"quick": 0.05, "standard": 0.5, "thorough": 3.0}
PLAIN_RERUNS = 20
"""Reruns of a subject that is an expression: it has no backward of its own."""
APART = 1e-6
"""Relative to the largest entry: what no rounding does between two runs of one computation in float64."""
PER_GRAPH = 4
"""Backwards through one graph before a fresh one is made."""


@dataclass(slots=True)
class _Seen:
    """What reruns showed: how many there were, differed in a bit, and differed beyond rounding."""

    runs: int = 0
    bits: int = 0
    beyond: int = 0
    worst: float = 0.0
    name: str = ""


def run(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Repeat the backward, and tell a race from rounding by its size."""
    tally = Tally(scene, "reruns", kinked=first.kinked)
    base = plain(scene, first)
    seen = _repeat(base, _most(scene, sitting), SECONDS[sitting.effort])
    exact = torch.are_deterministic_algorithms_enabled()
    if seen.beyond:
        always = seen.beyond == seen.runs
        why = "only the first call gives another one: state kept between calls?" if always else "a race, or kept state?"
        tally.fail(
            f"The gradient changes from run to run: in {seen.beyond} of {seen.runs} reruns it is off by up to "
            f"{number(seen.worst)} (in {seen.name}), far more than rounding: {why}",
            input=seen.name, error=seen.worst,
        )  # fmt: skip
    elif seen.bits and exact:
        _bitwise(tally, seen)
    else:
        tally.agree(f"{seen.runs} reruns, {seen.runs - seen.bits} of them to the last bit")
    yield from tally.findings()


def run_bitwise(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Repeat the backward; a difference in the last bit fails."""
    tally = Tally(scene, "bitwise", kinked=first.kinked)
    seen = _repeat(plain(scene, first), _most(scene, sitting), SECONDS[sitting.effort])
    if seen.bits:
        _bitwise(tally, seen)
    else:
        tally.agree(f"{seen.runs} reruns to the last bit")
    yield from tally.findings()


def _bitwise(tally: Tally, seen: _Seen) -> None:
    tally.fail(
        f"The gradient is not the same to the last bit in {seen.bits} of {seen.runs} reruns (off by up to "
        f"{number(seen.worst)}): it is not deterministic."
    )


def _most(scene: Scene, sitting: Sitting) -> int:
    most = RERUNS[sitting.effort]
    return min(most, PLAIN_RERUNS) if scene.subject.expressions else most


def _repeat(base: Plain, most: int, seconds: float) -> _Seen:
    seen, until = _Seen(), time.thread_time() + seconds
    names = [block.name for block in base.flat.blocks]
    _note(seen, base.found, base, same=False)
    first_is_right = seen.beyond == 0
    while seen.runs < most and (seen.runs < PLAIN_RERUNS or time.thread_time() < until):
        named = present(base.flat)
        outputs = base.flat.call(named)
        for left in range(PER_GRAPH - 1, -1, -1):
            seeds = output_cotangents(base.flat, outputs, base.cotangent)
            found = derive(named, outputs, seeds, names, retain=left > 0)
            same = all(_equal(gradient, base.found[name]) for name, gradient in found.items())
            seen.bits += not same
            _note(seen, found, base, same=same and first_is_right)
    return seen


def _note(seen: _Seen, found: Gradients, base: Plain, *, same: bool) -> None:
    """Compare one rerun with the judged gradient; what equals a right answer to the last bit needs no comparison."""
    seen.runs += 1
    if same:
        return
    errors = {name: _beyond(base, name, gradient) for name, gradient in found.items()}
    seen.beyond += any(beyond for _, beyond in errors.values())
    name = max(errors, key=lambda name: errors[name][0])
    if errors[name][0] > seen.worst:
        seen.worst, seen.name = errors[name][0], name


def _beyond(base: Plain, name: str, gradient: Tensor | None) -> tuple[float, bool]:
    """How far an answer is off the judged gradient, and whether that is beyond rounding."""
    value = torch.zeros_like(base.expected[name]) if gradient is None else gradient
    off = (value - base.expected[name]).abs()
    # The bars were had from runs of the same backward: a race has been at them too.
    most = APART * base.expected[name].abs().max() if off.numel() else 0.0
    wrong = ~(off <= base.allowed[name].clamp(max=most))
    return float(off.nan_to_num(torch.inf).max()) if off.numel() else 0.0, bool(wrong.any())


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return torch.equal(a, b)


PROBE = Probe(
    name="reruns",
    effort="quick",
    sees="races and state kept between calls, told from rounding by their size",
    blind_to="what happens more rarely than once in the reruns there is time for",
    run=run,
)
BITWISE = Probe(
    name="bitwise",
    effort="named",
    sees="any difference from run to run; also under torch.use_deterministic_algorithms",
    blind_to="differences that show only on another machine",
    run=run_bitwise,
)
