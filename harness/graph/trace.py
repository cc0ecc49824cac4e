"""Makes the computation graph a report shows: values on the nodes, local partial derivatives on the edges.

It describes the graph in words and numbers only; `draw` turns it into a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import fx

from harness.case.subject import Point, Subject
from harness.graph.aten import AtenGraph, UntraceableError, trace_aten
from harness.graph.flow import Flow, Step, flow
from harness.graph.partials import local_partial
from harness.graph.text import operator_text, tensor_text
from harness.records import Graph, GraphEdge, GraphNode

MAX_NODES = 40
MAX_INPUTS = 10
REST = "#rest"
"""Id of the node that stands for everything left out."""


def trace_graph(subject: Subject, point: Point, *, max_nodes: int = MAX_NODES) -> Graph | None:
    """Describe a subject's computation graph at a point, for drawing.

    Inputs and named intermediates keep their names as ids; other nodes get "#0", "#1", …. Beyond `max_nodes`, the nodes
    farthest from the outputs give way to one node "…"; inputs stay.

    Args:
        subject: the function under test.
        point: where it is evaluated.
        max_nodes: most nodes to draw, besides the one that stands for the rest.

    Returns:
        Nodes and edges in order of evaluation; None where there is no graph (`graph_or_reason` says why).
    """
    result = graph_or_reason(subject, point, max_nodes=max_nodes)
    return result if isinstance(result, Graph) else None


def graph_or_reason(subject: Subject, point: Point, *, max_nodes: int = MAX_NODES) -> Graph | str:
    """Like `trace_graph`, with the reason in place of None.

    Args:
        subject: the function under test.
        point: where it is evaluated.
        max_nodes: most nodes to draw.

    Returns:
        The graph, or why the subject has none.
    """
    try:
        traced = trace_aten(subject, point)
    except UntraceableError as error:
        return str(error)
    return describe(traced, flow(traced, traced.arguments(point.values)), max_nodes=max_nodes)


def describe(traced: AtenGraph, steps: Flow, *, max_nodes: int = MAX_NODES) -> Graph:
    """Put a flow into words: labels, values, partials.

    Args:
        traced: the graph, for the names in it.
        steps: its steps with their values.
        max_nodes: most nodes to draw.

    Returns:
        The graph's description.
    """
    names = _names(traced, steps)
    ids = {step.node: names.get(step.node, f"#{position}") for position, step in enumerate(steps.steps)}
    outputs = frozenset(steps.results[: traced.outputs])
    kept = _keep(steps, outputs, max_nodes)
    omitted = len(steps.steps) - len(kept)
    nodes = [_node(step, steps, ids, names, outputs) for step in steps.steps if step.node in kept]
    rest = [GraphNode(id=REST, label="…", kind="operator", value=f"{omitted} more")] if omitted else []
    return Graph(nodes=(*nodes, *rest), edges=_edges(steps, ids, kept), omitted=omitted)


def _names(traced: AtenGraph, steps: Flow) -> Mapping[fx.Node, str]:
    """Names for nodes: inputs by position, intermediates where a result of that name is made."""
    placeholders = traced.module.graph.find_nodes(op="placeholder")
    names = dict(zip(placeholders, traced.inputs, strict=True))
    for node, name in zip(steps.results[traced.outputs :], traced.intermediates, strict=True):
        names.setdefault(node, name)
    return names


def _keep(steps: Flow, outputs: frozenset[fx.Node], max_nodes: int) -> frozenset[fx.Node]:
    if len(steps.steps) <= max_nodes:
        return frozenset(step.node for step in steps.steps)
    sources = {step.node: step.sources for step in steps.steps}
    inputs = [step.node for step in steps.steps if step.node.op == "placeholder"]
    kept = dict.fromkeys(inputs[:MAX_INPUTS])
    queue = list(dict.fromkeys(node for node in steps.results if node in outputs))
    for node in queue:  # grows while it is read: breadth first, from the outputs back
        if len(kept) >= max_nodes:
            break
        kept[node] = None
        queue.extend(source for source in sources[node] if source not in queue)
    return frozenset(kept)


def _node(
    step: Step, steps: Flow, ids: Mapping[fx.Node, str], names: Mapping[fx.Node, str], outputs: frozenset[fx.Node]
) -> GraphNode:
    name, value = names.get(step.node), tensor_text(steps.tensor(step.node))
    if step.node.op == "placeholder":
        return GraphNode(id=ids[step.node], label=name or step.node.name, kind="input", value=value)
    if step.constant:
        return GraphNode(id=ids[step.node], label=name or "constant", kind="constant", value=value)
    label = operator_text(step.node) if name is None else f"{name} = {operator_text(step.node)}"
    kind: Literal["output", "operator"] = "output" if step.node in outputs else "operator"
    return GraphNode(id=ids[step.node], label=label, kind=kind, value=value)


def _edges(steps: Flow, ids: Mapping[fx.Node, str], kept: frozenset[fx.Node]) -> tuple[GraphEdge, ...]:
    edges: dict[tuple[str, str], GraphEdge] = {}
    for step in steps.steps:
        for source in step.sources:
            ends = tuple(ids[node] if node in kept else REST for node in (source, step.node))
            if ends == (REST, REST):
                continue
            partial = None if REST in ends else local_partial(steps, step, source)
            edges.setdefault(
                (ends[0], ends[1]),
                GraphEdge(
                    source=ends[0],
                    target=ends[1],
                    partial=partial.text if partial else None,
                    number=partial.number if partial else None,
                ),
            )
    return tuple(edges.values())
