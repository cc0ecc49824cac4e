"""How the parts of one case fit together: names, draws, shapes, expressions. Nothing runs; no torch.

Every check adds problems and goes on, so that all of a document's are found at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.case.case import Case
from harness.case.declared import inside, points, shaped
from harness.case.documents import Path, Problem
from harness.case.draws import parse_draw
from harness.case.entries import converge_entries
from harness.case.schema import InputModel, PythonRef, function_of
from harness.case.scope import Scope, expression, known, resizable
from harness.errors import UsageError

RESERVED = re.compile(r"^(output|cotangent(_\d+)?)$")


def crosscheck(case: Case) -> list[Problem]:
    """Every problem of a case whose form is right."""
    scope = Scope(case)
    parts = (_dims, _inputs, _lets, _function, _gradient, _reference)
    uses = (points, _policy, converge_entries, _benchmark, _expected)
    return [problem for check in (*parts, *uses) for problem in check(scope)]


def _dims(scope: Scope) -> Iterator[Problem]:
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


def _inputs(scope: Scope) -> Iterator[Problem]:
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
                yield from known((*path, "shape", index), size, scope.sizes, "dim", at_key=False)
        yield from _draw(path, spec)
        yield from _domain(path, spec)
        if spec.value is not None:
            yield from shaped((*path, "value"), spec.value, spec, scope, {})
            yield from inside((*path, "value"), spec.value, name, spec)


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


def _lets(scope: Scope) -> Iterator[Problem]:
    earlier = scope.sizes | scope.inputs
    for name, text in scope.model.let.items():
        path: Path = ("let", name)
        if name in scope.sizes | scope.inputs:
            yield Problem(path, f"{name!r} is already the name of an input or a dim; rename it", at_key=True)
        if RESERVED.match(name):
            yield Problem(path, f"{name!r} is a reserved name; rename it", at_key=True)
        later = set(scope.model.let) - earlier - {name}
        for problem in expression(path, text, earlier):
            used = next((other for other in later if f"unknown name {other!r}" in problem.message), None)
            message = f"{used!r} is used before it is defined; `let` is read in order" if used else problem.message
            yield Problem(path, message, offset=problem.offset)
        earlier = earlier | {name}


def _function(scope: Scope) -> Iterator[Problem]:
    function = scope.model.function
    if scope.model.residuals is not None:
        yield from _residuals(scope)
        return
    yield from _subject("function", function, scope)
    if isinstance(function, PythonRef) and scope.model.let:
        yield Problem(("let",), "`let` needs an expression as function; Python code names its own values", at_key=True)


def _subject(key: str, value: str | list[str] | PythonRef, scope: Scope) -> Iterator[Problem]:
    """Problems of a function, residuals or a reference: code with a loss, one expression, or several."""
    if isinstance(value, PythonRef):
        if value.loss is not None:
            yield from expression((key, "loss"), value.loss, scope.names | {"output"})
    elif isinstance(value, str):
        yield from expression((key,), value, scope.names)
    elif not value:
        yield Problem((key,), f"{key} is an empty list; give at least one expression")
    else:
        for index, text in enumerate(value):
            yield from expression((key, index), text, scope.names)


def _residuals(scope: Scope) -> Iterator[Problem]:
    residuals, nist = scope.model.residuals, scope.model.nist
    if scope.model.function != function_of(residuals):
        yield Problem(("residuals",), "a case has `function` or `residuals`, not both; remove one", at_key=True)
    if isinstance(residuals, PythonRef):
        if residuals.loss is not None:
            yield Problem(("residuals", "loss"), "`loss` belongs to function, not to residuals", at_key=True)
    elif nist is not None:
        yield from expression(("nist", "model"), nist.model, scope.names)
        if nist.response is not None:
            yield from expression(("nist", "response"), nist.response, scope.names)
    elif residuals is not None:
        yield from _subject("residuals", residuals, scope)


def _cotangents(scope: Scope) -> frozenset[str]:
    count = 10 if scope.outputs is None else scope.outputs
    several = frozenset(f"cotangent_{index}" for index in range(count))
    return several | {"cotangent"} if scope.outputs in (None, 1) else several


def _gradient(scope: Scope) -> Iterator[Problem]:
    gradient = scope.model.gradient
    if isinstance(gradient, PythonRef) and gradient.loss is not None:
        yield Problem(("gradient", "loss"), "`loss` belongs to function, not to gradient", at_key=True)
    if gradient is None or isinstance(gradient, PythonRef):
        return
    for name, text in gradient.items():
        path: Path = ("gradient", name)
        if name not in scope.inputs:
            if not scope.python:
                yield from known(path, name, scope.inputs, "input")
        elif name not in scope.differentiable:
            yield Problem(path, f"the input {name!r} has `grad: false`; remove its gradient, or that", at_key=True)
        yield from expression(path, text, scope.names | _cotangents(scope))
        if scope.outputs is not None and scope.outputs > 1 and not re.search(r"\bcotangent_\d", text):
            yield Problem(path, "with several outputs a gradient must use cotangent_0, cotangent_1, …")


def _reference(scope: Scope) -> Iterator[Problem]:
    if scope.model.reference is not None:
        yield from _subject("reference", scope.model.reference, scope)


def _policy(scope: Scope) -> Iterator[Problem]:
    """A policy has a dtype to judge, and the reference it compares with."""
    verify = scope.model.verify
    if verify.policy is not None and set(verify.dtypes) <= {"float64"}:
        yield Problem(("verify", "policy"), "verify.policy judges dtypes below float64, and verify.dtypes names none")
    if verify.policy == "flash-2x" and scope.model.reference is None:
        yield Problem(("verify", "policy"), "verify.policy flash-2x compares with a reference; give the case one")


def _benchmark(scope: Scope) -> Iterator[Problem]:
    benchmark = scope.model.benchmark
    if benchmark is None:
        return
    for name, sizes in benchmark.sweep.items():
        path: Path = ("benchmark", "sweep", name)
        yield from resizable(path, name, scope)
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


def _expected(scope: Scope) -> Iterator[Problem]:
    if scope.model.expected is None:
        return
    try:
        re.compile(scope.model.expected.match)
    except re.error as error:
        yield Problem(("expected", "match"), f"expected.match is not a regular expression: {error}")
