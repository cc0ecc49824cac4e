"""Values that a case declares: at a point, in a claim, of an input, at a descent's start or end. Nothing runs."""

from __future__ import annotations

from collections.abc import Iterator

from harness.case.documents import Path, Problem
from harness.case.draws import parse_draw
from harness.case.expression import ExpressionError
from harness.case.schema import Claims, InputModel, PointModel, Value
from harness.case.scope import Scope, known
from harness.case.values import constant, shape_of
from harness.errors import UsageError


def points(scope: Scope) -> Iterator[Problem]:
    """Yield problems of a case's points: their names, values and claims."""
    names: set[str] = set()
    for index, point in enumerate(scope.model.points):
        path: Path = ("points", index)
        if point.name is not None and point.name in names:
            yield Problem((*path, "name"), f"a second point is called {point.name!r}; rename one")
        names.add(point.name or "")
        yield from _at(path, point, scope)
        several = isinstance(point.claims, list)
        for position, claims in enumerate(point.claims if isinstance(point.claims, list) else [point.claims]):
            yield from _claims((*path, "claims", position) if several else (*path, "claims"), claims, scope)


def _at(path: Path, point: PointModel, scope: Scope) -> Iterator[Problem]:
    bound = {name: sizes[0] for name, sizes in scope.case.sizes.items() if name in scope.case.fixed}
    for name, value in point.at.items():
        spec = scope.model.inputs.get(name)
        if spec is not None:
            yield from shaped((*path, "at", name), value, spec, scope, bound)
            yield from inside((*path, "at", name), value, name, spec)
        elif not scope.python:
            yield from known((*path, "at", name), name, scope.inputs, "input")


def _claims(path: Path, claims: Claims, scope: Scope) -> Iterator[Problem]:
    if claims.expected == "refuted" and not (claims.reason or "").strip():
        yield Problem(path, "a claim that is `expected: refuted` needs a `reason`")
    if claims.value is None and not claims.gradient and not claims.hessian and not claims.stationary:
        yield Problem(path, "a claim needs a value, a gradient, a hessian, or `stationary: true`")
    figures = [((*path, "value"), claims.value)] if claims.value is not None else []
    for key, names in (("gradient", scope.differentiable | set(scope.model.let)), ("hessian", scope.differentiable)):
        for name, value in getattr(claims, key).items():
            if not scope.python:
                yield from known((*path, key, name), name, names, "differentiable input")
            figures.append(((*path, key, name), value))
    for place, value in figures:
        yield from _shape(place, value, scope)[1]


def shaped(
    path: Path, value: Value, spec: InputModel, scope: Scope, bound: dict[str, int], *, several: bool = False
) -> Iterator[Problem]:
    """Yield problems of a declared value: its expressions, ragged lists, and a shape that is not its input's.

    Args:
        path: where the value stands.
        value: the value.
        spec: its input.
        scope: the names that it may use.
        bound: sizes known so far; those that the value tells are added.
        several: it may also be a list of values of that shape.
    """
    shape, problems = _shape(path, value, scope)
    yield from problems
    if shape is None:
        return
    declared = tuple(spec.shape)
    if several and len(shape) == len(declared) + 1:
        shape = shape[1:]
    wanted = "a single number" if not declared else f"shape [{', '.join(map(str, declared))}]"
    if len(shape) != len(declared):
        yield Problem(path, f"the value has shape {list(shape)}, but its input is declared as {wanted}")
        return
    for actual, size in zip(shape, declared, strict=True):
        expected = bound.setdefault(size, actual) if isinstance(size, str) else size
        if actual != expected:
            here = f" (here {size} is {expected})" if isinstance(size, str) else ""
            yield Problem(path, f"the value has shape {list(shape)}, but its input is declared as {wanted}{here}")
            return


def inside(path: Path, value: Value, name: str, spec: InputModel) -> Iterator[Problem]:
    """Yield numbers of a declared value outside the domain of their input, where nothing has to run to tell."""
    domain = _declared_domain(spec)
    if domain is None:
        return
    explicit = spec.domain is not None
    origin, advice = ("of", "") if explicit else (f"that the draw {spec.draw!r} gives", ", or declare a wider `domain`")
    for place, number, written in _numbers(path, value):
        if not domain[0] <= number <= domain[1]:
            limits = f"[{domain[0]:g}, {domain[1]:g}]"
            yield Problem(
                place, f"{written} lies outside {limits}, the domain {origin} {name!r}; change the value{advice}"
            )


def _declared_domain(spec: InputModel) -> tuple[float, float] | None:
    """The interval an input is defined on, by its domain or by its draw."""
    if spec.domain is not None:
        return float(spec.domain[0]), float(spec.domain[1])
    if spec.type == "complex" or spec.value is not None:
        return None
    try:
        drawn = parse_draw(spec.draw).domain
    except UsageError:
        return None
    if drawn is None:
        return None
    low, high = sorted(bound * spec.scale + 0.0 for bound in drawn)  # + 0.0 turns −0 into 0
    return low, high


def _numbers(path: Path, value: Value) -> Iterator[tuple[Path, float, str]]:
    """The real numbers in a declared value, with their places and as they are written."""
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from _numbers((*path, index), part)
        return
    number = constant(value) if isinstance(value, str) else value
    if number is not None:
        yield path, float(number), str(value)


def _shape(path: Path, value: Value, scope: Scope) -> tuple[tuple[int, ...] | None, list[Problem]]:
    try:
        return shape_of(value, names=scope.sizes), []
    except ExpressionError as error:
        return None, [Problem(path, error.message, offset=error.offset)]
    except UsageError as error:
        return None, [Problem(path, str(error))]
