"""The classic picture: error of a finite-difference estimate against its step, read off a ladder already climbed."""

from __future__ import annotations

import torch

from harness.oracle.ladder import scales
from harness.records import Curve
from harness.verify.first import FirstOrder
from harness.verify.scene import Scene

MOST_CURVES = 3


def error_curves(scene: Scene, first: FirstOrder) -> tuple[Curve, ...]:
    """Make a curve for the largest entry of each of the first inputs; none without a full ladder or a gradient.

    A step that is exactly right counts as off by half a rounding of the derivative, which is how well that is known.
    """
    if first.ladder is None or first.gradient is None:
        return ()
    ladder, truth = first.ladder, first.gradient
    if first.truth is not None and first.truth.directions is None and first.truth.oracle == "symbolic":
        truth = first.truth.value
    size = scales(scene.flat.x)
    curves = []
    for block in scene.flat.blocks[:MOST_CURVES]:
        if block.start == block.stop:
            continue
        position = block.start + int(truth[0, block.start : block.stop].abs().argmax())
        true = truth[0, position]
        least = 2.0**-54 * float(true.abs())
        central = (ladder.central[position, 0] / size[position] - true).abs().clamp(min=least)
        extrapolated = (ladder.extrapolated[position, 0] / size[position] - true).abs().clamp(min=least)
        keep = central.isfinite()
        index = block.index(position - block.start)
        chosen = int(ladder.chosen[position, 0])
        curves.append(
            Curve(
                label=scene.symbol(block, index),
                steps=tuple(ladder.steps[position][keep].tolist()),
                errors=tuple(central[keep].tolist()),
                extrapolated_errors=tuple(
                    value if torch.isfinite(torch.tensor(value)) else None for value in extrapolated[keep].tolist()
                ),
                chosen=int(keep[:chosen].sum()) if bool(keep[chosen]) else None,
            )
        )
    return tuple(curves)
