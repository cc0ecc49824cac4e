"""How the parts of one case fit together: names, draws, shapes, expressions. Nothing runs; no torch.

Every check adds problems and goes on, so that all of a document's are found at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from harness.case.case import Case
from harness.case.documents import Path, Problem
from harness.case.draws import ARITIES, parse_draw, wants_gradient
from harness.case.expression import ExpressionError, nearest, parse
from harness.case.loop_faults import loop_faults
from harness.case.schema import CaseModel, Claims, ConvergeModel, InputModel, PointModel, PythonRef, Value, function_of
from harness.case.values import WORDS, constant, shape_of
from harness.errors import UsageError

RESERVED = re.compile(r"^(output|cotangent(_\d+)?)$")


def crosscheck(case: Case) -> list[Problem]:
    """Every problem of a case whose form is right."""
    scope = _Scope(case)
    parts = (_dims, _inputs, _lets, _function, _gradient, _reference)
    uses = (_points, _policy, _converge, _benchmark, _expected)
    return [problem for check in (*parts, *uses) for problem in check(scope)]


@dataclass(frozen=True, slots=True)
class _Scope:
    """A case with the names its parts may use."""

    case: Case

    @property
    def model(self) -> CaseModel:
        return self.case.model

    @property
    def sizes(self) -> frozenset[str]:
        return frozenset(self.model.dims)

    @property
    def inputs(self) -> frozenset[str]:
        return frozenset(self.model.inputs)

    @property
    def names(self) -> frozenset[str]:
        return self.sizes | self.inputs | frozenset(self.model.let)

    @property
    def python(self) -> bool:
        """Whether the subject is Python code, whose parameters are further inputs that only running it tells."""
        return isinstance(self.model.function, PythonRef)

    @property
    def differentiable(self) -> frozenset[str]:
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


def _expression(path: Path, text: str, names: Collection[str]) -> Iterator[Problem]:
    try:
        parse(text, names=names)
    except ExpressionError as error:
        yield Problem(path, error.message, offset=error.offset)


def _known(path: Path, name: str, known: Collection[str], what: str, *, at_key: bool = True) -> Iterator[Problem]:
    if name not in known:
        hint = nearest(name, known) or f"; known are: {', '.join(sorted(known)) or 'none'}"
        yield Problem(path, f"unknown {what} {name!r}{hint}", at_key=at_key)


def _dims(scope: _Scope) -> Iterator[Problem]:
    in_shapes = {size for spec in scope.model.inputs.values() for size in spec.shape}
    for name, sizes in scope.case.sizes.items():
        path: Path = ("dims", name)
        if not sizes:
            yield Problem(path, f"dims.{name} is empty; give it at least one size")
        if len(set(sizes)) != len(sizes):
            yield Problem(path, f"dims.{name} lists a size twice")
        if len(sizes) > 1 and name not in in_shapes and not scope.python:
            yield Problem(
                path, f"dims.{name} is a list, but no input's shape has {name}; give it one size", at_key=True
            )
        if name in scope.inputs:
            yield Problem(path, f"{name!r} is the name of a dim and of an input; rename one", at_key=True)


def _resizable(path: Path, name: str, scope: _Scope) -> Iterator[Problem]:
    """Problems of another size given to a dim: sizes are read off tensors, so some input's shape must have it."""
    yield from _known(path, name, scope.sizes, "dim")
    in_shapes = {size for spec in scope.model.inputs.values() for size in spec.shape}
    if name in scope.sizes - in_shapes:
        yield Problem(path, f"no input's shape has the dim {name!r}, so its size cannot be changed here", at_key=True)


def _inputs(scope: _Scope) -> Iterator[Problem]:
    if not scope.model.inputs:
        yield Problem(("inputs",), "inputs is empty; a case needs at least one input")
    elif not scope.differentiable and not scope.python:
        yield Problem(("inputs",), "no input is differentiable; at least one needs `grad: true`", at_key=True)
    for name, spec in scope.model.inputs.items():
        path: Path = ("inputs", name)
        if RESERVED.match(name):
            yield Problem(path, f"{name!r} is a reserved name; rename the input", at_key=True)
        for index, size in enumerate(spec.shape):
            if isinstance(size, str):
                yield from _known((*path, "shape", index), size, scope.sizes, "dim", at_key=False)
        yield from _draw(path, spec)
        yield from _domain(path, spec)
        if spec.value is not None:
            yield from _shaped((*path, "value"), spec.value, spec, scope, {})
            yield from _inside((*path, "value"), spec.value, name, spec)


