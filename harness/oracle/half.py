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

from harness.oracle.kernels import ROUNDING_INSIDE
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


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Operators that add up in the dtype itself, one term after the other.
_ADDING_UP = _names(
    "index_add scatter_add index_put_ embedding_dense_backward index_reduce scatter_reduce segment_reduce"
)
# Operators beside the pointwise ones that are known to compute in float32 inside. All others are taken to round their
# operands to the dtype once more.
_IN_FLOAT32 = _names(
    """sum mean cumsum cumprod prod logcumsumexp var std var_mean dot vdot mv mm bmm addmm baddbmm addmv addbmm norm
    linalg_vector_norm logsumexp _softmax _log_softmax _softmax_backward_data _log_softmax_backward_data
    native_layer_norm native_layer_norm_backward native_batch_norm native_batch_norm_backward native_group_norm
    native_group_norm_backward convolution convolution_backward nll_loss_forward nll_loss_backward mse_loss
    _fused_rms_norm _fused_rms_norm_backward"""
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
        unit = UNIT_ROUNDOFF[self.storage.dtype]
        if name in _ADDING_UP:
            args = self.operands(func, args, unit * _terms(args))
        elif name not in _IN_FLOAT32 and name not in ROUNDING_INSIDE and torch.Tag.pointwise not in func.tags:
            args = self.operands(func, args, unit)
        self._inside = True
        try:
            result = self._computed(name, func, types, args, kwargs or {})
        finally:
            self._inside = False
        return self._rounded(result, stored, in_place=func._schema.is_mutable)

    def _computed(self, name: str, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one operator as its kernel does, all but the rounding of its results."""

        def run(*args: Any, **kwargs: Any) -> Any:
            return super(RoundEveryResult, self).__torch_dispatch__(func, types, args, kwargs)

        kernel = ROUNDING_INSIDE.get(name)
        known = None if kernel is None else kernel(self._round, run, *args, **kwargs)
        if known is None:
            return run(*args, **kwargs)
        return known[0] if len(known) == 1 else known

    def _round(self, value: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Round to the dtype under test, or to another."""
        return value + self.storage.error(value, dtype or self.storage.dtype)

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


def _terms(args: tuple[Any, ...]) -> int:
    """How many terms are added up at most in one place: how often an index is there, by the index that tells most."""
    flat = [a for given in args for a in (given if isinstance(given, (tuple, list)) else (given,))]
    indices = [a for a in flat if isinstance(a, Tensor) and a.dtype == torch.int64 and a.numel()]
    counts = (int(index.reshape(-1).unique(return_counts=True)[1].max()) for index in indices)
    return min(counts, default=longest_axis(args))


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
