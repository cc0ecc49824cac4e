"""Rounding bars in float16 and bfloat16.

Torch's kernels for half dtypes compute in float32 and round their result once. So a computation is repeated in float64
with float32's perturbations inside every operator (`harness.oracle.rounding`) and each result rounded to what it is
stored in (`harness.oracle.storage`). The spread over a few repetitions, times a safety factor, is the bar.

What it cannot see: a kernel that rounds to the dtype somewhere inside and is not among those named here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.oracle.rounding import (
    SAFETY,
    SAMPLES,
    UNIT_ROUNDOFF,
    PerturbEveryOperation,
    longest_axis,
    rounding_operator,
)
from harness.oracle.storage import HalfStorage, Step, Stored, watch

FLOAT32 = UNIT_ROUNDOFF[torch.float32]

# Operators that add up in the dtype itself, one term after the other.
_ADDING_UP = frozenset(
    "index_add scatter_add index_put_ embedding_dense_backward index_reduce scatter_reduce segment_reduce "
    "cumsum cumprod logcumsumexp prod".split()
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HalfBars:
    """Bars (R) of a flat result, and whether a number on the way was beyond the dtype's range."""

    bars: Tensor
    overflowed: bool


class RoundEveryResult(PerturbEveryOperation):
    """While active, operators compute as in float32 and their results are rounded as if stored in a half dtype."""

    def __init__(self, storage: HalfStorage, generator: torch.Generator) -> None:
        """Start one repetition."""
        super().__init__(FLOAT32, generator)
        self.storage = storage
        self._inside = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator, perturbed inside and rounded once."""
        name = None if self._inside else rounding_operator(func, args)
        if name is None:
            return super().__torch_dispatch__(func, types, args, kwargs)
        stored = self.storage.next(name)
        if name in _ADDING_UP:
            args = self.operands(func, args, UNIT_ROUNDOFF[self.storage.dtype] * longest_axis(args))
        self._inside = True
        try:
            result = super().__torch_dispatch__(func, types, args, kwargs)
        finally:
            self._inside = False
        return self._rounded(result, stored, in_place=func._schema.is_mutable)

    def _rounded(self, result: Any, stored: Stored, *, in_place: bool) -> Any:
        """Round every real result; one that was written in place is changed in place."""
        several = isinstance(result, (tuple, list))
        done = []
        for place, value in enumerate(result if several else (result,)):
            if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
                dtype = self.storage.kept_in(stored[place] if place < len(stored) else None)
                error = self.storage.error(value, dtype)
                value = value.add_(error) if in_place else value + error
            done.append(value)
        return type(result)(done) if several else done[0]


def half_bars(
    compute: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    dtype: torch.dtype,
    generator: torch.Generator,
    real: Callable[[], object] | None = None,
) -> HalfBars:
    """Bound what rounding may do to a computation in float16 or bfloat16.

    Args:
        compute: maps the flat input (N) to a flat float64 result (R).
        x: the flat input, float64, of numbers the dtype holds.
        dtype: float16 or bfloat16.
        generator: source of the perturbations.
        real: runs the same computation in the dtype, to see what it stores in a wider one.

    Returns:
        R bars, at least four roundings of the result itself.
    """
    unit = UNIT_ROUNDOFF[dtype]
    plain = compute(x).detach().to(torch.float64)
    steps = _steps(lambda: compute(x), real)
    worst, overflowed = torch.zeros_like(plain), False
    for _ in range(SAMPLES):
        storage = HalfStorage(dtype, steps, generator)
        with RoundEveryResult(storage, generator) as mode:
            result = compute(x).detach().to(torch.float64)
        if mode.operations == 0:
            noise = 2 * torch.rand(x.shape, generator=generator, dtype=torch.float64) - 1
            result = compute(x * (1 + 4 * unit * noise)).detach().to(torch.float64)
        overflowed |= storage.overflowed
        worst = torch.maximum(worst, (result - plain).abs().nan_to_num(torch.inf, torch.inf))
    worst = torch.where(plain.isfinite(), worst, 0.0)  # a result that is not finite is nobody's rounding
    least = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    bars = SAFETY * worst + 4 * unit * plain.abs().nan_to_num(0.0, 0.0, 0.0) + least
    return HalfBars(bars=bars, overflowed=overflowed)


def _steps(stand_in: Callable[[], object], real: Callable[[], object] | None) -> tuple[Step, ...]:
    """What the real computation stores its steps in; nothing where its steps are not the stand-in's."""
    if real is None:
        return ()
    steps = watch(real, rounding_operator)
    same = [step.name for step in steps] == [step.name for step in watch(stand_in, rounding_operator)]
    return steps if same else ()
