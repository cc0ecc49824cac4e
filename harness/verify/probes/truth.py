"""What is known about the gradient at a probe's own point, at a small price: slopes along a few directions.

Cheaper than the evidence of the first-order checks, so that many points are affordable: one upstream gradient, a few
dense directions per input, single coordinates only while they are cheap, and no certificate. A disagreement found with
it is looked at again in `judge` before it counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.case.subject import Point
from harness.oracle.differences import MOST_DIRECTION_STEPS, domain_of, weighted
from harness.oracle.flat import FlatSubject, random_signs
from harness.oracle.ladder import UNIT_ROUNDOFF, Slopes, scales, slopes
from harness.verify.routes import RouteUnavailableError, reverse
from harness.verify.scene import Scene

DENSE = 3
"""Dense directions per input; the first has positive entries only, so that ties stay ties along it."""
COORDINATES = 48
"""Most single coordinates differentiated along."""
NEARBY = 32
"""Points close by at which slopes are sampled."""
ALIKE = 1e-4
"""Relative difference of slopes that is none."""
CLOSER = 16.0
"""How much closer slopes are sampled a second time: those of a smooth function then differ as much less."""
CLOSE_BY = 2.0**-13
"""How close they are, relative to the scale of each entry."""
LOOPED_COORDINATES = 6
"""The same where the function cannot be batched."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """Slopes of ⟨cotangents, outputs⟩ at a point: `found` (D × C) along `directions` (D × N).

    Each direction lies within one input, but one that moves all of them. `axis` (D) is the coordinate of those that
    follow an axis, −1 for the others.
    """

    directions: Tensor
    axis: Tensor
    found: Slopes

    @property
    def kinked(self) -> bool:
        """Whether a kink or a jump was seen along any direction."""
        return bool((self.found.kink | self.found.jump).any())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Twin:
    """The reference's answer at a point: M values and its gradient for the first cotangent (N), None if it has none."""

    value: Tensor
    gradient: Tensor | None


def scene_at(parent: Scene, point: Point) -> Scene:
    """Make the scene of another point of the same subject; what was learnt about vmap carries over."""
    scene = Scene(parent.subject, point, parent.labels, dtype=parent.dtype)
    scene.flat.batched = parent.flat.batched
    return scene


def smooth_at(parent: Scene, values: Mapping[str, Tensor]) -> bool:
    """Whether the function has a gradient at the scene's point with some inputs replaced: slopes nearby are alike."""
    scene = scene_at(parent, replace(parent.point, name="probed", values={**parent.point.values, **values}))
    return smooth_along(scene, random_signs((scene.flat.size,), scene.generator("smooth")))


def smooth_along(scene: Scene, direction: Tensor) -> bool:
    """Whether slopes along a direction (N) come together as the points come closer: else there is no gradient."""
    far, noise = slopes_nearby(scene, direction)
    close, more_noise = slopes_nearby(scene, direction, closer=CLOSER)
    wide, narrow = (slopes.amax(0) - slopes.amin(0) for slopes in (far, close))
    alike = ALIKE * torch.maximum(far.abs().amax(0), close.abs().amax(0))
    return bool(((narrow <= wide / 4) | (narrow <= alike) | (narrow <= noise + more_noise)).all())


def truth_at(scene: Scene, *, noise: Tensor | None = None) -> Truth:
    """Differentiate along a few directions at a scene; `noise` are M rounding levels of the outputs, where known."""
    directions, axis = _directions(scene)
    cotangent = scene.cotangents[:1]
    return Truth(directions=directions, axis=axis, found=_along(scene.flat, cotangent, directions, noise))


def slopes_nearby(
    scene: Scene, direction: Tensor, *, closer: float = 1.0, value_bar: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Slopes of every output along a direction (N), at points close by on all sides, `closer` times closer than usual.

    `value_bar` is what rounding may do to the outputs (M), where that is known.

    Returns:
        NEARBY × M slopes, NaN where the function is not finite, and what rounding may do to each (M).
    """
    flat, generator = scene.flat, scene.generator("nearby points")
    reach = (CLOSE_BY * float(flat.x.abs().max().clamp(max=1.0)) or CLOSE_BY) / closer
    step = reach / 1024
    away = random_signs((NEARBY, flat.size), generator) * scales(flat.x) * reach
    points = flat.x + away
    low, high = domain_of(flat)
    if low is not None and high is not None:
        margin = 2 * step * direction.abs()
        points = torch.minimum(torch.maximum(points, low + margin), high - margin)
    values = flat.batch(torch.cat([points + step * direction, points - step * direction])).to(torch.float64)
    slopes = (values[:NEARBY] - values[NEARBY:]) / (2 * step)
    noise = 16 * UNIT_ROUNDOFF * scene.value.abs()
    if value_bar is not None:
        noise = torch.maximum(noise, value_bar)
    return slopes.cpu(), noise / step


def twin_at(scene: Scene) -> Twin | None:
    """Ask the subject's reference at a scene; None without one, or where it raises or returns other shapes."""
    if scene.subject.reference is None:
        return None
    flat = FlatSubject(scene.subject, scene.point, device=scene.labels.device, function=scene.subject.reference)
    try:
        value = flat.outputs(flat.x).detach().to("cpu", torch.float64)
        if value.shape != scene.value.shape:
            return None
        return Twin(value=value, gradient=reverse(flat, scene.cotangents[:1]).value[0])
    except RouteUnavailableError:
        return Twin(value=value, gradient=None)
    except Exception:  # noqa: BLE001 - a reference may raise anything at sizes and values it was not written for
        return None


def _along(flat: FlatSubject, cotangents: Tensor, directions: Tensor, noise: Tensor | None) -> Slopes:
    evaluate, floor = weighted(flat, cotangents)
    if noise is not None:
        floor = torch.maximum(floor, cotangents.abs() @ noise.nan_to_num(0.0, 0.0, 0.0))
    low, high = domain_of(flat)
    return slopes(evaluate, flat.x, directions, floor=floor, low=low, high=high, most_steps=MOST_DIRECTION_STEPS)


def _directions(scene: Scene) -> tuple[Tensor, Tensor]:
    """Directions (D × N), scaled like the entries, and the axis each follows or −1 (D).

    Most lie within one input. One more moves equal entries of all inputs alike: along it inputs that tie still do.
    """
    flat, generator = scene.flat, scene.generator("probe directions")
    scale = scales(flat.x)
    rows, axes = [], []
    limit = COORDINATES if flat.batched else LOOPED_COORDINATES
    if flat.size <= limit:
        rows.append(torch.diag(scale))
        axes.append(torch.arange(flat.size))
    for block in flat.blocks:
        size = block.stop - block.start
        if size == 0 or (flat.size <= limit and size == 1):
            continue
        part = torch.zeros(DENSE, flat.size, dtype=torch.float64)
        part[:, block.start : block.stop] = random_signs((DENSE, size), generator)
        part[0] = part[0].abs()
        rows.append(part * scale)
        axes.append(torch.full((DENSE,), -1))
    if sum(block.stop > block.start for block in flat.blocks) > 1:
        rows.append(scale[None])
        axes.append(torch.tensor([-1]))
    return torch.cat(rows), torch.cat(axes)
