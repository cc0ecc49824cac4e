"""Shapes that do not fit, found before anything runs: a case's expressions are evaluated on torch's meta device.

Tensors there have a shape and a dtype but no data, so nothing numeric can go wrong and sizes cost nothing; no code of a
user's is called. What the meta device cannot evaluate (values that decide a shape) is passed over: running it will
tell. Two sizes that are equal wherever they are declared cannot be told apart here.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.case.case import Case
from harness.case.documents import Path, Problem
from harness.case.draws import parse_draw
from harness.case.evaluate import compiled
from harness.case.expression import Expression, ExpressionError, parse
from harness.case.load import faults_at
from harness.case.schema import CaseModel, InputModel, PythonRef
from harness.case.shape_words import FAILURES, NEEDS_DATA, explain, gradient_advice, shown, with_sizes
from harness.case.sizes import pairwise
from harness.errors import Fault, UsageError

MAX_COMBINATIONS = 64
"""Combinations of sizes a case is evaluated at."""

Sizes = Mapping[str, int]


def shape_faults(cases: Sequence[Case]) -> tuple[Fault, ...]:
    """Faults of cases whose expressions do not fit each other or their inputs in shape, each at its place.

    Cases that are expected to end in an error are left alone, and so are parts that have other faults.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch advises against is no fault of shape
        return faults_at((case, problem) for case in cases for problem in _problems(case))


@dataclass(frozen=True, slots=True)
class _Part:
    """One expression of a case, and where it stands."""

    path: Path
    expression: Expression


@dataclass(frozen=True, slots=True)
class _Parts:
    """A case's expressions; those that cannot be read are left out, as the loader has reported them."""

    let: Mapping[str, _Part]
    residuals: tuple[_Part, ...]
    function: tuple[_Part, ...]
    """One per output; empty when the subject is Python code, or when some output cannot be read."""
    gradient: Mapping[str, _Part]
    reference: _Part | None


@dataclass(slots=True)
class _Evaluation:
    """A case at one combination of sizes: what is known of its values, and the problems met on the way."""

    model: CaseModel
    parts: _Parts
    sizes: Sizes
    values: dict[str, Tensor | int]
    faulty: Collection[Path] = ()
    """Parts that have failed at other sizes: where they do not, what follows from them says nothing."""
    problems: list[Problem] = field(default_factory=list)

    def value(self, part: _Part) -> Tensor | None:
        """What a part evaluates to; None where it fails, which is noted, or where that cannot be told."""
        if part.path in self.faulty or not part.expression.names <= self.values.keys():
            return None
        try:
            return compiled(part.expression)(self.values)
        except NotImplementedError:
            return None
        except FAILURES as error:
            if NEEDS_DATA not in str(error):
                message, offset = explain(part.expression, self.values, error)
                self.complain(part, message, offset)
            return None

    def complain(self, part: _Part, message: str, offset: int | None = None) -> None:
        self.problems.append(Problem(part.path, with_sizes(message, self.sizes), offset=offset))

    def outputs(self) -> tuple[Tensor, ...] | None:
        """The function's outputs; None unless all of them are known."""
        for name, part in self.parts.let.items():
            value = self.value(part)
            if value is not None:
                self.values[name] = value
        if any(self.value(part) is None for part in self.parts.residuals):
            return None
        found = [self.value(part) for part in self.parts.function]
        known = tuple(value for value in found if value is not None)
        return known if known and len(known) == len(found) else None

    def check(self) -> None:
        """Evaluate everything the case declares, and hold the shapes against each other."""
        outputs = self.outputs()
        for name, part in self.parts.gradient.items():
            self.gradient(name, part, outputs)
        if self.parts.reference is not None:
            self.reference(self.parts.reference, outputs)

    def gradient(self, name: str, part: _Part, outputs: Sequence[Tensor] | None) -> None:
        spec = self.values[name]
        if not any(used.startswith("cotangent") for used in part.expression.names):
            value = self.value(part)
            if outputs is not None and len(outputs) == 1 and outputs[0].ndim:
                self.complain(
                    part,
                    f"the function's output has shape {shown(outputs[0])}, not a single number, so the gradient must "
                    "be written in terms of `cotangent`, which has that shape",
                )
        elif outputs is None:
            return
        else:
            named = {f"cotangent_{index}": _cotangent(output) for index, output in enumerate(outputs)}
            before = self.values
            self.values = {**before, **named, "cotangent": named["cotangent_0"]}
            value = self.value(part)
            self.values = before
        if not isinstance(spec, Tensor) or value is None or not value.ndim:
            return
        # A transposed gradient is a wrong gradient, which is a verdict, and not a file that cannot be used.
        if value.shape not in (spec.shape, spec.shape[::-1]):
            advice = gradient_advice(tuple(value.shape), tuple(spec.shape))
            self.complain(
                part, f"the gradient of {name} has shape {shown(value)}, but {name} has shape {shown(spec)}{advice}"
            )

    def reference(self, part: _Part, outputs: Sequence[Tensor] | None) -> None:
        value = self.value(part)
        if outputs is not None and len(outputs) > 1:
            self.complain(part, f"the reference is one expression, but the function has {len(outputs)} outputs")
        elif outputs is not None and value is not None and value.shape != outputs[0].shape:
            self.complain(
                part,
                f"the reference has shape {shown(value)}, but the function has shape {shown(outputs[0])}; "
                "make them compute the same thing",
            )

    def descent(self, index: int) -> None:
        """Whether the output is one number at the sizes of a descent."""
        outputs = self.outputs()
        if outputs is not None and (len(outputs) > 1 or outputs[0].numel() != 1):
            shapes = " and ".join(shown(output) for output in outputs)
            message = f"a descent needs an output of one number, not of shape {shapes}; reduce it with sum or mean"
            self.problems.append(Problem(("converge", index), with_sizes(message, self.sizes)))


