"""A subject whose backward is spoilt on purpose: the forward is its own, the backward its true one with a fault in it.

The whole subject becomes one `autograd.Function`. Its backward works out the true vector–Jacobian product by autograd,
hands it to the fault, and notes whether the fault changed anything. Double backward goes through, spoilt alike. Forward
mode stays the subject's own, as it does not pass through a backward; transforms of reverse mode (`torch.func.grad`) are
refused, as they are for any hand-written function of the older form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from harness.case.subject import Point, Subject, Tensors

Gradients = dict[str, Tensor | None]
"""Gradients by input name; None is what a backward returns for an input it says nothing about."""
EQUAL = 1e-12
"""Relative change below which a spoilt gradient counts as unchanged wherever no rounding bar is known to be wider."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backward:
    """One call of a backward, as a fault gets to see it.

    `gradients` are the true ones of the inputs that need one; `memory` is kept from call to call of one injection, and
    `calls` counts the earlier backwards through the same forward. `forced` asks a fault of chance to happen.
    """

    subject: Subject
    inputs: Tensors
    outputs: tuple[Tensor, ...]
    cotangents: tuple[Tensor, ...]
    gradients: Gradients
    target: str
    calls: int
    memory: dict[str, Any]
    generator: torch.Generator
    forced: bool = False
    further: bool = False
    """Whether the gradients will be differentiated once more."""

    def vjp(self, *, cotangents: Sequence[Tensor] | None = None, inputs: Tensors | None = None) -> Gradients:
        """Work out the true gradients for other cotangents, or at other inputs."""
        named = dict(self.inputs if inputs is None else inputs)
        outputs = self.outputs if inputs is None else self.subject.function(named)
        wanted = {name: named[name] for name in self.gradients}
        return _vjp(outputs, cotangents or self.cotangents, wanted, further=self.further)


Spoil = Callable[[Backward], Gradients]


def _always(_subject: Subject, _point: Point, _target: str) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way for a backward to be wrong.

    Args:
        name: how people call it, two to four words.
        sentence: what such a backward does.
        spoil: turns a call with its true gradients into the gradients the faulty backward returns.
        applies: whether it means anything for a subject at a point, in one of its inputs.
        each: whether it is injected into every differentiable input in turn, rather than into one.
        situation: what it takes for the fault to show (see `situations`).
        probe: the probe that brings that situation about; empty where ordinary inputs do.
        order: 2 for a fault that leaves first gradients as they are.
        harms: whether it changes something besides gradients.
    """

    name: str
    sentence: str
    spoil: Spoil
    applies: Callable[[Subject, Point, str], bool] = _always
    each: bool = False
    situation: str = "plain"
    probe: str = ""
    order: int = 1
    harms: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Injection:
    """A fault, put into one input of one subject; it remembers what it did.

    `limits` are the changes by input name that rounding could explain; `changed` tells whether any backward so far was
    changed by more.
    """

    subject: Subject
    fault: Fault
    target: str
    limits: Mapping[str, float]
    changed: bool = False
    forced: bool = False
    memory: dict[str, Any] = field(default_factory=dict)
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(1))

    @property
    def label(self) -> str:
        """The fault's name, with the input it sits in where it could sit in several."""
        return f"{self.fault.name} ({self.target})" if self.fault.each else self.fault.name

    def afresh(self, subject: Subject) -> Injection:
        """The same fault in a subject, without what it remembers."""
        return Injection(subject=subject, fault=self.fault, target=self.target, limits=self.limits)

    @property
    def spoilt(self) -> Subject:
        """The subject with the fault in its backward; it is code with a backward of its own, no expression any more."""
        return replace(self.subject, function=self._function, expressions=())

    def _function(self, named: Tensors) -> tuple[Tensor, ...]:
        """Evaluate the subject; only where a gradient is wanted does the faulty backward come into it."""
        if not any(value.requires_grad for value in named.values()):
            return self.subject.function(named)
        found: tuple[Tensor, ...] = _Spoilt.apply(self, tuple(named), *named.values())  # type: ignore[no-untyped-call]
        return found

    def run(
        self, inputs: Tensors, wanted: Sequence[str], cotangents: Sequence[Tensor], calls: int, *, further: bool
    ) -> Gradients:
        """Run one backward: the true gradients, spoilt.

        Args:
            inputs: the forward's inputs, by name.
            wanted: names of those that need a gradient.
            cotangents: one for each output.
            calls: earlier backwards through the same forward.
            further: whether the gradients will be differentiated once more.
        """
        outputs = self.subject.function(inputs)
        true = _vjp(outputs, cotangents, {name: inputs[name] for name in wanted}, further=further)
        spoilt = self.fault.spoil(
            Backward(
                subject=self.subject, inputs=inputs, outputs=outputs, cotangents=tuple(cotangents), gradients=true,
                target=self.target, calls=calls, memory=self.memory, generator=self.generator, forced=self.forced,
                further=further,
            )
        )  # fmt: skip
        self.changed |= self.fault.harms or any(self._differs(name, true[name], spoilt[name]) for name in wanted)
        return spoilt

    def _differs(self, name: str, true: Tensor | None, spoilt: Tensor | None) -> bool:
        """Whether a gradient was changed by more than rounding explains; None is as good as zero."""
        if true is spoilt:
            return False
        known = next(g for g in (true, spoilt) if g is not None).detach()
        one, other = (torch.zeros_like(known) if g is None else g.detach() for g in (true, spoilt))
        if one.shape != other.shape or not bool(one.isfinite().all()):
            return one.shape != other.shape
        scale = float(one.abs().max()) if one.numel() else 0.0
        return not bool(((other - one).abs() <= max(self.limits.get(name, 0.0), EQUAL * scale)).all())


