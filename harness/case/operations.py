"""Functions of the expression language that torch does not offer in the form an expression calls them.

Each takes tensors (and plain numbers for dims and sizes) and is differentiable wherever torch's own pieces are.
Constructors take the dtype and device of the inputs as ``context`` and refuse arrays beyond a fixed size.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.case.evaluate import Context

MAX_ELEMENTS = 10_000_000
Dims = int | Sequence[int] | None


def cbrt(x: Tensor) -> Tensor:
    """The real cube root."""
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


def clamp(x: Tensor, least: Any = None, most: Any = None, **bounds: Any) -> Tensor:
    """Entries kept within bounds, given by position or as ``min`` and ``max``."""
    return torch.clamp(x, bounds.get("min", least), bounds.get("max", most))


def max(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:  # noqa: A001  the language's own word
    """The largest entry, or the largest along one dim."""
    return torch.max(x) if dim is None else torch.max(x, dim, keepdim).values


def min(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:  # noqa: A001  the language's own word
    """The smallest entry, or the smallest along one dim."""
    return torch.min(x) if dim is None else torch.min(x, dim, keepdim).values


def logsumexp(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Log Σ exp(x), over all dims unless told."""
    dims = tuple(range(x.ndim)) if dim is None else dim if isinstance(dim, int) else tuple(dim)
    return torch.logsumexp(x, dims, keepdim)


def norm(x: Tensor, p: float = 2, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The vector p-norm, of all entries unless told."""
    result: Tensor = torch.linalg.vector_norm(x, p, dim, keepdim)
    return result


def cumsum(x: Tensor, dim: int = 0) -> Tensor:
    """Running sums along a dim."""
    return torch.cumsum(x, dim)


def cumprod(x: Tensor, dim: int = 0) -> Tensor:
    """Running products along a dim."""
    return torch.cumprod(x, dim)


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Softmax along a dim, the last unless told."""
    return torch.softmax(x, dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Logarithm of the softmax along a dim, the last unless told."""
    return torch.log_softmax(x, dim)


def sort(x: Tensor, dim: int = -1) -> Tensor:
    """Entries in ascending order along a dim."""
    return torch.sort(x, dim).values


def reshape(x: Tensor, *sizes: Any) -> Tensor:
    """The same entries in another shape."""
    return x.reshape(_sizes(sizes))


def view(x: Tensor, *sizes: Any) -> Tensor:
    """The same memory in another shape."""
    return x.view(_sizes(sizes))


def expand(x: Tensor, *sizes: Any) -> Tensor:
    """A tensor repeated along dims of size 1, without copying."""
    wanted = _sizes(sizes)
    _check_size("expand", [size for size in wanted if size >= 0])
    return x.expand(wanted)


def permute(x: Tensor, *dims: Any) -> Tensor:
    """Dims in another order."""
    return x.permute(_sizes(dims))


def transpose(x: Tensor, first: int = -2, second: int = -1) -> Tensor:
    """Two dims swapped, the last two unless told."""
    return torch.transpose(x, first, second)


def flip(x: Tensor, dims: Dims = None) -> Tensor:
    """Entries in reverse order along some dims, all unless told."""
    return torch.flip(x, tuple(range(x.ndim)) if dims is None else (dims,) if isinstance(dims, int) else tuple(dims))


def stack(parts: Sequence[Any], dim: int = 0, *, context: Context) -> Tensor:
    """Tensors (or numbers) side by side along a new dim."""
    return torch.stack(_parts("stack", parts, context), dim)


def cat(parts: Sequence[Any], dim: int = 0, *, context: Context) -> Tensor:
    """Tensors joined along a dim they have."""
    return torch.cat(_parts("cat", parts, context), dim)


def zeros(*sizes: Any, context: Context) -> Tensor:
    """A tensor of zeros."""
    return torch.zeros(_checked("zeros", sizes), dtype=context.dtype, device=context.device)


def ones(*sizes: Any, context: Context) -> Tensor:
    """A tensor of ones."""
    return torch.ones(_checked("ones", sizes), dtype=context.dtype, device=context.device)


def full(size: Any, value: Any, *, context: Context) -> Tensor:
    """A tensor with one value everywhere."""
    filled: Tensor = ones(*((size,) if isinstance(size, int) else size), context=context) * value
    return filled


def eye(rows: int, columns: int | None = None, *, context: Context) -> Tensor:
    """An identity matrix."""
    n, m = _checked("eye", (rows, rows if columns is None else columns))
    return torch.eye(n, m, dtype=context.dtype, device=context.device)


def arange(*bounds: float, context: Context) -> Tensor:
    """Numbers from a start (0) up to an end, which is left out, by a step (1)."""
    start, end, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    if step == 0 or not all(math.isfinite(bound) for bound in (start, end, step)):
        why = "need a finite start, end and a step other than 0"
        raise UsageError(f"Cannot make arange: bounds={bounds} {why}. Change them.")
    _check_size("arange", [builtins.max(math.ceil((end - start) / step), 0)])
    return torch.arange(start, end, step, dtype=context.dtype, device=context.device)


def linspace(start: float, end: float, count: int, *, context: Context) -> Tensor:
    """Evenly spaced numbers from a start to an end, both included."""
    (size,) = _checked("linspace", (count,))
    return torch.linspace(start, end, size, dtype=context.dtype, device=context.device)


def tensor(rows: Any, *, context: Context) -> Tensor:
    """A tensor of the numbers and tensors in nested lists; gradients flow into the tensors."""
    from harness.case.evaluate import inexact

    if not isinstance(rows, list | tuple):
        lifted: Tensor = inexact(rows, context)
        return lifted
    if not rows:
        return torch.zeros(0, dtype=context.dtype, device=context.device)
    return torch.stack(_alike("tensor", [tensor(row, context=context) for row in rows]))


def layer_norm(
    x: Tensor,
    shape: Any = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Layer normalisation over the last dims named by `shape`, the last one unless told."""
    dims = x.shape[-1:] if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
    return torch.nn.functional.layer_norm(x, tuple(dims), weight, bias, eps)


def imag(x: Tensor) -> Tensor:
    """The imaginary part; zero for a real tensor."""
    return torch.imag(x) if x.is_complex() else torch.zeros_like(x)


def _sizes(sizes: Sequence[Any]) -> tuple[int, ...]:
    """Sizes given one by one or as a single sequence."""
    wanted = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], list | tuple) else tuple(sizes)
    for size in wanted:
        if not isinstance(size, int):
            kind = type(size).__name__
            raise UsageError(f"Cannot use a size: {size!r} (type {kind}) is not a whole number. Use // for division.")
    return wanted


