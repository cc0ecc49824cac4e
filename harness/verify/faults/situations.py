"""The situations in which faults show, each brought about once.

They tell a fault that changes nothing for a subject from one that the checks did not see. Nothing is judged here: an
injection notes by itself whether any backward it took part in was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from harness.case.subject import Point
from harness.oracle.analytic import output_cotangents
from harness.oracle.flat import FlatSubject
from harness.verify.faults.injection import Injection
from harness.verify.faults.plain import partner
from harness.verify.probes.kinds import KINDS, allowed, draw_name, made
from harness.verify.routes import leaves
from harness.verify.scene import Scene


def changes(injection: Injection, scene: Scene) -> bool:
    """Whether a fault changes any gradient of a subject at a scene's point, in the situation that it takes.

    Args:
        injection: the fault in the subject; it is told to happen, where it happens by chance.
        scene: the subject at the point.
    """
    if injection.fault.situation == "second":
        return True  # what is compared is a derivative of the gradients: see the caller
    injection.forced = True
    try:
        SITUATIONS[injection.fault.situation](injection, scene)
    except (RuntimeError, ValueError, ArithmeticError):
        pass  # the subject cannot be brought into this situation
    finally:
        injection.forced = False
    return injection.changed


def strided(tensor: Tensor) -> Tensor:
    """Return equal numbers with a gap after each, filled with others."""
    return torch.stack([tensor, tensor * -1.5 + 0.25], dim=-1)[..., 0]


def _backward(
    injection: Injection,
    scene: Scene,
    *,
    point: Point | None = None,
    named: dict[str, Tensor] | None = None,
    layout: Callable[[Tensor], Tensor] = lambda seed: seed,
    factors: tuple[float, ...] = (1.0,),
) -> None:
    """Run the spoilt backward, at the scene's point or another, for its first cotangent times factors."""
    flat = FlatSubject(injection.spoilt, point or scene.point, dtype=scene.dtype, device=scene.labels.device)
    named = leaves(flat) if named is None else named
    outputs = flat.call(named)
    wanted = [value for value in named.values() if value.requires_grad]
    for factor in factors:
        seeds = output_cotangents(flat, outputs, factor * scene.cotangents[0])
        active = [(output, layout(seed)) for output, seed in zip(outputs, seeds, strict=True) if output.requires_grad]
        torch.autograd.grad(
            [output for output, _ in active], wanted, [seed for _, seed in active], allow_unused=True, retain_graph=True
        )


def _plain(injection: Injection, scene: Scene) -> None:
    _backward(injection, scene)


def _another_cotangent(injection: Injection, scene: Scene) -> None:
    _backward(injection, scene, factors=(1.0, -2.0))


def _strided_cotangent(injection: Injection, scene: Scene) -> None:
    _backward(injection, scene, layout=strided)


def _strided_input(injection: Injection, scene: Scene) -> None:
    named = leaves(scene.flat)
    named[injection.target] = strided(named[injection.target].detach()).requires_grad_()
    _backward(injection, scene, named=named)


def _special(text: str) -> Callable[[Injection, Scene], None]:
    """Bring about one of the kinds of special values, where the input may take it."""
    kind = next(kind for kind in KINDS if kind.text == text)

    def bring_about(injection: Injection, scene: Scene) -> None:
        name = injection.target
        spec, drawn = scene.subject.inputs[name], scene.point.values[name]
        special = made(kind, spec, drawn)
        value = drawn if special is None or not allowed(special, spec) else special
        _backward(injection, scene, point=replace(scene.point, values={**scene.point.values, name: value}))

    return bring_about


def _subset(injection: Injection, scene: Scene) -> None:
    named = leaves(scene.flat)
    first = scene.flat.blocks[0].name
    named[first] = named[first].detach()
    _backward(injection, scene, named=named)


def _twice(injection: Injection, scene: Scene) -> None:
    named = leaves(scene.flat)
    other = partner(scene.subject, scene.point, injection.target)
    specs = scene.subject.inputs
    if other is None or draw_name(specs[other]) != draw_name(specs[injection.target]):
        return  # inputs that are drawn unlike each other are not for one tensor
    if allowed(named[injection.target].detach(), specs[other]):
        named[other] = named[injection.target]
        _backward(injection, scene, named=named)


SITUATIONS: Mapping[str, Callable[[Injection, Scene], None]] = {
    "plain": _plain,
    "chance": _plain,
    "another cotangent": _another_cotangent,
    "strided cotangent": _strided_cotangent,
    "strided input": _strided_input,
    "zeros": _special("zero"),
    "saturated": _special("near 22"),
    "ties": _special("all equal"),
    "subset": _subset,
    "twice": _twice,
}
"""How each situation is brought about; "second" takes a second derivative, which the caller compares."""
