"""Jacobians: all derivatives of all outputs, row by row, or at once by `torch.func.jacrev` and `jacfwd`.

`jacrev` walks the graph backward for all outputs at once, `jacfwd` forward for all inputs at once, both under
`torch.func.vmap`; a row at a time is what autograd does without them. Of a function whose value is one number, the
Jacobian is the gradient for the cotangent 1. `torch.func` can be grossly wrong without a word (zeros from an operator
without forward mode), so its Jacobian is held against autograd's gradient. Nothing is timed here.

What is not done: complex numbers, whose Jacobians torch.func and autograd define differently; and more than
`MOST_PASSES` derivative passes in one call, which would need memory and time in proportion.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
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

GROSS = 0.1
"""Relative error (L2) from which a Jacobian is another one, whatever the dtype; finer errors are verification's."""

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
    if transform == "jacfwd":
        _import_forward_mode()
    kept = tuple(place for place, output in enumerate(outputs) if _has_derivative(output))
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


def _import_forward_mode() -> None:
    """Import what forward mode imports at its first use, which warns of a deprecation inside PyTorch."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        import_module("torch._decomp.decompositions_for_jvp")


def _has_derivative(output: Tensor) -> bool:
    return output.is_floating_point() or output.is_complex()


def check_result(
    whole: Sequence[Sequence[Tensor]],
    outputs: tuple[Tensor, ...],
    cotangents: tuple[Tensor, ...],
    gradient: Sequence[Tensor | None],
    points: tuple[Tensor, ...],
) -> None:
    """Hold a Jacobian against autograd's gradient for some cotangents.

    A gradient that is not finite cannot be compared, and one that is rounding noise (moving the inputs by their own
    size would change the outputs by less than the root of machine epsilon) need not agree.

    Args:
        whole: the Jacobian, per output with a derivative, per input.
        outputs: of the function.
        cotangents: one per output.
        gradient: autograd's, one per input; None is zero.
        points: the inputs.

    Raises:
        UnfitError: they differ grossly.
    """
    kept = [place for place, output in enumerate(outputs) if _has_derivative(output)]
    products = [
        _flat([torch.tensordot(cotangents[place], part, dims=cotangents[place].ndim) for part in row])
        for place, row in zip(kept, whole, strict=True)
    ]
    actual = torch.stack(products).sum(dim=0)
    filled = [torch.zeros_like(at) if part is None else part for part, at in zip(gradient, points, strict=True)]
    expected, value = _flat(filled), _flat([cotangents[place] * outputs[place] for place in kept])
    error, size = float((actual - expected).norm()), float(expected.norm())
    noise = _root_epsilon(points) * float(value.norm()) / max(float(_flat(points).norm()), 1e-30)
    if math.isfinite(size) and not error <= max(GROSS * size, noise):
        share = error / size if size else math.inf
        raise UnfitError(f"it does not give autograd's gradient here (relative error {share:.1g})")


def _root_epsilon(tensors: tuple[Tensor, ...]) -> float:
    return math.sqrt(max(torch.finfo(tensor.dtype).eps for tensor in tensors))


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    """Join tensors to one vector, widened."""
    return torch.cat([tensor.detach().flatten().double() for tensor in tensors])


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
