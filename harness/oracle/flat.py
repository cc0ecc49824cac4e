"""A subject at a point, seen as one function of one real vector: R^N → R^M.

All differentiable inputs are laid end to end in declaration order; a complex entry is two real ones (real part, then
imaginary part), which is also torch's gradient convention. Outputs are laid end to end likewise; integer and boolean
outputs have no derivative and are left out. Oracles and routes work on this view, so that none of them knows about
names, shapes or complex numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.case.subject import Point, Subject, Tensors

CHUNK_ELEMENTS = 1 << 20
"""Largest number of input or output entries evaluated in one batched call: 8 MiB of float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One differentiable input inside the flat vector: entries `start` to `stop`."""

    name: str
    shape: tuple[int, ...]
    complex: bool
    start: int
    stop: int

    @property
    def real_shape(self) -> tuple[int, ...]:
        """Shape of the block's real entries: a complex input has a last axis of 2."""
        return (*self.shape, 2) if self.complex else self.shape

    def index(self, position: int) -> tuple[int, ...]:
        """Turn a position inside the block into an index of the input (with 0/1 for real/imaginary at the end)."""
        index: list[int] = []
        for size in reversed(self.real_shape):
            index.append(position % size)
            position //= size
        return tuple(reversed(index))


def blocks_of(subject: Subject, point: Point) -> tuple[Block, ...]:
    """Lay the differentiable inputs of a point end to end."""
    blocks, start = [], 0
    for name in subject.differentiable:
        value = point.values[name]
        count = value.numel() * (2 if value.is_complex() else 1)
        blocks.append(
            Block(name=name, shape=tuple(value.shape), complex=value.is_complex(), start=start, stop=start + count)
        )
        start += count
    return tuple(blocks)


