"""The finite-difference oracle: gradients of ⟨cotangent, outputs⟩ from the function's values alone, on the ladder.

While the flat input is small every coordinate has its own ladder. Beyond that, each input gets a few dense random
directions, whose entries ±U(0.5, 1.5) can neither hide a coordinate nor cancel by design; a disagreement is then traced
to its worst entry by bisection. Memory is proportional to the number of inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from harness.oracle.estimate import Estimate
from harness.oracle.flat import FlatSubject, random_signs
from harness.oracle.ladder import MOST_STEPS, UNIT_ROUNDOFF, Slopes, scales, slopes, step_count

DIRECTIONS_PER_INPUT = 4
MOST_COORDINATES = 256
MOST_WORK = 16_000_000
"""Entries evaluated for a full gradient, beyond which directions are used instead."""
MOST_CALLS = 4_000
"""The same in calls of a function that cannot be batched."""
MOST_DIRECTION_STEPS = 56

Evaluate = Callable[[Tensor], Tensor]


def finite_differences(
    flat: FlatSubject, cotangents: Tensor, *, generator: torch.Generator, noise: Tensor | None = None
) -> tuple[Estimate, Slopes | None]:
    """Estimate the gradients of ⟨cotangent, outputs⟩ by finite differences.

    Args:
        flat: the subject at a point, N real inputs and M real outputs, float64.
        cotangents: C × M.
        generator: source of the directions.
        noise: M rounding levels of the outputs, where more is known than their size tells (x − tanh x is coarser than
            it is small).


    Returns:
        An estimate of C × N gradients (or C × D projections, see `Estimate.directions`), and the ladder it was read
        from when every coordinate had its own.
    """
    low, high = domain_of(flat)
    evaluate, floor = weighted(flat, cotangents)
    if noise is not None:
        floor = torch.maximum(floor, cotangents.abs() @ noise.nan_to_num(0.0, 0.0, 0.0))
    scale = scales(flat.x)
    if use_coordinates(flat, cotangents.shape[1]):
        ladder = slopes(evaluate, flat.x, torch.diag(scale), floor=floor, low=low, high=high)
        value, bar = (ladder.value / scale[:, None]).T, (ladder.bar / scale[:, None]).T
        directions = None
        how = f"{ladder.steps.shape[1]} steps on each of {flat.size} coordinates"
    else:
        directions = dense_directions(flat, generator)
        ladder = slopes(evaluate, flat.x, directions, floor=floor, low=low, high=high, most_steps=MOST_DIRECTION_STEPS)
        value, bar = ladder.value.T, ladder.bar.T
        how = f"{ladder.steps.shape[1]} steps along {len(directions)} dense directions"
    estimate = Estimate(
        value=value,
        bar=bar,
        oracle="finite differences",
        origin=f"ladder: spread of neighbouring extrapolants + rounding, {how}",
        independent=True,
        directions=directions,
        kink=ladder.kink.T,
        note=_note(ladder, flat, directions),
    )
    return estimate, ladder if directions is None else None


def weighted(flat: FlatSubject, cotangents: Tensor) -> tuple[Evaluate, Tensor]:
    """Make the function x ↦ ⟨cotangents, outputs(x)⟩ on batches (B × N → B × C), and its C rounding levels."""
    center = flat.outputs(flat.x).detach()

    def evaluate(xs: Tensor) -> Tensor:
        return flat.batch(xs).to(torch.float64) @ cotangents.T

    return evaluate, UNIT_ROUNDOFF * (cotangents.abs() @ center.abs().to(torch.float64).nan_to_num(0.0, 0.0, 0.0))


def domain_of(flat: FlatSubject) -> tuple[Tensor | None, Tensor | None]:
    """Ends of the declared domain of every flat entry (N each), or None where no input declares one."""
    low, high = torch.full_like(flat.x, -torch.inf), torch.full_like(flat.x, torch.inf)
    declared = False
    for block in flat.blocks:
        domain = flat.subject.inputs[block.name].domain
        if domain is not None and not block.complex:
            declared = True
            low[block.start : block.stop], high[block.start : block.stop] = domain
    return (low, high) if declared else (None, None)


def use_coordinates(flat: FlatSubject, outputs: int) -> bool:
    """Whether the full gradient is affordable: every coordinate with its own ladder."""
    if flat.size > MOST_COORDINATES:
        return False
    if flat.batched is None:
        flat.batch(flat.x[None].repeat(2, 1))
    evaluations = flat.size * 2 * step_count(flat.x, most=MOST_STEPS)
    return evaluations * max(flat.size, outputs) <= MOST_WORK if flat.batched else evaluations <= MOST_CALLS


def dense_directions(flat: FlatSubject, generator: torch.Generator) -> Tensor:
    """Draw a few directions for each input (D × N), scaled like the entries and 0 outside that input."""
    scale = scales(flat.x)
    rows = []
    for block in flat.blocks:
        part = torch.zeros(DIRECTIONS_PER_INPUT, flat.size, dtype=torch.float64)
        size = block.stop - block.start
        part[:, block.start : block.stop] = random_signs((DIRECTIONS_PER_INPUT, size), generator)
        rows.append(part * scale)
    return torch.cat(rows)


def localise(flat: FlatSubject, cotangent: Tensor, gradient: Tensor, direction: Tensor) -> tuple[int, float, float]:
    """Trace a disagreement along a direction to one entry, by halving the direction's support.

    Args:
        flat: the subject at a point (N inputs, M outputs).
        cotangent: M.
        gradient: N entries, the gradient that disagrees.
        direction: N entries, along which it disagrees.

    Returns:
        The entry's position in the flat vector, and the ladder's derivative there with its bar.
    """
    low, high = domain_of(flat)
    evaluate, floor = weighted(flat, cotangent[None])
    support = direction.nonzero()[:, 0]
    while len(support) > 1:
        halves = torch.split(support, math.ceil(len(support) / 2))
        parts = torch.zeros(len(halves), flat.size, dtype=torch.float64)
        for row, half in zip(parts, halves, strict=True):
            row[half] = direction[half]
        found = slopes(evaluate, flat.x, parts, floor=floor, low=low, high=high, most_steps=MOST_DIRECTION_STEPS)
        excess = (found.value[:, 0] - parts @ gradient).abs() / found.bar[:, 0].clamp(min=1e-300)
        support = halves[int(excess.nan_to_num(torch.inf).argmax())]
    one = torch.zeros(1, flat.size, dtype=torch.float64)
    size = scales(flat.x)[support[0]]
    one[0, support[0]] = size
    found = slopes(evaluate, flat.x, one, floor=floor, low=low, high=high)
    return int(support[0]), float(found.value[0, 0] / size), float(found.bar[0, 0] / size)


def _note(ladder: Slopes, flat: FlatSubject, directions: Tensor | None) -> str | None:
    """Say in words where the function is not smooth."""
    notes = []
    for mask, what in ((ladder.kink, "a kink"), (ladder.jump, "a jump")):
        places = mask.any(-1).nonzero()[:, 0].tolist()
        if places and directions is None:
            names = [_place(flat, place) for place in places[:3]]
            notes.append(f"{what} at {', '.join(names)}{' …' if len(places) > 3 else ''}")
        elif places and directions is not None:
            notes.append(f"{what} along {len(places)} of {len(directions)} directions")
    return "; ".join(notes) or None


def _place(flat: FlatSubject, position: int) -> str:
    """Name of a flat position: "w[1]"."""
    block = next(b for b in flat.blocks if b.start <= position < b.stop)
    index = block.index(position - block.start)
    return block.name + (f"[{', '.join(map(str, index))}]" if index else "")
