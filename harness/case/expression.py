"""Expression text → a checked syntax tree; nothing that is not in the whitelist gets through.

Text is parsed with `ast` and every node is checked against the few kinds allowed; there is no `eval` and no `exec`.
Length, number of nodes, depth, integers and exponents are bounded. Running a tree on tensors is `evaluate`'s job: this
module must not import torch, so that case files can be read without it.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from harness.case.functions import CONSTANTS, FUNCTIONS, TEXT_KEYWORDS, Function
from harness.case.scalars import MAX_INTEGER, fold
from harness.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "CONSTANTS",
    "FUNCTIONS",
    "Expression",
    "ExpressionError",
    "Function",
    "nearest",
    "offset_of",
    "parse",
    "source_of",
]

MAX_LENGTH = 20_000
MAX_NODES = 5_000
MAX_DEPTH = 100
MAX_EXPONENT = 1_000
ATTRIBUTES = ("T", "mT", "real", "imag")

_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.MatMult, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.BitOr)
_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_REFUSED: Mapping[type[ast.AST], str] = {
    ast.Lambda: "lambda is not allowed",
    ast.ListComp: "comprehensions are not allowed",
    ast.SetComp: "comprehensions are not allowed",
    ast.DictComp: "comprehensions are not allowed",
    ast.GeneratorExp: "comprehensions are not allowed",
    ast.JoinedStr: "f-strings are not allowed",
    ast.NamedExpr: "assignment is not allowed; name intermediate values under `let`",
    ast.Starred: "starred arguments are not allowed",
    ast.IfExp: "`a if c else b` is not allowed; write where(c, a, b)",
    ast.BoolOp: "`and` and `or` are not allowed; write (a) & (b) or (a) | (b)",
    ast.Dict: "dictionaries are not allowed",
    ast.Set: "sets are not allowed",
    ast.Await: "await is not allowed",
    ast.Yield: "yield is not allowed",
    ast.YieldFrom: "yield is not allowed",
    ast.List: "a list may stand only inside a call or a subscript, as in stack([a, b])",
    ast.Tuple: "a tuple may stand only inside a call or a subscript; several outputs are written as a list of texts",
    ast.Slice: "a slice may stand only inside a subscript",
}


class ExpressionError(UsageError):
    """An expression that is not allowed; `offset` is the 0-based character of the text it is about."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset

    def __reduce__(self) -> tuple[type[ExpressionError], tuple[str, int]]:
        return type(self), (self.message, self.offset)


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression: its text, its syntax tree, and the names it uses (constants and functions apart)."""

    text: str
    tree: ast.expr = field(compare=False, repr=False)
    names: frozenset[str]

    def evaluate(self, values: Mapping[str, Tensor | int]) -> Tensor:
        """Compute the expression on tensors, and on named sizes as plain integers.

        Constants and new tensors take the dtype and the device of the floating-point tensors among `values`.
        """
        from harness.case.evaluate import compiled

        return compiled(self)(values)


def nearest(word: str, known: Collection[str]) -> str:
    """A hint naming the known word nearest to `word`, or an empty string: ``; did you mean 'sin'?``."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def offset_of(text: str, node: ast.AST) -> int:
    """The 0-based character of an expression's text at which a node of its tree starts."""
    flat = _flat(text)
    lead = len(flat) - len(flat.lstrip())
    column: int = getattr(node, "col_offset", 0)  # in bytes, from where the tree's text starts
    return lead + len(flat[lead:].encode()[:column].decode(errors="ignore"))


def source_of(text: str, node: ast.AST) -> str:
    """The characters of an expression's text that a node of its tree stands for."""
    return ast.get_source_segment(_flat(text).strip(), node) or text


