"""Where a subject is evaluated: a case's own points with what was published about them, random points, special points.

Every tensor comes from a generator seeded by the run's seed, the case, the point and the input, so that a point can be
made again alone, and adding an input changes no other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from harness.case.case import Case
from harness.case.domains import MODULE_DRAW, draw_tensor, generator_for, seed_for
from harness.case.draws import ARITIES, parse_draw
from harness.case.expression import parse
from harness.case.python import initial_parameters
from harness.case.schema import Claims, PointModel
from harness.case.sizes import bind_sizes, pairwise, shape_for
from harness.case.specials import special_value
from harness.case.subject import Claim, Input, Point, Subject
from harness.case.values import WORDS, half_width
from harness.errors import UsageError

__all__ = [
    "case_points",
    "draw_inputs",
    "draw_points",
    "generator_for",
    "initial_value",
    "parse_value",
    "subject_values",
]


def case_points(case: Case, subject: Subject, *, seed: int) -> tuple[Point, ...]:
    """Every point a case is verified at: its own, then random ones per combination of sizes, then special ones.

    Raises:
        UsageError: a point names an input the subject does not have, or gives it another shape.
    """
    verify = case.model.verify
    combinations = pairwise(case.sizes)
    own = tuple(
        _own_point(case, subject, point, index, combinations[0], seed)
        for index, point in enumerate(case.model.points, 1)
    )
    drawn = any(spec.value is None for spec in subject.inputs.values())
    count = verify.points if drawn else min(verify.points, 1)
    return own + _points(subject, combinations, name=case.id, seed=seed, count=count, special=verify.special)


def draw_points(
    inputs: Mapping[str, Input],
    dims: Mapping[str, int | Sequence[int]],
    *,
    name: str,
    seed: int,
    count: int,
    special: Sequence[str] = (),
) -> tuple[Point, ...]:
    """Random points for every pairwise combination of sizes, then one special point of each kind.

    Args:
        inputs: how to draw each input.
        dims: the values of every named size.
        name: what the points are for; part of their seeds.
        seed: the run's seed.
        count: how many random points per combination of sizes.
        special: kinds of special points, made at the combination with the most elements.
    """
    subject = Subject(name=name, inputs=inputs, function=lambda tensors: tuple(tensors.values()))
    return _points(subject, pairwise(dims), name=name, seed=seed, count=count, special=special)


def draw_inputs(
    inputs: Mapping[str, Input], sizes: Mapping[str, int], *, generator: torch.Generator
) -> dict[str, Tensor]:
    """Draw every input once, in order, from one generator: float64, complex128 or integers; constants as declared."""
    return {name: _drawn(spec, sizes, generator) for name, spec in inputs.items()}


def subject_values(
    subject: Subject, sizes: Mapping[str, int], *, seed: int, purpose: Sequence[str]
) -> dict[str, Tensor]:
    """Draw every input of a subject, each from its own generator; a module's parameters get its own initial values.

    Args:
        subject: the subject.
        sizes: the named sizes.
        seed: the run's seed.
        purpose: what the values are for, such as the case and the point; part of the seeds.
    """
    values = {name: _drawn(spec, sizes, generator_for(seed, *purpose, name)) for name, spec in subject.inputs.items()}
    if subject.module is not None:
        initial = initial_parameters(subject.module, seed_for(seed, *purpose, MODULE_DRAW))
        values |= {name: value for name, value in initial.items() if name in values}
    return values


def parse_value(value: object, sizes: Mapping[str, int], *, shape: Sequence[int] | None = None) -> Tensor:
    """A declared value as a float64 tensor (complex128 when it has complex numbers in it).

    Args:
        value: a number, an expression of constants and named sizes, "zeros", "ones", or nested lists or tuples of them.
        sizes: the named sizes.
        shape: the shape it must have; "zeros" and "ones" take it, and without it they are scalars.

    Raises:
        UsageError: the value is malformed, ragged, or not of that shape.
    """
    if isinstance(value, str) and value in WORDS:
        make = torch.zeros if value == "zeros" else torch.ones
        return make(tuple(shape or ()), dtype=torch.float64)
    tensor = _nested(value, sizes)
    if shape is not None and tuple(tensor.shape) != tuple(shape):
        raise UsageError(
            f"Cannot use a value: shape={list(tensor.shape)} is not {list(shape)}. Give a value of that shape."
        )
    return tensor


def initial_value(value: object, spec: Input, sizes: Mapping[str, int], *, generator: torch.Generator) -> Tensor:
    """Where a descent starts for one input: a value, "zeros", "ones", or a draw such as "uniform(-1, 1)".

    Raises:
        UsageError: the value is malformed or has another shape than the input.
    """
    shape = shape_for(spec, sizes)
    if isinstance(value, str) and value not in WORDS and value.split("(")[0].strip() in ARITIES:
        return draw_tensor(Input(shape=spec.shape, draw=value, complex=spec.complex), shape, generator)
    return _typed(parse_value(value, sizes, shape=shape), spec)


def _points(
    subject: Subject,
    combinations: Sequence[Mapping[str, int]],
    *,
    name: str,
    seed: int,
    count: int,
    special: Sequence[str],
) -> tuple[Point, ...]:
    points: list[Point] = []
    for sizes in combinations:
        for _ in range(count):
            label = f"random {len(points)}"
            values = subject_values(subject, sizes, seed=seed, purpose=(name, label))
            points.append(Point(name=label, values=values, sizes=sizes, seed=seed))
    largest = max(combinations, key=lambda sizes: _elements(subject, sizes))
    for kind in special:
        label = f"special {kind}"
        drawn = subject_values(subject, largest, seed=seed, purpose=(name, label))
        values = {key: special_value(kind, subject.inputs[key], value) for key, value in drawn.items()}
        points.append(Point(name=label, values=values, sizes=largest, seed=seed, special=kind))
    return tuple(points)


def _elements(subject: Subject, sizes: Mapping[str, int]) -> int:
    return sum(math.prod(shape_for(spec, sizes)) for spec in subject.inputs.values())


def _own_point(
    case: Case, subject: Subject, model: PointModel, index: int, sizes: Mapping[str, int], seed: int
) -> Point:
    """A point of the case file: what it gives, the sizes that follow from it, and draws for the rest."""
    name = model.name or f"point {index}"
    unknown = [key for key in model.at if key not in subject.inputs]
    if unknown:
        raise UsageError(
            f"Cannot make {name!r} of case {case.id!r}: {unknown[0]!r} is no input. "
            f"Inputs are: {', '.join(subject.inputs)}."
        )
    literal = {key: _nested(value, sizes) for key, value in model.at.items() if value not in WORDS}
    bound = bind_sizes(subject.inputs, literal, known=sizes)
    values = subject_values(subject, bound, seed=seed, purpose=(case.id, name))
    for key, value in model.at.items():
        spec = subject.inputs[key]
        given = literal[key] if key in literal else parse_value(value, bound, shape=shape_for(spec, bound))
        values[key] = _typed(given, spec)
    listed = model.claims if isinstance(model.claims, list) else [model.claims]
    claims = tuple(claim for part in listed for claim in _claims(part, model.at, bound))
    return Point(name=name, values=values, sizes=bound, seed=seed, claims=claims)


def _claims(model: Claims, at: Mapping[str, object], sizes: Mapping[str, int]) -> list[Claim]:
    refuted = model.reason or "no reason given" if model.expected == "refuted" else None
    figures: list[tuple[str, str | None, object]] = [] if model.value is None else [("value", None, model.value)]
    figures += [("gradient", name, value) for name, value in model.gradient.items()]
    figures += [("hessian", name, value) for name, value in model.hessian.items()]
    if model.stationary:
        figures += [("stationary", name, value) for name, value in at.items() if value not in WORDS]
    return [
        Claim(kind=kind, name=name, numbers=_figures(value, sizes), refuted_because=refuted)
        for kind, name, value in figures
    ]


def _figures(value: object, sizes: Mapping[str, int]) -> object:
    """Nested tuples of (number, half-width) of a published value."""
    if isinstance(value, list | tuple):
        return tuple(_figures(part, sizes) for part in value)
    width = half_width(value) if isinstance(value, str) else None
    if width is not None:
        return (float(str(value)), width)
    return _exact(_nested(value, sizes))


def _exact(tensor: Tensor) -> object:
    if tensor.ndim:
        return tuple(_exact(part) for part in tensor)
    return (tensor.item(), 0.0)


def _drawn(spec: Input, sizes: Mapping[str, int], generator: torch.Generator) -> Tensor:
    shape = shape_for(spec, sizes)
    if spec.value is None:
        return draw_tensor(spec, shape, generator)
    return _typed(parse_value(spec.value, sizes, shape=shape), spec)


def _typed(value: Tensor, spec: Input) -> Tensor:
    """A given value in the type its input's draw would have: integers, masks, complex numbers."""
    if spec.complex:
        return value.to(torch.complex128)
    if spec.draw == MODULE_DRAW or not parse_draw(spec.draw).integral:
        return value
    return value.bool() if parse_draw(spec.draw).name == "mask" else value.long()


def _nested(value: object, sizes: Mapping[str, int]) -> Tensor:
    """Numbers, expressions and nested lists of them as one tensor."""
    if isinstance(value, Tensor):
        return value.detach().to(torch.complex128 if value.is_complex() else torch.float64)
    if isinstance(value, list | tuple):
        parts = [_nested(part, sizes) for part in value]
        if len({tuple(part.shape) for part in parts}) > 1:
            raise UsageError(f"Cannot use a value: {value!r:.80} is ragged. Give every row the same shape.")
        dtype = torch.complex128 if any(part.is_complex() for part in parts) else torch.float64
        return torch.stack([part.to(dtype) for part in parts]) if parts else torch.zeros(0, dtype=dtype)
    if isinstance(value, str):
        literal = None if half_width(value) is None else float(value)
        return _nested(literal, sizes) if literal is not None else parse(value, names=sizes).evaluate(sizes)
    if isinstance(value, complex):
        return torch.tensor(value, dtype=torch.complex128)
    if isinstance(value, int | float):
        return torch.tensor(value, dtype=torch.float64)
    raise UsageError(
        f"Cannot use a value: {value!r:.80} (type {type(value).__name__}) is no number. Give a number or an expression."
    )
