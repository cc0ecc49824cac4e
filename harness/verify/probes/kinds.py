"""The kinds of special values, each made from a drawn tensor and refused where an input may not take it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.case.domains import MODULE_DRAW
from harness.case.draws import parse_draw
from harness.case.subject import Input

Make = Callable[[Tensor, Input], "Tensor | None"]
AROUND = (0.0, -0.125, 0.125, 0.25)
"""Where entries lie around a threshold, relative to it."""
INTEGERS = (1.0, -1.0, 0.0, 2.0, -2.0, 0.5, 3.0, -0.5)
_PLAIN = ("normal", "uniform", "positive", MODULE_DRAW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of special values.

    `text` says what an input then is; `make` returns the values, or None where the kind does not apply. `alone` and
    `together` say whether one input at a time takes them, or all that can.
    """

    text: str
    make: Make
    effort: str = "standard"
    alone: bool = False
    together: bool = False
    draws: tuple[str, ...] = _PLAIN


def draw_name(spec: Input) -> str:
    """The name of an input's draw."""
    return spec.draw if spec.draw == MODULE_DRAW else parse_draw(spec.draw).name


def allowed(values: Tensor, spec: Input) -> bool:
    """Whether an input may take values: inside its domain (open at 0 for `positive`), away from what it avoids."""
    if not (values.is_floating_point() or values.is_complex()):
        return True
    parts = torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
    low, high = spec.domain or (-math.inf, math.inf)
    if not bool(((parts >= low) & (parts <= high)).all()) or (
        draw_name(spec) == "positive" and bool((parts == 0).any())
    ):
        return False
    return all(bool(((parts - a).abs() >= spec.margin * (1 - 1e-9)).all()) for a in spec.away_from)


def _zeros(drawn: Tensor, spec: Input) -> Tensor:
    return torch.zeros_like(drawn)


def _some_zeros(drawn: Tensor, spec: Input) -> Tensor | None:
    if drawn.numel() < 2:
        return None
    flat = drawn.flatten().clone()
    flat[::3] = 0
    return flat.reshape(drawn.shape)


def _zero_row(drawn: Tensor, spec: Input) -> Tensor | None:
    if drawn.ndim < 2 or drawn.shape[0] < 2:
        return None
    values = drawn.clone()
    values[0] = 0
    return values


def _all_equal(drawn: Tensor, spec: Input) -> Tensor | None:
    return drawn.flatten()[:1].expand(drawn.numel()).reshape(drawn.shape).clone() if drawn.numel() > 1 else None


def _pairs_equal(drawn: Tensor, spec: Input) -> Tensor | None:
    if drawn.ndim == 0 or drawn.shape[-1] < 3:
        return None
    values = drawn.clone()
    values[..., 1::2] = values[..., : values.shape[-1] - 1 : 2]
    return values


def _near(center: float) -> Make:
    """Entries within a tenth of a number, none alike."""
    return lambda drawn, spec: center * (1 + 0.1 * _unlike(drawn))


def _both_signs(size: float) -> Make:
    """Entries within a tenth of ± a number."""

    def make(drawn: Tensor, spec: Input) -> Tensor:
        values = size * (1 + 0.1 * _unlike(drawn))
        signed = values * torch.where(_count(drawn) % 2 == 0, 1.0, -1.0).to(drawn.dtype)
        return values if spec.domain is not None and spec.domain[0] >= 0 else signed

    return make


def _integers(drawn: Tensor, spec: Input) -> Tensor:
    low, high = spec.domain or (-math.inf, math.inf)
    inside = tuple(number for number in INTEGERS if low <= number <= high)
    return _cycled(drawn, inside or INTEGERS)


def _borders(drawn: Tensor, spec: Input) -> Tensor | None:
    ends = tuple(end for end in spec.domain or () if math.isfinite(end))
    return _cycled(drawn, ends) if ends else None


def _scaled(factor: float) -> Make:
    return lambda drawn, spec: drawn * factor


def _sign(sign: float) -> Make:
    return lambda drawn, spec: sign * drawn.abs() if not drawn.is_complex() else None


def _axis_aligned(drawn: Tensor, spec: Input) -> Tensor | None:
    """Rows with one entry that is not zero, of the row's own length, in turn along every axis."""
    if drawn.ndim == 0 or drawn.shape[-1] < 2 or drawn.is_complex():
        return None
    length = torch.linalg.vector_norm(drawn, dim=-1)
    rows = torch.arange(length.numel()).reshape(length.shape)
    axis = (drawn.shape[-1] - 1 - rows) % drawn.shape[-1]
    return torch.zeros_like(drawn).scatter_(-1, axis[..., None], length[..., None])


def _identity(drawn: Tensor, spec: Input) -> Tensor:
    return torch.eye(drawn.shape[-2], drawn.shape[-1], dtype=drawn.dtype).expand(drawn.shape).clone()


def _certain(drawn: Tensor, spec: Input) -> Tensor:
    """One-hot rows, where the largest entry was."""
    return torch.zeros_like(drawn).scatter_(-1, drawn.argmax(-1, keepdim=True), 1.0)


