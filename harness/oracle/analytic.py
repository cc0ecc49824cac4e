"""The gradients people wrote or trust: the case's analytic gradient, and autograd of its plain reference.

Neither is independent: an author and autograd can share a mistake, so a finite-difference or symbolic oracle always
runs beside these.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.oracle.estimate import Estimate, GradientShapeError
from harness.oracle.flat import FlatSubject, real_vector
from harness.oracle.rounding import SAFETY, SAMPLES, rounding_bars

ROUNDING_ORIGIN = f"rounding: Monte Carlo arithmetic, {SAMPLES} samples × {SAFETY:g}"


def analytic_gradient(flat: FlatSubject, cotangents: Tensor, *, generator: torch.Generator) -> Estimate | None:
    """Evaluate the case's analytic gradient for C cotangents (C × M); None when the case has none.

    Inputs the gradient says nothing about have an infinite bar.

    Raises:
        GradientShapeError: a gradient has another shape than its input.
    """
    gradient = flat.subject.gradient
    if gradient is None:
        return None

    silent: set[str] = set()

    def compute(x: Tensor) -> Tensor:
        return torch.cat([_one(flat, x, cotangent, silent) for cotangent in cotangents])

    count = cotangents.shape[0]
    value = compute(flat.x).detach().reshape(count, flat.size)
    bar = rounding_bars(compute, flat.x, dtypes=(torch.float64,), generator=generator)[torch.float64]
    bar = bar.reshape(count, flat.size)
    for block in flat.blocks:
        if block.name in silent:
            bar[:, block.start : block.stop] = torch.inf
    return Estimate(
        value=value,
        bar=bar,
        oracle="analytic",
        origin=ROUNDING_ORIGIN,
        independent=False,
    )


def output_cotangents(flat: FlatSubject, outputs: tuple[Tensor, ...], cotangent: Tensor) -> tuple[Tensor, ...]:
    """Fold a flat real cotangent (M) into one tensor per output, copied; integer outputs get zeros."""
    folded, start = [], 0
    for output in outputs:
        if not (output.is_floating_point() or output.is_complex()):
            folded.append(torch.zeros_like(output))
            continue
        count = output.numel() * (2 if output.is_complex() else 1)
        part = cotangent[start : start + count].clone().to(flat.device)  # a backward may write into it
        start += count
        if output.is_complex():
            folded.append(torch.view_as_complex(part.reshape(*output.shape, 2).contiguous()).to(output.dtype))
        else:
            folded.append(part.reshape(output.shape).to(output.dtype))
    return tuple(folded)


def _one(flat: FlatSubject, x: Tensor, cotangent: Tensor, silent: set[str]) -> Tensor:
    """Evaluate the analytic gradient at a flat vector for one cotangent; inputs it does not name go to `silent`."""
    if flat.subject.gradient is None:
        raise ValueError("Cannot evaluate an analytic gradient the subject does not have.")
    named = flat.inputs(x)
    outputs = flat.call(named)
    found = flat.subject.gradient(named, output_cotangents(flat, outputs, cotangent))
    parts = []
    for block in flat.blocks:
        if block.name not in found:
            silent.add(block.name)
            parts.append(torch.zeros(block.stop - block.start, dtype=torch.float64))
            continue
        value = found[block.name]
        if tuple(value.shape) != block.shape:
            turned = tuple(value.shape) == block.shape[::-1]
            raise GradientShapeError(
                f"The analytic gradient of {block.name} has shape {list(value.shape)}, but {block.name} has shape "
                f"{list(block.shape)}: {'it is transposed' if turned else 'a gradient has the shape of its input'}.",
                name=block.name,
            )
        if block.complex and not value.is_complex():
            value = value.to(torch.complex128)
        parts.append(real_vector((value,)).to(torch.float64))
    return torch.cat(parts)
