"""Torch's CPU kernels that round to the half dtype inside, step by step as they do it (PyTorch 2.x, aten/native/cpu).

Each takes the operator's arguments in float64 and a function that rounds as the dtype would, and returns what the
operator returns, its final rounding left to the caller. None is returned where the arguments are of another form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Round = Callable[..., Tensor]
"""Rounds a tensor to the half dtype, or to the dtype given beside it."""
Kernel = Callable[..., tuple[Any, ...] | None]

_FLOAT32_ROUNDINGS = 4.0
_KEYS_AT_ONCE = 512
_QUERIES_AT_ONCE = ((768, 256), (192, 64), (0, 32))
"""From how many queries on, how many are handled at once."""


def batch_norm(round_: Round, run: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, ...] | None:
    """Batch norm is x·α + β, with α and β rounded."""
    x, weight, bias = args[:3]
    _, mean, inverse = result = run(*args, **kwargs)
    if mean.numel() == 0 or mean.numel() != x.shape[1]:
        return None
    shape = [1, -1, *[1] * (x.ndim - 2)]
    scale = round_(inverse if weight is None else inverse * weight)
    shift = round_((0.0 if bias is None else bias) - mean * scale)
    return (x * scale.reshape(shape) + shift.reshape(shape), *result[1:])


def logsumexp(
    round_: Round,
    run: Callable[..., Any],  # noqa: ARG001 - nothing of the kernel itself is needed
    *args: Any,
    **kwargs: Any,
) -> tuple[Any, ...] | None:
    """Put together from elementary operators, each of which stores what it gives."""
    x, dims = args[:2]
    if not bool(x.isfinite().all()):
        return None
    keep = bool(args[2]) if len(args) > 2 else bool(kwargs.get("keepdim", False))
    top = x.amax(dims, keepdim=True)
    terms = round_(round_(x - top).exp())
    logarithm = round_(round_(terms.sum(dims, keepdim=True)).log())
    total = logarithm + top
    return (total if keep else total.sum(dims),)


def layer_norm(round_: Round, run: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, ...] | None:
    """Layer norm is (x·r − m·r)·w in float32: over few entries that are alike the difference is all rounding."""
    weight = args[2]
    value, mean, inverse = run(*args, **kwargs)
    shift = mean * inverse
    error = _FLOAT32_ROUNDINGS * (round_(shift, torch.float32) - shift)
    return (value + (error if weight is None else error * weight), mean, inverse)


def layer_norm_backward(round_: Round, run: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, ...] | None:
    """The gradients of weight and bias are added up over the rows in the dtype."""
    upstream, x, shape, mean, inverse = args[:5]
    result = list(run(*args, **kwargs))
    rows = math.prod(x.shape[: x.ndim - len(shape)])
    flat = upstream.reshape(rows, -1)
    terms = (flat * ((x - mean) * inverse).reshape(rows, -1), flat)
    for place, parts in enumerate(terms, start=1):
        if isinstance(result[place], Tensor):
            result[place] = _added_up(round_, parts).reshape(result[place].shape)
    return tuple(result)


def flash_attention(round_: Round, run: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, ...] | None:
    """Probabilities are rounded before they weigh the values."""
    query, key, value = args[:3]
    _, logsumexp = result = run(*args, **kwargs)
    scores = _scores(query, key, args[4:5], kwargs)
    if scores is None:
        return None
    return (round_((scores - logsumexp.unsqueeze(-1)).exp()) @ value, *result[1:])


def flash_attention_backward(
    round_: Round,
    run: Callable[..., Any],  # noqa: ARG001 - nothing of the kernel itself is needed
    *args: Any,
    **kwargs: Any,
) -> tuple[Any, ...] | None:
    """Probabilities and the scores' gradients are rounded, and the products added up block by block in the dtype."""
    upstream, query, key, value, out, logsumexp = args[:6]
    scores = _scores(query, key, args[7:8], kwargs)
    if scores is None:
        return None
    scale = _scale(query, kwargs)
    probabilities = (scores - logsumexp.unsqueeze(-1)).exp()
    inner = (upstream * out).sum(-1, keepdim=True)
    of_scores = round_(probabilities * (upstream @ value.transpose(-1, -2) - inner))
    count = query.shape[-2]
    step = next(step for least, step in _QUERIES_AT_ONCE if count >= least)
    blocks = [slice(start, start + step) for start in range(0, count, step)]
    of_value = [round_(probabilities[..., b, :]).transpose(-1, -2) @ upstream[..., b, :] for b in blocks]
    of_key = [scale * of_scores[..., b, :].transpose(-1, -2) @ query[..., b, :] for b in blocks]
    keys = [slice(start, start + _KEYS_AT_ONCE) for start in range(0, key.shape[-2], _KEYS_AT_ONCE)]
    of_query = [scale * of_scores[..., b] @ key[..., b, :] for b in keys]
    return _added_up(round_, of_query), _added_up(round_, of_key), _added_up(round_, of_value)


ROUNDING_INSIDE: dict[str, Kernel] = {
    "native_batch_norm": batch_norm,
    "logsumexp": logsumexp,
    "native_layer_norm": layer_norm,
    "native_layer_norm_backward": layer_norm_backward,
    "_scaled_dot_product_flash_attention_for_cpu": flash_attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": flash_attention_backward,
}


def _scores(query: Tensor, key: Tensor, causal: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """Attention scores, masked; None where heads are shared between queries."""
    if query.shape[:-2] != key.shape[:-2]:
        return None
    scores: Tensor = _scale(query, kwargs) * query @ key.transpose(-1, -2)
    if kwargs.get("attn_mask") is not None:
        scores = scores + kwargs["attn_mask"]
    if (causal and causal[0]) or kwargs.get("is_causal"):
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    return scores


def _scale(query: Tensor, kwargs: dict[str, Any]) -> float:
    scale = kwargs.get("scale")
    return float(query.shape[-1]) ** -0.5 if scale is None else float(scale)


def _added_up(round_: Round, parts: Sequence[Tensor] | Tensor) -> Tensor:
    """The sum of some parts, rounded after every addition."""
    total = round_(parts[0])
    for part in parts[1:]:
        total = round_(total + part)
    return total