def _even(drawn: Tensor, spec: Input) -> Tensor:
    return torch.full_like(drawn, 1.0 / drawn.shape[-1])


def _constant_index(drawn: Tensor, spec: Input) -> Tensor | None:
    return drawn.flatten()[:1].expand(drawn.numel()).reshape(drawn.shape).clone() if drawn.numel() > 1 else None


def _whole(number: int) -> Make:
    return lambda drawn, spec: torch.full_like(drawn, bool(number))


def _unlike(drawn: Tensor) -> Tensor:
    """Numbers in [-1, 1], none alike; squares under the sine, for sin(i·n + j) would make matrices of rank 2."""
    return torch.sin(_count(drawn) ** 2).to(drawn.dtype)


def _count(drawn: Tensor) -> Tensor:
    return torch.arange(drawn.numel(), dtype=torch.float64).reshape(drawn.shape)


def _cycled(drawn: Tensor, numbers: tuple[float, ...]) -> Tensor:
    cycle = torch.tensor(numbers, dtype=drawn.dtype)
    return cycle[torch.arange(drawn.numel()) % len(numbers)].reshape(drawn.shape)


def multiplied(factor: float) -> Kind:
    """All entries multiplied by a number."""
    return Kind(text=f"multiplied by {factor:g}", make=_scaled(factor), together=True)


def at_threshold(number: float) -> Kind:
    """Entries at, just above and just below a number that the code compares with, of both signs where they may be."""
    around = tuple(sign * number * (1 + shift) for sign in (1.0, -1.0) for shift in AROUND)

    def make(drawn: Tensor, spec: Input) -> Tensor:
        low, high = spec.domain or (-math.inf, math.inf)
        inside = tuple(value for value in around if low <= value <= high)
        return _cycled(drawn, inside or around)

    return Kind(text=f"around {number:g}, which the code compares with", make=make, alone=True)


def below_threshold(number: float) -> Kind:
    """Rows half as long as a small number that the code compares with: where it takes another formula near zero."""

    def make(drawn: Tensor, spec: Input) -> Tensor:
        length = torch.linalg.vector_norm(drawn, dim=-1, keepdim=True) if drawn.ndim else drawn.abs()
        return drawn * (abs(number) / 2 / length.clamp(min=1e-300))

    return Kind(text=f"half as long as {abs(number):g}, which the code compares with", make=make, alone=True)


KINDS = (
    Kind(text="zero", make=_zeros, effort="quick", alone=True, together=True),
    Kind(text="zero at every third entry", make=_some_zeros, effort="quick", together=True),
    Kind(text="near 22", make=_near(22.0), effort="quick", alone=True),
    Kind(text="near -22", make=_near(-22.0), effort="quick", alone=True),
    Kind(text="all equal", make=_all_equal, effort="quick", together=True, draws=(*_PLAIN, "sorted")),
    Kind(text="on whole numbers and halves", make=_integers, effort="quick", together=True),
    Kind(text="on the ends of its domain", make=_borders, effort="quick", alone=True),
    Kind(text="axis-aligned", make=_axis_aligned, effort="quick", together=True, draws=(*_PLAIN, "unit")),
    Kind(text="zero in its first row", make=_zero_row, alone=True),
    Kind(text="equal in pairs", make=_pairs_equal, together=True, draws=(*_PLAIN, "sorted")),
    Kind(text="negative", make=_sign(-1.0), alone=True),
    Kind(text="positive", make=_sign(1.0), alone=True),
    Kind(text="multiplied by 1e-6", make=_scaled(1e-6), together=True),
    Kind(text="multiplied by 1e6", make=_scaled(1e6), alone=True),
    Kind(text="near ±45", make=_both_signs(45.0), alone=True),
    Kind(text="near ±80", make=_both_signs(80.0), alone=True),
    Kind(text="multiplied by 1e-30", make=_scaled(1e-30), effort="thorough", alone=True),
    Kind(text="the identity", make=_identity, alone=True, draws=("spd", "symmetric", "orthogonal")),
    Kind(text="one-hot", make=_certain, alone=True, draws=("simplex",)),
    Kind(text="even", make=_even, alone=True, draws=("simplex",)),
    Kind(text="one index throughout", make=_constant_index, alone=True, draws=("integers", "choice")),
    Kind(text="true everywhere", make=_whole(1), alone=True, draws=("mask",)),
    Kind(text="false everywhere", make=_whole(0), alone=True, draws=("mask",)),
)


def kinds(levels: tuple[str, ...]) -> Iterator[Kind]:
    """Yield the kinds that are tried at some effort levels, most telling first."""
    return (kind for kind in KINDS if kind.effort in levels)


def made(kind: Kind, spec: Input, drawn: Tensor) -> Tensor | None:
    """An input's values of one kind; None where it does not apply, changes nothing, or may not be taken."""
    if spec.value is not None or drawn.numel() == 0 or draw_name(spec) not in kind.draws:
        return None
    if drawn.is_complex() and kind.make not in (_zeros, _some_zeros, _zero_row, _all_equal):
        return None
    values = kind.make(drawn, spec)
    if values is None or bool((values == drawn).all()):
        return None
    return values
