"""Scatter-mean, a weighted embedding bag and bilinear grid sampling as kernels, each beside its plain form.

Their backwards add up contributions of entries that were read more than once. Indices have no gradient. A sampling
place exactly on a line of pixels is a kink: the slope towards larger coordinates is returned there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CELLS = 4
"""Rows of a scatter-mean's result."""


def _wide(x: Tensor) -> Tensor:
    """The tensor in the dtype sums are taken in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class ScatterMean(torch.autograd.Function):
    """Mean of the rows (n × d) that go to each cell; a cell without rows is 0."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, cell: Tensor) -> Tensor:
        """Add up rows by cell and divide by their number."""
        if cell.shape != rows.shape[:1]:
            raise ValueError(f"Cannot take means: {len(cell)} cells for {len(rows)} rows. Give one each.")
        count = torch.bincount(cell, minlength=CELLS).clamp(min=1)
        ctx.save_for_backward(cell, count)
        total = _wide(rows).new_zeros(CELLS, rows.shape[1]).index_add_(0, cell, _wide(rows))
        return (total / count[:, None]).to(rows.dtype)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None]:
        """Give every row its cell's share."""
        cell, count = ctx.saved_tensors
        return (_wide(grad_out)[cell] / count[cell][:, None]).to(grad_out.dtype), None


def scatter_mean(rows: Tensor, cell: Tensor) -> Tensor:
    """Mean of the rows of each cell."""
    result: Tensor = ScatterMean.apply(rows, cell)  # type: ignore[no-untyped-call]
    return result


def plain_scatter_mean(rows: Tensor, cell: Tensor) -> Tensor:
    """The same in plain PyTorch, as a product with a matrix of memberships."""
    member = (cell == torch.arange(CELLS, device=cell.device)[:, None]).to(rows.dtype)
    return member @ rows / member.sum(1, keepdim=True).clamp(min=1)


class EmbeddingBag(torch.autograd.Function):
    """Weighted sums of table rows: result[b] = Σ weights[b, i] · table[picks[b, i]]."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, weights: Tensor, picks: Tensor) -> Tensor:
        """Add up the picked rows."""
        if weights.shape != picks.shape:
            raise ValueError(f"Cannot add up rows: {list(weights.shape)} weights for {list(picks.shape)} picks.")
        ctx.save_for_backward(table, weights, picks)
        return (_wide(table)[picks] * _wide(weights)[..., None]).sum(1).to(table.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Add each bag's upstream gradient to the rows it read; dot it with them for the weights."""
        table, weights, picks = ctx.saved_tensors
        upstream = _wide(grad_out)
        grad_table = grad_weights = None
        if ctx.needs_input_grad[0]:
            parts = upstream[:, None] * _wide(weights)[..., None]
            grad_table = torch.zeros_like(_wide(table))
            grad_table.index_add_(0, picks.reshape(-1), parts.reshape(picks.numel(), table.shape[1]))
            grad_table = grad_table.to(table.dtype)
        if ctx.needs_input_grad[1]:
            grad_weights = (_wide(table)[picks] * upstream[:, None]).sum(-1).to(weights.dtype)
        return grad_table, grad_weights, None


def embedding_bag(table: Tensor, weights: Tensor, picks: Tensor) -> Tensor:
    """Weighted sums of table rows."""
    result: Tensor = EmbeddingBag.apply(table, weights, picks)  # type: ignore[no-untyped-call]
    return result


def plain_embedding_bag(table: Tensor, weights: Tensor, picks: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    return torch.einsum("bi,bid->bd", weights, torch.nn.functional.embedding(picks, table))


class GridSample(torch.autograd.Function):
    """An image (channels × height × width) read between its pixels at places (p × 2) from −1 to 1; 0 outside."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, places: Tensor) -> Tensor:
        """Mix the four pixels around each place."""
        ctx.save_for_backward(image, places)
        wide = _wide(image)
        total = wide.new_zeros(image.shape[0], places.shape[0])
        for index, inside, x_share, y_share, _, _ in _corners(wide, _wide(places)):
            total += wide.flatten(1)[:, index] * (inside * x_share * y_share)
        return total.to(image.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, Tensor]:
        """Add to the four pixels their shares; differentiate the shares for the places."""
        image, places = ctx.saved_tensors
        wide, upstream = _wide(image), _wide(grad_out)
        height, width = image.shape[-2:]
        grad_image = torch.zeros_like(wide).flatten(1)
        grad_x, grad_y = torch.zeros_like(_wide(places)).unbind(-1)
        for index, inside, x_share, y_share, x_sign, y_sign in _corners(wide, _wide(places)):
            grad_image.index_add_(1, index, upstream * (inside * x_share * y_share))
            here = (upstream * wide.flatten(1)[:, index]).sum(0) * inside
            grad_x += here * x_sign * y_share
            grad_y += here * x_share * y_sign
        grad_places = torch.stack([grad_x * width / 2, grad_y * height / 2], -1)
        return grad_image.reshape(image.shape).to(image.dtype), grad_places.to(places.dtype)


def _corners(image: Tensor, places: Tensor) -> list[tuple[Tensor, Tensor, Tensor, Tensor, int, int]]:
    """For each corner: its pixel, whether it is inside, its shares along x and y, and the signs of their slopes."""
    height, width = image.shape[-2:]
    x = ((places[:, 0] + 1) * width - 1) / 2
    y = ((places[:, 1] + 1) * height - 1) / 2
    left, top = x.floor(), y.floor()
    corners = []
    for right in (0, 1):
        for below in (0, 1):
            column, row = left.long() + right, top.long() + below
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = torch.where(inside, row * width + column, 0)
            x_share = x - left if right else left + 1 - x
            y_share = y - top if below else top + 1 - y
            corners.append((index, inside, x_share, y_share, 2 * right - 1, 2 * below - 1))
    return corners


def grid_sample(image: Tensor, places: Tensor) -> Tensor:
    """Read an image between its pixels."""
    result: Tensor = GridSample.apply(image, places)  # type: ignore[no-untyped-call]
    return result


def plain_grid_sample(image: Tensor, places: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    sampled = torch.nn.functional.grid_sample(image[None], places[None, None], align_corners=False)
    return sampled[0, :, 0]
