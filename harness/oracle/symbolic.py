"""The symbolic oracle: an expression differentiated by SymPy and evaluated by mpmath to 50 digits.

The expression's tree is interpreted over NumPy object arrays of SymPy symbols, one symbol per entry, so vector and
matrix expressions work while they are small. It never sees torch, so it shares no mistake with autograd. What it cannot
do it names: functions that are not smooth, large inputs, complex numbers, and functions without a SymPy counterpart.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from mpmath import mp
from torch import Tensor

from harness.case.expression import FUNCTIONS, Expression
from harness.case.subject import Subject
from harness.oracle.estimate import Estimate, NotSymbolicError
from harness.oracle.flat import FlatSubject

MOST_ENTRIES = 24
MOST_DERIVATIVES = 300
MOST_OPERATIONS = 3_000
DIGITS = 50
_CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "tau": 2 * sympy.pi}
_NOT_SMOOTH = frozenset(
    [
        "abs",
        "sign",
        "floor",
        "ceil",
        "round",
        "trunc",
        "maximum",
        "minimum",
        "max",
        "min",
        "relu",
        "clamp",
        "where",
        "heaviside",
        "sort",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """Outputs (M) and Jacobian (M × N, row by row) of an expression as one mpmath function of its entries."""

    evaluate: Callable[..., Any]
    outputs: int
    inputs: int


class Symbolic:
    """Symbolic values and derivatives of one subject; each set of shapes is differentiated once and kept."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._derivations: dict[tuple[tuple[str, tuple[int, ...]], ...], Derivation | str] = {}

    def estimates(self, flat: FlatSubject, cotangents: Tensor, sizes: Mapping[str, int]) -> tuple[Estimate, Estimate]:
        """Evaluate the outputs (M) and the gradients of ⟨cotangent, outputs⟩ (C × N) at a point.

        Raises:
            NotSymbolicError: saying why.
        """
        derivation = self._derivation(flat, sizes)
        entries = _entries(flat)
        runs = []
        for digits in (DIGITS, DIGITS + 20):
            with mp.workdps(digits):
                try:
                    found = derivation.evaluate(*[mp.mpf(v) for v in entries])
                except (ZeroDivisionError, ValueError, OverflowError) as reason:
                    raise NotSymbolicError(
                        f"the derivative cannot be evaluated here ({reason or 'division by zero'})"
                    ) from reason
                runs.append([_real(v) for v in found])
        outputs, inputs = derivation.outputs, derivation.inputs
        jacobians = []
        with mp.workdps(DIGITS + 20):
            weights = [[mp.mpf(float(w)) for w in row] for row in cotangents]
            for run in runs:
                rows = [run[outputs + j * inputs : outputs + (j + 1) * inputs] for j in range(outputs)]
                jacobians.append(
                    [
                        [mp.fsum(w * r[i] for w, r in zip(row, rows, strict=True)) for i in range(inputs)]
                        for row in weights
                    ]
                )
        value = _estimate([run[:outputs] for run in runs])
        return value, _estimate(jacobians)

    def _derivation(self, flat: FlatSubject, sizes: Mapping[str, int]) -> Derivation:
        shapes = {name: tuple(value.shape) for name, value in flat.values.items()}
        key = (*shapes.items(), *((name, (size,)) for name, size in sizes.items()))
        if key not in self._derivations:
            try:
                self._derivations[key] = _derive(self.subject, flat, sizes)
            except NotSymbolicError as reason:
                self._derivations[key] = str(reason)
        found = self._derivations[key]
        if isinstance(found, str):
            raise NotSymbolicError(found)
        return found


def _derive(subject: Subject, flat: FlatSubject, sizes: Mapping[str, int]) -> Derivation:
    """Differentiate the subject's expressions with respect to every differentiable entry."""
    if not subject.expressions:
        raise NotSymbolicError("the subject is not an expression")
    if any(value.is_complex() for value in flat.values.values()):
        raise NotSymbolicError("inputs are complex")
    total = sum(value.numel() for value in flat.values.values())
    if total > MOST_ENTRIES:
        raise NotSymbolicError(f"{total} entries are more than {MOST_ENTRIES}")
    names: dict[str, Any] = dict(sizes)
    symbols: dict[str, list[sympy.Symbol]] = {}
    for name, value in flat.values.items():
        flags = {"integer": True} if not value.is_floating_point() else {"real": True}
        symbols[name] = [sympy.Symbol(f"{name}__{i}", **flags) for i in range(value.numel())]
        names[name] = np.array(symbols[name], dtype=object).reshape(tuple(value.shape))
    for name, expression in subject.let.items():
        names[name] = interpret(expression, names)
    results: list[Any] = []
    for expression in subject.expressions:
        results.extend(np.asarray(interpret(expression, names), dtype=object).reshape(-1))
    wanted = [symbol for block in flat.blocks for symbol in symbols[block.name]]
    if len(results) * len(wanted) > MOST_DERIVATIVES:
        raise NotSymbolicError(f"{len(results) * len(wanted)} derivatives are more than {MOST_DERIVATIVES}")
    results = [sympy.sympify(result) for result in results]
    if sum(result.count_ops() for result in results) > MOST_OPERATIONS:
        raise NotSymbolicError(f"the expanded expression has more than {MOST_OPERATIONS} operations")
    jacobian = [sympy.diff(result, symbol) for result in results for symbol in wanted]
    ordered = [symbol for name in flat.values for symbol in symbols[name]]
    evaluate = sympy.lambdify(ordered, [*results, *jacobian], modules="mpmath", cse=True)
    return Derivation(evaluate=evaluate, outputs=len(results), inputs=len(wanted))


