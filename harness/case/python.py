"""Python code named by a case: loading it where it is trusted, and calling it in the one form subjects have."""

from __future__ import annotations

import copy
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from harness.case.case import Case
from harness.case.domains import MODULE_DRAW
from harness.case.subject import Input, Tensors
from harness.case.trust import Trust
from harness.errors import UsageError


def load_object(reference: str, case: Case, trust: Trust) -> Any:
    """Import what ``package.module:name`` or ``./file.py:name`` names; files are relative to the case file.

    Raises:
        UntrustedError: the caller does not trust the package or the folder; nothing has run then.
        UsageError: there is no such module, file or name.
    """
    where, _, name = reference.rpartition(":")
    is_file = where.endswith(".py") or "/" in where
    module = _file_module(where, case, trust) if is_file else _package_module(where, case, trust)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            where = f"python={reference!r} has no {part!r}"
            raise UsageError(f"Cannot find Python code of {_who(case)}: {where}. Correct the name.")
        found = getattr(found, part)
    return found


def is_module(found: object) -> bool:
    """Whether an object is a torch.nn.Module, or a class of them."""
    return isinstance(found, torch.nn.Module) or (inspect.isclass(found) and issubclass(found, torch.nn.Module))


def caller(found: Any, inputs: Mapping[str, Input], case: Case) -> Callable[[Tensors], tuple[Tensor, ...]]:
    """A callable that passes the inputs to Python code by name, and by position to an autograd.Function.

    Raises:
        UsageError: the object cannot be called.
    """
    if inspect.isclass(found) and issubclass(found, torch.autograd.Function):
        apply: Callable[..., object] = found.apply
        return lambda tensors: as_outputs(apply(*(tensors[name] for name in inputs)), case)
    if not callable(found):
        raise UsageError(
            f"Cannot call Python code of {_who(case)}: {found!r} (type {type(found).__name__}) is no function. "
            "Name one."
        )
    return lambda tensors: as_outputs(found(**{name: tensors[name] for name in inputs}), case)


def as_outputs(result: object, case: Case) -> tuple[Tensor, ...]:
    """What Python code returned, as a tuple of tensors.

    Raises:
        UsageError: it returned something else.
    """
    if isinstance(result, Mapping):
        parts: tuple[object, ...] = tuple(result.values())
    else:
        parts = tuple(result) if isinstance(result, tuple | list) else (result,)
    for part in parts:
        if not isinstance(part, Tensor):
            raise UsageError(
                f"Cannot use what the code of {_who(case)} returned: "
                f"{part!r:.80} (type {type(part).__name__}) is no tensor. "
                "Return a tensor, or a tuple or dict of them."
            )
    return tuple(part for part in parts if isinstance(part, Tensor))


def module_factory(found: Any) -> Callable[[], torch.nn.Module]:
    """Makes fresh modules from a class of them, or copies of one."""
    if inspect.isclass(found):
        return cast("Callable[[], torch.nn.Module]", found)
    return lambda: copy.deepcopy(found)


def initial_parameters(factory: Callable[[], object], seed: int) -> dict[str, Tensor]:
    """A fresh module's own initial parameters, in float64, made from `seed` without touching the global generator."""
    module = _seeded(factory, seed)
    trainable = (item for item in module.named_parameters() if item[1].requires_grad)
    return {
        name: value.detach().to(torch.complex128 if value.is_complex() else torch.float64) for name, value in trainable
    }


def module_inputs(factory: Callable[[], object]) -> dict[str, Input]:
    """A module's trainable parameters as inputs, by their dotted names."""
    return {
        name: Input(shape=tuple(value.shape), draw=MODULE_DRAW, complex=value.is_complex())
        for name, value in initial_parameters(factory, 0).items()
    }


def module_caller(
    factory: Callable[[], object], inputs: Mapping[str, Input], case: Case
) -> Callable[[Tensors], tuple[Tensor, ...]]:
    """A callable that runs a module's forward with its parameters taken from the inputs.

    Raises:
        UsageError: its forward takes something that is no input.
    """
    module = _seeded(factory, 0)
    taken = _taken(module, inputs, case)
    trainable = {name for name, value in module.named_parameters() if value.requires_grad}
    rest = {name: value.detach() for name, value in module.named_parameters() if name not in trainable}
    rest |= dict(module.named_buffers())

    def run(tensors: Tensors) -> tuple[Tensor, ...]:
        given = {name: tensors[name] for name in trainable}
        like = next(iter(given.values()), None)
        state = {**given, **{name: _copied(value, like) for name, value in rest.items()}}
        result = torch.func.functional_call(module, state, (), {name: tensors[name] for name in taken})
        return as_outputs(result, case)

    return run


def _taken(module: torch.nn.Module, inputs: Mapping[str, Input], case: Case) -> list[str]:
    """The inputs a module's forward takes."""
    parameters = inspect.signature(module.forward).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for parameter in named:
        if parameter.name not in inputs and parameter.default is parameter.empty:
            raise UsageError(
                f"Cannot call the module of {_who(case)}: its forward takes {parameter.name!r}, which is no input. "
                f"Name an input so; inputs are: {', '.join(inputs)}."
            )
    return [parameter.name for parameter in named if parameter.name in inputs]


def _copied(value: Tensor, like: Tensor | None) -> Tensor:
    """A buffer of a module's own, which its forward may change, in the dtype and on the device of the parameters."""
    if like is None:
        return value.clone()
    dtype = like.dtype if value.is_floating_point() and like.is_floating_point() else value.dtype
    return value.to(device=like.device, dtype=dtype, copy=True)


def _seeded(factory: Callable[[], object], seed: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = factory()
    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"Cannot make a module: the factory gave {module!r:.80} (type {type(module).__name__}). "
            "Return a torch.nn.Module."
        )
    return module


def _who(case: Case) -> str:
    return f"case {case.id!r}"


def _package_module(name: str, case: Case, trust: Trust) -> Any:
    trust.check_package(name, who=_who(case))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"Cannot import Python code of {_who(case)}: {_missing(name, error)}") from error


def _missing(name: str, error: ModuleNotFoundError) -> str:
    """Say whether a module is missing itself, or another one that it imports."""
    if error.name is not None and f"{name}.".startswith(f"{error.name}."):
        return f"module={name!r} is not there ({error}). Install it."
    what = "a module" if error.name is None else repr(error.name)
    return f"the import of module={name!r} failed because {what} is missing ({error}). Install it, or do not import it."


def _file_module(where: str, case: Case, trust: Trust) -> Any:
    """The module of a file, executed once per path however often it is named."""
    file = (case.path.parent / where).resolve()
    trust.check_file(file, who=_who(case))
    name = f"harness_case_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    if not file.is_file():
        raise UsageError(
            f"Cannot load Python code of {_who(case)}: file={str(file)!r} does not exist. Correct the path."
        )
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(
            f"Cannot load Python code of {_who(case)}: file={str(file)!r} is no Python file. Name one ending in .py."
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