def _draw(path: Path, spec: InputModel) -> Iterator[Problem]:
    try:
        draw = parse_draw(spec.draw)
    except UsageError as error:
        yield Problem((*path, "draw"), str(error))
        return
    if draw.integral and "grad" in spec.model_fields_set and spec.grad and spec.value is None:
        yield Problem(
            (*path, "grad"), f"the draw {spec.draw!r} gives whole numbers, which have no gradient; use `grad: false`"
        )
    if spec.type == "complex" and draw.name not in ("normal", "uniform", "unit"):
        yield Problem((*path, "draw"), f"a complex input can be drawn normal, uniform or unit, not {draw.name!r}")
    if spec.away_from and (spec.type == "complex" or draw.name not in ("normal", "uniform", "positive", "sorted")):
        yield Problem((*path, "away_from"), f"away_from suits normal, uniform, positive and sorted, not {draw.name!r}")
    if len(spec.shape) < draw.least_dims and spec.value is None:
        yield Problem(
            (*path, "draw"),
            f"the draw {draw.name!r} needs a shape of at least {draw.least_dims} dims, not {len(spec.shape)}",
        )
    elif draw.square and spec.shape[-1] != spec.shape[-2]:
        yield Problem(
            (*path, "shape"), f"the draw {draw.name!r} needs a square matrix: the last two dims must be the same"
        )


def _domain(path: Path, spec: InputModel) -> Iterator[Problem]:
    if spec.domain is not None and not spec.domain[0] < spec.domain[1]:
        yield Problem(
            (*path, "domain"), f"the domain must go from low to high, not {spec.domain[0]} to {spec.domain[1]}"
        )
    if spec.domain is not None and spec.type == "complex":
        yield Problem((*path, "domain"), "a complex input has no domain", at_key=True)


def _lets(scope: _Scope) -> Iterator[Problem]:
    earlier = scope.sizes | scope.inputs
    for name, text in scope.model.let.items():
        path: Path = ("let", name)
        if name in scope.sizes | scope.inputs:
            yield Problem(path, f"{name!r} is already the name of an input or a dim; rename it", at_key=True)
        if RESERVED.match(name):
            yield Problem(path, f"{name!r} is a reserved name; rename it", at_key=True)
        later = set(scope.model.let) - earlier - {name}
        for problem in _expression(path, text, earlier):
            used = next((other for other in later if f"unknown name {other!r}" in problem.message), None)
            message = f"{used!r} is used before it is defined; `let` is read in order" if used else problem.message
            yield Problem(path, message, offset=problem.offset)
        earlier = earlier | {name}


def _function(scope: _Scope) -> Iterator[Problem]:
    function = scope.model.function
    if scope.model.residuals is not None:
        yield from _residuals(scope)
    elif isinstance(function, PythonRef):
        yield from _loss(("function",), function, scope)
        if scope.model.let:
            yield Problem(
                ("let",), "`let` needs an expression as function; Python code names its own values", at_key=True
            )
    elif isinstance(function, str):
        yield from _expression(("function",), function, scope.names)
    else:
        if not function:
            yield Problem(("function",), "function is an empty list; give at least one expression")
        for index, text in enumerate(function):
            yield from _expression(("function", index), text, scope.names)


def _residuals(scope: _Scope) -> Iterator[Problem]:
    residuals = scope.model.residuals
    if scope.model.function != function_of(residuals):
        yield Problem(("residuals",), "a case has `function` or `residuals`, not both; remove one", at_key=True)
    if isinstance(residuals, PythonRef):
        if residuals.loss is not None:
            yield Problem(("residuals", "loss"), "`loss` belongs to function, not to residuals", at_key=True)
    elif scope.model.nist is not None:
        yield from _expression(("nist", "model"), scope.model.nist.model, scope.names)
        if scope.model.nist.response is not None:
            yield from _expression(("nist", "response"), scope.model.nist.response, scope.names)
    elif isinstance(residuals, str):
        yield from _expression(("residuals",), residuals, scope.names)
    elif residuals is not None:
        if not residuals:
            yield Problem(("residuals",), "residuals is an empty list; give at least one expression")
        for index, text in enumerate(residuals):
            yield from _expression(("residuals", index), text, scope.names)


def _loss(path: Path, reference: PythonRef, scope: _Scope) -> Iterator[Problem]:
    if reference.loss is not None:
        yield from _expression((*path, "loss"), reference.loss, scope.names | {"output"})


