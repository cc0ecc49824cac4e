"""How good a low-precision gradient is, in numbers: against the truth, an eager implementation and the rounding floor.

Measures and words only; what counts as wrong is decided where the numbers are used.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harness.oracle.flat import Block
from harness.oracle.rounding import SAFETY
from harness.records import Precision
from harness.verify.scene import number


def measure(actual: Tensor, truth: Tensor, bar: Tensor, eager: Tensor | None, block: Block) -> Precision:
    """Measure one input's gradients (C × n, float64).

    Args:
        actual: the subject's.
        truth: the true ones.
        bar: rounding bars, `SAFETY` times the floor.
        eager: those of an eager implementation in the subject's dtype.
        block: the input.
    """
    error = (actual - truth).abs()
    position = int(error.nan_to_num(torch.inf, torch.inf).argmax())
    ours = _ratio(float((actual - truth).norm()), float(truth.norm()))
    theirs = None if eager is None else _ratio(float((eager - truth).norm()), float(truth.norm()))
    return Precision(
        relative_l2=ours,
        max_abs=_finite(float(error.reshape(-1)[position])),
        max_index=block.index(position % (block.stop - block.start)),
        cosine=_ratio(float((actual * truth).sum()), float(actual.norm()) * float(truth.norm())),
        bias=_ratio(float(((actual - truth) * truth.sign()).sum()), float(truth.abs().sum())),
        floors=floors(actual, truth, bar),
        eager_relative_l2=theirs,
        eager_floors=None if eager is None else floors(eager, truth, bar),
        ratio_to_eager=None if ours is None or theirs is None else _ratio(ours, theirs),
    )


def floors(actual: Tensor, truth: Tensor, bar: Tensor) -> float | None:
    """The largest error in units of the rounding floor, which is the bar without its safety factor."""
    return _finite(float(((actual - truth).abs() * SAFETY / bar).max()))


def in_short(found: Precision) -> str:
    """The numbers in a few words: "relative L2 0.0012, 1.1 × eager, 0.9 × the rounding floor, cosine 1 − 3e-07, …"."""
    parts = []
    if found.relative_l2 is not None:
        parts.append(f"relative L2 {found.relative_l2:.2g}")
    if found.max_abs is not None:
        place = f" at [{', '.join(map(str, found.max_index))}]" if found.max_index else ""
        parts.append(f"max {number(found.max_abs)}{place}")
    if found.floors is not None:
        parts.append(f"{found.floors:.2g} × the rounding floor")
    if found.ratio_to_eager is not None:
        parts.append(f"{found.ratio_to_eager:.2g} × eager")
    if found.cosine is not None:
        parts.append(
            f"cosine 1 − {max(0.0, 1 - found.cosine):.1g}" if found.cosine > 0.9 else f"cosine {found.cosine:.2g}"
        )
    if found.bias is not None:
        parts.append(f"bias {found.bias:+.1g}")
    return ", ".join(parts)


def _ratio(above: float, below: float) -> float | None:
    return _finite(above / below) if below > 0 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
