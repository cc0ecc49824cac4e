"""Faults that ordinary inputs show: wrong factors, signs, entries, axes, inputs and precision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from harness.case.subject import Point, Subject
from harness.verify.faults.injection import Backward, Fault, Gradients, Spoil

SCALES = (1e-1, 1e-2, 1e-3)
"""Relative errors injected as faults of their own; below them the detection limit, which is arithmetic, goes on."""


def every(change: Callable[[Tensor], Tensor | None]) -> Spoil:
    """Make a fault of a change to each gradient."""

    def spoil(call: Backward) -> Gradients:
        return {name: None if gradient is None else change(gradient) for name, gradient in call.gradients.items()}

    return spoil


def target(change: Callable[[Tensor, Tensor], Tensor | None]) -> Spoil:
    """Make a fault of a change to the gradient of the input it sits in; the change gets gradient and input."""

    def spoil(call: Backward) -> Gradients:
        gradient = call.gradients.get(call.target)
        if gradient is None:
            return call.gradients
        return {**call.gradients, call.target: change(gradient, call.inputs[call.target])}

    return spoil


def _shape(point: Point, name: str) -> tuple[int, ...]:
    return tuple(point.values[name].shape)


def _several(_: Subject, point: Point, name: str) -> bool:
    return point.values[name].numel() > 1


def _square(_: Subject, point: Point, name: str) -> bool:
    shape = _shape(point, name)
    return len(shape) > 1 and shape[-1] == shape[-2] > 1


def _rows(_: Subject, point: Point, name: str) -> bool:
    shape = _shape(point, name)
    return len(shape) > 1 and shape[0] > 1


def _long(_: Subject, point: Point, name: str) -> bool:
    shape = _shape(point, name)
    return len(shape) > 0 and shape[-1] > 1


def _averaged(_: Subject, point: Point, name: str) -> bool:
    shape = _shape(point, name)
    return len(shape) > 0 and shape[0] > 1


def _complex(_: Subject, point: Point, name: str) -> bool:
    return point.values[name].is_complex()


def _negative(_: Subject, point: Point, name: str) -> bool:
    value = point.values[name]
    return not value.is_complex() and bool((value < 0).any())


def partner(subject: Subject, point: Point, name: str) -> str | None:
    """Another differentiable input of the same shape and dtype."""
    value = point.values[name]
    others = (other for other in subject.differentiable if other != name)
    return next(
        (o for o in others if point.values[o].shape == value.shape and point.values[o].dtype == value.dtype), None
    )


def _has_partner(subject: Subject, point: Point, name: str) -> bool:
    return partner(subject, point, name) is not None


def _masked(gradient: Tensor, keep: Tensor) -> Tensor:
    return gradient * keep.to(gradient.dtype)


def _largest(gradient: Tensor) -> Tensor:
    """True at the entry that matters most."""
    mask = torch.zeros(gradient.numel(), dtype=torch.bool, device=gradient.device)
    mask[int(gradient.detach().abs().argmax())] = True
    return mask.reshape(gradient.shape)


def _without_tail(gradient: Tensor, _: Tensor) -> Tensor:
    """Zero what lies past the largest block, a power of two shorter than the last axis."""
    length = gradient.shape[-1]
    if length < 2:
        return gradient
    block = 1 << ((length - 1).bit_length() - 1)
    return _masked(gradient, torch.arange(length, device=gradient.device) < block)


def _swap(call: Backward) -> Gradients:
    shape, dtype = call.inputs[call.target].shape, call.inputs[call.target].dtype
    fits = (n for n, x in call.inputs.items() if n in call.gradients and x.shape == shape and x.dtype == dtype)
    other = next((name for name in fits if name != call.target), None)
    if other is None:
        return call.gradients
    return {**call.gradients, call.target: call.gradients[other], other: call.gradients[call.target]}


def _rounded(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    def change(gradient: Tensor) -> Tensor:
        if gradient.is_complex():
            return torch.view_as_complex(torch.view_as_real(gradient).to(dtype).to(gradient.real.dtype).contiguous())
        return gradient.to(dtype).to(gradient.dtype)

    return change


def _scaled(epsilon: float) -> Fault:
    return Fault(
        name=f"scaled by {1 + epsilon:g}",
        sentence=f"Every gradient is {1 + epsilon:g} times the true one.",
        spoil=every(lambda gradient: (1 + epsilon) * gradient),
    )


PLAIN = (
    *(_scaled(epsilon) for epsilon in SCALES),
    Fault(
        name="sign flipped", sentence="The gradient has the opposite sign.", spoil=target(lambda g, _: -g), each=True
    ),
    Fault(
        name="zero", sentence="The gradient of an input is zero.", spoil=target(lambda g, _: torch.zeros_like(g)),
        each=True,
    ),
    Fault(
        name="detached", sentence="The gradient of an input is None, as if its path were detached.",
        spoil=target(lambda _g, _x: None), each=True,
    ),
    Fault(
        name="counted twice", sentence="Every gradient is doubled, as if a term were added twice.",
        spoil=every(lambda g: 2 * g),
    ),
    Fault(
        name="mean for sum", sentence="The gradient is divided by the length of the first axis.",
        spoil=target(lambda g, x: g / x.shape[0]), applies=_averaged,
    ),
    Fault(
        name="element dropped", sentence="The largest entry of a gradient is zero.",
        spoil=target(lambda g, _: _masked(g, ~_largest(g))), applies=_several,
    ),
    Fault(
        name="element 1 % off", sentence="The largest entry of a gradient is 1 % too large.",
        spoil=target(lambda g, _: g * (1 + 0.01 * _largest(g).to(g.dtype))), applies=_several,
    ),
    Fault(
        name="shifted by one", sentence="Each entry of a gradient stands one place further along.",
        spoil=target(lambda g, _: g.reshape(-1).roll(1).reshape(g.shape)), applies=_several,
    ),
    Fault(
        name="transposed", sentence="The gradient of a square matrix is transposed.",
        spoil=target(lambda g, _: g.transpose(-1, -2)), applies=_square,
    ),
    Fault(
        name="row 0 for all", sentence="Every row of a gradient is its first row.",
        spoil=target(lambda g, _: g[:1].expand_as(g)), applies=_rows,
    ),
    Fault(
        name="tail dropped", sentence="A gradient is zero past the last whole block of its last axis.",
        spoil=target(_without_tail), applies=_long,
    ),
    Fault(
        name="wrong below zero", sentence="A gradient is doubled where its input is negative.",
        spoil=target(lambda g, x: torch.where(x.detach() < 0, 2 * g, g)), applies=_negative,
    ),
    Fault(
        name="inputs swapped", sentence="Two inputs of one shape get each other's gradient.", spoil=_swap,
        applies=_has_partner,
    ),
    Fault(
        name="conjugated", sentence="The gradient of a complex input is conjugated.",
        spoil=target(lambda g, _: g.conj().resolve_conj()), applies=_complex,
    ),
    Fault(
        name="through float32", sentence="Every gradient was rounded to float32 on its way.",
        spoil=every(_rounded(torch.float32)),
    ),
    Fault(
        name="through bfloat16", sentence="Every gradient was rounded to bfloat16 on its way.",
        spoil=every(_rounded(torch.bfloat16)),
    ),
)  # fmt: skip
