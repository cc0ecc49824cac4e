"""Local partial derivatives on the edges of a graph, and the chain rule over them.

A partial is exact: one step, differentiated by autograd at its own inputs. Paths multiply and sum them, which is the
chain rule written out. This says what the recorded operators' derivatives are; whether a subject's own backward agrees
with them is for the oracles to decide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod

import torch
from torch import Tensor, fx

from harness.graph.flow import Flow, Step, aten, base_name
from harness.graph.text import number_text, range_text, shape_text, vector_text
from harness.records import GraphEdge

MAX_ROWS = 64
"""Largest number of target entries whose full Jacobian is computed, one reverse pass each."""
MAX_ENTRIES = 100_000
"""Largest Jacobian that is computed in full."""
CUT = "0 (cut)"
"""Shown where the operator hands its value on but tells autograd to forget it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """∂target/∂source of one step: for people, and as a number where both ends are single numbers."""

    text: str
    number: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathProduct:
    """One path through a graph, and the product of the partial derivatives along it."""

    nodes: tuple[str, ...]
    product: float


def local_partial(flow: Flow, step: Step, source: fx.Node) -> Partial | None:
    """Differentiate one step by one of its sources, at the values both have in the graph.

    A source that a step reads twice (x·x) counts with both.

    Args:
        flow: the steps and their values.
        step: an operator's step.
        source: one of the step's sources.

    Returns:
        The partial derivative; None where there is none (whole numbers, masks, complex values, operators without one).
    """
    before = flow.tensor(source)
    if not before.is_floating_point() or not flow.tensor(step.node).is_floating_point():
        return None
    if base_name(step.node) is aten.detach:
        return Partial(text=CUT, number=0.0 if before.numel() == 1 else None)
    try:
        with torch.enable_grad():
            leaf = before.detach().clone().requires_grad_(True)
            after = flow.recompute(step, {source: leaf})
            return _differentiate(step, leaf, after) if after.requires_grad else None
    except (RuntimeError, NotImplementedError):  # autograd has no derivative for this operator
        return None


def _differentiate(step: Step, leaf: Tensor, after: Tensor) -> Partial:
    if after.numel() <= MAX_ROWS and after.numel() * leaf.numel() <= MAX_ENTRIES:
        return _summary(_jacobian(after, leaf), after.shape, leaf.shape)
    if after.shape == leaf.shape and _is_pointwise(step.node):
        (diagonal,) = torch.autograd.grad(after, leaf, torch.ones_like(after))
        return Partial(text=_diagonal_text(diagonal.flatten()))
    return Partial(text=f"{_size_text(after.shape, leaf.shape)} Jacobian")


def _jacobian(after: Tensor, leaf: Tensor) -> Tensor:
    """Full Jacobian, (target entries, source entries), row by row in reverse mode."""
    rows = []
    for unit in torch.eye(after.numel(), dtype=after.dtype):
        (row,) = torch.autograd.grad(after, leaf, unit.reshape(after.shape), retain_graph=True, allow_unused=True)
        rows.append(torch.zeros(leaf.numel(), dtype=leaf.dtype) if row is None else row.flatten())
    return torch.stack(rows) if rows else torch.zeros(0, leaf.numel(), dtype=leaf.dtype)


def _is_pointwise(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and torch.Tag.pointwise in node.target.tags


def _summary(jacobian: Tensor, target: Sequence[int], source: Sequence[int]) -> Partial:
    rows, columns = jacobian.shape
    if rows == columns == 1:
        number = float(jacobian)
        return Partial(text=number_text(number), number=number)
    if 0 in (rows, columns):
        return Partial(text="empty")
    if rows == columns and not (jacobian - jacobian.diag().diag()).any():
        return Partial(text=_diagonal_text(jacobian.diag()))
    if 1 in (rows, columns):
        entries = jacobian.flatten()
        if len(entries) <= 3:
            return Partial(text=vector_text(entries) + ("ᵀ" if rows == 1 else ""))
        return Partial(text=f"{_alike(entries)} ({_size_text(target, source)})")
    size, norm = _size_text(target, source), number_text(float(jacobian.norm()), digits=4)
    return Partial(text=f"{size} Jacobian, ‖J‖ = {norm}")


def _diagonal_text(diagonal: Tensor) -> str:
    """Text of a diagonal Jacobian: a multiple of the identity, its entries, or their range."""
    if not diagonal.numel():
        return "empty"
    if bool((diagonal == diagonal[0]).all()):
        factor = number_text(float(diagonal[0]), digits=4)
        return {"1": "I", "-1": "-I", "0": "0"}.get(factor, f"{factor} I")
    if diagonal.numel() <= 3:
        return "diag" + vector_text(diagonal).replace("[", "(").replace("]", ")")
    return f"diag, {range_text(diagonal)}"


def _alike(entries: Tensor) -> str:
    same = bool((entries == entries[0]).all())
    return f"all {number_text(float(entries[0]), digits=4)}" if same else range_text(entries)


def _size_text(target: Sequence[int], source: Sequence[int]) -> str:
    return f"{shape_text((prod(target), prod(source)))}"


def path_products(
    edges: Iterable[GraphEdge], source: str, target: str, *, limit: int = 1000
) -> tuple[PathProduct, ...]:
    """Multiply the partial derivatives along every path from one node to another; their sum is the derivative.

    Args:
        edges: edges of a graph between single numbers; on paths that are asked about, all must have a `number`.
        source: id of the node to differentiate by.
        target: id of the node to differentiate.
        limit: largest number of paths; a graph can have exponentially many.

    Returns:
        The paths, nodes in order of evaluation, in the order in which the edges were given.

    Raises:
        ValueError: when there are more paths than `limit`, or an edge on a path has no number.
    """
    forward: defaultdict[str, list[GraphEdge]] = defaultdict(list)
    for edge in edges:
        forward[edge.source].append(edge)
    found = tuple(islice(_walk(forward, source, target), limit + 1))
    if len(found) > limit:
        raise ValueError(f"Cannot list the paths: limit={limit} (type int) is exceeded. Ask for path_sum instead.")
    return tuple(
        PathProduct(nodes=(source, *(edge.target for edge in path)), product=prod(map(_number, path))) for path in found
    )


def path_sum(edges: Iterable[GraphEdge], source: str, target: str) -> float:
    """Sum the products over all paths, which by the chain rule is the derivative, in time linear in the edges.

    Args:
        edges: edges of a graph between single numbers, in order of evaluation of their targets.
        source: id of the node to differentiate by.
        target: id of the node to differentiate.

    Returns:
        dtarget/dsource; 0 when no path leads from one to the other.

    Raises:
        ValueError: when an edge behind `source` has no number.
    """
    derivative: defaultdict[str, float] = defaultdict(float, {source: 1.0})
    for edge in edges:
        if edge.source in derivative:
            derivative[edge.target] += _number(edge) * derivative[edge.source]
    return derivative.get(target, 0.0)


def _walk(forward: Mapping[str, list[GraphEdge]], node: str, target: str) -> Iterator[tuple[GraphEdge, ...]]:
    if node == target:
        yield ()
        return
    for edge in forward.get(node, ()):
        for rest in _walk(forward, edge.target, target):
            yield (edge, *rest)


def _number(edge: GraphEdge) -> float:
    if edge.number is None:
        raise ValueError(
            f"Cannot multiply along a path: edge={edge.source}->{edge.target} (type GraphEdge) has no number. "
            "Ask for paths between single numbers."
        )
    return edge.number