def _problems(case: Case) -> tuple[Problem, ...]:
    """A case's problems of shape, one per part of the document: that at the most telling sizes."""
    model = case.model
    if model.expected is not None and model.expected.outcome == "error":
        return ()
    found: dict[Path, Problem] = {}
    try:
        parts = _parts(case)
        for sizes in sorted(pairwise(case.sizes)[:MAX_COMBINATIONS], key=_telling, reverse=True):
            evaluation = _Evaluation(model, parts, sizes, _values(model, sizes), found)
            evaluation.check()
            _keep(evaluation.problems, found)
        for index, entry in enumerate(model.converge if parts.function else ()):
            largest = {name: max(sizes) for name, sizes in case.sizes.items()} | entry.dims
            evaluation = _Evaluation(model, parts, largest, _values(model, largest), found)
            evaluation.descent(index)
            _keep(evaluation.problems, found)
    except UsageError:  # an unknown size or draw: the loader has reported it
        return tuple(found.values())
    return tuple(found.values())


def _keep(problems: Sequence[Problem], found: dict[Path, Problem]) -> None:
    for problem in problems:
        found.setdefault(problem.path, problem)


def _telling(sizes: Sizes) -> tuple[int, int]:
    """Sorts combinations of sizes: best are those whose sizes differ, so that numbers in a message tell them apart."""
    return len(set(sizes.values()) - {0, 1}), -sum(sizes.values())


def _parts(case: Case) -> _Parts:
    model = case.model
    known = [*model.dims, *model.inputs]
    names = [*known, *model.let]
    function = () if isinstance(model.function, PythonRef) else model.function
    residuals = () if isinstance(model.residuals, PythonRef) else model.residuals or ()
    texts = _listed("function", function)
    outputs = [_part(path, text, names) for path, text in texts]
    let = {name: _part(("let", name), text, names) for name, text in model.let.items()}
    cotangents = [*names, "cotangent", *(f"cotangent_{index}" for index in range(len(outputs)))]
    gradient = model.gradient if isinstance(model.gradient, dict) else {}
    gradients = {
        name: _part(("gradient", name), text, cotangents) for name, text in gradient.items() if name in model.inputs
    }
    terms = [_part(path, text, names) for path, text in _listed("residuals", residuals)]
    return _Parts(
        residuals=tuple(part for part in terms if part is not None),
        let={name: part for name, part in let.items() if part is not None},
        function=tuple(part for part in outputs if part is not None) if None not in outputs else (),
        gradient={name: part for name, part in gradients.items() if part is not None},
        reference=_part(("reference",), model.reference, names) if isinstance(model.reference, str) else None,
    )


def _listed(key: str, texts: str | Sequence[str]) -> list[tuple[Path, str]]:
    if isinstance(texts, str):
        return [((key,), texts)]
    return [((key, index), text) for index, text in enumerate(texts)]


def _part(path: Path, text: str, names: Sequence[str]) -> _Part | None:
    try:
        return _Part(path, parse(text, names=names))
    except ExpressionError:
        return None


def _values(model: CaseModel, sizes: Sizes) -> dict[str, Tensor | int]:
    """Sizes as numbers, and inputs as tensors without data."""
    return {**sizes, **dict(_inputs(model, sizes))}


def _inputs(model: CaseModel, sizes: Sizes) -> Iterator[tuple[str, Tensor]]:
    for name, spec in model.inputs.items():
        unknown = [size for size in spec.shape if isinstance(size, str) and size not in sizes]
        if unknown:
            raise UsageError(f"Cannot give {name!r} a shape: {unknown[0]!r} has no size. Declare it under `dims`.")
        shape = [sizes[size] if isinstance(size, str) else size for size in spec.shape]
        yield name, torch.empty(shape, dtype=_dtype(spec), device="meta")


def _dtype(spec: InputModel) -> torch.dtype:
    """The dtype an input has at every point."""
    if spec.type == "complex":
        return torch.complex128
    draw = parse_draw(spec.draw)
    if not draw.integral:
        return torch.float64
    return torch.bool if draw.name == "mask" else torch.int64


def _cotangent(output: Tensor) -> Tensor:
    """A tensor like an output's upstream gradient."""
    exact = not (output.is_floating_point() or output.is_complex())
    return torch.empty(output.shape, dtype=torch.float64 if exact else output.dtype, device="meta")
