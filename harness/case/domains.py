"""Drawing tensors: every draw, moved into its domain and away from values to avoid, in float64, from given generators.

No global random state is read or changed. Quantising to a lower precision is the checker's job.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from harness.case.digits import digits_images, digits_labels
from harness.case.draws import Draw, parse_draw
from harness.case.subject import Input
from harness.errors import UsageError

MODULE_DRAW = "module"
"""The draw of a module's own parameters: its initial values; where no module is at hand, normal over √(last size)."""


def seed_for(seed: int, *purpose: str) -> int:
    """A 63-bit seed that depends on the run's seed and on what it is for, and on nothing else."""
    digest = hashlib.sha256("\0".join((str(seed), *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_for(seed: int, *purpose: str) -> torch.Generator:
    """A CPU generator of its own for one purpose: ``generator_for(seed, case, point, input)``."""
    return torch.Generator().manual_seed(seed_for(seed, *purpose))


def with_domain(spec: Input) -> Input:
    """An input whose domain is filled in from its draw: (0, inf) for positive, [a, b] for uniform(a, b), scaled."""
    if spec.domain is not None or spec.complex or spec.draw == MODULE_DRAW or spec.value is not None:
        return spec
    domain = parse_draw(spec.draw).domain
    if domain is None:
        return spec
    low, high = sorted(bound * spec.scale for bound in domain)
    return replace(spec, domain=(low, high))


def draw_tensor(spec: Input, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draw one input.

    Args:
        spec: how to draw it.
        shape: its shape in numbers.
        generator: where randomness comes from.

    Returns:
        float64 or complex128 of that shape; int64 or bool for integers, permutations, masks and choices of integers.

    Raises:
        UsageError: there is no such draw, or it cannot have this shape.
    """
    size = tuple(shape)
    if spec.draw == MODULE_DRAW:
        return _normal(size, generator) * spec.scale / math.sqrt(size[-1] if size and size[-1] else 1)
    draw = parse_draw(spec.draw)
    if len(size) < draw.least_dims or (draw.square and size[-1] != size[-2]):
        needed = "a square matrix" if draw.square else f"of at least {draw.least_dims} dims"
        raise UsageError(f"Cannot draw {spec.draw!r}: shape={list(size)} is not {needed}. Change the shape.")
    values = _SOURCES[draw.name](draw, size, generator)
    if draw.integral:
        return values
    if spec.complex:
        values = torch.complex(values, _SOURCES[draw.name](draw, size, generator))
        return (values / _length(values) if draw.name == "unit" else values) * spec.scale
    return settle(values * spec.scale, spec)


def settle(values: Tensor, spec: Input) -> Tensor:
    """Reflect entries into the input's domain, then push them away from the values it avoids."""
    domain = with_domain(spec).domain or (-math.inf, math.inf)
    inside = _reflect(values, *domain)
    return push_away(inside, spec.away_from, spec.margin, domain) if spec.away_from else inside


def push_away(values: Tensor, avoided: Sequence[float], margin: float, domain: tuple[float, float]) -> Tensor:
    """Move entries nearer than `margin` to an avoided value to the nearer edge of its neighbourhood inside the domain.

    Neighbourhoods that touch count as one. The order of entries is kept.
    """
    for low, high in _neighbourhoods(avoided, margin):
        near = (values > low) & (values < high)
        upper = (values - low >= high - values) & (high <= domain[1]) | (low < domain[0])
        values = torch.where(near, torch.where(upper, high, low).to(values.dtype), values)
    return values


def _neighbourhoods(avoided: Sequence[float], margin: float) -> list[tuple[float, float]]:
    """Disjoint open intervals around the avoided values, each end rounded outwards."""
    merged: list[tuple[float, float]] = []
    for value in sorted(avoided):
        low, high = math.nextafter(value - margin, -math.inf), math.nextafter(value + margin, math.inf)
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return merged


def _reflect(values: Tensor, low: float, high: float) -> Tensor:
    """Fold the line into [low, high] by reflection at its ends, which keeps entries off the ends themselves."""
    if math.isfinite(low) and math.isfinite(high):
        width = high - low
        folded = torch.remainder(values - low, 2 * width)
        inside = low + torch.where(folded > width, 2 * width - folded, folded)
        return torch.where((values >= low) & (values <= high), values, inside.clamp(low, high))
    if math.isfinite(low):
        return torch.where(values < low, 2 * low - values, values)
    if math.isfinite(high):
        return torch.where(values > high, 2 * high - values, values)
    return values


def _normal(size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(size, dtype=torch.float64, generator=generator)


def _length(values: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
    return length


def _draw_normal(_: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return _normal(size, generator)


def _draw_uniform(draw: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    low, high = draw.arguments or (0.0, 1.0)
    return low + (high - low) * torch.rand(size, dtype=torch.float64, generator=generator)


def _draw_positive(_: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Log-normal: positive, around 1, over about two decades."""
    return _normal(size, generator).exp()


def _draw_integers(draw: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    low, high = (int(bound) for bound in draw.arguments)
    return torch.randint(low, high, size, generator=generator)


def _draw_spd(_: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """AAᵀ/n + I: symmetric, positive definite and well conditioned."""
    root = _normal(size, generator)
    return root @ root.mT / max(size[-1], 1) + torch.eye(size[-1], dtype=torch.float64)


def _draw_symmetric(_: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    square = _normal(size, generator)
    return (square + square.mT) / 2


def _draw_simplex(_: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.softmax(_normal(size, generator), dim=-1)


def _draw_sorted(_: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.sort(_normal(size, generator), dim=-1).values


def _draw_unit(_: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    values = _normal(size, generator)
    return values / _length(values)


def _draw_orthogonal(_: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Orthonormal columns (rows, when there are fewer of them), uniformly distributed: the Q of a normal matrix."""
    values = _normal(size, generator)
    wide = size[-1] > size[-2]
    q, r = torch.linalg.qr(values.mT if wide else values)
    q = q * torch.sign(torch.diagonal(r, dim1=-2, dim2=-1)).unsqueeze(-2)
    orthonormal: Tensor = q.mT if wide else q
    return orthonormal


def _draw_permutation(_: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.argsort(torch.rand(size, dtype=torch.float64, generator=generator), dim=-1)


def _draw_mask(draw: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    probability = draw.arguments[0] if draw.arguments else 0.5
    return torch.rand(size, dtype=torch.float64, generator=generator) < probability


def _draw_choice(draw: Draw, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    options = torch.tensor(draw.arguments, dtype=torch.int64 if draw.integral else torch.float64)
    return options[torch.randint(0, len(options), size, generator=generator)]


_SOURCES: Mapping[str, Callable[[Draw, tuple[int, ...], torch.Generator], Tensor]] = {
    "normal": _draw_normal,
    "uniform": _draw_uniform,
    "positive": _draw_positive,
    "integers": _draw_integers,
    "spd": _draw_spd,
    "symmetric": _draw_symmetric,
    "simplex": _draw_simplex,
    "sorted": _draw_sorted,
    "unit": _draw_unit,
    "orthogonal": _draw_orthogonal,
    "permutation": _draw_permutation,
    "mask": _draw_mask,
    "choice": _draw_choice,
    "digits_images": lambda _, size, __: digits_images(size),
    "digits_labels": lambda _, size, __: digits_labels(size),
}
