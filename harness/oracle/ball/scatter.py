"""Operators that add to, or otherwise combine with, entries at computed places: scatter and index reductions."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.oracle.ball.elementwise import multiply
from harness.oracle.ball.functions import total
from harness.oracle.ball.reductions import Combine, combine_of
from harness.oracle.ball.rules import rule
from harness.oracle.ball.values import Balls, Entry
from harness.oracle.ball.walk import Walk


def accumulate(
    walk: Walk, target: Any, places: Tensor, source: Any, combine: Combine = total, *, include_self: bool = True
) -> Balls:
    """Combine each entry of `target` with those of `source` whose `places` (flat positions) name it."""
    base, values = walk.alike(target, source)
    flat = values.broadcast(tuple(places.shape)).reshape((-1,))
    arriving: dict[int, list[int]] = defaultdict(list)
    for position, place in enumerate(places.reshape(-1).tolist()):
        arriving[place].append(position)
    hit = sorted(arriving)
    old, new = base.flat(), flat.flat()
    groups = [([old[place]] if include_self else []) + [new[i] for i in arriving[place]] for place in hit]
    touched = _touched_groups(base, flat, arriving, hit)
    found = _combined(walk, groups, touched, combine, complex_=base.complex)
    data = base.data.reshape(-1).copy()
    active = np.zeros(base.size, dtype=bool) if base.active is None else base.active.reshape(-1).copy()
    if hit:
        data[hit] = found.data[:, 0]
        active[hit] = False if found.active is None else found.active[:, 0]
    return Balls(data.reshape(base.shape), active=active.reshape(base.shape), complex=base.complex)


def _combined(walk: Walk, groups: list[list[Entry]], touched: list[bool], combine: Combine, *, complex_: bool) -> Balls:
    """One entry per group, remembered like every other row."""
    numbers = np.fromiter(range(len(groups)), dtype=object, count=len(groups)).reshape(-1, 1)
    rows = Balls(numbers, active=np.array(touched, dtype=bool).reshape(-1, 1), complex=complex_)

    def one(row: list[Any]) -> list[Entry]:
        walk.work.charge(len(groups[row[0]]))
        return [combine(groups[row[0]])]

    return walk.rows(one, [rows], 1, cost=0)


def _touched_groups(base: Balls, flat: Balls, arriving: dict[int, list[int]], hit: list[int]) -> list[bool]:
    own = np.zeros(base.size, dtype=bool) if base.active is None else base.active.reshape(-1)
    other = np.zeros(flat.size, dtype=bool) if flat.active is None else flat.active
    return [bool(own[place] or any(other[i] for i in arriving[place])) for place in hit]


def _positions(value: Balls) -> Tensor:
    return torch.arange(value.size).reshape(value.shape)


def _part(value: Balls, shape: torch.Size) -> Balls:
    """The first entries along each axis, as many as an index tensor has."""
    where = tuple(slice(0, size) for size in shape)
    return Balls(value.data[where], active=None if value.active is None else value.active[where], complex=value.complex)


@rule("scatter_add")
def scatter_add(walk: Walk, a: Any, dim: int, index: Tensor, src: Any) -> Balls:
    """Add the entries of src at the places that index gives along a dim."""
    return scatter_reduce(walk, a, dim, index, src, "sum")


@rule("scatter_reduce", "scatter.reduce")
def scatter_reduce(
    walk: Walk, a: Any, dim: int, index: Tensor, src: Any, reduce: str, include_self: bool = True
) -> Balls:
    """Combine the entries of src into the places that index gives along a dim."""
    value, source = walk.ball(a), walk.ball(src)
    if index.dim() == 0 or value.data.ndim == 0:
        value, source, index = value.reshape((-1,)), source.reshape((-1,)), index.reshape(-1)
    places = _gather_places(value, dim, index) if index.numel() else index
    found = accumulate(
        walk, value, places, _part(source, index.shape), combine_of(walk, reduce), include_self=include_self
    )
    return found.reshape(walk.ball(a).shape)


def _gather_places(value: Balls, dim: int, index: Tensor) -> Tensor:
    """Flat positions of (…, index, …) for every entry of an index tensor, which may be shorter than the tensor."""
    axes = [
        torch.arange(size).reshape([-1 if i == axis else 1 for i in range(index.dim())])
        for axis, size in enumerate(index.shape)
    ]
    axes[dim % index.dim()] = index
    return _positions(value)[tuple(axes)]


@rule("index_add")
def index_add(walk: Walk, a: Any, dim: int, index: Tensor, source: Any, alpha: Any = 1) -> Balls:
    """Add slices of source to the slices that index names."""
    value = walk.ball(a)
    scaled = walk.ball(source) if alpha == 1 and not isinstance(alpha, bool) else multiply(walk, source, alpha)
    return index_reduce(walk, value, dim, index, scaled, "sum")


@rule("index_reduce")
def index_reduce(
    walk: Walk, a: Any, dim: int, index: Tensor, source: Any, reduce: str, include_self: bool = True
) -> Balls:
    """Combine slices of source into the slices that index names."""
    value = walk.ball(a)
    flat = value.reshape((1,)) if value.data.ndim == 0 else value
    places = _positions(flat).index_select(dim, index.reshape(-1))
    added = walk.ball(source).reshape(tuple(places.shape))
    return accumulate(walk, flat, places, added, combine_of(walk, reduce), include_self=include_self).reshape(
        value.shape
    )


@rule("index_put", "_unsafe_index_put", "_index_put_impl")
def index_put(walk: Walk, a: Any, indices: list[Tensor | None], values: Any, accumulate: bool = False) -> Balls:
    """Put values at indices, or add them there."""
    value = walk.ball(a)
    places = torch.ops.aten.index(_positions(value), indices)
    return _put(walk, value, places, values, add=accumulate)


@rule("_unsafe_masked_index_put_accumulate")
def masked_index_put(walk: Walk, a: Any, mask: Tensor, indices: list[Tensor | None], values: Any) -> Balls:
    """Add the values under a mask at clamped indices."""
    value = walk.ball(a)
    bounded = [
        None if i is None else i.clamp(min=-size, max=size - 1) for i, size in zip(indices, value.shape, strict=False)
    ]
    places = torch.ops.aten.index(_positions(value), bounded)
    weights = mask.to(torch.int64)
    return _put(walk, value, places, multiply(walk, values, weights), add=True)


@rule("put")
def put(walk: Walk, a: Any, index: Tensor, source: Any, accumulate: bool = False) -> Balls:
    """Put source at flat positions, or add it there."""
    value = walk.ball(a)
    places = index % max(1, value.size)
    return _put(walk, value, places, walk.ball(source).reshape(tuple(places.shape)), add=accumulate)


def _put(walk: Walk, value: Balls, places: Tensor, values: Any, *, add: bool) -> Balls:
    if add:
        return accumulate(walk, value, places, values)
    return accumulate(walk, value, places, values, lambda entries: entries[-1])
