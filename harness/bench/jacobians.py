"""Jacobians: all derivatives of all outputs, row by row, or at once by `torch.func.jacrev` and `jacfwd`.

`jacrev` walks the graph backward for all outputs at once, `jacfwd` forward for all inputs at once, both under
`torch.func.vmap`; a row at a time is what autograd does without them. Of a function whose value is one number, the
Jacobian is the gradient for the cotangent 1. Nothing is timed here.

What is not done: complex numbers, whose Jacobians torch.func and autograd define differently; and more than
`MOST_PASSES` derivative passes in one call, which would need memory and time in proportion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from harness.bench.memory import free_bytes, shortage
from harness.case.subject import Tensors
from harness.errors import UsageError

Transform = Literal["jacrev", "jacfwd"]
TRANSFORMS: Mapping[Transform, Callable[..., Any]] = {"jacrev": torch.func.jacrev, "jacfwd": torch.func.jacfwd}
"""By the variant's name: what gives all derivatives at once."""

MOST_PASSES = 1024
"""Most derivative passes in one call."""

Function = Callable[[Tensors], tuple[Tensor, ...]]


class UnfitError(UsageError):
    """A pass makes no sense for a setting; the message is the reason, as a skipped timing shows it."""


def jacobian(
    function: Function,
    values: Tensors,
    wanted: tuple[str, ...],
    outputs: tuple[Tensor, ...],
    transform: Transform | None = None,
) -> Callable[[], object]:
    """Make a call that computes the Jacobian of all outputs with respect to the wanted inputs.

    Args:
        function: the subject.
        values: its inputs, without gradients switched on.
        wanted: names of the inputs to differentiate with respect to.
        outputs: tensors like the function's outputs; of those that are whole numbers or masks there is no derivative.
        transform: what gives all derivatives at once; None is one row at a time, by autograd.

    Returns:
        A call whose result has, per output, per input, a tensor of the output's shape followed by the input's.

    Raises:
        UnfitError: inputs or outputs are complex, there would be more than `MOST_PASSES` derivative passes, or memory
            is too short for them.
    """
    kept = tuple(place for place, output in enumerate(outputs) if output.is_floating_point() or output.is_complex())
    points, results = tuple(values[name] for name in wanted), tuple(outputs[place] for place in kept)
    passes = _entries(points if transform == "jacfwd" else results)
    held = _entries(points) if transform is None else _entries((*values.values(), *results))
    _check((*points, *results), passes, passes * held)

    def positional(*arguments: Tensor) -> tuple[Tensor, ...]:
        results = function({**values, **dict(zip(wanted, arguments, strict=True))})
        return tuple(results[place] for place in kept)

    if transform is None:
        return lambda: torch.autograd.functional.jacobian(positional, points)
    whole = TRANSFORMS[transform](positional, argnums=tuple(range(len(points))))
    return lambda: whole(*points)


def transform_of(variant: str) -> Transform | None:
    """Return the transform that a variant is named after, if any."""
    return next((name for name in TRANSFORMS if name == variant), None)


def _entries(tensors: tuple[Tensor, ...]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _check(tensors: tuple[Tensor, ...], passes: int, held: int) -> None:
    """Refuse what cannot be: `held` entries are there at once, in a few copies."""
    if any(tensor.is_complex() for tensor in tensors):
        raise UnfitError("Jacobians of complex numbers are not timed: they are defined in more than one way")
    if passes > MOST_PASSES:
        raise UnfitError(f"it takes {passes:,} derivative passes in one call; at most {MOST_PASSES:,} are timed")
    for tensor in tensors[:1]:
        reason = shortage(held, tensor.element_size(), free_bytes(tensor.device))
        if reason is not None:
            raise UnfitError(reason)


def check_gradient(outputs: tuple[Tensor, ...], transform: Transform) -> None:
    """Refuse a transform in the place of a gradient where it gives more than that.

    Raises:
        UnfitError: the function's value is not one number.
    """
    entries = _entries(outputs)
    if len(outputs) != 1 or entries != 1:
        raise UnfitError(
            f"{transform} gives the Jacobian of all {entries:,} outputs, not one gradient: the pass `jacobian` times it"
        )
