"""Expressions as real mathematics: syntax trees → presentation MathML that browsers typeset themselves.

The setting is minimal, not literal: parentheses appear where leaving them out would change the reading. What it does
not know stands as plain text. It evaluates nothing, and everything it did not make itself is escaped.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from dataclasses import dataclass

from harness.case.expression import CONSTANTS, FUNCTIONS, Expression
from harness.report.mathml_functions import BUILDERS, RAISED, UPRIGHT, transpose
from harness.report.mathml_parts import (
    Level,
    Part,
    added,
    applied,
    bound,
    cases,
    fenced,
    fraction,
    identifier,
    joined,
    matrix,
    negated,
    number,
    plain_text,
    power,
    product,
    row,
    subscript,
    word,
)

RELATIONS = {ast.Lt: "&lt;", ast.LtE: "≤", ast.Gt: "&gt;", ast.GtE: "≥", ast.Eq: "=", ast.NotEq: "≠"}
LOGIC = {ast.BitAnd: "∧", ast.BitOr: "∨"}
DERIVATIVE = re.compile(r"\s*∂\s*(\w+)\s*/\s*∂\s*(\w+)\s*")


def expression_mathml(expression: Expression) -> str:
    """Set an expression.

    Args:
        expression: a parsed expression.

    Returns:
        One ``<math>`` element.
    """
    return _math(_set(expression.tree, expression.names).markup)


def text_mathml(text: str, names: Collection[str] = ()) -> str:
    """Set expression text; several lines become several lines, and a line that is no expression stays text.

    Args:
        text: expressions in Python's syntax, one on each line.
        names: names that hide constants such as ``e``.

    Returns:
        One ``<math>`` element.
    """
    lines = [_from_text(line, names).markup for line in text.splitlines() if line.strip()] or [plain_text("").markup]
    return _math(lines[0] if len(lines) == 1 else _stacked(lines))


def equation_mathml(lhs: str, expression: Expression | str) -> str:
    """Set "lhs = expression".

    Args:
        lhs: text such as ``f(x)``, ``r`` or ``∂f/∂w``.
        expression: a parsed expression, or its text.

    Returns:
        One ``<math>`` element.
    """
    names = expression.names if isinstance(expression, Expression) else ()
    derivative = DERIVATIVE.fullmatch(lhs)
    if derivative:
        above, below = (Part(markup="<mo>∂</mo>" + identifier(name).markup) for name in derivative.groups())
        left = fraction(above, below)
    else:
        left = _from_text(lhs, names)
    right = _from_text(expression, names) if isinstance(expression, str) else _set(expression.tree, names)
    return _math(f"{left.markup}<mo>=</mo>{right.markup}")


def _math(markup: str) -> str:
    return f'<math display="block"><mrow>{markup}</mrow></math>'


def _stacked(lines: list[str]) -> str:
    cells = "".join(f'<mtr><mtd style="text-align: left"><mrow>{line}</mrow></mtd></mtr>' for line in lines)
    return f"<mtable>{cells}</mtable>"


def _from_text(text: str, names: Collection[str]) -> Part:
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return plain_text(text.strip())
    return _set(tree, names)


def _set(tree: ast.expr, names: Collection[str]) -> Part:
    try:
        return _Setter(names=frozenset(names)).part(tree)
    except RecursionError:
        return plain_text("…")


@dataclass(frozen=True, slots=True)
class _Setter:
    """Walks a syntax tree; `names` are variables even where a constant has the same name."""

    names: frozenset[str]

    def part(self, node: ast.expr) -> Part:
        """Set one node."""
        match node:
            case ast.Constant(value=bool() | str() as value):
                return plain_text(str(value))
            case ast.Constant(value=int() | float() | complex() as value):
                return number(value)
            case ast.Name(id=name):
                return self.name(name)
            case ast.UnaryOp():
                return self.unary(node)
            case ast.BinOp():
                return self.binary(node)
            case ast.Compare(left=left, ops=[relation], comparators=[right]) if type(relation) in RELATIONS:
                sides = [bound(self.part(side), Level.SUM).markup for side in (left, right)]
                return Part(markup=f"<mo>{RELATIONS[type(relation)]}</mo>".join(sides), level=Level.COMPARISON)
            case ast.Call(func=ast.Name(id=name)):
                return self.call(name, node)
            case ast.Attribute(value=inner, attr=attribute):
                return self.attribute(attribute, inner)
            case ast.Subscript(value=inner, slice=index):
                return subscript(self.part(inner), self.index(index))
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return self.listed(elements)
            case _:
                return plain_text(ast.unparse(node))

    def name(self, name: str) -> Part:
        if name in self.names or name not in CONSTANTS:
            return identifier(name)
        return {"inf": number(CONSTANTS["inf"]), "e": word("e")}.get(name, identifier(name))

    def unary(self, node: ast.UnaryOp) -> Part:
        inner = self.part(node.operand)
        match node.op:
            case ast.USub():
                return negated(inner)
            case ast.Invert():
                return Part(markup="<mo>¬</mo>" + bound(inner, Level.ATOM).markup, level=Level.POWER)
            case ast.UAdd():
                return inner
            case _:
                return plain_text(ast.unparse(node))

    def binary(self, node: ast.BinOp) -> Part:
        match node.op:
            case ast.Add():
                return added(self.part(node.left), self.part(node.right), "+")
            case ast.Sub():
                return added(self.part(node.left), self.part(node.right), "−")
            case ast.Div():
                return self.quotient(node)
            case ast.Pow():
                return self.raised(node)
            case ast.Mult() | ast.MatMult():
                return self.multiplied(node)
            case ast.FloorDiv():
                return fenced(fraction(self.part(node.left), self.part(node.right)), "⌊", "⌋")
            case ast.Mod():
                return product(self.part(node.left), self.part(node.right), '<mspace width="0.2em"/>mod')
            case ast.BitAnd() | ast.BitOr():
                sides = [self.logical(side, node.op) for side in (node.left, node.right)]
                return Part(markup=f"<mo>{LOGIC[type(node.op)]}</mo>".join(sides), level=Level.LOGIC)
            case _:
                return plain_text(ast.unparse(node))

    def logical(self, side: ast.expr, operator: ast.operator) -> str:
        part = self.part(side)
        same = isinstance(side, ast.BinOp) and type(side.op) is type(operator)
        return part.markup if same else bound(part, Level.COMPARISON).markup

    def quotient(self, node: ast.BinOp) -> Part:
        if isinstance(node.left, ast.UnaryOp) and isinstance(node.left.op, ast.USub):
            return negated(fraction(self.part(node.left.operand), self.part(node.right)))
        return fraction(self.part(node.left), self.part(node.right))

    def raised(self, node: ast.BinOp) -> Part:
        exponent = self.part(node.right)
        match node.left, node.right:
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]), ast.Constant(value=int()) if (
                name in RAISED and name not in self.names
            ):
                return applied(power(word(UPRIGHT[name]), exponent), self.part(argument))
        return power(self.part(node.left), exponent)

    def multiplied(self, node: ast.BinOp) -> Part:
        """Set * and @; where the two meet, parentheses keep entrywise and matrix products apart."""
        left, right = self.part(node.left), self.part(node.right)
        if _is_product(node.right, other_than=node.op):
            right = fenced(right)
        if isinstance(node.op, ast.MatMult):
            if _is_product(node.left, other_than=node.op) and not _is_scaled(node.left):
                left = fenced(left)
            vectors = _looks_like_vector(node.left) and _looks_like_vector(node.right)
            return product(left, right, "⋅" if vectors else None)
        entrywise = _looks_like_matrix(node.left) and _looks_like_matrix(node.right)
        return product(left, right, "⊙" if entrywise else None)

    def attribute(self, attribute: str, inner: ast.expr) -> Part:
        match attribute:
            case "T" | "mT":
                return transpose(self.part(inner))
            case "real" | "imag":
                return applied(word(UPRIGHT[attribute]), self.part(inner))
            case _:
                return plain_text(f"{ast.unparse(inner)}.{attribute}")

    def call(self, name: str, node: ast.Call) -> Part:
        if name not in FUNCTIONS or name in self.names:
            return applied(identifier(name), *map(self.part, node.args))
        if name == "where" and len(node.args) == 3:
            return self.alternatives(*node.args)
        keywords = {str(keyword.arg): keyword.value for keyword in node.keywords}
        positional = node.args
        if len(positional) == 2 and FUNCTIONS[name].least == 1 and "dim" in FUNCTIONS[name].keywords:
            positional, keywords = positional[:1], {"dim": positional[1], **keywords}
        arguments = [self.argument(name, argument) for argument in positional]
        if name in BUILDERS and not keywords and self.fits(name, arguments):
            return BUILDERS[name](*arguments)
        if name == "norm" and keywords.keys() == {"p"}:
            return subscript(BUILDERS[name](*arguments), self.part(keywords["p"]).markup)
        return self.worded(name, arguments, keywords)

    def worded(self, name: str, arguments: list[Part], keywords: dict[str, ast.expr]) -> Part:
        """Set a call by the function's name, the dim below it, and further keywords among the arguments."""
        below = keywords.pop("dim", None)
        function = word(UPRIGHT.get(name, name.replace("_", "-")))
        if below is not None:
            function = subscript(function, self.part(below).markup)
        named = [self.named(keyword, value) for keyword, value in keywords.items()]
        return applied(function, *arguments, *named)

    def fits(self, name: str, arguments: list[Part]) -> bool:
        """Whether a notation has room for these arguments; further ones (a dim, a keyword) need the function's name."""
        return len(arguments) == FUNCTIONS[name].least or name in ("eye", "zeros", "ones", "transpose")

    def argument(self, name: str, node: ast.expr) -> Part:
        if name in ("zeros", "ones") and isinstance(node, ast.Tuple | ast.List):
            return joined(list(map(self.part, node.elts)), "<mo>×</mo>")
        return self.part(node)

    def named(self, keyword: str, value: ast.expr) -> Part:
        return Part(markup=f"{word(keyword).markup}<mo>=</mo>{self.part(value).markup}")

    def alternatives(self, condition: ast.expr, chosen: ast.expr, other: ast.expr) -> Part:
        when = row(plain_text("if\u2002").markup, self.part(condition))
        lines = [[self.part(chosen), Part(markup=when)], [self.part(other), plain_text("otherwise")]]
        return cases(lines)

    def listed(self, elements: list[ast.expr]) -> Part:
        """Set a list as a column, nested lists as a matrix."""
        inner = [e.elts if isinstance(e, ast.List | ast.Tuple) else [e] for e in elements]
        if len({len(cells) for cells in inner}) > 1 or not elements:
            return fenced(joined(list(map(self.part, elements))))
        return matrix([list(map(self.part, cells)) for cells in inner])

    def index(self, node: ast.expr) -> str:
        """Set what stands inside a subscript; positions count from 0, as they do in the text."""
        match node:
            case ast.Tuple(elts=elements):
                return '<mo separator="true">,</mo>'.join(map(self.index, elements))
            case ast.Slice(lower=lower, upper=upper, step=step):
                bounds = [None if bound_ is None else self.part(bound_).markup for bound_ in (lower, upper, step)]
                shown = bounds if step else bounds[:2]
                return "<mo>:</mo>".join(bound_ or "" for bound_ in shown)
            case ast.Constant(value=value) if value is None or value is ...:
                return "<mo>∗</mo>" if value is None else "<mo>…</mo>"
            case _:
                return self.part(node).markup


