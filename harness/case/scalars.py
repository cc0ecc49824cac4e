"""Scalar arithmetic on a parsed expression, over any kind of number: Python's, SymPy's or mpmath's.

It folds constants (so that exponents and sizes can be bounded before anything runs) and computes the formulas of the
function table. It must not import torch, and integers never grow beyond 64 bits: larger results become floats.
"""

from __future__ import annotations

import ast
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from harness.case.functions import CONSTANTS, FUNCTIONS

MAX_INTEGER = 2**63
_MATH_NAMES = {"abs": "fabs", "lgamma": "lgamma"}

Scalar = int | float | complex
Library = Literal["sympy", "mpmath"]


class NotScalarError(Exception):
    """The expression is not made of scalar constants alone."""


def power(base: Scalar, exponent: Scalar) -> Scalar:
    """Raise a Python number to a Python number without ever building a large integer; overflow is infinite."""
    if isinstance(base, int) and isinstance(exponent, int) and 0 <= exponent * max(base.bit_length(), 1) <= 64:
        return int(base**exponent)
    try:
        result: Scalar = base ** float(exponent) if isinstance(exponent, int) else base**exponent
    except (OverflowError, ZeroDivisionError):
        return math.inf
    return result


def divide(numerator: Scalar, denominator: Scalar) -> Scalar:
    """Divide two Python numbers as IEEE 754 does: x/0 is ±inf, 0/0 is nan."""
    if denominator != 0:
        return numerator / denominator
    if isinstance(numerator, complex) or numerator == 0 or math.isnan(numerator):
        return math.nan
    return math.copysign(math.inf, numerator) * math.copysign(1.0, denominator.real)


def bounded(value: Scalar) -> Scalar:
    """A number, as a float when it is an integer beyond 64 bits."""
    return float(value) if isinstance(value, int) and abs(value) > MAX_INTEGER else value


def arithmetic(operator: ast.operator, left: Any, right: Any) -> Any:
    """Apply a binary operator to two numbers of one kind.

    Raises:
        NotScalarError: the operator has no scalar meaning.
    """
    plain = isinstance(left, int | float | complex) and isinstance(right, int | float | complex)
    match operator:
        case ast.Add():
            result = left + right
        case ast.Sub():
            result = left - right
        case ast.Mult():
            result = left * right
        case ast.Div():
            result = divide(left, right) if plain else left / right
        case ast.Pow():
            result = power(left, right) if plain else left**right
        case ast.FloorDiv() if isinstance(left, int) and isinstance(right, int) and right != 0:
            result = left // right
        case ast.Mod() if isinstance(left, int) and isinstance(right, int) and right != 0:
            result = left % right
        case _:
            raise NotScalarError
    return bounded(result) if plain else result


def evaluate_tree(
    tree: ast.expr,
    values: Mapping[str, Any],
    call: Callable[[str], Callable[..., Any] | None],
    number: Callable[[Scalar], Any] = lambda value: value,
) -> Any:
    """Compute a scalar expression.

    Args:
        tree: a tree of numbers, names, + - * / ** and calls without keywords.
        values: what the names stand for.
        call: finds the function a name stands for among those of the numbers' library; None where there is none.
        number: makes a number of the library from one of Python's.

    Raises:
        NotScalarError: the tree holds anything else.
    """

    def value_of(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float() | complex() as found) if not isinstance(found, bool):
                return number(found)
            case ast.Name(id=name) if name in values:
                return values[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value_of(operand)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return value_of(operand)
            case ast.BinOp(left=left, op=operator, right=right):
                return arithmetic(operator, value_of(left), value_of(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if (function := call(name)) is not None:
                return function(*(value_of(argument) for argument in arguments))
            case _:
                raise NotScalarError

    return value_of(tree)


def fold(tree: ast.expr, sizes: Mapping[str, int] | None = None) -> Scalar | None:
    """The Python number a tree of constants (and of named sizes) stands for, or None when it is not one."""
    try:
        value: Scalar = evaluate_tree(tree, {**CONSTANTS, **(sizes or {})}, _math)
    except (NotScalarError, ValueError, OverflowError, TypeError):
        return None
    return value


def evaluate_formula(formula: str, arguments: Sequence[Any], library: Library) -> Any:
    """Compute a formula of the function table over `arguments` (named a, b, …) with a library's scalar functions.

    Whole numbers in it are made the library's own first, so that 1/3 is a third and not a double near it.
    """
    module = importlib.import_module(library)
    number, names = (module.Integer, "E") if library == "sympy" else (module.mpf, "e")
    values = {"pi": module.pi, "e": getattr(module, names), **dict(zip("abcd", arguments, strict=False))}
    return evaluate_tree(_formula_tree(formula), values, lambda name: _function(name, library), number)


@cache
def _formula_tree(formula: str) -> ast.expr:
    return ast.parse(formula, mode="eval").body


def _math(name: str) -> Callable[..., Any] | None:
    if name not in FUNCTIONS:
        return None
    found: Callable[..., Any] | None = getattr(math, _MATH_NAMES.get(name, name), None)
    return found


def _function(name: str, library: Library) -> Callable[..., Any] | None:
    function = FUNCTIONS[name]
    return function.symbolic if library == "sympy" else function.precise
