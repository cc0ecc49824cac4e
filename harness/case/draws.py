"""The grammar of draws: `normal`, `uniform(0.2, 3)`, … Making the tensors is `domains`' job; no torch here."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.case.expression import nearest
from harness.case.scalars import fold
from harness.case.schema import InputModel
from harness.errors import UsageError

ARITIES: Mapping[str, tuple[int, int | None]] = MappingProxyType(
    {
        "normal": (0, 0),
        "uniform": (0, 2),
        "positive": (0, 0),
        "integers": (2, 2),
        "spd": (0, 0),
        "symmetric": (0, 0),
        "simplex": (0, 0),
        "sorted": (0, 0),
        "unit": (0, 0),
        "orthogonal": (0, 0),
        "permutation": (0, 0),
        "mask": (0, 1),
        "choice": (1, None),
        "digits_images": (0, 0),
        "digits_labels": (0, 0),
    }
)
"""The draws there are, with the smallest and largest number of arguments each takes."""

_MATRICES = ("spd", "symmetric", "orthogonal", "digits_images")
_VECTORS = ("simplex", "sorted", "unit", "permutation", "digits_labels")


@dataclass(frozen=True, slots=True)
class Draw:
    """A parsed draw: its name and its arguments."""

    name: str
    arguments: tuple[float, ...] = ()

    @property
    def integral(self) -> bool:
        """Whether it gives integers or booleans, which have no gradient."""
        if self.name == "choice":
            return all(isinstance(value, int) for value in self.arguments)
        return self.name in ("integers", "permutation", "mask", "digits_labels")

    @property
    def domain(self) -> tuple[float, float] | None:
        """The closed interval its values come from, which finite differences must not leave; None is the whole line."""
        if self.name == "positive":
            return (0.0, math.inf)
        if self.name == "uniform":
            low, high = self.arguments or (0.0, 1.0)
            return (float(low), float(high))
        return None

    @property
    def least_dims(self) -> int:
        """The smallest number of dims a shape must have for it."""
        return 2 if self.name in _MATRICES else 1 if self.name in _VECTORS else 0

    @property
    def square(self) -> bool:
        """Whether the last two dims must be equal."""
        return self.name in ("spd", "symmetric")


def parse_draw(text: str) -> Draw:
    """Read a draw such as ``uniform(-pi, pi)``.

    Raises:
        UsageError: there is no such draw, or its arguments are wrong.
    """
    name, arguments = _split(text)
    if name not in ARITIES:
        hint = nearest(name, ARITIES) or f"; known draws are: {', '.join(ARITIES)}"
        raise UsageError(f"unknown draw {name!r}{hint}")
    least, most = ARITIES[name]
    if len(arguments) < least or (most is not None and len(arguments) > most):
        raise UsageError(f"the draw {name!r} takes {_count(least, most)}, not {len(arguments)}")
    _check(name, arguments)
    return Draw(name, arguments)


def wants_gradient(spec: InputModel) -> bool:
    """Whether an input's gradient is asked for: what its `grad` says, and False for integers unless it says."""
    if "grad" in spec.model_fields_set:
        return spec.grad
    return spec.grad and (spec.value is not None or not parse_draw(spec.draw).integral)


def _split(text: str) -> tuple[str, tuple[float, ...]]:
    try:
        tree = ast.parse(text.strip(), mode="eval").body if len(text) <= 1000 else None
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        tree = None
    match tree:
        case ast.Name(id=name):
            return name, ()
        case ast.Call(func=ast.Name(id=name), args=nodes, keywords=[]):
            return name, tuple(_argument(node, text) for node in nodes)
        case _:
            raise UsageError(f"{text[:60]!r} is not a draw; write one like normal or uniform(0, 1)")


def _argument(node: ast.expr, text: str) -> float:
    value = fold(node)
    if value is None or isinstance(value, complex):
        raise UsageError(f"the arguments of the draw {text[:60]!r} must be numbers")
    return value


def _check(name: str, arguments: tuple[float, ...]) -> None:
    if not all(math.isfinite(value) for value in arguments):
        raise UsageError(f"the arguments of the draw {name!r} must be finite")
    if name == "uniform" and len(arguments) == 1:
        raise UsageError("the draw 'uniform' takes no arguments or two: uniform(low, high)")
    if name in ("uniform", "integers") and arguments and not arguments[0] < arguments[1]:
        raise UsageError(f"the draw {name!r} needs its first argument below its second")
    if name == "integers" and not all(isinstance(value, int) for value in arguments):
        raise UsageError("the draw 'integers' needs whole numbers: integers(low, high), high left out")
    if name == "mask" and arguments and not 0 <= arguments[0] <= 1:
        raise UsageError("the draw 'mask' needs a probability between 0 and 1")


def _count(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least} argument"
    return f"{least} arguments" if least == most else f"{least} to {most} arguments"
