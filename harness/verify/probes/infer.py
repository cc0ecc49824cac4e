"""Guesses how tensors that were given without a declaration might be drawn, so that probes stay within reason.

A tensor whose entries are all positive may have to be; a symmetric matrix, rows that add up to one, unit vectors and
sorted rows are taken for what they look like; whole numbers without a gradient are indices. Axes of one size are taken
for one named size. What it cannot know: that a subject needs more than that; then it raises, or its value is not
finite, and the probe says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.case.domains import with_domain
from harness.case.subject import Input, Point, Subject

SAME = 1e-6
"""How well numbers must fit a structure to be taken for it: they may have been float32 once."""
POSITIVE = 1e-3
"""How far below its smallest entry a positive tensor may go."""
FEW = 16
"""Most different whole numbers that are taken for a choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """How each input is drawn, declared or guessed, in named sizes, and the sizes of the point it was read from."""

    inputs: Mapping[str, Input]
    sizes: Mapping[str, int]


def declared(subject: Subject, point: Point, exact: frozenset[str]) -> Declared:
    """Complete a subject's declarations from the tensors of a point.

    Args:
        subject: the subject.
        point: one of its points.
        exact: names of inputs given as tensors, of which nothing is declared.
    """
    sizes = dict(point.sizes)
    inputs = {}
    for name, spec in subject.inputs.items():
        if name not in exact:
            inputs[name] = with_domain(spec)
            continue
        shape = tuple(_axis(size, sizes) for size in point.values[name].shape)
        inputs[name] = guess(spec, point.values[name], shape)
    # What is declared beside tensors of the same size goes along with them.
    inputs = {name: spec if spec.value is not None else _shared(spec, sizes) for name, spec in inputs.items()}
    return Declared(inputs=inputs, sizes=sizes)


def _shared(spec: Input, sizes: Mapping[str, int]) -> Input:
    """A declaration whose sizes written as numbers take the names of tensors' axes of those sizes."""
    shape = tuple(f"axis{size}" if f"axis{size}" in sizes else size for size in spec.shape)
    return replace(spec, shape=shape)


def _axis(size: int, sizes: dict[str, int]) -> str | int:
    """The name of an axis; axes of size 0 and 1 may be there to be broadcast, and stay."""
    if size <= 1:
        return size
    name = next((known for known, value in sizes.items() if value == size), f"axis{size}")
    sizes[name] = size
    return name


def guess(spec: Input, value: Tensor, shape: tuple[str | int, ...]) -> Input:
    """Guess how one tensor might have been drawn."""
    common = {"shape": shape, "grad": spec.grad, "complex": spec.complex}
    if value.dtype == torch.bool:
        return Input(draw="mask", **common)  # type: ignore[arg-type]  # fields by name
    if not (value.is_floating_point() or value.is_complex()):
        low, high = (int(value.min()), int(value.max())) if value.numel() else (0, 1)
        return Input(draw=f"integers({low}, {high + 1})", **common)  # type: ignore[arg-type]
    if value.is_complex() or value.numel() == 0 or not bool(value.isfinite().all()):
        return Input(**common)  # type: ignore[arg-type]
    draw = _structure(value) or (None if spec.grad else _choice(value))
    if draw is not None:
        return Input(draw=draw, **common)  # type: ignore[arg-type]
    least, most = float(value.min()), float(value.max())
    if least >= 0 and most > 0:
        least, most = (least, most) if least < most else (least / 2, 2 * most)
        floor = POSITIVE * least  # entries that are all positive may have to be; 0 only where 0 was given
        return Input(draw=f"uniform({least!r}, {most!r})", domain=(floor, torch.inf), **common)  # type: ignore[arg-type]
    scale = float(value.square().mean().sqrt())
    return Input(scale=scale or 1.0, **common)  # type: ignore[arg-type]


def _choice(value: Tensor) -> str | None:
    """Constant data of a few different whole numbers, such as a mask of zeros and ones."""
    different = value.unique()
    if len(different) <= FEW and bool((different == different.round()).all()):
        return f"choice({', '.join(repr(float(number)) for number in different)})"
    return None


def _structure(value: Tensor) -> str | None:
    """The structured draw a tensor looks like."""
    if value.ndim >= 2 and value.shape[-1] == value.shape[-2] > 1:
        if _near(value, value.mT):
            return "spd" if bool((torch.linalg.eigvalsh(value) > 0).all()) else "symmetric"
        if _near(value @ value.mT, torch.eye(value.shape[-1], dtype=value.dtype, device=value.device)):
            return "orthogonal"
    if value.ndim == 0 or value.shape[-1] < 2:
        return None
    if bool((value >= 0).all()) and _near(value.sum(-1), torch.ones_like(value.sum(-1))):
        return "simplex"
    if _near(torch.linalg.vector_norm(value, dim=-1), torch.ones_like(value[..., 0])):
        return "unit"
    if value.shape[-1] >= 5 and bool((value.diff(dim=-1) >= 0).all()):
        return "sorted"
    return None


def _near(a: Tensor, b: Tensor) -> bool:
    return bool(((a - b).abs() <= SAME * b.abs().max().clamp(min=1.0)).all())