def _entries(flat: FlatSubject) -> list[float]:
    """All entries of all inputs, in the order the derivation expects them."""
    return [float(entry) for name in flat.values for entry in flat.values[name].reshape(-1).tolist()]


def _real(value: Any) -> Any:
    """The real part of an mpmath number whose imaginary part vanishes; NaN otherwise."""
    if isinstance(value, mp.mpc):
        return value.real if value.imag == 0 else mp.nan
    return mp.mpf(value)


def _estimate(runs: list[Any]) -> Estimate:
    """Make an estimate of two evaluations at different precisions: their difference and one rounding make the bar."""
    low, high = (np.array(run, dtype=object) for run in runs)
    with mp.workdps(DIGITS + 20):
        gap = (
            np.vectorize(lambda a, b: float(abs(a - b)), otypes=[float])(low, high) if low.size else np.zeros(low.shape)
        )
        value = np.vectorize(float, otypes=[float])(high) if high.size else np.zeros(high.shape)
    centre = torch.from_numpy(np.ascontiguousarray(value))
    bar = 4 * torch.from_numpy(np.ascontiguousarray(gap)) + 2.0**-53 * centre.abs() + 5e-324
    return Estimate(
        value=centre,
        bar=bar.nan_to_num(torch.inf, torch.inf),
        oracle="symbolic",
        origin=f"SymPy derivative at {DIGITS} digits, rounded once",
        independent=True,
    )


def interpret(expression: Expression, names: Mapping[str, Any]) -> Any:
    """Evaluate an expression's tree over object arrays of SymPy expressions.

    Raises:
        NotSymbolicError: for what has no symbolic counterpart here.
    """
    return _Interpreter(names).visit(expression.tree)


_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
    ast.MatMult: lambda a, b: np.matmul(a, b),
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}


class _Interpreter:
    """Walks a checked tree; every value is a Python or SymPy number or a NumPy object array of them."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names

    def visit(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return _number(value)
            case ast.Name(id=name):
                if name in self.names:
                    return self.names[name]
                if name in _CONSTANTS:
                    return _CONSTANTS[name]
                raise NotSymbolicError(f"{name} has no symbolic counterpart")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.visit(operand)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.visit(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _tidy(_OPERATORS[type(op)](_exact(self.visit(left)), _exact(self.visit(right))))
            case ast.Attribute(value=value, attr=("T" | "mT") as attribute):
                inner = np.asarray(self.visit(value), dtype=object)
                return inner.T if attribute == "T" else np.swapaxes(inner, -1, -2)
            case ast.Subscript(value=value, slice=index):
                return _tidy(np.asarray(self.visit(value), dtype=object)[self.index(index)])
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                return self.call(name, args, keywords)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return [self.visit(element) for element in elements]
        raise NotSymbolicError(f"{type(node).__name__} has no symbolic counterpart")

    def index(self, node: ast.expr) -> Any:
        match node:
            case ast.Slice(lower=lower, upper=upper, step=step):
                return slice(*(None if part is None else int(self.visit(part)) for part in (lower, upper, step)))
            case ast.Tuple(elts=elements):
                return tuple(self.index(element) for element in elements)
            case ast.Constant(value=value) if value is None or value is ...:
                return value
        return int(self.visit(node))

    def call(self, name: str, args: list[ast.expr], keywords: list[ast.keyword]) -> Any:
        if name in _NOT_SMOOTH:
            raise NotSymbolicError(f"{name} is not smooth")
        values = [self.visit(arg) for arg in args]
        options = {k.arg: _option(self.visit(k.value)) for k in keywords if k.arg is not None}
        if name in _ARRAYS:
            return _tidy(_ARRAYS[name](*[_array(v) for v in values], **options))
        scalar = FUNCTIONS[name].symbolic
        if scalar is None or options:
            raise NotSymbolicError(f"{name} has no symbolic counterpart")
        return _tidy(np.frompyfunc(scalar, len(values), 1)(*[_exact(v) for v in values]))


def _number(value: Any) -> Any:
    """A literal, exactly: decimals as the double they are."""
    if isinstance(value, float):
        return sympy.Rational(value)
    if isinstance(value, complex):
        raise NotSymbolicError("complex numbers")
    return value


def _exact(value: Any) -> Any:
    """Python integers as SymPy ones, so that 1/2 stays a half."""
    return sympy.Integer(value) if isinstance(value, int) else value


def _array(value: Any) -> Any:
    return [_array(v) for v in value] if isinstance(value, list) else value


def _option(value: Any) -> Any:
    return int(value) if isinstance(value, sympy.Integer) else value


def _tidy(value: Any) -> Any:
    """A zero-dimensional array as the number it holds."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _sum(a: Any, dim: Any = None, *, keepdim: bool = False) -> Any:
    array = np.asarray(a, dtype=object)
    return np.sum(array, axis=_axis(dim), keepdims=keepdim)


