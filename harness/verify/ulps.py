"""Errors counted in units in the last place, and the words for them.

The unit at a number is the distance between neighbouring numbers of a format around it: 2^(e − p + 1) for a number of
[2ᵉ, 2ᵉ⁺¹) and p bits. It is that of the smallest normal numbers below them and at zero, and that of the largest above.
Says nothing about entries whose truth is not known to far better than one unit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harness.oracle.estimate import Estimate

BITS = {torch.float64: 53, torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}
"""Bits of a format's significand, the leading one included."""


def spacing(truth: Tensor, dtype: torch.dtype) -> Tensor:
    """The unit in the last place of a format at each of some float64 numbers, as float64."""
    info = torch.finfo(dtype)
    least, largest = (math.frexp(bound)[1] for bound in (info.tiny, info.max))
    _, exponent = torch.frexp(truth)  # |truth| is in [2^(exponent − 1), 2^exponent); 0 has exponent 0
    exponent = torch.where(truth == 0, least, exponent).clamp(least, largest)
    return torch.ldexp(torch.ones_like(truth), exponent - BITS[dtype])


def largest_ulps(actual: Tensor, truth: Estimate, dtype: torch.dtype, *, columns: slice | None = None) -> float | None:
    """The largest |actual − truth| over the entries, in units in the last place of the truth.

    Args:
        actual: the subject's numbers, in the shape of the truth's value, or of its `columns`.
        truth: rigorous, or the float64 twin of a subject in fewer bits.
        dtype: the format whose units count.
        columns: which columns of the truth these are; all when absent.

    Returns:
        None where no entry has a truth: at kinks, where the bar is infinite, and where an enclosure is wider than a
        unit. Infinite where the subject's number is not finite but the truth is.
    """
    if dtype not in BITS:
        return None
    part = (..., columns) if columns is not None else ...
    value, bar = truth.value[part], truth.bar[part]
    known = value.isfinite()
    unit = spacing(value.nan_to_num(0.0, 0.0, 0.0), dtype)
    if truth.rigorous and dtype == torch.float64:  # in fewer bits the bar holds the subject's rounding too
        known = known & (bar <= unit)
    if truth.kink is not None:
        known = known & ~truth.kink[part]
    if not bool(known.any()):
        return None
    tail = torch.zeros_like(value) if truth.tail is None else truth.tail[part]
    error = ((actual - value) - tail).abs().nan_to_num(torch.inf, torch.inf)
    return float((error / unit)[known].max())
