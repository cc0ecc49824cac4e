"""Checked syntax tree → a callable on tensors, built from closures once and run many times.

Numbers stay plain Python numbers as long as they can, so that they never widen a low-precision tensor; where torch
needs a tensor they take the evaluation's dtype. What may stand in a tree is `expression`'s job.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from harness.case.expression import FUNCTIONS, Expression, Function
from harness.case.functions import CONSTANTS
from harness.case.scalars import NotScalarError, arithmetic
from harness.errors import UsageError

Value = Any
"""A tensor, a plain number, or (inside calls and subscripts) a list, tuple, slice, None or Ellipsis."""


@dataclass(frozen=True, slots=True)
class Context:
    """What new tensors are made as: the real floating-point dtype and the device of the inputs being evaluated."""

    dtype: torch.dtype
    device: torch.device


Step = Callable[[Mapping[str, "Tensor | int"], Context], Value]
Program = Callable[[Mapping[str, "Tensor | int"]], Tensor]

_REAL = {torch.complex128: torch.float64, torch.complex64: torch.float32, torch.complex32: torch.float16}
_COMPLEX = {real: complex_ for complex_, real in _REAL.items()}
"""Tables in place of dtype.to_real(), which torch.compile cannot trace."""

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
}
_LOGIC: Mapping[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Value, Value], Value]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@lru_cache(maxsize=4096)
def compiled(expression: Expression) -> Program:
    """A callable that computes the expression from its values by name; equal expressions share one."""
    step = _step(expression.tree, expression.names)

    def program(values: Mapping[str, Tensor | int]) -> Tensor:
        context = context_of(values)
        return as_tensor(step(values, context), context)

    return program


def node_value(node: ast.expr, values: Mapping[str, Tensor | int]) -> Value:
    """What one node of a checked tree stands for; nothing is kept, unlike `compiled`."""
    return _step(node, frozenset(values))(values, context_of(values))


def context_of(values: Mapping[str, Tensor | int]) -> Context:
    """The dtype and device of the first floating-point or complex tensor, else float64 on the first tensor's device."""
    device = torch.device("cpu")
    for value in values.values():
        if isinstance(value, Tensor):
            if value.is_floating_point() or value.is_complex():
                return Context(_REAL.get(value.dtype, value.dtype), value.device)
            device = value.device
    return Context(torch.float64, device)


