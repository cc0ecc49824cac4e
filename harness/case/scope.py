"""The names that the parts of one case may use, and problems of a name or an expression. Nothing runs; no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from harness.case.case import Case
from harness.case.documents import Path, Problem
from harness.case.draws import wants_gradient
from harness.case.expression import ExpressionError, nearest, parse
from harness.case.schema import CaseModel, InputModel, PythonRef
from harness.errors import UsageError


@dataclass(frozen=True, slots=True)
class Scope:
    """A case with the names its parts may use."""

    case: Case

    @property
    def model(self) -> CaseModel:
        """What the case's document says."""
        return self.case.model

    @property
    def sizes(self) -> frozenset[str]:
        """The named sizes."""
        return frozenset(self.model.dims)

    @property
    def inputs(self) -> frozenset[str]:
        """The inputs."""
        return frozenset(self.model.inputs)

    @property
    def names(self) -> frozenset[str]:
        """What an expression may use: sizes, inputs and `let`s."""
        return self.sizes | self.inputs | frozenset(self.model.let)

    @property
    def python(self) -> bool:
        """Whether the subject is Python code, whose parameters are further inputs that only running it tells."""
        return isinstance(self.model.function, PythonRef)

    @property
    def differentiable(self) -> frozenset[str]:
        """The inputs that have a gradient."""
        return frozenset(name for name, spec in self.model.inputs.items() if _wants_gradient(spec))

    @property
    def outputs(self) -> int | None:
        """How many outputs there are; None where only running the code would tell."""
        function = self.model.function
        return None if isinstance(function, PythonRef) else 1 if isinstance(function, str) else len(function)


def _wants_gradient(spec: InputModel) -> bool:
    try:
        return wants_gradient(spec)
    except UsageError:
        return spec.grad


def expression(path: Path, text: str, names: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with an expression that may use `names`."""
    try:
        parse(text, names=names)
    except ExpressionError as error:
        yield Problem(path, error.message, offset=error.offset)


def known(path: Path, name: str, names: Collection[str], what: str, *, at_key: bool = True) -> Iterator[Problem]:
    """Yield a problem, with the nearest name, unless `name` is one of `names`; `what` says what they name."""
    if name not in names:
        hint = nearest(name, names) or f"; known are: {', '.join(sorted(names)) or 'none'}"
        yield Problem(path, f"unknown {what} {name!r}{hint}", at_key=at_key)


def resizable(path: Path, name: str, scope: Scope) -> Iterator[Problem]:
    """Yield problems of another size given to a dim: sizes are read off tensors, so some input's shape must have it."""
    yield from known(path, name, scope.sizes, "dim")
    in_shapes = {size for spec in scope.model.inputs.values() for size in spec.shape}
    if name in scope.sizes - in_shapes:
        yield Problem(path, f"no input's shape has the dim {name!r}, so its size cannot be changed here", at_key=True)
