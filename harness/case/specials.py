"""Special values: what ordinary draws never hit and code often gets wrong, made from a drawn tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from harness.case.domains import with_domain
from harness.case.subject import Input

SATURATED = (20.0, -20.0, 40.0, -40.0, 80.0, -80.0)
HUGE = 1e100
TINY = 1e-100
NONFINITE = (math.inf, -math.inf, math.nan)


def special_value(kind: str, spec: Input, drawn: Tensor) -> Tensor:
    """Replace a drawn tensor's entries by special ones.

    Inputs without a gradient keep what was drawn, and so does an input whose domain excludes the special values.

    Args:
        kind: zeros, ones, ties, saturated, borders, huge, tiny or nonfinite.
        spec: the input.
        drawn: what was drawn for it.
    """
    if not spec.grad or not (drawn.is_floating_point() or drawn.is_complex()) or drawn.numel() == 0:
        return drawn
    low, high = with_domain(spec).domain or (-math.inf, math.inf)
    special = _KINDS[kind](drawn, low, high)
    if kind == "nonfinite":
        return special
    parts = torch.view_as_real(special) if special.is_complex() else special
    return special if bool(((parts >= low) & (parts <= high)).all()) else drawn


def _cycled(drawn: Tensor, values: tuple[float, ...]) -> Tensor:
    """A tensor of the drawn one's shape through which some values cycle."""
    cycle = torch.tensor(values, dtype=drawn.dtype)
    return cycle[torch.arange(drawn.numel()) % len(values)].reshape(drawn.shape)


def _zeros(drawn: Tensor, low: float, high: float) -> Tensor:  # noqa: ARG001  one signature for all kinds
    return torch.zeros_like(drawn)


def _ones(drawn: Tensor, low: float, high: float) -> Tensor:  # noqa: ARG001
    return torch.ones_like(drawn)


def _ties(drawn: Tensor, low: float, high: float) -> Tensor:  # noqa: ARG001
    """Every entry equal to the first one drawn, so that every maximum and every sort is tied."""
    return drawn.flatten()[0].expand_as(drawn).clone()


def _saturated(drawn: Tensor, low: float, high: float) -> Tensor:
    """±20 to ±80, where exponentials leave float32 and sigmoids are flat; only those inside the domain."""
    inside = tuple(value for value in SATURATED if low <= value <= high)
    return _cycled(drawn, inside or SATURATED)


def _borders(drawn: Tensor, low: float, high: float) -> Tensor:
    """The finite ends of the domain in turn; without any, what was drawn."""
    ends = tuple(end for end in (low, high) if math.isfinite(end))
    return _cycled(drawn, ends) if ends else drawn


def _huge(drawn: Tensor, low: float, high: float) -> Tensor:  # noqa: ARG001
    return drawn * HUGE


def _tiny(drawn: Tensor, low: float, high: float) -> Tensor:  # noqa: ARG001
    return drawn * TINY


def _nonfinite(drawn: Tensor, low: float, high: float) -> Tensor:  # noqa: ARG001
    """The drawn values with inf, -inf and nan put in turn at every third place, the first included."""
    flat = drawn.flatten().clone()
    places = torch.arange(0, flat.numel(), 3)
    flat[places] = _cycled(flat[places], NONFINITE)
    return flat.reshape(drawn.shape)


_KINDS: Mapping[str, Callable[[Tensor, float, float], Tensor]] = {
    "zeros": _zeros,
    "ones": _ones,
    "ties": _ties,
    "saturated": _saturated,
    "borders": _borders,
    "huge": _huge,
    "tiny": _tiny,
    "nonfinite": _nonfinite,
}
