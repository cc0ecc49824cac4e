"""Optimizers by name: every class of `torch.optim`, found by introspection, and plain gradient descent written out.

It only makes optimizers; the descent itself, and what its outcome means, are other modules' jobs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Protocol

import torch
from torch import Tensor

from harness.converge.least_squares import LeastSquares
from harness.errors import UsageError

GD = "GD"
"""Name of plain gradient descent, the only optimizer that is not a class of `torch.optim`."""

Option = bool | float | int | str | list[float] | tuple[float, ...] | None
Closure = Callable[[], Tensor]
Chosen = str | Callable[..., Any]
"""An optimizer by name, or a user's own class."""


LEAST_SQUARES = "LeastSquares"
"""Name of SciPy's least squares, for cases that give their residuals."""


class Stepper(Protocol):
    """What a descent asks of an optimizer."""

    def step(self, closure: Closure) -> object:
        """Change the parameters in place, from their `.grad` or from what `closure` sets."""


class GradientDescent:
    """Gradient descent with its one step written out: w ← w − lr·∇f."""

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        if not (isinstance(lr, float | int) and lr > 0):
            raise ValueError(f"lr={lr!r} is not a positive number")
        self.parameters = tuple(params)
        self.lr = float(lr)

    def step(self, closure: Closure | None = None) -> None:
        """Take one step from the gradients in `.grad`, after calling `closure` to set them, where one is given."""
        if closure is not None:
            closure()
        with torch.no_grad():
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter -= self.lr * parameter.grad


def optimizer_classes() -> Mapping[str, type]:
    """Return every optimizer by name: GD, LeastSquares, then what `torch.optim` exports, in alphabetical order."""
    exported = {
        name: value
        for name, value in vars(torch.optim).items()
        if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
    }
    return {GD: GradientDescent, LEAST_SQUARES: LeastSquares, **dict(sorted(exported.items()))}


def optimizer_class(name: Chosen) -> Callable[..., Any]:
    """Return the optimizer called `name`; a class stands for itself.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    if not isinstance(name, str):
        return name
    classes = optimizer_classes()
    if name in classes:
        return classes[name]
    by_lower = {known.lower(): known for known in classes}
    near = get_close_matches(name.lower(), by_lower, n=1)
    advice = f"Did you mean {by_lower[near[0]]}?" if near else f"Choose one of: {', '.join(classes)}."
    raise UsageError(f"Cannot descend: optimizer={name!r} is not a class of torch.optim. {advice}")


def option_defaults(name: Chosen) -> Mapping[str, object]:
    """Return the options the optimizer `name` takes, with their defaults (`inspect.Parameter.empty` where required)."""
    parameters = list(inspect.signature(optimizer_class(name)).parameters.values())[1:]  # the first is what it steps
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind not in variable}


def check_options(name: Chosen, options: Mapping[str, Option]) -> None:
    """Check that the optimizer `name` takes these options, without making one.

    Raises:
        UsageError: an option is unknown (the message names the nearest) or a required one is missing.
    """
    for _, message in option_faults(name, options):
        raise UsageError(message)


def option_faults(name: Chosen, options: Mapping[str, Option]) -> Iterator[tuple[str | None, str]]:
    """Yield every unknown option of the optimizer `name` with a message, then every missing one as (None, message).

    Raises:
        UsageError: there is no such optimizer.
    """
    known = option_defaults(name)
    parameters = inspect.signature(optimizer_class(name)).parameters.values()
    any_name = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    called = name_of(name)
    for option, value in options.items():
        if option not in known and not any_name:
            near = get_close_matches(option.lower(), known, n=1, cutoff=0.5) or _by_meaning(option, known)
            advice = f"Did you mean {near[0]}?" if near else f"Its options are: {', '.join(known)}."
            given = f"option {option}={value!r} (type {type(value).__name__})"
            yield option, f"Cannot use {called}: {given} is not one of its options. {advice}"
    for option, default in known.items():
        if default is inspect.Parameter.empty and option not in options:
            yield None, f"Cannot use {called}: option {option} is missing. Add it under `options`."


def make_optimizer(name: Chosen, options: Mapping[str, Option], parameters: Iterable[Tensor]) -> Stepper:
    """Make the optimizer `name` over `parameters`; options go through as written, lists as tuples.

    Raises:
        UsageError: no such optimizer or option, or it refuses an option's value or the parameters (Muon wants
            matrices).
    """
    check_options(name, options)
    passed: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    listed = list(parameters)
    try:
        stepper: Stepper = optimizer_class(name)(listed, **passed)
    except (ValueError, TypeError, RuntimeError) as error:
        shapes = ", ".join(str(tuple(parameter.shape)) for parameter in listed)
        raise UsageError(
            f"Cannot use {describe(name, options)} on parameters of shape {shapes}: {error}. "
            "Change its options or choose another optimizer."
        ) from error
    return stepper


def hyperparameter(name: str, options: Mapping[str, Option], option: str) -> float:
    """Return a numeric option of the optimizer `name`, as given or by default; 0 where it has no such option."""
    # Of a user's own optimizer, named by its Python path, only what is given is known.
    defaults = option_defaults(name) if name in optimizer_classes() else {}
    value = options.get(option, defaults.get(option, 0.0))
    return float(value) if isinstance(value, bool | int | float) else 0.0


def describe(name: Chosen, options: Mapping[str, Option]) -> str:
    """Return the optimizer as people write it: ``SGD(lr=0.1, momentum=0.9)``."""
    return f"{name_of(name)}({', '.join(f'{option}={format_option(value)}' for option, value in options.items())})"


def name_of(name: Chosen) -> str:
    """Return what an optimizer is called."""
    return name if isinstance(name, str) else str(getattr(name, "__name__", name))


def format_option(value: Option) -> str:
    """Return an option's value as short text; sequences as tuples."""
    if isinstance(value, list | tuple):
        return f"({', '.join(format_option(entry) for entry in value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _by_meaning(option: str, known: Mapping[str, object]) -> list[str]:
    """Return the option meant by a common longer name that spelling alone does not find."""
    meant = {
        "learning_rate": "lr",
        "learningrate": "lr",
        "step_size": "lr",
        "eta": "lr",
        "epsilon": "eps",
        "rho": "alpha",
    }
    name = meant.get(option.lower(), "")
    return [name] if name in known else []