def _is_product(node: ast.expr, *, other_than: ast.operator) -> bool:
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult | ast.MatMult)
        and type(node.op) is not type(other_than)
    )


def _is_scaled(node: ast.expr) -> bool:
    """Whether a product starts with a plain factor (2, -2/n), which commutes with every product."""
    return isinstance(node, ast.BinOp) and (
        _is_plain_factor(node.left) or (_is_product(node.left, other_than=ast.MatMult()) and _is_scaled(node.left))
    )


def _is_plain_factor(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.UnaryOp(operand=operand):
            return _is_plain_factor(operand)
        case ast.BinOp(left=left, op=ast.Div()):
            return _is_plain_factor(left)
        case _:
            return False


def _looks_like_vector(node: ast.expr) -> bool:
    """Whether an operand is written like a vector: a name in lower case, or a sum or difference of such."""
    match node:
        case ast.Name(id=name):
            return name[0].islower()
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return any(_looks_like_vector(side) or _is_transform(side) for side in (left, right))
        case _:
            return False


def _is_transform(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.MatMult)
        and _looks_like_matrix(node.left)
        and _looks_like_vector(node.right)
    )


def _looks_like_matrix(node: ast.expr) -> bool:
    """Whether an operand is written like a matrix: a name in upper case, or its transpose."""
    match node:
        case ast.Name(id=name):
            return name[0].isupper()
        case ast.Attribute(value=inner, attr="T" | "mT"):
            return _looks_like_matrix(inner)
        case _:
            return False
