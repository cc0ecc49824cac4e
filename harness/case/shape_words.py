"""Why an expression cannot be evaluated, in plain words: which part of it, with which shapes, and what to do.

Works on tensors of the meta device, so that finding the part at fault costs nothing and changes nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.case.evaluate import node_value
from harness.case.expression import Expression, offset_of, source_of
from harness.errors import UsageError

FAILURES = (
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AssertionError,
    AttributeError,
    ArithmeticError,
    UsageError,
)
"""What torch and the expression language raise for operands they cannot take."""

NEEDS_DATA = "cannot be called on meta tensors"
"""Part of torch's message where a tensor's values are asked for, which these tensors do not have."""

MAX_SHOWN = 60
"""Characters of an expression shown in a message."""

_PLAIN = (
    (r"Dimension out of range .* of \[(-?\d+), (-?\d+)\], but got (-?\d+)",
     r"there is no dim \3; dims go from \1 to \2"),
    (r"index (-?\d+) is out of bounds for dimension (\d+) with size (\d+)",
     r"there is no index \1 in dim \2, which has \3 entries; they count from 0"),
    (r"too many indices for tensor of dimension (\d+)",
     r"there are more indices than its number of dims (\1); leave some out"),
    (r"shape '(.*)' is invalid for input of size (\d+)",
     r"shape \1 does not hold its \2 entries; the new sizes must multiply to that"),
    (r"^stack expects each tensor to be equal size",
     r"stack needs parts of one shape; join along a dim they have with cat"),
    (r"^(Sizes|Number of dimensions?) of tensors must match", r"cat needs parts that differ in the joined dim only"),
    (r"must be batches of square matrices, but they are (\d+) by (\d+)",
     r"a square matrix is needed, not one of \1 by \2"),
    (r"expanded size of the tensor \((-?\d+)\) must match the existing size \((\d+)\) .* dimension (\d+)",
     r"only sizes of 1 can be expanded, but dim \3 of the result would be \1 where the size is \2"),
    (r"expected predicate to be bool", r"the first argument must be a condition, such as x > 0"),
    (r"must have at least 2 dimensions|expected a matrix", r"a matrix is needed"),
)  # fmt: skip
"""What torch says of common mistakes, and the same in plain words."""

Values = Mapping[str, Tensor | int]
Shape = tuple[int, ...]

_PRODUCTS = frozenset({"matmul", "mv", "dot"})


def explain(expression: Expression, values: Values, error: Exception) -> tuple[str, int]:
    """Say why an expression cannot be evaluated.

    Args:
        expression: the expression.
        values: what its names stand for.
        error: what evaluating it raised.

    Returns:
        The message, and the 0-based character of the expression's text it is about.
    """
    node, error = _culprit(expression.tree, values, error)
    operands = [(part, value) for part in _children(node) if isinstance(value := _value(part, values), Tensor)]
    names = [_quoted(expression.text, part) for part, _ in operands]
    shapes = [tuple(value.shape) for _, value in operands]
    parts = dict.fromkeys(f"{name} has shape {list(shape)}" for name, shape in zip(names, shapes, strict=True))
    reasons = "; ".join([*([" and ".join(parts)] if parts else []), _why(node, names, shapes, error)])
    return f"{_quoted(expression.text, node)} cannot be computed: {reasons}", offset_of(expression.text, node)


def shown(tensor: Tensor) -> str:
    """A tensor's shape as people write it."""
    return str(list(tensor.shape))


def with_sizes(message: str, sizes: Mapping[str, int]) -> str:
    """A message that ends with the named sizes it holds at."""
    named = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    return f"{message} (at {named})" if named else message


def gradient_advice(actual: Shape, expected: Shape) -> str:
    """What to do about a gradient of another shape than its input's."""
    extra = len(actual) - len(expected)
    if extra > 0 and actual[extra:] == expected:
        dims = "0" if extra == 1 else str(list(range(extra)))
        return f"; sum it over what the input is broadcast along: sum(…, {dims})"
    return "; a gradient has the shape of its input"


def _culprit(node: ast.expr, values: Values, error: Exception) -> tuple[ast.expr, Exception]:
    """The innermost part of a tree that cannot be evaluated, and what evaluating it raises."""
    for part in _children(node):
        try:
            node_value(part, values)
        except FAILURES as inner:
            return _culprit(part, values, inner)
    return node, error


