"""Reduces an ATen graph to the values worth drawing, and runs single steps of it again.

A step may stand for several operators: what only copies or unpacks is folded into its reader, and everything that does
not depend on the inputs becomes one constant. How steps look on a page is `trace`'s and `draw`'s job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from harness.graph.aten import AtenGraph

aten = torch.ops.aten

COPIES = frozenset({aten.clone, aten.alias, aten.lift, aten.lift_fresh, aten.lift_fresh_copy, aten.contiguous})
RESHAPES = frozenset(
    {aten.view, aten._unsafe_view, aten.reshape, aten.expand, aten.squeeze, aten._to_copy, aten.copy, aten.slice}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One value to draw: an input, a constant, or the result of an operator on other steps' values."""

    node: fx.Node
    sources: tuple[fx.Node, ...]
    constant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The steps of a graph in order of evaluation, with the value of every node at the point."""

    steps: tuple[Step, ...]
    values: Mapping[fx.Node, object]
    results: tuple[fx.Node, ...]
    """Nodes that make the outputs and then the intermediates; one that no output depends on has no step."""
    live: frozenset[fx.Node]
    """Nodes that depend on the inputs."""

    def tensor(self, node: fx.Node) -> Tensor:
        """The tensor a step's node has at the point, without history."""
        value = self.values[node]
        if not isinstance(value, Tensor):
            raise TypeError(f"Cannot use a node as a tensor: node={node.name} (type {type(value).__name__}).")
        return value.detach()

    def recompute(self, step: Step, given: Mapping[fx.Node, Tensor]) -> Tensor:
        """Run one step again with some of its sources replaced, keeping autograd history.

        Args:
            step: an operator's step.
            given: tensors to use for some of the step's sources; the others keep their values.

        Returns:
            The step's value.
        """

        def value(node: fx.Node) -> Any:
            node = _unfold(node, self.values, self.live)
            if node in given:
                return given[node]
            unpacked = node in self.live and not isinstance(self.values[node], Tensor)
            return run(node) if unpacked else self.values[node]

        def run(node: fx.Node) -> object:
            arguments, options = map_arg(node.args, value), map_arg(node.kwargs, value)
            return node.target(*arguments, **options)  # type: ignore[operator]

        result = run(step.node)
        if not isinstance(result, Tensor):
            raise TypeError(f"Cannot recompute a step: node={step.node.name} does not make a tensor.")
        return result


def flow(graph: AtenGraph, arguments: Sequence[Tensor]) -> Flow:
    """Run a graph and keep the steps that its outputs depend on, and all its inputs.

    Args:
        graph: a traced subject.
        arguments: one tensor per input of the graph, in its order.

    Returns:
        The steps in order of evaluation.
    """
    interpreter = fx.Interpreter(graph.module, garbage_collect_values=False)
    with torch.no_grad():
        interpreter.run(*(tensor.clone() for tensor in arguments))
    values = interpreter.env
    live = _depends_on_inputs(graph.module.graph)
    results = tuple(_unfold(node, values, live) for node in graph.results)
    needed: dict[fx.Node, Step] = {}
    pending = list(results[: graph.outputs])
    while pending:
        node = pending.pop()
        if node not in needed:
            needed[node] = _step(node, values, live)
            pending.extend(needed[node].sources)
    for node in graph.module.graph.find_nodes(op="placeholder"):
        needed.setdefault(node, Step(node=node, sources=(), constant=False))
    steps = tuple(needed[node] for node in graph.module.graph.nodes if node in needed)
    return Flow(steps=steps, values=values, results=results, live=live)


def base_name(node: fx.Node) -> object:
    """The operator of a node without its overload (`aten.add` of `aten.add.Tensor`), or the node's plain target."""
    return node.target.overloadpacket if isinstance(node.target, torch._ops.OpOverload) else node.target


def _depends_on_inputs(graph: fx.Graph) -> frozenset[fx.Node]:
    live: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or not live.isdisjoint(node.all_input_nodes):
            live.add(node)
    return frozenset(live)


def _step(node: fx.Node, values: Mapping[fx.Node, object], live: frozenset[fx.Node]) -> Step:
    if node not in live:
        return Step(node=node, sources=(), constant=True)
    sources = dict.fromkeys(source for argument in node.all_input_nodes for source in _drawn(argument, values, live))
    return Step(node=node, sources=tuple(sources), constant=False)


def _drawn(node: fx.Node, values: Mapping[fx.Node, object], live: frozenset[fx.Node]) -> tuple[fx.Node, ...]:
    """The steps' nodes behind an argument: itself, or what a folded operator reads."""
    node = _unfold(node, values, live)
    if isinstance(values[node], Tensor) or node not in live:
        return (node,)
    return tuple(source for argument in node.all_input_nodes for source in _drawn(argument, values, live))


def _unfold(node: fx.Node, values: Mapping[fx.Node, object], live: frozenset[fx.Node]) -> fx.Node:
    while node in live and _is_noise(node, values):
        node = _handed_on(node)
    return node


def _handed_on(node: fx.Node) -> fx.Node:
    """The argument whose value a copying node hands on: the last for `copy(self, src)`, the first for the others."""
    return node.all_input_nodes[-1 if base_name(node) is aten.copy else 0]


def _is_noise(node: fx.Node, values: Mapping[fx.Node, object]) -> bool:
    """Whether a node hands on the value it reads, unchanged and with its gradient (or with none to lose)."""
    operator = base_name(node)
    if operator in COPIES:
        return True
    after = values[node]
    before = values[_handed_on(node)] if node.all_input_nodes else None
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return False
    if operator is aten.detach:
        source = node.all_input_nodes[0]
        return not before.is_floating_point() or source.target is aten.view.dtype
    return operator in RESHAPES and before.shape == after.shape and before.dtype == after.dtype and _same(before, after)


def _same(before: Tensor, after: Tensor) -> bool:
    return bool(torch.equal(before.nan_to_num(), after.nan_to_num()))