def _mean(a: Any, dim: Any = None, *, keepdim: bool = False) -> Any:
    array = np.asarray(a, dtype=object)
    total = _sum(array, dim, keepdim=keepdim)
    return total / sympy.Integer(array.size // max(1, np.asarray(total, dtype=object).size))


def _prod(a: Any, dim: Any = None, *, keepdim: bool = False) -> Any:
    return np.prod(np.asarray(a, dtype=object), axis=_axis(dim), keepdims=keepdim)


def _axis(dim: Any) -> Any:
    if dim is None:
        return None
    return tuple(int(d) for d in dim) if isinstance(dim, (list, tuple)) else int(dim)


def _exp(a: Any) -> Any:
    return np.frompyfunc(sympy.exp, 1, 1)(a)


def _log(a: Any) -> Any:
    return np.frompyfunc(sympy.log, 1, 1)(a)


def _logsumexp(a: Any, dim: Any = None, *, keepdim: bool = False) -> Any:
    return _log(_sum(_exp(np.asarray(a, dtype=object)), dim, keepdim=keepdim))


def _softmax(a: Any, dim: Any = -1) -> Any:
    powers = _exp(np.asarray(a, dtype=object))
    return powers / _sum(powers, dim, keepdim=True)


def _norm(a: Any, p: Any = 2, dim: Any = None, *, keepdim: bool = False) -> Any:
    if p != 2:
        raise NotSymbolicError("norm with p other than 2")
    return np.frompyfunc(sympy.sqrt, 1, 1)(_sum(np.asarray(a, dtype=object) ** 2, dim, keepdim=keepdim))


def _mse(a: Any, b: Any, *, reduction: str = "mean") -> Any:
    if reduction not in ("mean", "sum"):
        return (a - b) ** 2
    return (_mean if reduction == "mean" else _sum)((a - b) ** 2)


def _reshape(a: Any, *shape: Any) -> Any:
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], list) else shape
    return np.reshape(np.asarray(a, dtype=object), tuple(int(s) for s in sizes))


def _det(a: Any) -> Any:
    return sympy.Matrix(a).det(method="berkowitz")


_ARRAYS: Mapping[str, Callable[..., Any]] = {
    "sum": _sum,
    "mean": _mean,
    "prod": _prod,
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "log_softmax": lambda a, dim=-1: _log(_softmax(a, dim)),
    "norm": _norm,
    "mse_loss": _mse,
    "dot": lambda a, b: np.dot(a, b),
    "matmul": np.matmul,
    "mv": np.matmul,
    "outer": np.outer,
    "trace": np.trace,
    "det": _det,
    "logdet": lambda a: sympy.log(_det(a)),
    "reshape": _reshape,
    "view": _reshape,
    "stack": lambda a, dim=0: np.stack([np.asarray(v, dtype=object) for v in a], axis=int(dim)),
    "cat": lambda a, dim=0: np.concatenate([np.asarray(v, dtype=object) for v in a], axis=int(dim)),
    "flatten": lambda a: np.asarray(a, dtype=object).reshape(-1),
    "transpose": lambda a, i=-1, j=-2: np.swapaxes(a, int(i), int(j)),
    "cumsum": lambda a, dim=0: np.cumsum(a, axis=int(dim)),
    "ones_like": lambda a: np.full(np.shape(a), sympy.Integer(1), dtype=object),
    "zeros_like": lambda a: np.full(np.shape(a), sympy.Integer(0), dtype=object),
    "arange": lambda *a: np.array([sympy.Integer(i) for i in range(*(int(v) for v in a))], dtype=object),
    "tensor": lambda a: np.array(a, dtype=object),
    "diag": lambda a: np.diag(a),
}