def _cotangents(scope: _Scope) -> frozenset[str]:
    count = 10 if scope.outputs is None else scope.outputs
    several = frozenset(f"cotangent_{index}" for index in range(count))
    return several | {"cotangent"} if scope.outputs in (None, 1) else several


def _gradient(scope: _Scope) -> Iterator[Problem]:
    gradient = scope.model.gradient
    if isinstance(gradient, PythonRef) and gradient.loss is not None:
        yield Problem(("gradient", "loss"), "`loss` belongs to function, not to gradient", at_key=True)
    if gradient is None or isinstance(gradient, PythonRef):
        return
    for name, text in gradient.items():
        path: Path = ("gradient", name)
        if name not in scope.inputs:
            if not scope.python:
                yield from _known(path, name, scope.inputs, "input")
        elif name not in scope.differentiable:
            yield Problem(path, f"the input {name!r} has `grad: false`; remove its gradient, or that", at_key=True)
        yield from _expression(path, text, scope.names | _cotangents(scope))
        if scope.outputs is not None and scope.outputs > 1 and not re.search(r"\bcotangent_\d", text):
            yield Problem(path, "with several outputs a gradient must use cotangent_0, cotangent_1, …")


def _reference(scope: _Scope) -> Iterator[Problem]:
    reference = scope.model.reference
    if isinstance(reference, PythonRef):
        yield from _loss(("reference",), reference, scope)
    elif reference is not None:
        yield from _expression(("reference",), reference, scope.names)


def _policy(scope: _Scope) -> Iterator[Problem]:
    """A policy has a dtype to judge, and the reference it compares with."""
    verify = scope.model.verify
    if verify.policy is not None and set(verify.dtypes) <= {"float64"}:
        yield Problem(("verify", "policy"), "verify.policy judges dtypes below float64, and verify.dtypes names none")
    if verify.policy == "flash-2x" and scope.model.reference is None:
        yield Problem(("verify", "policy"), "verify.policy flash-2x compares with a reference; give the case one")


def _points(scope: _Scope) -> Iterator[Problem]:
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


def _at(path: Path, point: PointModel, scope: _Scope) -> Iterator[Problem]:
    bound = {name: sizes[0] for name, sizes in scope.case.sizes.items() if name in scope.case.fixed}
    for name, value in point.at.items():
        spec = scope.model.inputs.get(name)
        if spec is not None:
            yield from _shaped((*path, "at", name), value, spec, scope, bound)
            yield from _inside((*path, "at", name), value, name, spec)
        elif not scope.python:
            yield from _known((*path, "at", name), name, scope.inputs, "input")


