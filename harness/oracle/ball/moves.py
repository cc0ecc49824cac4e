"""Operators that only move data: torch's own operator runs once on positions, and entries are picked by the result.

Position 0 stands for an exact zero, so that operators which fill with zeros (padding, triangles) need nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.oracle.ball.budget import MOVES_PER_OPERATION
from harness.oracle.ball.values import ZERO, Array, Balls, as_complex, from_tensor, make, number
from harness.oracle.ball.walk import Walk

MOVES = frozenset(
    [
        "view",
        "reshape",
        "_unsafe_view",
        "view_copy",
        "_reshape_alias",
        "permute",
        "permute_copy",
        "transpose",
        "transpose_copy",
        "t",
        "t_copy",
        "expand",
        "expand_copy",
        "slice",
        "slice_copy",
        "select",
        "select_copy",
        "narrow",
        "narrow_copy",
        "squeeze",
        "squeeze_copy",
        "unsqueeze",
        "unsqueeze_copy",
        "cat",
        "stack",
        "hstack",
        "vstack",
        "flip",
        "roll",
        "rot90",
        "repeat",
        "repeat_interleave",
        "gather",
        "index",
        "_unsafe_index",
        "index_select",
        "take",
        "take_along_dim",
        "unfold",
        "unfold_copy",
        "diagonal",
        "diagonal_copy",
        "diag_embed",
        "diagonal_scatter",
        "select_scatter",
        "slice_scatter",
        "masked_scatter",
        "masked_select",
        "tril",
        "triu",
        "constant_pad_nd",
        "where",
        "masked_fill",
        "index_fill",
        "index_copy",
        "scatter",
        "embedding",
        "split",
        "split_copy",
        "split_with_sizes",
        "split_with_sizes_copy",
        "chunk",
        "unbind",
        "unbind_copy",
        "movedim",
        "swapaxes",
        "swapdims",
        "im2col",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "replication_pad1d",
        "replication_pad2d",
        "replication_pad3d",
        "reflection_pad1d",
        "reflection_pad2d",
        "reflection_pad3d",
        "block_diag",
        "broadcast_to",
        "broadcast_in_dim",
        "as_strided",
        "as_strided_copy",
        "as_strided_scatter",
        "flatten",
        "ravel",
        "_unsafe_masked_index",
        "upsample_nearest1d",
        "upsample_nearest2d",
        "upsample_nearest3d",
        "_upsample_nearest_exact1d",
        "_upsample_nearest_exact2d",
        "_upsample_nearest_exact3d",
        "fill",
        "copy",
        "max_unpool2d",
        "max_unpool3d",
    ]
)
DATA = frozenset(
    ["self", "input", "src", "source", "other", "values", "tensors", "weight", "value", "grad_output", "tensor"]
)
"""Arguments that hold data rather than places."""
FILLS = frozenset({"value", "self", "other", "fill"})
"""Scalar arguments that are data too."""
STRIDED = frozenset(["as_strided", "as_strided_copy", "as_strided_scatter"])


class _Pool:
    """Every entry an operator may place somewhere, end to end behind one zero."""

    def __init__(self) -> None:
        self.parts: list[Balls] = [Balls(make([ZERO], (1,)))]
        self.size = 1

    def add(self, value: Balls) -> Tensor:
        """Take entries in; returns their positions, in their shape."""
        self.parts.append(value)
        start, self.size = self.size, self.size + value.size
        return torch.arange(start, self.size).reshape(value.shape)

    def pick(self, positions: Tensor) -> Balls:
        """The entries at positions."""
        complex_ = any(part.complex for part in self.parts)
        where = positions.numpy()
        data = self._column([part.data for part in self.parts], complex_=complex_)[where.reshape(-1)].reshape(
            where.shape
        )
        if all(part.active is None for part in self.parts):
            return Balls(data, complex=complex_)
        masks = [np.zeros(p.size, dtype=bool) if p.active is None else p.active.reshape(-1) for p in self.parts]
        return Balls(data, active=np.concatenate(masks)[where], complex=complex_)

    @staticmethod
    def _column(parts: list[Array], *, complex_: bool) -> Array:
        column = np.concatenate([part.reshape(-1) for part in parts])
        return make((as_complex(entry) for entry in column.tolist()), column.shape) if complex_ else column


def move(walk: Walk, name: str, target: Any, arguments: Mapping[str, Any]) -> Any:
    """Run a data-moving operator.

    Args:
        walk: the pass.
        name: the operator's name.
        target: the operator, which is called on positions.
        arguments: by schema name, tensors of balls among them.

    Returns:
        A tensor of balls, or a list of them.
    """
    pool = _Pool()
    placed = {key: _place(pool, key, value) for key, value in arguments.items()}
    walk.work.charge(pool.size // MOVES_PER_OPERATION)
    key = (walk.node, name)
    if key not in walk.indices:
        walk.indices[key] = _run(target, placed)
    found = walk.indices[key]
    return [pool.pick(part) for part in found] if isinstance(found, (list, tuple)) else pool.pick(found)


def _run(target: Any, placed: Mapping[str, Any]) -> Any:
    """Call an operator on positions; one that takes no integers gets them as float64, which holds them exactly."""
    schema = target._schema.arguments
    try:
        return _call(target, schema, placed)
    except NotImplementedError:
        found = _call(target, schema, {key: _floats(value) if key in DATA else value for key, value in placed.items()})
        return [part.to(torch.int64) for part in found] if isinstance(found, (list, tuple)) else found.to(torch.int64)


def _call(target: Any, schema: Any, placed: Mapping[str, Any]) -> Any:
    positional = [placed[a.name] for a in schema if a.name in placed and not a.kwarg_only]
    keywords = {a.name: placed[a.name] for a in schema if a.name in placed and a.kwarg_only}
    return target(*positional, **keywords)


def _floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_floats(part) for part in value]
    return value.to(torch.float64) if isinstance(value, Tensor) else value


def _place(pool: _Pool, key: str, value: Any) -> Any:
    """Replace data by its positions in the pool."""
    if isinstance(value, Balls):
        return pool.add(value)
    if key in DATA and isinstance(value, Tensor):
        return pool.add(from_tensor(value))
    if key in DATA and isinstance(value, (list, tuple)) and any(isinstance(v, (Balls, Tensor)) for v in value):
        return [pool.add(v if isinstance(v, Balls) else from_tensor(v)) for v in value]
    if key in FILLS and isinstance(value, (int, float, complex)):
        filler = number(value)
        return int(pool.add(Balls(make([filler], (1,)), complex=isinstance(value, complex)))[0])
    return value
