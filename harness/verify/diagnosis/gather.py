"""Collects the evidence around a wrong gradient from the scene it was found in.

What costs something (the truth for other cotangents, parts of an expression) is only asked when a pattern needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.oracle.estimate import Estimate
from harness.oracle.flat import Block, FlatSubject, real_vector
from harness.verify.diagnosis.evidence import Evidence, Part, is_round
from harness.verify.diagnosis.parts import parts_of
from harness.verify.routes import RouteUnavailableError, reverse

if TYPE_CHECKING:
    from harness.verify.scene import Scene

ANALYTIC = "the analytic gradient"


def gather(scene: Scene, block: Block, actual: Tensor, estimate: Estimate, bar: Tensor, *, route: str) -> Evidence:
    """Collect the evidence on one input's wrong gradient.

    Args:
        scene: where it was found.
        block: the input.
        actual: C × n wrong numbers.
        estimate: the truth for all inputs, C × N.
        bar: C × n bars.
        route: whose gradient it is.
    """
    part = slice(block.start, block.stop)
    flat = scene.flat
    floating = {name: value for name, value in flat.values.items() if value.is_floating_point() and value.numel()}
    return Evidence(
        actual=actual,
        expected=estimate.value[:, part],
        bar=bar,
        name=block.name,
        shape=block.real_shape,
        complex=block.complex,
        value=flat.x[part].to("cpu", torch.float64),
        strict=scene.point.special is not None or is_round(tuple(floating.values())),
        inputs={name: value.detach().to("cpu", torch.float64) for name, value in floating.items()},
        others={
            other.name: (other.real_shape, estimate.value[:, other.start : other.stop])
            for other in flat.blocks
            if other.name != block.name
        },
        sizes=scene.point.sizes,
        outputs=_output_shapes(flat),
        cotangents=scene.cotangents if len(scene.cotangents) == len(actual) else None,
        pull=lambda cotangents: _pull(scene, cotangents, part, route),
        parts=lambda: _parts(scene, block.name),
    )


def gather_directions(actual: Tensor, estimate: Tensor, bar: Tensor, scene: Scene) -> Evidence:
    """Collect the evidence on one input's gradient measured along directions (C × D numbers each)."""
    return Evidence(
        actual=actual, expected=estimate, bar=bar, name="", shape=(actual.shape[-1],), sizes=scene.point.sizes
    )


def _output_shapes(flat: FlatSubject) -> tuple[tuple[int, ...], ...]:
    with torch.no_grad():
        outputs = flat.call(flat.values)
    return tuple(tuple(output.shape) for output in outputs if output.is_floating_point())


def _pull(scene: Scene, cotangents: Tensor, part: slice, route: str) -> Tensor | None:
    """The true gradient for other cotangents, where something other than the route at fault can compute it."""
    reference = scene.subject.reference
    if route != ANALYTIC and reference is None:
        return None
    flat = scene.flat
    if route != ANALYTIC:
        flat = FlatSubject(
            scene.subject, scene.point, dtype=scene.dtype, device=scene.labels.device, function=reference
        )
    try:
        return reverse(flat, cotangents).value[:, part]
    except RouteUnavailableError:
        return None


def _parts(scene: Scene, name: str) -> tuple[Part, ...]:
    if not scene.subject.expressions or real_vector(list(scene.flat.values.values())).device.type != "cpu":
        return ()
    return parts_of(scene.subject, scene.flat, scene.point.sizes, scene.cotangents, name)
