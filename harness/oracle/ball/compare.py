"""Comparisons and selections: everything whose answer depends on which of two numbers is larger.

Each comparison is certified, or raises `UndecidedError` so that the precision is raised. Exact ties are decided by the
series (see `Walk.sign`). Sorting operators run torch's own operator on ranks, so that dims and tie rules are torch's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from flint import arb
from torch import Tensor

from harness.oracle.ball.budget import CHUNK
from harness.oracle.ball.errors import UndecidedError
from harness.oracle.ball.rules import RULES, rule
from harness.oracle.ball.values import Balls, Entry, constant_term, imaginary_part, is_complex, real_part
from harness.oracle.ball.walk import Walk

Signs = Callable[[int], bool]
_COMPARISONS: Mapping[str, Signs] = {
    "eq": lambda s: s == 0,
    "ne": lambda s: s != 0,
    "lt": lambda s: s < 0,
    "le": lambda s: s <= 0,
    "gt": lambda s: s > 0,
    "ge": lambda s: s >= 0,
}


def _comparison(accept: Signs) -> Callable[..., Tensor]:
    def compute(walk: Walk, a: Any, other: Any) -> Tensor:
        left, right = walk.alike(a, other)
        shape = np.broadcast_shapes(left.shape, right.shape)
        columns = [operand.broadcast(shape).reshape((-1, 1)) for operand in (left, right)]

        def one(x: list[Entry], y: list[Entry]) -> bool:
            return accept(_difference(walk, x[0], y[0]))

        return torch.from_numpy(walk.decide(one, columns, 1, dtype=np.bool_).reshape(shape).copy())

    return compute


RULES.update({name: _comparison(accept) for name, accept in _COMPARISONS.items()})


def _difference(walk: Walk, x: Entry, y: Entry) -> int:
    """Sign of x − y; for complex numbers 0 when equal, 1 when not."""
    if not is_complex(x):
        return walk.sign(x, y)
    parts = (walk.sign(part(x), part(y)) for part in (real_part, imaginary_part))
    return int(any(side != 0 for side in parts))


def _truth(predicate: Callable[[Walk, Entry], bool]) -> Callable[..., Tensor]:
    def compute(walk: Walk, a: Any) -> Tensor:
        value = walk.ball(a)

        def one(entries: list[Entry]) -> bool:
            return predicate(walk, entries[0])

        return torch.from_numpy(
            walk.decide(one, [value.reshape((-1, 1))], 1, dtype=np.bool_).reshape(value.shape).copy()
        )

    return compute


def _is_zero(walk: Walk, x: Entry) -> bool:
    return _difference(walk, x, x * 0 if is_complex(x) else 0) == 0


def _is_nan(_: Walk, x: Entry) -> bool:
    """Whether an entry is NaN: a finite ball is not; what is not finite cannot be told from an overflow."""
    _infinity_sign(x)
    return False


def _infinity_sign(x: Entry) -> int:
    """0 for a finite entry, ±1 for an exact infinity."""
    center = constant_term(x)
    if center.is_finite():
        return 0
    if not is_complex(x) and (center == arb.pos_inf() or center == arb.neg_inf()):
        return 1 if center > 0 else -1
    raise UndecidedError


RULES["logical_not"] = _truth(_is_zero)
RULES["isnan"] = _truth(_is_nan)
RULES["isinf"] = _truth(lambda _, x: _infinity_sign(x) != 0)
RULES["isfinite"] = _truth(lambda _, x: _infinity_sign(x) == 0)
RULES["isposinf"] = _truth(lambda _, x: _infinity_sign(x) > 0)
RULES["isneginf"] = _truth(lambda _, x: _infinity_sign(x) < 0)
_nonzero = _truth(lambda walk, x: not _is_zero(walk, x))
RULES["signbit"] = _truth(lambda walk, x: walk.sign(x) < 0)


@rule("bool")
def truth(walk: Walk, a: Any) -> Tensor:
    """Which numbers are not zero."""
    return _nonzero(walk, a) if isinstance(a, Balls) else a.to(torch.bool)


def _logical(operator: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def compute(walk: Walk, a: Any, other: Any) -> Tensor:
        return operator(truth(walk, a), truth(walk, other))

    return compute


RULES["logical_and"], RULES["logical_or"] = _logical(torch.logical_and), _logical(torch.logical_or)
RULES["logical_xor"] = _logical(torch.logical_xor)


def _quantifier(operator: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def compute(walk: Walk, a: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
        found = truth(walk, a)
        return operator(found) if dim is None else operator(found, dim, keepdim=keepdim)

    return compute


RULES["any"], RULES["all"] = _quantifier(torch.any), _quantifier(torch.all)


@rule("maximum", "fmax", "max.other")
def maximum(walk: Walk, a: Any, other: Any) -> Balls:
    """The larger of two."""
    return walk.map(lambda x, y: x if walk.sign(x, y, pick=True) >= 0 else y, a, other)


@rule("minimum", "fmin", "min.other")
def minimum(walk: Walk, a: Any, other: Any) -> Balls:
    """The smaller of two."""
    return walk.map(lambda x, y: x if walk.sign(x, y, pick=True) <= 0 else y, a, other)


@rule("clamp", "clip")
def clamp(walk: Walk, a: Any, min: Any = None, max: Any = None) -> Balls:
    """The numbers, moved into [min, max]."""
    result = walk.ball(a) if min is None else maximum(walk, a, min)
    return result if max is None else minimum(walk, result, max)


@rule("hardtanh")
def hard_tanh(walk: Walk, a: Any, min_val: Any = -1, max_val: Any = 1) -> Balls:
    """The numbers, moved into [min_val, max_val]."""
    return clamp(walk, a, min_val, max_val)


@rule("clamp_min")
def clamp_min(walk: Walk, a: Any, min: Any) -> Balls:
    """The larger of a and min."""
    return maximum(walk, a, min)


@rule("clamp_max")
def clamp_max(walk: Walk, a: Any, max: Any) -> Balls:
    """The smaller of a and max."""
    return minimum(walk, a, max)


@rule("relu")
def relu(walk: Walk, a: Any) -> Balls:
    """The larger of a and 0."""
    return maximum(walk, a, 0)


def ranks(walk: Walk, rows: Balls) -> np.ndarray[Any, Any]:
    """Rank of each entry in its row (R × n → R × n integers from 0); equal entries share a rank."""
    width = rows.shape[1]

    def one(entries: list[Entry]) -> list[int]:
        compared = 0

        def compare(i: int, j: int) -> int:
            nonlocal compared
            compared += 1
            if compared % CHUNK == 0:
                walk.work.look()
            return walk.sign(entries[i], entries[j])

        order = sorted(range(width), key=functools.cmp_to_key(compare))
        result, rank = [0] * width, 0
        for before, position in zip([None, *order], order, strict=False):
            if before is not None and walk.sign(entries[before], entries[position]) != 0:
                rank += 1
            result[position] = rank
        return result

    known = walk.recall((rows.shape[0], width))
    if known is None:
        known = walk.decide(one, [rows], width, cost=width * max(1, width.bit_length()))
        walk.remember(known)
    elif rows.active is not None:
        walk.tied |= _ties_move(known, rows.active)
    return np.asarray(known)


def _ties_move(rank: np.ndarray[Any, Any], active: np.ndarray[Any, Any]) -> bool:
    """Whether an active entry shares its rank: then the order of the constant pass need not be the order nearby."""
    for row in np.flatnonzero(active.any(axis=1)).tolist():
        counts = np.bincount(rank[row])
        if bool((counts[rank[row][active[row]]] > 1).any()):
            return True
    return False


def _ranked(walk: Walk, value: Balls, dim: int | None) -> tuple[Tensor, int]:
    """Ranks of a tensor's entries along a dim (among all entries for None), as a float64 tensor of its shape."""
    if value.data.ndim == 0 or dim is None:
        found = ranks(walk, value.reshape((1, -1))).reshape(value.shape)
        return torch.from_numpy(np.ascontiguousarray(found)).to(torch.float64), 0 if dim is None else dim
    dim = dim % value.data.ndim
    moved = value.moveaxis(dim, -1)
    found = (
        ranks(walk, moved.reshape((-1, moved.shape[-1]))).reshape(moved.shape) if value.size else np.zeros(moved.shape)
    )
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(found, -1, dim))).to(torch.float64), dim


