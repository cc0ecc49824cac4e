"""The sides of a low-precision comparison at one point: subject, truth, eager yardstick, and the bars between them.

Judges nothing; a bar here is what rounding may do at the dtype, from the reference's operators where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.case.subject import Point
from harness.oracle.flat import FlatSubject, cast
from harness.oracle.rounding import UNIT_ROUNDOFF
from harness.oracle.storage import HALVES
from harness.verify.evidence import rounding_of
from harness.verify.first import FirstOrder
from harness.verify.precision.policies import Policy
from harness.verify.precision.yardstick import Yardstick, bars_of, own_bars
from harness.verify.routes import Gradients, reverse
from harness.verify.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sides:
    """Everything that is compared at one point in one dtype: `truth` is exact as far as the dtype is concerned."""

    scene: Scene
    actual: Gradients
    truth: Gradients
    value_bar: Tensor
    bar: Tensor
    yardstick: Yardstick
    policy: Policy | None
    origins: tuple[str, str] | None = None
    """Where the bars of outputs and of gradients come from, where that is not Monte Carlo arithmetic alone."""
    own_operators: bool = False
    """Whether the subject is another way to write the reference with torch's own operators, and right in float64."""

    @property
    def name(self) -> str:
        """The dtype's name."""
        return str(self.scene.dtype).removeprefix("torch.")

    @property
    def unit(self) -> float:
        """The dtype's unit roundoff."""
        return UNIT_ROUNDOFF[self.scene.dtype]


def rounded_point(point: Point, dtype: torch.dtype) -> Point:
    """The point with its inputs rounded to a dtype and widened again."""
    values = {
        name: cast(cast(value, dtype, "cpu"), torch.float64, "cpu")
        if value.is_floating_point() or value.is_complex()
        else value
        for name, value in point.values.items()
    }
    return replace(point, values=values)


def in_dtype(scene: Scene) -> FlatSubject:
    """What the subject is compared with, in the dtype under test: the reference, or without one the subject itself."""
    return FlatSubject(
        scene.subject, scene.point, dtype=scene.dtype, device=scene.labels.device, function=scene.subject.reference
    )


def rounding_at(scene: Scene, flat: FlatSubject, first: FirstOrder) -> tuple[Tensor, Tensor] | None:
    """Rounding bars of outputs (M) and gradients (C × N) at a dtype; None where a number on the way overflows it."""
    dtype = scene.dtype
    generator = scene.generator(f"rounding {str(dtype).removeprefix('torch.')}")
    if dtype in HALVES:
        found = bars_of(flat, in_dtype(scene), scene.cotangents, generator)
        return None if found.overflowed else _split(found.bars, scene)
    if dtype != torch.float32 or first.bar is None or first.value_bar is None:
        return rounding_of(flat, scene.cotangents, generator, dtype)
    ratio = UNIT_ROUNDOFF[dtype] / UNIT_ROUNDOFF[torch.float64]
    tiny = torch.finfo(dtype).tiny
    return ratio * first.value_bar + tiny, ratio * first.bar + tiny


def _split(bars: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
    """Bars laid end to end as those of outputs (M) and gradients (C × N)."""
    rows, outputs = scene.cotangents.shape
    return bars[:outputs], bars[outputs:].reshape(rows, scene.flat.size)


def with_nonlinear_rounding(sides: Sides, flat: FlatSubject) -> Sides:
    """Wider bars, where roundings are too large at this dtype for the float64 ones, scaled, to say what they do.

    Near a sum of squares that is almost zero, for one, rounding shows squared. Asked only where it decides.
    """
    inside = _within(sides.actual.outputs, sides.truth.outputs, sides.value_bar)
    if sides.scene.dtype != torch.float32 or (inside and _within(sides.actual.value, sides.truth.value, sides.bar)):
        return sides
    generator = sides.scene.generator("nonlinear rounding")
    value_bar, bar = rounding_of(flat, sides.scene.cotangents, generator, sides.scene.dtype)
    return replace(sides, value_bar=torch.maximum(sides.value_bar, value_bar), bar=torch.maximum(sides.bar, bar))


def with_own_rounding(sides: Sides) -> Sides:
    """Wider bars, where the subject is another way to write the reference and its own roundings need them."""
    scene, reference = sides.scene, sides.scene.subject.reference
    inside = _within(sides.actual.outputs, sides.truth.outputs, sides.value_bar)
    if scene.dtype not in HALVES or reference is None or sides.yardstick.same:
        return sides
    if inside and _within(sides.actual.value, sides.truth.value, sides.bar):
        return sides
    twin = FlatSubject(scene.subject, scene.point, device=scene.labels.device)
    generator = scene.generator(f"own rounding {sides.name}")
    own = own_bars(twin, scene.flat, in_dtype(scene), scene.cotangents, generator)
    if own is None:
        return sides
    value_bar, bar = _split(own.bars, scene)
    widened = replace(sides, value_bar=torch.maximum(sides.value_bar, value_bar), bar=torch.maximum(sides.bar, bar))
    right = reverse(twin, scene.cotangents)
    agrees = _within(right.outputs, sides.truth.outputs, sides.value_bar)
    return replace(widened, own_operators=agrees and _within(right.value, sides.truth.value, sides.bar))


def _within(actual: Tensor, truth: Tensor, bar: Tensor) -> bool:
    return bool(((actual - truth).abs() <= bar).all())
