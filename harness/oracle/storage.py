"""Half precision as torch's kernels do it: computed in float32 inside, rounded once to the dtype that is stored.

`StoredDtypes` watches a computation in a half dtype and notes what each operator's result was stored in, as composite
operators (RMS norm, say) widen to float32 in between. `HalfStorage` rounds a float64 stand-in's results likewise.

It judges nothing and perturbs nothing else: that is `harness.oracle.half`'s job.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

HALVES = (torch.float16, torch.bfloat16)
Stored = tuple[torch.dtype | None, ...]
"""What one operator's results are stored in; None for one that holds no real numbers."""

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)  # from fine to coarse
_MANTISSA = (1 << 52) - 1
_MIX = (-7046029254386353131, -4658895280553007687)
"""The constants of splitmix64 (Steele, Lea and Flood, 2014), as signed numbers."""


@dataclass(frozen=True, slots=True)
class Step:
    """One rounding operator of a computation: its name, what its results were stored in, and whether it is torch's."""

    name: str
    stored: Stored
    own: bool


class StoredDtypes(TorchDispatchMode):
    """While active, notes every rounding operator with the dtypes its results end up in.

    A result that is cast to a coarser dtype later on counts as stored in that, also after being moved about.
    """

    def __init__(self, name: Callable[[Any, tuple[Any, ...]], str | None]) -> None:
        """Start with a function that names an operator, or gives None where it only moves data."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = name
        self._names: list[str] = []
        self._foreign: set[str] = set()
        self._stored: list[list[torch.dtype | None]] = []
        self._origins: dict[int, set[tuple[int, int]]] = {}
        self._kept: list[Tensor] = []  # so that no identity is given twice

    @property
    def steps(self) -> tuple[Step, ...]:
        """What was noted so far."""
        noted = zip(self._names, self._stored, strict=True)
        return tuple(Step(name, tuple(stored), own=name not in self._foreign) for name, stored in noted)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator and note it."""
        result = func(*args, **(kwargs or {}))
        results = [r for r in (result if isinstance(result, (tuple, list)) else (result,)) if isinstance(r, Tensor)]
        self._kept += results
        name = self._name(func, args)
        if name is None:
            self._move(args, results)
            return result
        self._names.append(name)
        if func.namespace != "aten":
            self._foreign.add(name)
        self._stored.append([r.dtype if r.is_floating_point() else None for r in results])
        for place, tensor in enumerate(results):
            self._origins[id(tensor)] = {(len(self._names) - 1, place)}
        return result

    def _move(self, args: tuple[Any, ...], results: list[Tensor]) -> None:
        """Follow where results go that were computed before; a cast may coarsen them."""
        given = [a for a in args for a in (a if isinstance(a, (tuple, list)) else (a,)) if isinstance(a, Tensor)]
        origins = set().union(*(self._origins.get(id(a), set()) for a in given))
        for tensor in results:
            self._origins[id(tensor)] = self._origins.get(id(tensor), set()) | origins
            for step, place in origins if tensor.dtype in _FLOATS else ():
                before = self._stored[step][place]
                if before in _FLOATS and _FLOATS.index(tensor.dtype) > _FLOATS.index(before):
                    self._stored[step][place] = tensor.dtype


class HalfStorage:
    """Rounds float64 results as if they were stored in a half dtype, at random but the same number always the same way.

    Real rounding is a function of the number: equal entries are off alike and do not average out, numbers the dtype
    holds are exact, powers of two change nothing.
    """

    def __init__(self, dtype: torch.dtype, steps: tuple[Step, ...], generator: torch.Generator) -> None:
        """Prepare one repetition for a dtype, with what was noted of the real computation (or nothing)."""
        self.dtype = dtype
        self.steps = steps
        self.overflowed = False
        self._at = 0
        self._salt = int(torch.randint(-(2**62), 2**62, (), generator=generator))

    def next(self, name: str) -> Stored:
        """What the next operator's results are stored in, as far as the real computation tells."""
        at, self._at = self._at, self._at + 1
        return self.steps[at].stored if at < len(self.steps) and self.steps[at].name == name else ()

    def kept_in(self, stored: torch.dtype | None) -> torch.dtype:
        """What a result counts as stored in: a wider dtype where one was seen; a needless downcast is no excuse."""
        return stored if stored in (torch.float32, torch.float64) else self.dtype

    def error(self, value: Tensor, dtype: torch.dtype) -> Tensor:
        """What storing float64 numbers in a dtype may change them by: at most half a unit in the last place."""
        held = value.to(dtype).to(torch.float64)
        self.overflowed |= bool((held.isinf() & value.isfinite()).any())
        info = torch.finfo(dtype)
        size = torch.clamp(value.abs() * (info.eps / 2), min=info.smallest_normal * info.eps / 2).copysign(value)
        return torch.where((held == value) | ~value.isfinite(), 0.0, self._noise(value) * size)

    def _noise(self, value: Tensor) -> Tensor:
        """Numbers in (−1, 1) that depend on the digits of a value, not on its sign or exponent."""
        mixed = (value.contiguous().view(torch.int64) & _MANTISSA) ^ self._salt
        for constant in _MIX:
            mixed = (mixed ^ ((mixed >> 30) & 0x3FFFFFFFF)) * constant
        return (mixed ^ ((mixed >> 31) & 0x1FFFFFFFF)).to(torch.float64) * 2.0**-63


def watch(compute: Callable[[], object], name: Callable[[Any, tuple[Any, ...]], str | None]) -> tuple[Step, ...]:
    """Note what a computation stores its results in; nothing if it raises.

    Args:
        compute: runs it.
        name: names an operator that rounds, None for others.
    """
    mode = StoredDtypes(name)
    with contextlib.suppress(RuntimeError, ValueError, NotImplementedError, TypeError), mode:
        compute()
        return mode.steps
    return ()