def _checked(name: str, sizes: Sequence[Any]) -> tuple[int, ...]:
    wanted = _sizes(sizes)
    _check_size(name, wanted)
    return wanted


def _check_size(name: str, sizes: Sequence[int]) -> None:
    if any(size < 0 for size in sizes) or math.prod(sizes) > MAX_ELEMENTS:
        why = f"hold more than {MAX_ELEMENTS:,} numbers, or are negative"
        raise UsageError(f"Cannot make {name}: sizes={tuple(sizes)} {why}. Change them.")


def _parts(name: str, parts: Any, context: Context) -> list[Tensor]:
    """The parts to join as tensors of one dtype."""
    if not isinstance(parts, list | tuple) or not parts:
        raise UsageError(f"Cannot {name}: the first argument must be a list of tensors. Write {name}([a, b]).")
    return _alike(name, [tensor(part, context=context) if not isinstance(part, Tensor) else part for part in parts])


def _alike(name: str, parts: list[Tensor]) -> list[Tensor]:
    """Tensors in the one dtype that can hold them all, refusing unlike shapes for `tensor`."""
    shapes = {tuple(part.shape) for part in parts}
    if name == "tensor" and len(shapes) > 1:
        raise UsageError(f"Cannot make a tensor: its rows have different shapes {sorted(shapes)}. Make them alike.")
    dtype = parts[0].dtype
    for part in parts[1:]:
        dtype = torch.promote_types(dtype, part.dtype)
    return [part.to(dtype) for part in parts]
