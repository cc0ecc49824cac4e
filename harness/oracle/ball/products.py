"""Matrix products and convolutions: sums of products over pairs of entries found by index arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.oracle.ball import functions as f
from harness.oracle.ball.compare import pick
from harness.oracle.ball.elementwise import add, multiply
from harness.oracle.ball.reductions import reduce
from harness.oracle.ball.rules import rule
from harness.oracle.ball.values import ZERO, Balls, make
from harness.oracle.ball.walk import Walk


def contract(walk: Walk, left: Balls, right: Balls) -> Balls:
    """Batches of matrix products: B × n × k times B × k × m."""
    left, right = walk.alike(left, right)
    batch, n, k = left.shape
    m = right.shape[2]
    shape = (batch, n, m, k)
    turned = right.moveaxis(1, 2)
    a = left.reshape((batch, n, 1, k)).broadcast(shape).reshape((batch * n * m, k))
    b = turned.reshape((batch, 1, m, k)).broadcast(shape).reshape((batch * n * m, k))
    return walk.rows(lambda x, y: [f.dot(x, y)], [a, b], 1, cost=max(1, k)).reshape((batch, n, m))


@rule("mm", "matmul")
def matrix_product(walk: Walk, a: Any, mat2: Any) -> Balls:
    """Product of two matrices."""
    left, right = walk.ball(a), walk.ball(mat2)
    found = contract(walk, left.reshape((1, *left.shape)), right.reshape((1, *right.shape)))
    return found.reshape(found.shape[1:])


@rule("bmm")
def batched_product(walk: Walk, a: Any, mat2: Any) -> Balls:
    """Products of two batches of matrices."""
    return contract(walk, walk.ball(a), walk.ball(mat2))


@rule("mv")
def matrix_vector(walk: Walk, a: Any, vec: Any) -> Balls:
    """Product of a matrix and a vector."""
    column = walk.ball(vec)
    found = matrix_product(walk, a, column.reshape((column.size, 1)))
    return found.reshape((found.shape[0],))


@rule("dot")
def inner_product(walk: Walk, a: Any, tensor: Any) -> Balls:
    """Σ aᵢ·tensorᵢ."""
    left, right = walk.alike(a, tensor)
    found = walk.rows(
        lambda x, y: [f.dot(x, y)], [left.reshape((1, -1)), right.reshape((1, -1))], 1, cost=max(1, left.size)
    )
    return found.reshape(())


@rule("vdot")
def conjugate_inner_product(walk: Walk, a: Any, other: Any) -> Balls:
    """Σ conj(aᵢ)·otherᵢ."""
    return inner_product(walk, walk.map(f.conjugate, a), other)


def _plus(walk: Walk, a: Any, found: Balls, beta: Any, alpha: Any) -> Balls:
    scaled = found if alpha == 1 and not isinstance(alpha, bool) else multiply(walk, found, alpha)
    return scaled if beta == 0 else add(walk, scaled, a, beta)


@rule("addmm")
def add_matrix_product(walk: Walk, a: Any, mat1: Any, mat2: Any, beta: Any = 1, alpha: Any = 1) -> Balls:
    """beta·a + alpha·mat1·mat2."""
    return _plus(walk, a, matrix_product(walk, mat1, mat2), beta, alpha)


@rule("addmv")
def add_matrix_vector(walk: Walk, a: Any, mat: Any, vec: Any, beta: Any = 1, alpha: Any = 1) -> Balls:
    """beta·a + alpha·mat·vec."""
    return _plus(walk, a, matrix_vector(walk, mat, vec), beta, alpha)


@rule("baddbmm")
def add_batched_product(walk: Walk, a: Any, batch1: Any, batch2: Any, beta: Any = 1, alpha: Any = 1) -> Balls:
    """beta·a + alpha·batch1·batch2."""
    return _plus(walk, a, batched_product(walk, batch1, batch2), beta, alpha)


@rule("addbmm")
def add_summed_product(walk: Walk, a: Any, batch1: Any, batch2: Any, beta: Any = 1, alpha: Any = 1) -> Balls:
    """beta·a + alpha·Σ batch1ᵢ·batch2ᵢ."""
    return _plus(walk, a, reduce(walk, f.total, batched_product(walk, batch1, batch2), 0), beta, alpha)


@rule("_trilinear")
def trilinear(
    walk: Walk, i1: Any, i2: Any, i3: Any, expand1: Sequence[int], expand2: Sequence[int], expand3: Sequence[int],
    sumdim: Sequence[int], unroll_dim: int = 1,
) -> Balls:  # fmt: skip
    """Sum over dims of the product of three tensors, each with new axes of size 1."""
    factors = []
    for value, axes in ((i1, expand1), (i2, expand2), (i3, expand3)):
        ball = walk.ball(value)
        shape = list(ball.shape)
        for axis in sorted(axes):
            shape.insert(axis, 1)
        factors.append(ball.reshape(shape))
    product = multiply(walk, multiply(walk, factors[0], factors[1]), factors[2])
    return reduce(walk, f.total, product, list(sumdim)) if sumdim else product


@rule("convolution", "_convolution", "convolution_overrideable")
def convolution(
    walk: Walk, input: Any, weight: Any, bias: Any, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int,
) -> Balls:  # fmt: skip
    """Convolution in any number of dims, with groups; a transposed one is that of the input spread by its stride."""
    image, kernel = walk.alike(input, weight)
    spatial = kernel.data.ndim - 2
    lone = image.data.ndim == spatial + 1
    if lone:
        image = image.reshape((1, *image.shape))
    places = torch.arange(1, image.size + 1).reshape(image.shape)
    taps = torch.arange(kernel.size).reshape(kernel.shape)
    strides, pads, gaps, extra = (_each(v, spatial) for v in (stride, padding, dilation, output_padding))
    ends = list(pads)
    if transposed:
        taps = _turned(taps, groups)
        places = _spread(places, strides)
        reach = [gap * (size - 1) for gap, size in zip(gaps, taps.shape[2:], strict=True)]
        pads, ends = (
            [r - p for r, p in zip(reach, pads, strict=True)],
            [r - p + e for r, p, e in zip(reach, pads, extra, strict=True)],
        )
        strides = [1] * spatial
    places = _pad(places, pads, ends)
    windows = _windows(places, taps.shape[2:], strides, gaps)
    found = _convolve(walk, image, kernel, windows, taps, groups)
    if bias is not None:
        offset = walk.ball(bias)
        found = add(walk, found, offset.reshape((offset.size, *(1,) * spatial)))
    return found.reshape(found.shape[1:]) if lone else found


def _each(value: Sequence[int], count: int) -> list[int]:
    return list(value) * count if len(value) == 1 else list(value)


def _turned(taps: Tensor, groups: int) -> Tensor:
    """Weights of a transposed convolution (in × out/g × …) as those of an ordinary one (out × in/g × …), mirrored."""
    split = taps.reshape(groups, taps.shape[0] // groups, *taps.shape[1:]).transpose(1, 2)
    return split.reshape(groups * taps.shape[1], taps.shape[0] // groups, *taps.shape[2:]).flip(
        tuple(range(2, taps.dim()))
    )


def _spread(places: Tensor, strides: Sequence[int]) -> Tensor:
    """Put zeros (position 0) between neighbours, as many as the stride asks for."""
    sizes = [max(0, (size - 1) * s + 1) for size, s in zip(places.shape[2:], strides, strict=True)]
    result = torch.zeros((*places.shape[:2], *sizes), dtype=torch.int64)
    result[(slice(None), slice(None), *(slice(None, None, s) for s in strides))] = places
    return result


def _pad(places: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
    pairs = [amount for b, a in zip(reversed(before), reversed(after), strict=True) for amount in (b, a)]
    return torch.nn.functional.pad(places, pairs) if pairs else places


def _windows(places: Tensor, kernel: Sequence[int], strides: Sequence[int], gaps: Sequence[int]) -> Tensor:
    """Positions under every placement of a kernel: N × C × out… × taps."""
    windows = places
    for axis, (size, stride, gap) in enumerate(zip(kernel, strides, gaps, strict=True)):
        windows = windows.unfold(2 + axis, gap * (size - 1) + 1, stride)[..., ::gap]
    return windows.reshape(*windows.shape[: 2 + len(kernel)], math.prod(kernel))


def _with_zero(value: Balls) -> Balls:
    """Entries end to end behind a zero, so that position 0 means padding."""
    active = None if value.active is None else np.concatenate([[False], value.active.reshape(-1)])
    data = np.concatenate(
        [make([value.data.reshape(-1)[0] * 0 if value.complex else ZERO], (1,)), value.data.reshape(-1)]
    )
    return Balls(data, active=active, complex=value.complex)


def _convolve(walk: Walk, image: Balls, kernel: Balls, windows: Tensor, taps: Tensor, groups: int) -> Balls:
    """Sum the products of windows (N × C × out… × T) with weights (O × C/g × k…), group by group."""
    count, channels = windows.shape[:2]
    out_shape = windows.shape[2:-1]
    outputs, depth = taps.shape[0] // groups, channels // groups
    area = math.prod(out_shape)
    inside = windows.reshape(count, groups, depth, area, -1).permute(0, 1, 3, 2, 4).reshape(count, groups, area, -1)
    weights = taps.reshape(groups, outputs, -1)
    width = inside.shape[-1]
    shape = (count, groups, outputs, area, width)
    walk.work.charge(math.prod(shape[:-1]))
    left = pick(_with_zero(image), inside[:, :, None].expand(shape).reshape(-1, width))
    right = pick(kernel.reshape((-1,)), weights[None, :, :, None].expand(shape).reshape(-1, width))
    found = walk.rows(lambda x, y: [f.dot(x, y)], [left, right], 1, cost=max(1, width))
    return found.reshape((count, groups * outputs, *out_shape))


def _average(walk: Walk, a: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool,
             divisor_override: int | None, spatial: int) -> Balls:  # fmt: skip
    """Means under the placements of a window; with a divisor of the window's part inside the padded input."""
    value = walk.ball(a)
    lead = value.shape[: value.data.ndim - spatial]
    image = value.reshape((1, math.prod(lead), *value.shape[len(lead) :]))
    sizes, pads = _each(kernel_size, spatial), _each(padding, spatial)
    strides = _each(stride, spatial) if stride else sizes
    places = torch.arange(1, image.size + 1).reshape(image.shape)
    counted = (
        _pad(torch.ones_like(places), pads, pads) * 0 + 1
        if count_include_pad
        else _pad(torch.ones_like(places), pads, pads)
    )
    places = _pad(places, pads, pads)
    if ceil_mode:
        over = [
            _overhang(n, k, s, p) for n, k, s, p in zip(value.shape[len(lead) :], sizes, strides, pads, strict=True)
        ]
        places, counted = _pad(places, [0] * spatial, over), _pad(counted, [0] * spatial, over)
    windows = _windows(places, sizes, strides, [1] * spatial)
    counts = (
        _windows(counted, sizes, strides, [1] * spatial).sum(-1)
        if divisor_override is None
        else torch.full(windows.shape[:-1], divisor_override)
    )
    out_shape = windows.shape[2:-1]
    sums = reduce(walk, f.total, pick(_with_zero(image), windows), -1)
    return walk.map(f.divide, sums, counts).reshape((*lead, *out_shape))