def _shaped(
    path: Path, value: Value, spec: InputModel, scope: _Scope, bound: dict[str, int], *, several: bool = False
) -> Iterator[Problem]:
    """Problems of a declared value: its expressions, ragged lists, and a shape that is not its input's.

    With `several`, it may also be a list of values of that shape.
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
            known = f" (here {size} is {expected})" if isinstance(size, str) else ""
            yield Problem(path, f"the value has shape {list(shape)}, but its input is declared as {wanted}{known}")
            return


def _inside(path: Path, value: Value, name: str, spec: InputModel) -> Iterator[Problem]:
    """Numbers of a declared value outside the domain of their input, where nothing has to run to tell."""
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


def _shape(path: Path, value: Value, scope: _Scope) -> tuple[tuple[int, ...] | None, list[Problem]]:
    try:
        return shape_of(value, names=scope.sizes), []
    except ExpressionError as error:
        return None, [Problem(path, error.message, offset=error.offset)]
    except UsageError as error:
        return None, [Problem(path, str(error))]


def _claims(path: Path, claims: Claims, scope: _Scope) -> Iterator[Problem]:
    if claims.expected == "refuted" and not (claims.reason or "").strip():
        yield Problem(path, "a claim that is `expected: refuted` needs a `reason`")
    if claims.value is None and not claims.gradient and not claims.hessian and not claims.stationary:
        yield Problem(path, "a claim needs a value, a gradient, a hessian, or `stationary: true`")
    figures = [((*path, "value"), claims.value)] if claims.value is not None else []
    for key, known in (("gradient", scope.differentiable | set(scope.model.let)), ("hessian", scope.differentiable)):
        for name, value in getattr(claims, key).items():
            if not scope.python:
                yield from _known((*path, key, name), name, known, "differentiable input")
            figures.append(((*path, key, name), value))
    for place, value in figures:
        yield from _shape(place, value, scope)[1]


def _converge(scope: _Scope) -> Iterator[Problem]:
    for index, entry in enumerate(scope.model.converge):
        path: Path = ("converge", index)
        yield from _parameters(path, entry, scope)
        for position, name in enumerate(entry.fresh):
            yield from _known((*path, "fresh", position), name, scope.inputs, "input", at_key=False)
        for name in entry.dims:
            yield from _resizable((*path, "dims", name), name, scope)
        if entry.gradient == "analytic" and scope.model.gradient is None:
            yield Problem(
                (*path, "gradient"), "the analytic gradient is asked for, but the case declares no `gradient`"
            )
        if entry.expect == "misses" and not (entry.reason or "").strip():
            yield Problem((*path, "expect"), "a descent that is expected to miss needs a `reason`")
        if entry.digits is not None and entry.minimum is None:
            yield Problem((*path, "digits"), "`digits` are those of a minimum, and the entry gives none", at_key=True)
        if entry.digits is not None and "within" in entry.model_fields_set:
            yield Problem((*path, "digits"), "`digits` and `within` both say what arriving is; keep one", at_key=True)
        yield from _batches(path, entry, scope)
        yield from (Problem((*path, key), words) for key, words in loop_faults(entry, module=scope.python))
        yield from _shown(path, entry, scope)


def _parameters(path: Path, entry: ConvergeModel, scope: _Scope) -> Iterator[Problem]:
    """What is said by input: where a descent starts, where it should end, and what was printed about its end."""
    minimum = entry.minimum if isinstance(entry.minimum, dict) else {}
    for key, values in (("start", entry.start), ("minimum", minimum), ("published", entry.published)):
        for name, value in values.items():
            place = (*path, key, name)
            spec = scope.model.inputs.get(name)
            if spec is None and not scope.python:
                yield from _known(place, name, scope.inputs, "input")
            if key == "start" and isinstance(value, str) and _is_draw(value):
                yield from _start_draw(place, value)
            elif spec is not None:
                yield from _shaped(place, value, spec, scope, {}, several=key == "minimum")


def _is_draw(text: str) -> bool:
    return text not in WORDS and text.split("(")[0].strip() in ARITIES


def _start_draw(path: Path, text: str) -> Iterator[Problem]:
    try:
        parse_draw(text)
    except UsageError as error:
        yield Problem(path, str(error))


def _batches(path: Path, entry: ConvergeModel, scope: _Scope) -> Iterator[Problem]:
    if entry.batches is None:
        return
    along = entry.batches.along
    explicit = "along" in entry.batches.model_fields_set
    place = (*path, "batches", "along") if explicit else (*path, "batches")
    unknown = list(_known(place, along, scope.sizes, "dim", at_key=False))
    yield from unknown
    if not unknown and not any(spec.shape[:1] == [along] for spec in scope.model.inputs.values()):
        yield Problem(place, f"no input has {along!r} as its first dim, so there is nothing to take batches of")


def _shown(path: Path, entry: ConvergeModel, scope: _Scope) -> Iterator[Problem]:
    """Expressions evaluated for the report and for the score."""
    names = scope.names | {"output"} if scope.python else scope.names
    if entry.fit is not None:
        for key in ("x", "y", "prediction"):
            yield from _expression((*path, "fit", key), getattr(entry.fit, key), names)
    if entry.accuracy is not None:
        yield from _expression((*path, "accuracy", "scores"), entry.accuracy.scores, names)
        yield from _known((*path, "accuracy", "labels"), entry.accuracy.labels, scope.inputs, "input", at_key=False)


def _benchmark(scope: _Scope) -> Iterator[Problem]:
    benchmark = scope.model.benchmark
    if benchmark is None:
        return
    for name, sizes in benchmark.sweep.items():
        path: Path = ("benchmark", "sweep", name)
        yield from _resizable(path, name, scope)
        if not sizes:
            yield Problem(path, f"benchmark.sweep.{name} is empty; give it at least one size")
        if name in scope.case.fixed:
            yield Problem(path, f"the dim {name!r} is fixed, so it cannot be swept", at_key=True)
    for variant, needed in (("analytic", scope.model.gradient), ("reference", scope.model.reference)):
        if variant in benchmark.against and needed is None:
            key = "gradient" if variant == "analytic" else "reference"
            index = benchmark.against.index(variant)
            yield Problem(
                ("benchmark", "against", index), f"{variant!r} is asked for, but the case declares no `{key}`"
            )


def _expected(scope: _Scope) -> Iterator[Problem]:
    if scope.model.expected is None:
        return
    try:
        re.compile(scope.model.expected.match)
    except re.error as error:
        yield Problem(("expected", "match"), f"expected.match is not a regular expression: {error}")