def parse(text: str, *, names: Collection[str]) -> Expression:
    """Parse and check an expression.

    Args:
        text: the expression, in Python's syntax.
        names: the names it may use; they hide constants (``pi``, ``e``, …) of the same name.

    Raises:
        ExpressionError: the text is too long, is not an expression, or holds something that is not allowed.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(text):,} characters; at most {MAX_LENGTH:,} are allowed", 0)
    if "#" in text:
        raise ExpressionError("comments are not allowed inside an expression", text.index("#"))
    flat = _flat(text)
    lead = len(flat) - len(flat.lstrip())
    if not flat.strip():
        raise ExpressionError("the expression is empty", 0)
    tree = _syntax_tree(flat, lead)
    checker = _Checker(text=flat, names=frozenset(names))
    checker.expression(tree, 1)
    return Expression(text=text, tree=tree, names=frozenset(checker.used))


def _flat(text: str) -> str:
    """A text on one line: every white-space character as a blank, so that all characters keep their places."""
    return "".join(" " if character.isspace() else character for character in text)


def _syntax_tree(flat: str, lead: int) -> ast.expr:
    """Python's syntax tree of one line of text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(flat[lead:].rstrip(), mode="eval").body
    except SyntaxError as error:
        offset = lead + max((error.offset or 1) - 1, 0)
        raise ExpressionError(_syntax_message(flat, error), min(offset, len(flat) - 1)) from None
    except (ValueError, MemoryError, RecursionError) as error:
        reason = "it holds a null character" if isinstance(error, ValueError) else "it is nested too deeply"
        raise ExpressionError(f"this is not an expression: {reason}", 0) from None


def _syntax_message(flat: str, error: SyntaxError) -> str:
    if "limit" in error.msg and "integer" in error.msg:
        return "a number has too many digits"
    if "=" in flat.replace("==", ""):
        return f"this is not an expression ({error.msg}); name intermediate values under `let`"
    if "^" in flat:
        return f"this is not an expression ({error.msg}); a power is written x**2"
    return f"this is not an expression ({error.msg})"


