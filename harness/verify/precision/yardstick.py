"""The eager yardstick: what a plain implementation in torch's own operators makes of a low-precision dtype.

Answers three questions about a subject that is off by more than rounding should explain: is it bit for bit what the
reference gives in that dtype, is it put together from torch's own operators alone, and do their roundings explain it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle.flat import FlatSubject
from harness.oracle.half import HalfBars, half_bars
from harness.oracle.rounding import rounding_operator
from harness.oracle.storage import Step, watch
from harness.verify.routes import Gradients, RouteUnavailableError, leaves, reverse

LONGER = (4, 16)
"""A subject of up to 4 × as many operators as the reference, and 16 more, is another way to write it; one of more adds
up step by step what the reference's operators add up inside."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Yardstick:
    """An eager implementation in the dtype under test, and what kind of code the subject is beside it."""

    eager: Gradients | None
    same: bool
    """Whether the subject's outputs and gradients are the eager ones, bit for bit."""


def measured_by(eager: FlatSubject | None, cotangents: Tensor, actual: Gradients) -> Yardstick:
    """Run the eager implementation; one that raises is no yardstick."""
    try:
        found = None if eager is None else reverse(eager, cotangents)
    except (RouteUnavailableError, RuntimeError, ValueError, TypeError):
        found = None
    if found is None or found.outputs.shape != actual.outputs.shape:
        return Yardstick(eager=None, same=False)
    same = torch.equal(found.outputs, actual.outputs) and torch.equal(found.value, actual.value)
    return Yardstick(eager=found, same=same)


def torch_steps(flat: FlatSubject, cotangents: Tensor) -> tuple[Step, ...] | None:
    """The rounding operators of a subject made of torch's own alone, in its dtype and none coarser; None otherwise."""
    if _has_own_backward(flat):
        return None
    steps = watch(lambda: reverse(flat, cotangents), rounding_operator)
    allowed = (flat.dtype, torch.float32, torch.float64, None)
    plain = all(step.own and all(stored in allowed for stored in step.stored) for step in steps)
    return steps if steps and plain else None


def own_bars(
    subject: FlatSubject, low: FlatSubject, reference: FlatSubject, cotangents: Tensor, generator: torch.Generator
) -> HalfBars | None:
    """Rounding bars of the subject's own operators, where it is another way to write the reference with torch's.

    Args:
        subject: the subject in float64.
        low: the subject in the dtype under test.
        reference: the reference in that dtype.
        cotangents: C × M.
        generator: source of the perturbations.
    """
    steps = torch_steps(low, cotangents)
    if steps is None:
        return None
    factor, more = LONGER
    if len(steps) > factor * len(watch(lambda: reverse(reference, cotangents), rounding_operator)) + more:
        return None
    return bars_of(subject, low, cotangents, generator)


def bars_of(flat: FlatSubject, low: FlatSubject, cotangents: Tensor, generator: torch.Generator) -> HalfBars:
    """Rounding bars of outputs and gradients, laid end to end (M + C·N), of a function given in float64 and a half."""
    compute: Callable[[Tensor], Tensor] = lambda x: _laid_out(reverse(flat.at(x), cotangents))  # noqa: E731
    return half_bars(compute, flat.x, dtype=low.dtype, generator=generator, real=lambda: reverse(low, cotangents))


def _laid_out(found: Gradients) -> Tensor:
    return torch.cat([found.outputs, found.value.reshape(-1)])


def _has_own_backward(flat: FlatSubject) -> bool:
    """Whether a backward written in Python (`autograd.Function`) is on the way from the outputs to the inputs."""
    waiting, seen = [output.grad_fn for output in flat.call(leaves(flat))], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if issubclass(type(node), torch.autograd.function.BackwardCFunction):
            return True
        seen.add(node)
        waiting += [following for following, _ in node.next_functions]
    return False