def _children(node: ast.AST) -> Iterator[ast.expr]:
    """The parts of a node that stand for values, in the order they are read; lists are unfolded."""
    match node:
        case ast.Call(args=arguments, keywords=keywords):
            inner: list[ast.expr] = [*arguments, *(keyword.value for keyword in keywords)]
        case ast.BinOp(left=left, right=right):
            inner = [left, right]
        case ast.Compare(left=left, comparators=comparators):
            inner = [left, *comparators]
        case ast.UnaryOp(operand=operand):
            inner = [operand]
        case ast.Attribute(value=value):
            inner = [value]
        case ast.Subscript(value=value, slice=index):
            inner = [value, index]
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            inner = elements
        case ast.Slice(lower=lower, upper=upper, step=step):
            inner = [part for part in (lower, upper, step) if part is not None]
        case _:
            inner = []
    for part in inner:
        if isinstance(part, ast.List | ast.Tuple | ast.Slice):
            yield from _children(part)
        elif not (isinstance(part, ast.Constant) and not isinstance(part.value, int | float | complex)):
            yield part


def _value(node: ast.expr, values: Values) -> Any:
    """What a part stands for; None when evaluating it alone says nothing."""
    try:
        return node_value(node, values)
    except FAILURES:
        return None


def _quoted(text: str, node: ast.expr) -> str:
    source = " ".join(source_of(text, node).split())
    return f"`{source if len(source) <= MAX_SHOWN else source[: MAX_SHOWN - 1] + '…'}`"


def _why(node: ast.expr, names: Sequence[str], shapes: Sequence[Shape], error: Exception) -> str:
    if _is_product(node) and len(shapes) == 2 and not isinstance(error, UsageError):
        return _product(names, shapes[0], shapes[1]) or _torch_words(error)
    if len(shapes) > 1 and not _broadcastable(shapes) and not isinstance(node, ast.Subscript) and _entrywise(error):
        return (
            "entry by entry, sizes must be equal, or 1, counted from the last; "
            "reshape one of them, or add a dim with unsqueeze"
        )
    return _torch_words(error)


def _is_product(node: ast.expr) -> bool:
    match node:
        case ast.BinOp(op=ast.MatMult()):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in _PRODUCTS
        case _:
            return False


def _product(names: Sequence[str], left: Shape, right: Shape) -> str | None:
    """Why two shapes have no matrix product, and whether a transpose would help."""
    if not left or not right:
        return "a product with a single number is written with *"
    inner = right[-2] if len(right) > 1 else right[0]
    if left[-1] == inner:
        return None
    which = "next-to-last" if len(right) > 1 else "first"
    why = f"the last size of the left side ({left[-1]}) must be the {which} of the right ({inner})"
    plain = [name.strip("`") for name in names]
    if len(left) == 2 and left[0] == inner and plain[0].isidentifier():
        return f"{why}; did you mean `{plain[0]}.T @ {plain[1]}`?"
    if len(right) == 2 and right[1] == left[-1] and plain[1].isidentifier():
        return f"{why}; did you mean `{plain[0]} @ {plain[1]}.T`?"
    return f"{why}; transpose one with .T, or swap them"


def _broadcastable(shapes: Sequence[Shape]) -> bool:
    try:
        torch.broadcast_shapes(*shapes)
    except RuntimeError:
        return False
    return True


def _entrywise(error: Exception) -> bool:
    """Whether torch complains about sizes met entry by entry, and not about what only one function asks for."""
    return bool(re.search(r"broadcast|must match the size of tensor|same number of elements", str(error)))


def _torch_words(error: Exception) -> str:
    """What torch says, on one line and without its types' names."""
    first = str(error).strip().partition("\n")[0]
    if isinstance(error, AssertionError | LookupError) and re.search(r"^(list|tuple)\b|^$", first):
        return "these shapes do not fit together"
    for pattern, plain in _PLAIN:
        if found := re.search(pattern, first):
            return found.expand(plain)
    first = re.sub(r", but expected one of:?$", "", first)
    first = re.sub(r"torch\.Size\((\[[^]]*\])\)", r"\1", first)
    first = re.sub(r"tensor\(\.\.\., device='meta'[^)]*\)[^)]*\)|Meta\w*Type\{(\[[^]]*\])\}", r"a tensor", first)
    first = re.sub(r"\s+Use `tensor\.item.*$", "", first)
    first = " ".join(first.split()).rstrip(".") or type(error).__name__
    return first[0].lower() + first[1:] if first[1:2].islower() else first
