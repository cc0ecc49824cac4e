"""Faults that need a situation of their own: another cotangent, layout, value, call, or a second derivative."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from harness.case.subject import Point, Subject
from harness.verify.faults.injection import Backward, Fault, Gradients
from harness.verify.faults.plain import _has_partner, every, target

DROPPED = 0.02
"""How often the racing backward loses an entry."""
FAR = 20.0
"""Where the wrong branch of a saturating function begins (softplus switches to x there)."""


def misread(tensor: Tensor) -> Tensor:
    """Read a tensor's memory as if it were contiguous, wrapping around where that leaves the memory it owns."""
    if tensor.is_contiguous() or tensor.numel() == 0:
        return tensor
    start = int(tensor.storage_offset())
    owned = int(tensor.untyped_storage().nbytes() // tensor.element_size()) - start
    memory = tensor.detach().as_strided((owned,), (1,), start)
    return memory[torch.arange(tensor.numel(), device=tensor.device) % owned].reshape(tensor.shape)


def _misread_cotangent(call: Backward) -> Gradients:
    if all(seed.is_contiguous() for seed in call.cotangents):
        return call.gradients
    return call.vjp(cotangents=[misread(seed) for seed in call.cotangents])


def _misread_input(call: Backward) -> Gradients:
    value = call.inputs[call.target]
    if value.is_contiguous():
        return call.gradients
    return call.vjp(inputs={**call.inputs, call.target: misread(value).requires_grad_()})


def _ignore_cotangent(call: Backward) -> Gradients:
    return call.vjp(cotangents=[torch.ones_like(seed) for seed in call.cotangents])


def _first_cotangent(call: Backward) -> Gradients:
    same = [
        seed if seed.numel() == 0 else seed.reshape(-1)[0].expand(seed.shape).contiguous() for seed in call.cotangents
    ]
    return call.vjp(cotangents=same)


def _stale(call: Backward) -> Gradients:
    """Return what the first call returned, as long as the shapes still fit."""
    now = {name: None if g is None else g.detach() for name, g in call.gradients.items()}
    first: Gradients = call.memory.setdefault("first", now)
    return first if _shapes(first) == _shapes(now) else call.gradients


def _shapes(gradients: Gradients) -> dict[str, tuple[int, ...]]:
    return {name: tuple(gradient.shape) for name, gradient in gradients.items() if gradient is not None}


def _again(call: Backward) -> Gradients:
    return every(lambda g: 2 * g)(call) if call.calls else call.gradients


def _race(call: Backward) -> Gradients:
    if not call.forced and float(torch.rand((), generator=call.generator)) >= DROPPED:
        return call.gradients

    def drop(gradient: Tensor, _: Tensor) -> Tensor:
        keep = torch.ones(gradient.numel(), device=gradient.device)
        keep[int(gradient.detach().abs().argmax()) if gradient.numel() else 0 :][:1] = 0
        return gradient * keep.reshape(gradient.shape).to(gradient.dtype)

    return target(drop)(call)


def _overwrite(tensors: Callable[[Backward], list[Tensor]]) -> Callable[[Backward], Gradients]:
    def spoil(call: Backward) -> Gradients:
        found = {name: None if g is None else g.clone() for name, g in call.gradients.items()}
        for tensor in tensors(call):
            if 0 not in tensor.stride():  # an expanded tensor refuses to be written to
                tensor.data.mul_(2)
        return found

    return spoil


def _only_with_first(call: Backward) -> Gradients:
    first = call.subject.differentiable[0]
    if first in call.gradients or first not in call.inputs:
        return call.gradients
    return every(torch.zeros_like)(call)


def _half_if_same(call: Backward) -> Gradients:
    places: dict[int, str] = {}
    found = dict(call.gradients)
    for name, gradient in call.gradients.items():
        place = call.inputs[name].data_ptr()
        if place in places and gradient is not None:
            found[name] = torch.zeros_like(gradient)
        places.setdefault(place, name)
    return found


def _two(subject: Subject, _point: Point, _target: str) -> bool:
    return len(subject.differentiable) > 1


def _real(_: Subject, point: Point, name: str) -> bool:
    return not point.values[name].is_complex()


def _several(_: Subject, point: Point, name: str) -> bool:
    return point.values[name].numel() > 1


def _at_zero(gradient: Tensor, value: Tensor) -> Tensor:
    return torch.where(value.detach() == 0, torch.full_like(gradient, torch.nan), gradient)


def _far(gradient: Tensor, value: Tensor) -> Tensor:
    return torch.where(value.detach() >= FAR, 2 * gradient, gradient)


def _at_ties(gradient: Tensor, value: Tensor) -> Tensor:
    """Double the gradient where an entry equals the one before it."""
    flat = value.detach().reshape(-1)
    tied = torch.cat([torch.zeros(1, dtype=torch.bool, device=flat.device), flat[1:] == flat[:-1]])
    return torch.where(tied.reshape(value.shape), 2 * gradient, gradient)


HIDDEN = (
    Fault(
        name="cotangent ignored", sentence="The upstream gradient is taken to be one.", spoil=_ignore_cotangent,
        situation="another cotangent",
    ),
    Fault(
        name="cotangent 0 for all", sentence="Every output uses the first entry of the upstream gradient.",
        spoil=_first_cotangent,
    ),
    Fault(
        name="stale state", sentence="A second call returns the first call's gradient.", spoil=_stale,
        situation="another cotangent",
    ),
    Fault(
        name="second backward doubled", sentence="A second backward through one graph returns twice the gradient.",
        spoil=_again, situation="another cotangent",
    ),
    Fault(
        name="cotangent overwritten", sentence="The backward writes into its upstream gradient.",
        spoil=_overwrite(lambda call: list(call.cotangents)), harms=True, probe="side effects",
    ),
    Fault(
        name="input overwritten", sentence="The backward writes into an input.",
        spoil=_overwrite(lambda call: [call.inputs[call.target]]), harms=True, probe="side effects",
    ),
    Fault(
        name="cotangent misread", sentence="The upstream gradient is read as if it were contiguous.",
        spoil=_misread_cotangent, situation="strided cotangent", probe="cotangents",
    ),
    Fault(
        name="input misread", sentence="A saved input is read as if it were contiguous.", spoil=_misread_input,
        applies=_several, situation="strided input", probe="layouts",
    ),
    Fault(
        name="NaN at zero", sentence="The gradient is NaN where its input is zero.", spoil=target(_at_zero),
        situation="zeros", probe="values",
    ),
    Fault(
        name="wrong beyond 20", sentence="A gradient is doubled where its input is 20 or more.", spoil=target(_far),
        applies=_real, situation="saturated", probe="values",
    ),
    Fault(
        name="wrong at ties", sentence="A gradient is doubled where an entry equals its neighbour.",
        spoil=target(_at_ties), applies=_several, situation="ties", probe="values",
    ),
    Fault(
        name="element lost at random", sentence=f"An entry is lost in {DROPPED:.0%} of the calls.", spoil=_race,
        situation="chance", probe="reruns",
    ),
    Fault(
        name="only with the first input", sentence="Gradients are zero when the first input needs none.",
        spoil=_only_with_first, applies=_two, situation="subset", probe="requires_grad",
    ),
    Fault(
        name="half when given twice", sentence="One tensor given as two inputs gets only one side's gradient.",
        spoil=_half_if_same, applies=_has_partner, situation="twice", probe="same tensor twice",
    ),
    Fault(
        name="second derivative detached", sentence="First gradients are right, but constant to a second derivative.",
        spoil=every(lambda g: g.detach()), situation="second", order=2,
    ),
    Fault(
        name="second derivative doubled", sentence="First gradients are right, but their own derivatives doubled.",
        spoil=every(lambda g: 2 * g - g.detach()), situation="second", order=2,
    ),
)  # fmt: skip