def _overhang(size: int, kernel: int, stride: int, pad: int) -> int:
    """Cells a last, partial window needs behind the padded input; windows must start inside input or left padding."""
    count = -(-(size + 2 * pad - kernel) // stride) + 1
    if (count - 1) * stride >= size + pad:
        count -= 1
    return max(0, (count - 1) * stride + kernel - size - 2 * pad)


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def average_pool(
    walk: Walk, a: Any, kernel_size: Any, stride: Any = (), padding: Any = (0,), ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Balls:  # fmt: skip
    """Mean pooling over as many last dims as the kernel has."""
    return _average(
        walk, a, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, len(kernel_size)
    )


@rule("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d")
def adaptive_average_pool(walk: Walk, a: Any, output_size: Sequence[int]) -> Balls:
    """Means over windows that divide each of the last dims as evenly as integers allow."""
    value = walk.ball(a)
    for offset, target in enumerate(output_size):
        axis = value.data.ndim - len(output_size) + offset
        size = value.shape[axis]
        parts = []
        for cell in range(target):
            start, stop = cell * size // target, -(-(cell + 1) * size // target)
            window = value.moveaxis(axis, 0)
            part = Balls(
                window.data[start:stop],
                active=None if window.active is None else window.active[start:stop],
                complex=value.complex,
            )
            parts.append(
                reduce(walk, lambda entries: f.divide(f.total(entries), walk.ball(len(entries)).data.item()), part, 0)
            )
        stacked = np.stack([part.data for part in parts])
        masks = [np.zeros(p.shape, bool) if p.active is None else p.active for p in parts]
        value = Balls(stacked, active=np.stack(masks), complex=value.complex).moveaxis(0, axis)
    return value