def real_vector(tensors: Iterator[Tensor] | tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """Lay tensors end to end as one real vector; complex entries become pairs, non-floating tensors are left out."""
    parts = [
        (torch.view_as_real(t.resolve_conj()) if t.is_complex() else t).reshape(-1)
        for t in tensors
        if t.is_floating_point() or t.is_complex()
    ]
    return torch.cat(parts) if parts else torch.zeros(0)


def cast(value: Tensor, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """Move a tensor to a dtype and device; complex stays complex of matching precision, integers stay integers."""
    if value.is_complex():
        value = value.to(torch.complex64 if dtype == torch.float32 else torch.complex128)
    elif value.is_floating_point():
        value = value.to(dtype)
    return value.to(device)


class FlatSubject:
    """A subject at a point as a function R^N → R^M, at one dtype and on one device.

    `function` replaces the subject's own function (a reference, say). The point's tensors are copied, so that a
    subject that overwrites its inputs spoils nothing.
    """

    def __init__(
        self,
        subject: Subject,
        point: Point,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
        function: Callable[[Tensors], tuple[Tensor, ...]] | None = None,
    ) -> None:
        self.subject = subject
        self.dtype = dtype
        self.device = torch.device(device)
        self.blocks = blocks_of(subject, point)
        self.values = {name: cast(value, dtype, device).clone() for name, value in point.values.items()}
        self._function = function or subject.function
        self.x = real_vector([self.values[block.name] for block in self.blocks]).to(dtype)
        self.size = self.x.numel()
        self.batched: bool | None = None

    def at(self, x: Tensor) -> FlatSubject:
        """Make the same view at another flat point of length N."""
        moved = copy.copy(self)
        moved.values = {name: value.detach() for name, value in self.inputs(x).items()}
        moved.x = x.detach()
        return moved

    def inputs(self, x: Tensor) -> dict[str, Tensor]:
        """Unfold a flat vector of length N into the subject's named inputs (the others keep their values)."""
        named = dict(self.values)
        for block in self.blocks:
            part = x[block.start : block.stop].reshape(block.real_shape)
            named[block.name] = torch.view_as_complex(part.contiguous()) if block.complex else part
        return named

    def call(self, named: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Call the function on named inputs."""
        return self._function(named)

    def outputs(self, x: Tensor) -> Tensor:
        """Evaluate at a flat vector of length N; returns a flat vector of length M."""
        return real_vector(self.call(self.inputs(x)))

    def split(self, gradient: Tensor) -> dict[str, Tensor]:
        """Unfold a flat gradient into real tensors by input name (complex inputs get a last axis of 2)."""
        return {
            block.name: gradient[..., block.start : block.stop].reshape(*gradient.shape[:-1], *block.real_shape)
            for block in self.blocks
        }

    def batch(self, xs: Tensor) -> Tensor:
        """Evaluate at every row of `xs` (B × N), in chunks where vmap can and in a loop where not; returns B × M."""
        return self.batch_of(self.outputs, xs)

    def batch_of(self, function: Callable[[Tensor], Tensor], xs: Tensor) -> Tensor:
        """Apply a function of one flat vector to every row of `xs`, batched by vmap where that changes nothing."""
        if xs.shape[0] == 0:
            raise ValueError("Cannot evaluate a batch of no rows.")
        rows = max(1, CHUNK_ELEMENTS // max(1, self.size))
        if self.batched is None:
            self.batched = _vmap_agrees(function, xs[:2])
        if not self.batched:
            return _row_by_row(function, xs)
        vectorised = torch.func.vmap(function)
        parts = []
        for chunk in torch.split(xs, rows):
            try:
                parts.append(vectorised(chunk).detach())
            except (RuntimeError, ValueError, ArithmeticError):
                parts.append(_row_by_row(function, chunk))
        return torch.cat(parts)


def _row_by_row(function: Callable[[Tensor], Tensor], xs: Tensor) -> Tensor:
    """Apply a function to each row; rows where it raises (a singular matrix, say) are NaN, unless every row raises.

    So are rows whose result is not as long as most (a mask that picks more entries there).
    """
    results: list[Tensor | None] = []
    reason: Exception | None = None
    for x in xs:
        try:
            results.append(function(x).detach())
        except (RuntimeError, ValueError, ArithmeticError) as error:
            results.append(None)
            reason = error
    shapes = [result.shape for result in results if result is not None]
    if not shapes:
        raise reason or ValueError("Cannot evaluate a batch of no rows.")
    usual = max(set(shapes), key=shapes.count)
    known = next(result for result in results if result is not None and result.shape == usual)
    missing = torch.full_like(known, torch.nan)
    return torch.stack([missing if result is None or result.shape != usual else result for result in results])


def _vmap_agrees(function: Callable[[Tensor], Tensor], xs: Tensor) -> bool:
    """Whether vmap runs the function and gives what plain calls give, up to the order of summation."""
    rows = [function(x).detach() for x in xs]
    if any(row.shape != rows[0].shape for row in rows):
        return False
    plain = torch.stack(rows)
    try:
        batched = torch.func.vmap(function)(xs).detach()
    except Exception:  # noqa: BLE001 - vmap refuses for many reasons and with many types: every one means "use a loop"
        return False
    if batched.shape != plain.shape:
        return False
    scale = float(plain.abs().nan_to_num(0.0, 0.0, 0.0).max()) if plain.numel() else 0.0
    return bool(torch.isclose(batched, plain, rtol=1e-9, atol=1e-12 * scale, equal_nan=True).all())


def random_signs(
    shape: tuple[int, ...], generator: torch.Generator, *, low: float = 0.5, high: float = 1.5, bits: int = 10
) -> Tensor:
    """Draw entries ±U(low, high), on a lattice of 2^-bits: none hides a coordinate, and sums never cancel by design."""
    size = torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low
    sign = torch.randint(0, 2, shape, generator=generator, dtype=torch.float64) * 2 - 1
    drawn: Tensor = sign * torch.round(size * 2**bits) / 2**bits
    return drawn
