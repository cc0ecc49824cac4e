"""A forward that is random has no derivative anyone could check: it is found, and named, before anything else.

Sees: dropout, sampling, and state that changes the value from call to call. Cannot see: randomness that seldom shows,
or one below rounding; a forward that seeds itself is not random.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from harness.records import Finding, Outcome
from harness.verify.first import FirstOrder
from harness.verify.probes.probe import Probe, Sitting
from harness.verify.probes.tally import Tally
from harness.verify.scene import Scene, number

CALLS = 2
SAME = 1e-9
"""Relative to the largest value: parallel sums differ far less from call to call, dropout far more."""


def random_forward(scene: Scene) -> Finding | None:
    """Call the function again at equal inputs; a finding when its value changes, None when it does not."""
    values = [_value(scene) for _ in range(CALLS)]
    reference = scene.value
    if any(value.shape != reference.shape for value in values):
        return _finding(scene, "its result has another shape")
    scale = float(reference.abs().nan_to_num(0.0, 0.0, 0.0).max()) if reference.numel() else 0.0
    same = torch.stack([_same(value, reference, SAME * scale) for value in values]) if reference.numel() else None
    if same is None or bool(same.all()):
        return None
    off = max(float((value - reference).abs().nan_to_num(0.0).max()) for value in values)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        seeded = _value(scene)
        torch.manual_seed(0)
        again = _value(scene)
    seeds = again.shape == seeded.shape and bool(_same(again, seeded, SAME * scale).all())
    cure = (
        "It is the same under one seed: draw from a generator seeded inside the function, or switch dropout off"
        if seeds
        else "It is not PyTorch's global generator: look for state kept between calls"
    )
    return _finding(scene, f"its value changes by {number(off)}", cure)


def run(scene: Scene, first: FirstOrder, sitting: Sitting) -> Iterator[Finding]:
    """Report a random forward."""
    found = random_forward(scene)
    tally = Tally(scene, "random forward")
    if found is None:
        tally.agree(f"{CALLS + 1} calls with equal inputs")
        yield from tally.findings()
    else:
        yield found


def _value(scene: Scene) -> Tensor:
    named = {name: value.clone() for name, value in scene.flat.values.items()}
    from harness.oracle.flat import real_vector

    with torch.no_grad():
        return real_vector(scene.flat.call(named)).detach().to("cpu", torch.float64)


def _same(a: Tensor, b: Tensor, allowed: float) -> Tensor:
    return ((a - b).abs() <= allowed) | (a == b) | (a.isnan() & b.isnan())


def _finding(scene: Scene, what: str, cure: str = "Make the function give equal results for equal inputs") -> Finding:
    message = f"The forward is random: at equal inputs {what}. There is no derivative to check. {cure}."
    return scene.finding("probe random forward", Outcome.INCONCLUSIVE, message, question="probe random forward")


PROBE = Probe(
    name="random forward",
    effort="quick",
    sees="dropout, sampling, and state that changes the value from call to call",
    blind_to="randomness that seldom shows",
    run=run,
)