def pick(value: Balls, positions: Tensor) -> Balls:
    """Entries at flat positions."""
    where = positions.numpy()
    active = None if value.active is None else value.active.reshape(-1)[where]
    return Balls(_shaped(value.data.reshape(-1)[where], where.shape), active=active, complex=value.complex)


def _shaped(found: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """An object array also where NumPy hands out a bare entry."""
    if isinstance(found, np.ndarray):
        return found
    result = np.empty((1,), dtype=object)
    result[0] = found
    return result.reshape(shape)


def take_along(value: Balls, index: Tensor, dim: int) -> Balls:
    """Entries at indices along a dim."""
    if value.data.ndim == 0:
        return value
    positions = torch.arange(value.size).reshape(value.shape)
    return pick(value, positions.gather(dim, index))


def _select(operator: Callable[..., Any], default_dim: int) -> Callable[..., Any]:
    """An operator that returns (values, indices) along a dim."""

    def compute(
        walk: Walk, a: Any, dim: int = default_dim, keepdim: bool = False, **options: Any
    ) -> tuple[Balls, Tensor]:
        value = walk.ball(a)
        rank, dim = _ranked(walk, value, dim)
        index = operator(rank, dim=dim, keepdim=True, **options)[1]
        chosen = take_along(value, index, dim)
        if keepdim or value.data.ndim == 0:
            return chosen, index
        return pick(chosen, torch.arange(chosen.size).reshape(chosen.shape).squeeze(dim)), index.squeeze(dim)

    return compute


RULES["max.dim"], RULES["min.dim"] = _select(torch.max, 0), _select(torch.min, 0)
RULES["median.dim"], RULES["nanmedian.dim"] = _select(torch.median, 0), _select(torch.nanmedian, 0)
RULES["mode"] = _select(torch.mode, -1)


@rule("kthvalue")
def kth_value(walk: Walk, a: Any, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Balls, Tensor]:
    """The k-th smallest along a dim, with its index."""

    def operator(rank: Tensor, *, dim: int, keepdim: bool) -> Any:
        return torch.kthvalue(rank, k, dim=dim, keepdim=keepdim)

    found: tuple[Balls, Tensor] = _select(operator, -1)(walk, a, dim, keepdim)
    return found


def _of_all(operator: Callable[..., Any]) -> Callable[..., Balls]:
    """An operator that returns one value of all entries."""

    def compute(walk: Walk, a: Any) -> Balls:
        value = walk.ball(a)
        rank, _ = _ranked(walk, value.reshape((-1,)), 0)
        return pick(value, operator(rank, dim=0)[1])

    return compute


RULES["max.default"], RULES["min.default"] = _of_all(torch.max), _of_all(torch.min)
RULES["median.default"], RULES["nanmedian.default"] = _of_all(torch.median), _of_all(torch.nanmedian)


def _ordered(operator: Callable[..., Any]) -> Callable[..., Any]:
    """An operator that returns (values, indices) of another length along a dim."""

    def compute(walk: Walk, a: Any, dim: int = -1, **options: Any) -> tuple[Balls, Tensor]:
        value = walk.ball(a)
        rank, dim = _ranked(walk, value, dim)
        index = operator(rank, dim=dim, **options)[1]
        return take_along(value, index, dim), index

    return compute


_sort = _ordered(torch.sort)
RULES["cummax"], RULES["cummin"] = _ordered(torch.cummax), _ordered(torch.cummin)


@rule("sort")
def sort(
    walk: Walk, a: Any, dim: int = -1, descending: bool = False, stable: bool | None = None
) -> tuple[Balls, Tensor]:
    """Sorted along a dim, with the indices."""
    found: tuple[Balls, Tensor] = _sort(walk, a, dim, descending=descending, stable=True)
    return found


@rule("topk")
def top(walk: Walk, a: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Balls, Tensor]:
    """The k largest or smallest along a dim, with their indices."""

    def operator(rank: Tensor, *, dim: int) -> Any:
        return torch.topk(rank, k, dim=dim, largest=largest, sorted=True)

    found: tuple[Balls, Tensor] = _ordered(operator)(walk, a, dim)
    return found


def _position(operator: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def compute(walk: Walk, a: Any, dim: int | None = None, **options: Any) -> Tensor:
        rank, _ = _ranked(walk, walk.ball(a), dim)
        return operator(rank, dim=dim, **options)

    return compute


RULES["argmax"], RULES["argmin"] = _position(torch.argmax), _position(torch.argmin)


@rule("argsort")
def sort_order(walk: Walk, a: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort along a dim."""
    return sort(walk, a, dim, descending)[1]


def _extreme(sign: int) -> Callable[..., Balls]:
    def compute(walk: Walk, a: Any, dim: Any = (), keepdim: bool = False) -> Balls:
        value = walk.ball(a)
        axes = axes_of(dim, value.data.ndim)
        kept = [axis for axis in range(value.data.ndim) if axis not in axes]
        moved = value.moveaxis(axes, range(value.data.ndim - len(axes), value.data.ndim)) if axes else value
        shape = tuple(value.shape[axis] for axis in kept)
        width = value.size // max(1, int(np.prod(shape, dtype=np.int64)))

        def one(entries: list[Entry]) -> list[Entry]:
            best = entries[0]
            for entry in entries[1:]:
                best = entry if sign * walk.sign(entry, best, pick=True) > 0 else best
            return [best]

        found = walk.rows(one, [moved.reshape((-1, width))], 1, cost=width).reshape(shape)
        if keepdim:
            found = found.reshape([1 if axis in axes else value.shape[axis] for axis in range(value.data.ndim)])
        return found

    return compute


def axes_of(dim: Any, rank: int) -> tuple[int, ...]:
    """The axes a `dim` argument names: all for None or an empty list."""
    if dim is None or (isinstance(dim, (list, tuple)) and not dim):
        return tuple(range(rank))
    return tuple(sorted({d % rank for d in (dim if isinstance(dim, (list, tuple)) else (dim,))})) if rank else ()


RULES["amax"], RULES["amin"] = _extreme(1), _extreme(-1)


def _pool(name: str) -> Callable[..., tuple[Balls, Tensor]]:
    """Max pooling: torch's own operator on the ranks of each plane's entries, its indices read within the plane."""
    operator = getattr(torch.ops.aten, name)
    spatial = 3 if "3d" in name else 2

    def compute(walk: Walk, a: Any, *arguments: Any, **options: Any) -> tuple[Balls, Tensor]:
        value = walk.ball(a)
        lead = value.shape[:-spatial]
        planes = value.reshape((int(np.prod(lead, dtype=np.int64)), -1))
        rank = torch.from_numpy(np.ascontiguousarray(ranks(walk, planes).reshape(value.shape))).to(torch.float64)
        index = operator(rank, *arguments, **options)[1]
        start = torch.arange(planes.shape[0]).reshape((*lead, *(1,) * spatial)) * planes.shape[1]
        return pick(value, index + start), index

    return compute


for _name in ("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool3d"):
    RULES[_name] = _pool(_name)
