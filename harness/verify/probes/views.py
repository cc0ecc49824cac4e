"""The same numbers laid out otherwise in memory: views a backward may mistake for dense tensors.

What lies between a view's entries is NaN, so that code which reads past it is found out.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def views(value: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield (what it is, the view) for every layout that changes something; each has the numbers and shape of `value`.

    Args:
        value: a tensor of any shape and type; nothing is yielded for a scalar or an empty one.
    """
    dense = value.detach().contiguous()
    if dense.ndim == 0 or dense.numel() == 0:
        return
    yield "a strided view", _strided(dense)
    yield "a narrow view", _narrow(dense)
    if dense.ndim >= 2:
        turned = dense.mT.contiguous().mT
        if turned.stride() != dense.stride():
            yield "a transposed view", turned
    if dense.ndim >= 3:
        order = tuple(range(dense.ndim))[::-1]
        yield "a view with its axes in reverse", dense.permute(order).contiguous().permute(order)
    if dense.ndim in (4, 5):
        layout = torch.channels_last if dense.ndim == 4 else torch.channels_last_3d
        yield "laid out channels-last", dense.contiguous(memory_format=layout)
    if dense.is_complex():
        yield "a lazily conjugated view", dense.conj().resolve_conj().conj()


def expansions(value: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield (what it is, an expanded view): other numbers, constant along the axes whose stride is 0."""
    dense = value.detach().contiguous()
    if dense.ndim == 0 or dense.numel() < 2:
        return
    yield "one number expanded", dense.flatten()[0].expand(dense.shape)
    if dense.ndim >= 2 and dense.shape[0] > 1:
        yield "its first row expanded", dense[:1].expand(dense.shape)
    if dense.ndim >= 2 and dense.shape[-1] > 1:
        yield "its first column expanded", dense[..., :1].expand(dense.shape)


def _poisoned(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """A buffer of a shape whose unused entries are NaN (or 0 for integers, which index)."""
    fill = torch.nan if like.is_floating_point() or like.is_complex() else 0
    return torch.full(shape, fill, dtype=like.dtype, device=like.device)


def _strided(dense: Tensor) -> Tensor:
    buffer = _poisoned((*dense.shape, 2), dense)
    buffer[..., 0] = dense
    return buffer[..., 0]


def _narrow(dense: Tensor) -> Tensor:
    buffer = _poisoned((*dense.shape[:-1], dense.shape[-1] + 3), dense)
    view = buffer[..., 1:-2]
    view.copy_(dense)
    return view
