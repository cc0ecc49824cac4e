"""Discrete Fourier transforms, as the sums they are defined by."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from flint import acb, arb, fmpq

from harness.oracle.ball import functions as f
from harness.oracle.ball.compare import pick
from harness.oracle.ball.rules import rule
from harness.oracle.ball.values import Balls, Entry, as_complex, real_part
from harness.oracle.ball.walk import Walk

BY_COUNT, BY_ROOT = 2, 1
"""What ATen's normalization argument divides by: the number of points, or its square root."""


def _roots(count: int, sign: int) -> list[Entry]:
    """The powers of exp(sign·2πi/count)."""
    turns = [fmpq(2 * k, count) for k in range(count)]
    return [acb(arb.cos_pi_fmpq(turn), sign * arb.sin_pi_fmpq(turn)) for turn in turns]


def _transform(count: int, sign: int) -> Callable[[list[Entry]], list[Entry]]:
    roots = _roots(count, sign)

    def one(entries: list[Entry]) -> list[Entry]:
        return [f.dot(entries, [roots[j * k % count] for j in range(count)]) for k in range(count)]

    return one


def _along(walk: Walk, value: Balls, dim: int, sign: int) -> Balls:
    moved = value.moveaxis(dim, -1)
    count = moved.shape[-1]
    rows = moved.reshape((-1, count))
    return walk.rows(_transform(count, sign), [rows], count, cost=count * count).reshape(moved.shape).moveaxis(-1, dim)


def _normal(walk: Walk, value: Balls, count: int, normalization: int) -> Balls:
    if normalization == 0:
        return value
    divisor = arb(count) if normalization == BY_COUNT else arb(count).sqrt()
    return walk.map(lambda x: x / divisor, value)


@rule("_fft_c2c")
def complex_transform(walk: Walk, a: Any, dim: Sequence[int], normalization: int, forward: bool) -> Balls:
    """Complex to complex along dims."""
    value = walk.ball(a).to_complex()
    count = math.prod(value.shape[d] for d in dim)
    for axis in dim:
        value = _along(walk, value, axis, -1 if forward else 1)
    return _normal(walk, value, count, normalization)


@rule("_fft_r2c")
def real_transform(walk: Walk, a: Any, dim: Sequence[int], normalization: int, onesided: bool) -> Balls:
    """Real to complex along dims; onesided keeps the first half of the last one."""
    value = complex_transform(walk, walk.ball(a), dim, normalization, forward=True)
    if not onesided:
        return value
    half = value.shape[dim[-1]] // 2 + 1
    return _take(value, dim[-1], torch.arange(half))


@rule("_fft_c2r")
def inverse_real_transform(walk: Walk, a: Any, dim: Sequence[int], normalization: int, last_dim_size: int) -> Balls:
    """Complex to real along dims: the last one holds half of a Hermitian spectrum, whose ends count as real."""
    value = walk.ball(a).to_complex()
    count = math.prod(value.shape[d] for d in dim[:-1]) * last_dim_size
    for axis in dim[:-1]:
        value = _along(walk, value, axis, 1)
    last = dim[-1]
    moved = _take(value, last, torch.arange(last_dim_size // 2 + 1)).moveaxis(last, -1)
    rows = moved.reshape((-1, moved.shape[-1]))
    roots = _roots(last_dim_size, 1)

    def one(entries: list[Entry]) -> list[Entry]:
        return [_hermitian_sum(entries, roots, k, last_dim_size) for k in range(last_dim_size)]

    cost = last_dim_size * len(roots)
    found = walk.rows(one, [rows], last_dim_size, cost=cost, complex=False)
    shaped = found.reshape((*moved.shape[:-1], last_dim_size)).moveaxis(-1, last)
    return _normal(walk, shaped, count, normalization)


def _hermitian_sum(entries: list[Entry], roots: list[Entry], place: int, count: int) -> Entry:
    """Re Σ cⱼ·wʲᵏ over the whole spectrum: terms with a mirror image count twice."""
    result = real_part(entries[0])
    for j in range(1, len(entries)):
        term = (
            real_part(as_complex(entries[j]) * roots[j * place % count])
            if 2 * j != count
            else _middle(entries[j], place)
        )
        result = result + (term if 2 * j == count else 2 * term)
    return result


def _middle(entry: Entry, place: int) -> Entry:
    return -real_part(entry) if place % 2 else real_part(entry)


def _take(value: Balls, dim: int, index: torch.Tensor) -> Balls:
    return pick(value, torch.arange(value.size).reshape(value.shape).index_select(dim, index))
