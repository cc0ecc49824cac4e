"""Gradients through parts of an expression: what a missing, doubled or flipped term, path or factor would leave.

Every place where the expression mentions the input is a path from it to the result, and the gradient is their sum: a
product rule with one half forgotten, a detached path and a dropped term all lack some of them. Knows nothing of Python
code, whose parts it cannot see.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from harness.case.evaluate import as_tensor, context_of, node_value
from harness.case.subject import Subject
from harness.oracle.flat import FlatSubject, real_vector
from harness.records import Diagnosis
from harness.verify.diagnosis.evidence import Evidence, Part, follows

MOST_PLACES = 24
"""Places an expression may mention an input at."""
MOST_TEXT = 40
_CHANGES = (
    (-1.0, "missing part", "lacks what comes through"),
    (1.0, "doubled part", "counts twice what comes through"),
    (-2.0, "sign of a part", "has the wrong sign in what comes through"),
    (-0.5, "halved part", "has half of what comes through"),
)


def missing_part(evidence: Evidence) -> Diagnosis | None:
    """Explain a gradient by one part of the expression that is missing, doubled, halved or has the wrong sign."""
    parts = evidence.parts() if evidence.parts is not None else ()
    for change, pattern, words in _CHANGES:
        for part in parts:
            predicted = evidence.expected + change * part.gradient
            slack = 2 * evidence.bar + 2.0**-44 * part.gradient.abs().amax(1, keepdim=True)
            if follows(evidence, predicted, slack, alternatives=len(_CHANGES) * len(parts)):
                return Diagnosis(pattern=pattern, sentence=f"It {words} {part.text}.")
    return None


def parts_of(
    subject: Subject, flat: FlatSubject, sizes: Mapping[str, int], cotangents: Tensor, name: str
) -> tuple[Part, ...]:
    """Split the gradient of an input by the places an expression mentions it at.

    Args:
        subject: an expression subject; one that is not has no parts.
        flat: it at a point, in float64.
        sizes: the point's named sizes.
        cotangents: C × M.
        name: the input.

    Returns:
        A part for every place and for every group of places that share a top-level term, each C × n; none when the
        input is mentioned once only, or too often.
    """
    trees = [_inlined(expression.tree, subject) for expression in subject.expressions]
    terms = [term for tree in trees for term in _terms(_fresh(tree))]
    marker = _Marker(name)
    marked = [cast("ast.expr", marker.visit(tree)) for tree in trees]
    if not 1 < marker.count <= MOST_PLACES:
        return ()
    gradients = _gradients(marked, marker.count, flat, sizes, cotangents, name)
    single = [
        Part(text=f"{name} in {_short(place)}", gradient=gradient)
        for place, gradient in zip(marker.places, gradients, strict=True)
    ]
    return (*_grouped(terms, name, gradients), *single)


def _grouped(terms: list[ast.expr], name: str, gradients: list[Tensor]) -> list[Part]:
    """One part for each top-level term that mentions the input, when there are several terms."""
    groups, start = [], 0
    for term in terms:
        count = sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(term))
        if count:
            groups.append(
                Part(text=f"the term {_short(term)}", gradient=torch.stack(gradients[start : start + count]).sum(0))
            )
        start += count
    return groups if start == len(gradients) and len(groups) > 1 else []


def _gradients(
    trees: list[ast.expr], count: int, flat: FlatSubject, sizes: Mapping[str, int], cotangents: Tensor, name: str
) -> list[Tensor]:
    """Gradients (C × n) with respect to each separately named copy of the input."""
    copies = {_copy(place): flat.values[name].detach().clone().requires_grad_(True) for place in range(count)}
    values: dict[str, Tensor | int] = {**flat.values, **sizes, **copies}
    context = context_of(values)
    outputs = real_vector([as_tensor(node_value(tree, values), context) for tree in trees])
    rows = []
    for cotangent in cotangents:
        found = torch.autograd.grad(outputs, list(copies.values()), cotangent, retain_graph=True, allow_unused=True)
        rows.append(
            [
                real_vector([torch.zeros_like(copy) if g is None else g.to(copy.dtype)])
                for g, copy in zip(found, copies.values(), strict=True)
            ]
        )
    return [torch.stack([row[place] for row in rows]) for place in range(count)]


def _copy(place: int) -> str:
    return f"__place_{place}"


class _Marker(ast.NodeTransformer):
    """Renames every mention of an input, and remembers the piece of expression around it."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0
        self.places: list[ast.expr] = []
        self._around: list[ast.expr] = []

    def visit(self, node: ast.AST) -> ast.AST:
        """Rename a mention, or go on inside."""
        if isinstance(node, ast.Name) and node.id == self.name:
            self.places.append(self._around[-1] if self._around else node)
            self.count += 1
            return ast.copy_location(ast.Name(id=_copy(self.count - 1), ctx=ast.Load()), node)
        if isinstance(node, ast.expr):
            self._around.append(_fresh(node))
            visited = super().generic_visit(node)
            self._around.pop()
            return visited
        return super().generic_visit(node)


def _fresh(tree: ast.expr) -> ast.expr:
    """A copy of a tree that later changes do not reach."""
    return ast.parse(ast.unparse(tree), mode="eval").body


def _inlined(tree: ast.expr, subject: Subject) -> ast.expr:
    """A copy of a tree with intermediate values written out."""
    let = subject.let

    class Inliner(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            return self.visit(_fresh(let[node.id].tree)) if node.id in let else node

    inlined: ast.expr = Inliner().visit(_fresh(tree))
    return inlined


def _terms(tree: ast.expr) -> list[ast.expr]:
    """Terms of a sum, inside sum(), mean(), a sign, or a product with a factor; in the order of the text."""
    match tree:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return [*_terms(left), *_terms(right)]
        case ast.UnaryOp(operand=operand):
            return _terms(operand)
        case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant() | ast.Name()):
            return _terms(left)
        case ast.Call(func=ast.Name(id="sum" | "mean"), args=[inner], keywords=[]):
            return _terms(inner)
        case _:
            return [tree]


def _short(tree: ast.expr) -> str:
    text = ast.unparse(tree)
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"