def as_tensor(value: Value, context: Context, like: Tensor | None = None) -> Tensor:
    """A number as a tensor of the context's dtype (of `like`'s, where that can hold it); tensors stay as they are."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, bool):
        return torch.full((), value, dtype=torch.bool, device=context.device)
    dtype = context.dtype
    if isinstance(value, complex):
        dtype = _COMPLEX.get(dtype, torch.complex64)
    elif like is not None and (isinstance(value, int) or _is_inexact(like)):
        dtype = _REAL.get(like.dtype, like.dtype)
    return torch.full((), value, dtype=dtype, device=context.device)


def inexact(value: Value, context: Context) -> Value:
    """A value as a floating-point tensor: numbers, integer and boolean tensors are converted, the rest is unchanged."""
    if isinstance(value, Tensor):
        return value if _is_inexact(value) else value.to(context.dtype)
    return as_tensor(value, context) if isinstance(value, int | float | complex) else value


def _is_inexact(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()


def _step(node: ast.expr, names: frozenset[str]) -> Step:
    """The closure that computes one node."""
    match node:
        case ast.Constant(value=value):
            return lambda values, context: value
        case ast.Name(id=name) if name in names:
            return lambda values, context: values[name]
        case ast.Name(id=name):
            constant = CONSTANTS[name]
            return lambda values, context: constant
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, _step(left, names), _step(right, names))
        case ast.UnaryOp(op=op, operand=operand):
            return _unary(op, _step(operand, names))
        case ast.Compare(left=left, ops=[compare], comparators=[right]):
            return _compare(compare, _step(left, names), _step(right, names))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
            steps = [_step(argument, names) for argument in arguments]
            return _call(FUNCTIONS[name], steps, {str(k.arg): _step(k.value, names) for k in keywords})
        case ast.Attribute(value=inner, attr=attribute):
            return _attribute(attribute, _step(inner, names))
        case ast.Subscript(value=inner, slice=index):
            return _subscript(_step(inner, names), _step(index, names))
        case _:
            return _sequence(node, names)


def _sequence(node: ast.expr, names: frozenset[str]) -> Step:
    """Lists, tuples and slices, which stand only inside calls and subscripts."""
    match node:
        case ast.List(elts=elements):
            steps = [_step(element, names) for element in elements]
            return lambda values, context: [step(values, context) for step in steps]
        case ast.Tuple(elts=elements):
            steps = [_step(element, names) for element in elements]
            return lambda values, context: tuple(step(values, context) for step in steps)
        case ast.Slice(lower=lower, upper=upper, step=stride):
            bounds = [None if bound is None else _step(bound, names) for bound in (lower, upper, stride)]
            return lambda values, context: slice(*(None if b is None else b(values, context) for b in bounds))
        case _:
            raise UsageError(
                f"Cannot compile an expression: {type(node).__name__} is not in the whitelist. Parse it first."
            )


def _binary(op: ast.operator, left: Step, right: Step) -> Step:
    if type(op) in _LOGIC:
        logic = _LOGIC[type(op)]
        return lambda values, context: logic(left(values, context), right(values, context))
    apply = _ARITHMETIC.get(type(op))

    def run(values: Mapping[str, Tensor | int], context: Context) -> Value:
        a, b = left(values, context), right(values, context)
        if isinstance(a, Tensor) or isinstance(b, Tensor):
            return _on_tensors(op, apply, a, b, context)
        try:
            return arithmetic(op, a, b)
        except NotScalarError:
            raise UsageError(_not_numbers(op, a, b)) from None

    return run


def _not_numbers(op: ast.operator, a: Value, b: Value) -> str:
    what = type(op).__name__
    return f"Cannot apply {what} to the plain numbers {a!r} and {b!r}. Use tensors for @, whole numbers for // and %."


def _on_tensors(
    op: ast.operator, apply: Callable[[Value, Value], Value] | None, a: Value, b: Value, context: Context
) -> Tensor:
    """Arithmetic with at least one tensor; integers and masks become floating-point wherever torch would guess."""
    if apply is None:
        raise UsageError(f"Cannot apply {type(op).__name__} to a tensor: // and % are for sizes. Use floor(a / b).")
    if isinstance(op, ast.Pow) and isinstance(a, Tensor) and isinstance(b, Tensor | float | complex):
        a = inexact(a, context)
    elif isinstance(op, ast.Pow) and not isinstance(a, Tensor):
        a, b = inexact(a, context), inexact(b, context)
    elif not (_stays_integer(a) and _stays_integer(b)) or isinstance(op, ast.Div):
        a = inexact(a, context) if isinstance(a, Tensor) else a
        b = inexact(b, context) if isinstance(b, Tensor) else b
    result: Tensor = apply(a, b)
    return result


def _stays_integer(value: Value) -> bool:
    """Whether a value is a whole number or a tensor of them."""
    if isinstance(value, Tensor):
        return not _is_inexact(value) and value.dtype is not torch.bool
    return isinstance(value, int) and not isinstance(value, bool)


def _unary(op: ast.unaryop, operand: Step) -> Step:
    if isinstance(op, ast.USub):
        return lambda values, context: -_number(operand(values, context), context)
    if isinstance(op, ast.Invert):
        return lambda values, context: ~as_tensor(operand(values, context), context)
    return operand


def _number(value: Value, context: Context) -> Value:
    """A value that can be negated: masks become numbers."""
    return value.to(context.dtype) if isinstance(value, Tensor) and value.dtype is torch.bool else value


def _compare(op: ast.cmpop, left: Step, right: Step) -> Step:
    apply = _COMPARISONS[type(op)]
    return lambda values, context: apply(left(values, context), right(values, context))


def _attribute(attribute: str, inner: Step) -> Step:
    """`.T` and `.mT` swap the last two dims; of a vector or a scalar `.T` is the thing itself."""

    def run(values: Mapping[str, Tensor | int], context: Context) -> Tensor:
        tensor = as_tensor(inner(values, context), context)
        match attribute:
            case "real":
                return tensor.real
            case "imag":
                return tensor.imag if tensor.is_complex() else torch.zeros_like(tensor)
            case "T" if tensor.ndim < 2:
                return tensor
            case "T" if tensor.ndim > 2:
                shape = tuple(tensor.shape)
                raise UsageError(f"Cannot transpose with .T: shape={shape} has more than two dims. Use .mT or permute.")
            case _:
                return tensor.mT

    return run


def _subscript(inner: Step, index: Step) -> Step:
    def run(values: Mapping[str, Tensor | int], context: Context) -> Tensor:
        tensor = as_tensor(inner(values, context), context)
        result: Tensor = tensor[_index(index(values, context))]
        return result

    return run


def _index(value: Value) -> Value:
    """An index torch accepts: floating-point tensors (such as arange(n)) become integers."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.long()
    if isinstance(value, tuple | list):
        return type(value)(_index(part) for part in value)
    return value


def _call(function: Function, steps: list[Step], keywords: Mapping[str, Step]) -> Step:
    target, casts, wants_context = function.torch, function.casts, function.context

    def run(values: Mapping[str, Tensor | int], context: Context) -> Value:
        arguments = [step(values, context) for step in steps]
        named = {name: step(values, context) for name, step in keywords.items()}
        if wants_context:
            named["context"] = context
        return target(*_prepare(arguments, casts, function, context), **named)

    return run


def _prepare(arguments: list[Value], casts: str, function: Function, context: Context) -> list[Value]:
    """Arguments as the target takes them: see `Function.casts`; sizes and dims stay plain numbers."""
    if function.context:
        return arguments
    if casts == "none":
        like = next((value for value in arguments if isinstance(value, Tensor)), None)
        count = len(arguments) if function.name == "where" else 1
        heads = [_lifted(value, context, like) for value in arguments[:count]]
        return [*heads, *arguments[count:]]
    count = 1 if casts == "first" else function.least
    heads = [inexact(value, context) for value in arguments[:count]]
    tails = [
        inexact(value, context) if isinstance(value, Tensor) and casts == "all" else value
        for value in arguments[count:]
    ]
    return [*heads, *tails]


def _lifted(value: Value, context: Context, like: Tensor | None) -> Value:
    """A plain number as a tensor; sequences are left alone."""
    is_number = isinstance(value, int | float | complex)
    reference = None if like is None or like.dtype is torch.bool else like
    return as_tensor(value, context, reference) if is_number else value
