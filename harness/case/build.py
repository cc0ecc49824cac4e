"""Case → `Subject`: its expressions or its Python code as plain callables on named tensors.

Sizes are read off the tensors given, so that one subject serves every combination of sizes. Nothing of Python code is
imported before its trust is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.case.case import Case
from harness.case.domains import with_domain
from harness.case.draws import wants_gradient
from harness.case.evaluate import Program, compiled
from harness.case.expression import Expression, parse
from harness.case.python import caller, is_module, load_object, module_caller, module_factory, module_inputs
from harness.case.schema import InputModel, PythonRef
from harness.case.sizes import bind_sizes
from harness.case.subject import Input, Subject, Tensors
from harness.case.trust import Trust
from harness.errors import UsageError

Outputs = tuple[Tensor, ...]
Function = Callable[[Tensors], Outputs]
Gradient = Callable[[Tensors, Outputs], Mapping[str, Tensor]]
Values = dict[str, Tensor | int]


def build_subject(case: Case, *, trust: Trust) -> Subject:
    """Make the subject a case declares.

    Args:
        case: a loaded case.
        trust: which Python code may run.

    Raises:
        UntrustedError: the case names code outside what is trusted.
        UsageError: the code is not there, is no function, or nothing is differentiable.
    """
    inputs = {name: _input(spec) for name, spec in case.model.inputs.items()}
    function = case.model.function
    subject = (
        _python_subject(case, function, inputs, trust)
        if isinstance(function, PythonRef)
        else _expression_subject(case, [function] if isinstance(function, str) else function, inputs)
    )
    if not subject.differentiable:
        raise UsageError(f"Cannot check case {case.id!r}: no input is differentiable. Give one `grad: true`.")
    frame = _Frame(case, subject.inputs, subject.let)
    gradient, expressions = _gradient(case, subject, frame, trust)
    return replace(
        subject,
        gradient=gradient,
        gradient_expressions=expressions,
        reference=_reference(case, subject, frame, trust),
        residuals=_residuals(case, subject, frame, trust),
    )


class _Frame:
    """Turns tensors into the values expressions are evaluated with: sizes read off them, and `let` in order, once."""

    def __init__(self, case: Case, inputs: Mapping[str, Input], let: Mapping[str, Expression]) -> None:
        self.inputs = inputs
        self.names = [*case.model.dims, *inputs, *let]
        self.programs: list[tuple[str, Program]] = [(name, compiled(expression)) for name, expression in let.items()]
        in_shapes = {size for spec in inputs.values() for size in spec.shape}
        self.known = {name: sizes[0] for name, sizes in case.sizes.items() if name not in in_shapes}

    def values(self, tensors: Tensors) -> Values:
        """Inputs, sizes and intermediate values by name.

        Raises:
            UsageError: an input is missing, or has another shape than declared.
        """
        missing = [name for name in self.inputs if name not in tensors]
        if missing:
            raise UsageError(f"Cannot evaluate: the input {missing[0]!r} is missing. Give every input.")
        values: Values = {
            **{name: tensors[name] for name in self.inputs},
            **bind_sizes(self.inputs, tensors, known=self.known),
        }
        for name, program in self.programs:
            values[name] = program(values)
        return values


def _input(model: InputModel) -> Input:
    low_high = None if model.domain is None else (float(model.domain[0]), float(model.domain[1]))
    spec = Input(
        shape=tuple(model.shape),
        draw=model.draw,
        grad=wants_gradient(model),
        domain=low_high,
        scale=float(model.scale),
        away_from=tuple(float(value) for value in model.away_from),
        margin=model.margin,
        complex=model.type == "complex",
        value=_frozen(model.value),
    )
    return with_domain(spec)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value


def _expression_subject(case: Case, texts: list[str], inputs: Mapping[str, Input]) -> Subject:
    known = [*case.model.dims, *inputs]
    let: dict[str, Expression] = {}
    for name, text in case.model.let.items():
        let[name] = parse(text, names=[*known, *let])
    expressions = tuple(parse(text, names=[*known, *let]) for text in texts)
    frame = _Frame(case, inputs, let)
    programs = [compiled(expression) for expression in expressions]

    def function(tensors: Tensors) -> Outputs:
        values = frame.values(tensors)
        return tuple(program(values) for program in programs)

    def intermediates(tensors: Tensors) -> tuple[Mapping[str, Tensor], Outputs]:
        values = frame.values(tensors)
        named = {name: value for name in let if isinstance(value := values[name], Tensor)}
        return named, tuple(program(values) for program in programs)

    return Subject(
        name=case.id,
        inputs=inputs,
        function=function,
        intermediates=intermediates,
        expressions=expressions,
        let=let,
    )


def _python_subject(case: Case, reference: PythonRef, inputs: Mapping[str, Input], trust: Trust) -> Subject:
    found = load_object(reference.python, case, trust)
    if not is_module(found):
        function = _with_loss(caller(found, inputs, case), reference, case, inputs)
        return Subject(name=case.id, inputs=inputs, function=function)
    factory = module_factory(found)
    parameters = module_inputs(factory)
    both = sorted(parameters.keys() & inputs.keys())
    if both:
        raise UsageError(
            f"Cannot build case {case.id!r}: {both[0]!r} is both an input and a parameter of the module. "
            "Rename the input."
        )
    everything = {**inputs, **parameters}
    function = _with_loss(module_caller(factory, inputs, case), reference, case, everything)
    return Subject(name=case.id, inputs=everything, function=function, module=factory)


def _with_loss(run: Function, reference: PythonRef, case: Case, inputs: Mapping[str, Input]) -> Function:
    """Python code with its shapes checked, and its `loss` applied to what it returns."""
    frame = _Frame(case, inputs, {})
    loss = None if reference.loss is None else compiled(parse(reference.loss, names=[*frame.names, "output"]))

    def function(tensors: Tensors) -> Outputs:
        values = frame.values(tensors)
        outputs = run(tensors)
        if loss is None:
            return outputs
        if len(outputs) != 1:
            raise UsageError(
                f"Cannot apply the loss of case {case.id!r}: the code returns {len(outputs)} tensors. Return one."
            )
        return (loss({**values, "output": outputs[0]}),)

    return function


def _residuals(case: Case, subject: Subject, frame: _Frame, trust: Trust) -> Function | None:
    residuals = case.model.residuals
    if residuals is None:
        return None
    if isinstance(residuals, PythonRef):
        return _python_subject(
            case, residuals, {name: subject.inputs[name] for name in case.model.inputs}, trust
        ).function
    texts = [residuals] if isinstance(residuals, str) else residuals
    programs = [compiled(parse(text, names=frame.names)) for text in texts]

    def run(tensors: Tensors) -> Outputs:
        values = frame.values(tensors)
        return tuple(program(values) for program in programs)

    return run


def _reference(case: Case, subject: Subject, frame: _Frame, trust: Trust) -> Function | None:
    reference = case.model.reference
    if reference is None:
        return None
    if isinstance(reference, PythonRef):
        found = load_object(reference.python, case, trust)
        inputs = {name: subject.inputs[name] for name in case.model.inputs}
        run = (
            module_caller(module_factory(found), inputs, case)
            if is_module(found)
            else caller(found, subject.inputs, case)
        )
        return _with_loss(run, reference, case, subject.inputs)
    program = compiled(parse(reference, names=frame.names))
    return lambda tensors: (program(frame.values(tensors)),)


def _gradient(
    case: Case, subject: Subject, frame: _Frame, trust: Trust
) -> tuple[Gradient | None, Mapping[str, Expression]]:
    gradient = case.model.gradient
    if gradient is None:
        return None, {}
    if isinstance(gradient, PythonRef):
        return _python_gradient(load_object(gradient.python, case, trust), case, subject), {}
    outputs = len(subject.expressions) or 10
    names = [*frame.names, "cotangent", *(f"cotangent_{index}" for index in range(outputs))]
    expressions = {name: parse(text, names=names) for name, text in gradient.items()}
    unknown = [name for name in expressions if name not in subject.differentiable]
    if unknown:
        raise UsageError(
            f"Cannot build case {case.id!r}: gradient names {unknown[0]!r}, which is no differentiable input. "
            "Remove it."
        )
    return _expression_gradient(expressions, frame), expressions


def _expression_gradient(expressions: Mapping[str, Expression], frame: _Frame) -> Gradient:
    programs = {name: compiled(expression) for name, expression in expressions.items()}
    complete = {name: _uses_cotangent(expression) for name, expression in expressions.items()}

    def gradient(tensors: Tensors, cotangents: Outputs) -> Mapping[str, Tensor]:
        values = frame.values(tensors)
        values |= {f"cotangent_{index}": cotangent for index, cotangent in enumerate(cotangents)}
        values["cotangent"] = cotangents[0]
        result: dict[str, Tensor] = {}
        for name, program in programs.items():
            part = program(values)
            if not complete[name]:
                part = part * _scalar_cotangent(name, cotangents)
            result[name] = part.expand_as(tensors[name]) if part.ndim == 0 else part
        return result

    return gradient


def _uses_cotangent(expression: Expression) -> bool:
    return any(name.startswith("cotangent") for name in expression.names)


def _scalar_cotangent(name: str, cotangents: Outputs) -> Tensor:
    """The cotangent of the only output, which must be a scalar for a gradient that does not mention it."""
    if len(cotangents) != 1 or cotangents[0].ndim != 0:
        shapes = [tuple(cotangent.shape) for cotangent in cotangents]
        raise UsageError(
            f"Cannot use the gradient of {name!r}: "
            f"it does not mention `cotangent`, but the outputs have shapes {shapes}. "
            "Write it in terms of cotangent (cotangent_0, … with several outputs)."
        )
    return cotangents[0]


def _python_gradient(found: Any, case: Case, subject: Subject) -> Gradient:
    """Python code that takes the inputs and the cotangent by name, and returns gradients by name or in order."""
    if not callable(found):
        raise UsageError(
            f"Cannot call the gradient of case {case.id!r}: "
            f"{found!r:.80} (type {type(found).__name__}) is no function. Name one."
        )

    def gradient(tensors: Tensors, cotangents: Outputs) -> Mapping[str, Tensor]:
        cotangent = cotangents[0] if len(cotangents) == 1 else cotangents
        result = found(**{name: tensors[name] for name in subject.inputs if name.isidentifier()}, cotangent=cotangent)
        return _named(result, case, subject)

    return gradient


def _named(result: object, case: Case, subject: Subject) -> Mapping[str, Tensor]:
    """Gradients by input name, from a mapping, or from a tuple in the order of the inputs."""
    if isinstance(result, Mapping):
        parts = dict(result)
    else:
        listed = tuple(result) if isinstance(result, tuple | list) else (result,)
        names = tuple(subject.inputs) if len(listed) == len(subject.inputs) else subject.differentiable
        if len(listed) != len(names):
            raise UsageError(
                f"Cannot use the gradient of case {case.id!r}: "
                f"it returned {len(listed)} tensors for {len(names)} differentiable inputs. "
                "Return one for each, or a dict by name."
            )
        parts = dict(zip(names, listed, strict=True))
    unknown = [name for name in parts if name not in subject.inputs]
    if unknown:
        raise UsageError(
            f"Cannot use the gradient of case {case.id!r}: it names {unknown[0]!r}, which is no input. "
            "Correct the name."
        )
    return {name: torch.as_tensor(part) for name, part in parts.items() if part is not None}