class _Spoilt(torch.autograd.Function):
    """The subject as one node of a graph."""

    @staticmethod
    def forward(ctx: Any, injection: Injection, names: tuple[str, ...], *values: Tensor) -> tuple[Tensor, ...]:
        """Evaluate the subject itself; outputs that share an input's storage are copied, so that they are outputs."""
        ctx.injection, ctx.names, ctx.calls = injection, names, 0
        ctx.save_for_backward(*values)
        own = {value.untyped_storage().data_ptr() for value in values}
        outputs = injection.subject.function(dict(zip(names, values, strict=True)))
        copied = tuple(o.clone() if o.untyped_storage().data_ptr() in own else o for o in outputs)
        ctx.mark_non_differentiable(*[o for o in copied if not (o.is_floating_point() or o.is_complex())])
        return copied

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        """Return the spoilt gradients, connected to inputs and cotangents where a further derivative is wanted."""
        further = torch.is_grad_enabled()
        needed = dict(zip(ctx.names, ctx.needs_input_grad[2:], strict=True))
        wanted = [name for name, need in needed.items() if need]
        with torch.enable_grad():
            inputs = {
                name: (value.view_as(value) if further else value.detach().requires_grad_()) if needed[name] else value
                for name, value in zip(ctx.names, ctx.saved_tensors, strict=True)
            }
            found = ctx.injection.run(inputs, wanted, cotangents, ctx.calls, further=further)
        ctx.calls += 1
        return (None, None, *(found.get(name) for name in ctx.names))


def _vjp(
    outputs: Sequence[Tensor], cotangents: Sequence[Tensor], inputs: Mapping[str, Tensor], *, further: bool
) -> Gradients:
    """True gradients of ⟨cotangents, outputs⟩ by input name; the graph stays, for faults that ask again."""
    active = [(output, seed) for output, seed in zip(outputs, cotangents, strict=True) if output.requires_grad]
    if not active or not inputs:
        return dict.fromkeys(inputs)
    found = torch.autograd.grad(
        [output for output, _ in active], list(inputs.values()), [seed for _, seed in active],
        allow_unused=True, create_graph=further, retain_graph=True,
    )  # fmt: skip
    return dict(zip(inputs, found, strict=True))