@dataclass(slots=True)
class _Checker:
    """Walks a tree once, refusing what is not allowed and collecting the names used."""

    text: str
    names: frozenset[str]
    used: set[str] = field(default_factory=set)
    nodes: int = 0

    def refuse(self, node: ast.AST, message: str) -> ExpressionError:
        return ExpressionError(message, offset_of(self.text, node))

    def count(self, node: ast.AST, depth: int) -> None:
        self.nodes += 1
        if depth > MAX_DEPTH:
            raise self.refuse(node, f"the expression is nested more than {MAX_DEPTH} deep; name parts under `let`")
        if self.nodes > MAX_NODES:
            raise self.refuse(node, f"the expression has more than {MAX_NODES:,} parts; name parts under `let`")

    def expression(self, node: ast.expr, depth: int) -> None:
        """Check a node that stands for a number or a tensor."""
        self.count(node, depth)
        match node:
            case ast.Constant():
                self.number(node)
            case ast.Name():
                self.name(node)
            case ast.BinOp():
                self.binary(node, depth)
            case ast.UnaryOp(op=ast.Not()):
                raise self.refuse(node, "`not` is not allowed; write ~(a)")
            case ast.UnaryOp(operand=operand):
                self.expression(operand, depth + 1)
            case ast.Compare():
                self.comparison(node, depth)
            case ast.Call():
                self.call(node, depth)
            case ast.Attribute():
                self.attribute(node, depth)
            case ast.Subscript(value=value, slice=index):
                self.expression(value, depth + 1)
                self.index(index, depth + 1)
            case _:
                raise self.refuse(node, _REFUSED.get(type(node), f"{type(node).__name__} is not allowed here"))

    def number(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float | complex):
            raise self.refuse(node, f"{value!r} is not a number")
        if isinstance(value, int) and value > MAX_INTEGER:
            raise self.refuse(node, "an integer is larger than 2**63; write it as a decimal, such as 1e20")
        if not abs(value) < float("inf"):
            raise self.refuse(node, "a number is too large for double precision; write inf for infinity")

    def name(self, node: ast.Name) -> None:
        if node.id in self.names:
            self.used.add(node.id)
        elif node.id in FUNCTIONS:
            raise self.refuse(node, f"{node.id!r} is a function; call it as {node.id}(…)")
        elif node.id not in CONSTANTS:
            hint = nearest(node.id, [*self.names, *CONSTANTS])
            known = ", ".join(sorted(self.names)) or "none"
            raise self.refuse(node, f"unknown name {node.id!r}{hint or f'; known names are: {known}'}")

    def binary(self, node: ast.BinOp, depth: int) -> None:
        if isinstance(node.op, ast.BitXor):
            raise self.refuse(node, "`^` is not allowed; a power is written x**2")
        if not isinstance(node.op, _OPERATORS):
            raise self.refuse(node, f"the operator {type(node.op).__name__} is not allowed")
        self.expression(node.left, depth + 1)
        self.expression(node.right, depth + 1)
        constant = None if self._mentions(node.right) else fold(node.right)
        if isinstance(node.op, ast.Pow) and constant is not None and not abs(constant) <= MAX_EXPONENT:
            raise self.refuse(node.right, f"the exponent is too large; at most {MAX_EXPONENT} is allowed")
        if isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod) and constant == 0:
            raise self.refuse(node.right, "division by zero")

    def _mentions(self, node: ast.expr) -> bool:
        """Whether a constant's name is hidden by a name of the case, so that folding would misread it."""
        return any(isinstance(part, ast.Name) and part.id in self.names for part in ast.walk(node))

    def comparison(self, node: ast.Compare, depth: int) -> None:
        if len(node.ops) > 1:
            raise self.refuse(node, "chained comparisons are not allowed; write (a < b) & (b < c)")
        if not isinstance(node.ops[0], _COMPARISONS):
            raise self.refuse(node, "only < <= > >= == != compare values")
        self.expression(node.left, depth + 1)
        self.expression(node.comparators[0], depth + 1)

    def attribute(self, node: ast.Attribute, depth: int) -> None:
        if node.attr not in ATTRIBUTES:
            allowed = ", ".join(f".{name}" for name in ATTRIBUTES)
            raise self.refuse(node, f"the attribute .{node.attr} is not allowed; only {allowed} are")
        self.expression(node.value, depth + 1)

    def call(self, node: ast.Call, depth: int) -> None:
        function = self._function(node)
        for argument in node.args:
            self.argument(argument, depth + 1)
        if len(node.args) < function.least or (function.most is not None and len(node.args) > function.most):
            raise self.refuse(node, f"{function.name} takes {_count(function)}, not {len(node.args)}")
        for keyword in node.keywords:
            self.keyword(node, function, keyword, depth + 1)

    def _function(self, node: ast.Call) -> Function:
        match node.func:
            case ast.Name(id=name) if name in FUNCTIONS:
                return FUNCTIONS[name]
            case ast.Name(id=name):
                hint = nearest(name, FUNCTIONS) or ("; * is never left out" if name in self.names else "")
                raise self.refuse(node.func, f"unknown function {name!r}{hint}")
            case ast.Attribute(attr=name):
                hint = f"; write {name}(…)" if name in FUNCTIONS else ""
                raise self.refuse(node.func, f"methods and module names are not allowed{hint}")
            case _:
                raise self.refuse(node.func, "only functions of the table may be called; * is never left out")

    def keyword(self, call: ast.Call, function: Function, keyword: ast.keyword, depth: int) -> None:
        if keyword.arg is None:
            raise self.refuse(call, "starred arguments are not allowed")
        if keyword.arg not in function.keywords:
            known = ", ".join(sorted(function.keywords)) or "none"
            hint = nearest(keyword.arg, function.keywords) or f"; known keywords are: {known}"
            raise self.refuse(keyword, f"{function.name} takes no keyword {keyword.arg!r}{hint}")
        value = keyword.value
        words = TEXT_KEYWORDS.get(keyword.arg)
        if words is not None:
            if not (isinstance(value, ast.Constant) and value.value in words):
                raise self.refuse(value, f"{keyword.arg} must be one of {', '.join(map(repr, words))}")
        elif not (isinstance(value, ast.Constant) and isinstance(value.value, bool)):
            self.argument(value, depth)

    def argument(self, node: ast.expr, depth: int) -> None:
        """Check a call's argument, which may also be a (nested) list or tuple."""
        if isinstance(node, ast.List | ast.Tuple):
            self.count(node, depth)
            for element in node.elts:
                self.argument(element, depth + 1)
        else:
            self.expression(node, depth)

    def index(self, node: ast.expr, depth: int) -> None:
        """Check what stands inside a subscript."""
        match node:
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                self.count(node, depth)
                for element in elements:
                    self.index(element, depth + 1)
            case ast.Slice(lower=lower, upper=upper, step=step):
                self.count(node, depth)
                for bound in (lower, upper, step):
                    if bound is not None:
                        self.expression(bound, depth + 1)
            case ast.Constant(value=value) if value is None or value is ...:
                self.count(node, depth)
            case _:
                self.expression(node, depth)


def _count(function: Function) -> str:
    """How many positional arguments a function takes, in words."""
    if function.most is None:
        return f"at least {function.least} argument{'s' if function.least > 1 else ''}"
    if function.least == function.most:
        return f"{function.least} argument{'s' if function.least > 1 else ''}"
    return f"{function.least} to {function.most} arguments"
