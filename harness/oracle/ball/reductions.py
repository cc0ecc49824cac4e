"""Operators that reduce or accumulate along dims: sums, products, moments, norms, running sums, distances."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from flint import arb

from harness.oracle.ball import functions as f
from harness.oracle.ball.compare import axes_of, pick, truth
from harness.oracle.ball.elementwise import FUNCTION_COST, add, power, quotient, root, subtract
from harness.oracle.ball.parts import absolute
from harness.oracle.ball.rules import RULES, rule
from harness.oracle.ball.values import Balls, Entry
from harness.oracle.ball.walk import Walk

Combine = Callable[[list[Entry]], Entry]


def _exponential(walk: Walk, a: Any) -> Balls:
    return walk.map(f.exponential, a, cost=FUNCTION_COST)


def _logarithm(walk: Walk, a: Any) -> Balls:
    return walk.map(f.logarithm, a, cost=FUNCTION_COST)


def lanes(value: Balls, axes: tuple[int, ...]) -> tuple[Balls, tuple[int, ...], int]:
    """Make rows of the entries to combine (R × width); returns them with the shape of what is left, and the width."""
    rank = value.data.ndim
    left = tuple(value.shape[axis] for axis in range(rank) if axis not in axes)
    width = math.prod(value.shape[axis] for axis in axes)
    moved = value.moveaxis(axes, tuple(range(rank - len(axes), rank)))
    return moved.reshape((math.prod(left), width)), left, width


def reduce(
    walk: Walk, combine: Combine, a: Any, dim: Any, *, keepdim: bool = False, complex: bool | None = None
) -> Balls:
    """Combine the entries along dims to one."""
    value = walk.ball(a)
    axes = axes_of(dim, value.data.ndim)
    rows, left, width = lanes(value, axes)
    found = walk.rows(lambda entries: [combine(entries)], [rows], 1, cost=max(1, width), complex=complex)
    if keepdim:
        left = tuple(1 if axis in axes else size for axis, size in enumerate(value.shape))
    return found.reshape(left)


@rule("sum", "nansum")
def total(walk: Walk, a: Any, dim: Any = None, keepdim: bool = False) -> Balls:
    """Sum along dims."""
    return reduce(walk, f.total, a, dim, keepdim=keepdim)


@rule("mean")
def mean(walk: Walk, a: Any, dim: Any = None, keepdim: bool = False) -> Balls:
    """Mean along dims."""

    def combine(entries: list[Entry]) -> Entry:
        return f.divide(f.total(entries), arb(len(entries)))

    return reduce(walk, combine, a, dim, keepdim=keepdim)


@rule("prod")
def product(walk: Walk, a: Any, dim: Any = None, keepdim: bool = False) -> Balls:
    """Product along dims."""
    return reduce(walk, f.product, a, dim, keepdim=keepdim)


def _variance(correction: float) -> Combine:
    def combine(entries: list[Entry]) -> Entry:
        center = f.divide(f.total(entries), arb(len(entries)))
        squares = f.total([f.squared_modulus(entry - center) for entry in entries])
        freedom = len(entries) - correction
        return f.divide(squares, arb(max(freedom, 0)))

    return combine


@rule("var")
def variance(
    walk: Walk, a: Any, dim: Any = None, correction: Any = None, unbiased: bool = True, keepdim: bool = False
) -> Balls:
    """Variance along dims, with a correction of the degrees of freedom (1 when not given)."""
    chosen = (1 if unbiased else 0) if correction is None else correction
    return reduce(walk, _variance(chosen), a, dim, keepdim=keepdim, complex=False)


@rule("std")
def deviation(
    walk: Walk, a: Any, dim: Any = None, correction: Any = None, unbiased: bool = True, keepdim: bool = False
) -> Balls:
    """Square root of the variance."""
    return _root(walk, variance(walk, a, dim, correction, unbiased, keepdim))


@rule("var_mean")
def variance_and_mean(
    walk: Walk, a: Any, dim: Any = None, correction: Any = None, unbiased: bool = True, keepdim: bool = False
) -> tuple[Balls, Balls]:
    """Variance and mean along dims."""
    return variance(walk, a, dim, correction, unbiased, keepdim), mean(walk, a, dim, keepdim)


@rule("linalg_vector_norm")
def vector_norm(walk: Walk, a: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False) -> Balls:
    """The p-norm of vectors along dims; ±∞ by comparison, 0 by counting."""
    if ord == 2:
        return _root(walk, reduce(walk, _sum_of_squares, a, dim, keepdim=keepdim, complex=False))
    size = absolute(walk, a)
    if math.isinf(ord):
        extreme: Balls = RULES["amax" if ord > 0 else "amin"](walk, size, dim or (), keepdim)
        return extreme
    if ord == 0:
        return total(walk, truth(walk, a).to(torch.int64), dim, keepdim)
    if ord == 1:
        return total(walk, size, dim, keepdim)
    return power(walk, total(walk, power(walk, size, float(ord)), dim, keepdim), quotient(walk, 1, float(ord)))


def _sum_of_squares(entries: list[Entry]) -> Entry:
    return f.total([f.squared_modulus(entry) for entry in entries])


def _root(walk: Walk, value: Balls) -> Balls:
    """√, whose series at an exact zero is that for t → 0⁺."""
    return walk.map(lambda x: root(walk, x), value)


@rule("dist")
def distance(walk: Walk, a: Any, other: Any, p: Any = 2) -> Balls:
    """The p-norm of a difference."""
    return vector_norm(walk, subtract(walk, a, other), p)


@rule("_cdist_forward")
def distances(walk: Walk, x1: Any, x2: Any, p: float, compute_mode: Any = None) -> Balls:
    """The p-norms of all differences between rows of two batches of matrices."""
    left, right = walk.ball(x1), walk.ball(x2)
    left = left.reshape((*left.shape[:-1], 1, left.shape[-1]))
    right = right.reshape((*right.shape[:-2], 1, *right.shape[-2:]))
    return vector_norm(walk, subtract(walk, left, right), p, -1)


@rule("_pdist_forward")
def distances_within(walk: Walk, a: Any, p: float = 2) -> Balls:
    """The p-norms of the differences between the rows of a matrix."""
    value = walk.ball(a)
    first, second = torch.triu_indices(value.shape[0], value.shape[0], 1)
    rows = torch.arange(value.size).reshape(value.shape)
    return vector_norm(walk, subtract(walk, pick(value, rows[first]), pick(value, rows[second])), p, -1)


def scan(walk: Walk, step: Callable[[Entry, Entry], Entry], a: Any, dim: int) -> Balls:
    """Accumulate along a dim."""
    value = walk.ball(a)
    if value.data.ndim == 0 or not value.size:
        return value
    moved = value.moveaxis(dim, -1)
    width = moved.shape[-1]

    def one(entries: list[Entry]) -> list[Entry]:
        result = entries[:1]
        for entry in entries[1:]:
            result.append(step(result[-1], entry))
        return result

    return walk.rows(one, [moved.reshape((-1, width))], width, cost=width).reshape(moved.shape).moveaxis(-1, dim)


@rule("cumsum")
def running_sum(walk: Walk, a: Any, dim: int) -> Balls:
    """Sums of the first entries along a dim."""
    return scan(walk, lambda x, y: x + y, a, dim)


@rule("cumprod")
def running_product(walk: Walk, a: Any, dim: int) -> Balls:
    """Products of the first entries along a dim."""
    return scan(walk, lambda x, y: x * y, a, dim)


@rule("logcumsumexp")
def running_log_sum(walk: Walk, a: Any, dim: int) -> Balls:
    """log of the sums of exponentials of the first entries along a dim."""
    return _logarithm(walk, running_sum(walk, _exponential(walk, a), dim))


@rule("logsumexp")
def log_sum(walk: Walk, a: Any, dim: Any, keepdim: bool = False) -> Balls:
    """log Σ exp along dims."""
    return _logarithm(walk, total(walk, _exponential(walk, a), dim, keepdim))


@rule("_softmax", "softmax")
def softmax(walk: Walk, a: Any, dim: int, half_to_float: bool = False) -> Balls:
    """exp / Σ exp along a dim."""
    powers = _exponential(walk, a)
    return walk.map(f.divide, powers, total(walk, powers, dim, keepdim=True))


@rule("_log_softmax", "log_softmax")
def log_softmax(walk: Walk, a: Any, dim: int, half_to_float: bool = False) -> Balls:
    """a − log Σ exp(a) along a dim."""
    return add(walk, a, log_sum(walk, a, dim, keepdim=True), -1)


@rule("logaddexp")
def log_add(walk: Walk, a: Any, other: Any) -> Balls:
    """log(exp a + exp other)."""
    return walk.map(lambda x, y: (x.exp() + y.exp()).log(), a, other, cost=12)


def combine_of(walk: Walk, kind: str) -> Combine:
    """How a named reduction ("sum", "prod", "mean", "amax", "amin") combines entries."""

    def largest(sign: int) -> Combine:
        def combine(entries: list[Entry]) -> Entry:
            best = entries[0]
            for entry in entries[1:]:
                best = entry if sign * walk.sign(entry, best, pick=True) > 0 else best
            return best

        return combine

    table: dict[str, Combine] = {
        "sum": f.total, "add": f.total, "prod": f.product, "multiply": f.product,
        "mean": lambda entries: f.divide(f.total(entries), arb(len(entries))), "amax": largest(1), "amin": largest(-1),
        "max": largest(1), "min": largest(-1),
    }  # fmt: skip
    return table[kind]
