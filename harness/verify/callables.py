"""Functions that a user of `harness.check` gives, wrapped as a subject calls them: tensors by name in, a tuple out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from harness.case.subject import Tensors
from harness.errors import UsageError


def caller(fn: Callable[..., Any], names: tuple[str, ...]) -> Callable[[Tensors], tuple[Tensor, ...]]:
    """Wrap a user's function: named tensors in, a tuple of tensors out.

    Args:
        fn: it takes the inputs by name where its signature has exactly those names, otherwise in order.
        names: of the inputs.

    Returns:
        The function; it raises TypeError where `fn` returns anything but tensors.
    """
    by_name = _by_name(fn, names)

    def function(tensors: Tensors) -> tuple[Tensor, ...]:
        result = fn(**{n: tensors[n] for n in names}) if by_name else fn(*[tensors[n] for n in names])
        return _tuple(result)

    return function


def _by_name(fn: Callable[..., Any], names: tuple[str, ...]) -> bool:
    """Whether a function's signature takes exactly these names as keywords."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return False
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    needed = {
        p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    return set(names) <= named and needed <= {*names, "cotangent"}


def _tuple(result: object) -> tuple[Tensor, ...]:
    if isinstance(result, Tensor):
        return (result,)
    if isinstance(result, Mapping):
        result = tuple(result.values())
    if isinstance(result, (tuple, list)) and all(isinstance(part, Tensor) for part in result):
        return tuple(result)
    raise TypeError(f"the function returned {result!r:.80} (type {type(result).__name__}), not a tensor or tensors")


def gradient_caller(
    gradient: Callable[..., Any] | Mapping[str, Callable[..., Any]] | None, names: tuple[str, ...]
) -> Callable[[Tensors, tuple[Tensor, ...]], Mapping[str, Tensor]] | None:
    """Wrap a user's analytic gradient: tensors and cotangents in, named gradients out.

    Args:
        gradient: a function of the inputs and, where it takes one, the cotangent, which returns a mapping, a tuple in
            the inputs' order or one tensor; or a mapping from names to such functions; None for no gradient.
        names: of the inputs.

    Raises:
        UsageError: it has a name that is no input's.
    """
    if gradient is None:
        return None
    if isinstance(gradient, Mapping):
        unknown = sorted(set(gradient) - set(names))
        if unknown:
            raise UsageError(f"Cannot use gradient: {unknown[0]!r} is no input. Inputs are: {', '.join(names)}.")
        parts = {key: _one_gradient(fn, names) for key, fn in gradient.items()}
        return lambda tensors, cotangents: {key: part(tensors, cotangents) for key, part in parts.items()}
    whole = _one_gradient(gradient, names)

    def function(tensors: Tensors, cotangents: tuple[Tensor, ...]) -> Mapping[str, Tensor]:
        result = whole(tensors, cotangents)
        if isinstance(result, Mapping):
            return result
        results = (result,) if isinstance(result, Tensor) else tuple(result)
        return {key: value for key, value in zip(names, results, strict=False) if value is not None}

    return function


def _one_gradient(fn: Callable[..., Any], names: tuple[str, ...]) -> Callable[[Tensors, tuple[Tensor, ...]], Any]:
    """Call an analytic gradient with the inputs and, where it takes one, the cotangent; otherwise multiply by it."""
    try:
        parameters = tuple(inspect.signature(fn).parameters)
    except (TypeError, ValueError):
        parameters = ()
    takes = "cotangent" in parameters or len(parameters) > len(names)
    by_name = _by_name(fn, names)

    def function(tensors: Tensors, cotangents: tuple[Tensor, ...]) -> Any:
        seed: Any = cotangents[0] if len(cotangents) == 1 else cotangents
        if by_name:
            named = {n: tensors[n] for n in names}
            result = fn(**named, cotangent=seed) if takes else fn(**named)
        else:
            ordered = [tensors[n] for n in names]
            result = fn(*ordered, seed) if takes else fn(*ordered)
        if takes or len(cotangents) != 1 or cotangents[0].numel() != 1:
            return result
        return _times(result, cotangents[0])

    return function


def _times(result: object, cotangent: Tensor) -> object:
    """Multiply gradients by the cotangent of a single-number output."""
    if isinstance(result, Tensor):
        return result * cotangent.reshape(())
    if isinstance(result, Mapping):
        return {key: _times(value, cotangent) for key, value in result.items()}
    if isinstance(result, (tuple, list)):
        return tuple(None if value is None else _times(value, cotangent) for value in result)
    return result
