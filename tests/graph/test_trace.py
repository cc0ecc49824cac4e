"""Tests of harness.graph.trace: the graph says in numbers what the function does."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from harness.case.subject import Input, Point, Subject, Tensors
from harness.graph.trace import REST, graph_or_reason, trace_graph
from harness.records import Graph


def point(**values: float | Tensor) -> Point:
    """A point of float64 scalars and given tensors."""
    tensors = {k: v if isinstance(v, Tensor) else torch.tensor(v, dtype=torch.float64) for k, v in values.items()}
    return Point(name="point 1", values=tensors, sizes={}, seed=0)


def subject_of(function: Callable[[Tensors], Tensor], at: Point) -> Subject:
    """A subject of one output over the point's inputs."""
    return Subject(name="test", inputs={name: Input() for name in at.values}, function=lambda v: (function(v),))


def graph_of(function: Callable[[Tensors], Tensor], **values: float | Tensor) -> Graph:
    """The graph of a function at some values; it must have one."""
    at = point(**values)
    graph = trace_graph(subject_of(function, at), at)
    assert graph is not None
    return graph


def partials(graph: Graph) -> Mapping[tuple[str, str], str | None]:
    """Partial of each edge as text."""
    return {(edge.source, edge.target): edge.partial for edge in graph.edges}


def labels(graph: Graph) -> list[str]:
    """Labels of all nodes in order."""
    return [node.label for node in graph.nodes]


@pytest.fixture
def classic() -> Graph:
    """The graph of e = c·d with c = a + b and d = b + 1, at a = 2 and b = 1."""

    def named(v: Tensors) -> tuple[Mapping[str, Tensor], tuple[Tensor, ...]]:
        c = v["a"] + v["b"]
        d = v["b"] + 1
        return {"c": c, "d": d}, (c * d,)

    subject = Subject(
        name="classic",
        inputs={"a": Input(), "b": Input()},
        function=lambda v: named(v)[1],
        intermediates=named,
    )
    graph = trace_graph(subject, point(a=2.0, b=1.0))
    assert graph is not None
    return graph


def test_classic_graph_has_the_published_values(classic: Graph) -> None:
    """(a+b)(b+1) at a=2, b=1 must show c=3, d=2 and e=6."""
    assert {node.id: node.value for node in classic.nodes} == {"a": "2", "b": "1", "c": "3", "d": "2", "#4": "6"}


def test_classic_graph_has_the_published_partials(classic: Graph) -> None:
    """Its local derivatives must be ∂e/∂c=2, ∂e/∂d=3 and 1 on the edges into c and d."""
    expected = {("a", "c"): "1", ("b", "c"): "1", ("b", "d"): "1", ("c", "#4"): "2", ("d", "#4"): "3"}
    assert partials(classic) == expected


def test_named_intermediates_label_their_nodes(classic: Graph) -> None:
    """A value that `let` names must carry the name and its operator."""
    assert labels(classic) == ["a", "b", "c = add", "d = add 1", "mul"]


def test_kinds_tell_inputs_operators_and_outputs_apart(classic: Graph) -> None:
    """Inputs, operators and the output must be marked as such."""
    assert [node.kind for node in classic.nodes] == ["input", "input", "operator", "operator", "output"]


def test_a_source_that_is_read_twice_has_one_edge_with_both() -> None:
    """∂(x·x)/∂x must be 2x on a single edge."""
    graph = graph_of(lambda v: v["x"] * v["x"], x=3.0)
    assert partials(graph) == {("x", "#1"): "6"}


def test_readable_operator_names() -> None:
    """Operators must read as mathematics, not as ATen overloads."""
    matrix = torch.ones(2, 3, dtype=torch.float64)
    vector = torch.ones(3, dtype=torch.float64)
    graph = graph_of(lambda v: ((v["X"] @ v["w"]).sin() ** 3).sum(), X=matrix, w=vector)
    assert labels(graph)[2:] == ["matmul", "sin", "pow 3", "sum"]


def test_elementwise_partial_is_a_diagonal() -> None:
    """An elementwise operator on a short vector must show the diagonal of its Jacobian."""
    graph = graph_of(lambda v: v["x"] ** 2, x=torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert partials(graph) == {("x", "#1"): "diag(2, 4)"}


def test_long_elementwise_partial_is_a_range() -> None:
    """On a long vector it must show the diagonal's range, also beyond the size of full Jacobians."""
    graph = graph_of(lambda v: v["x"] ** 2, x=torch.linspace(0, 1, 5000, dtype=torch.float64))
    assert partials(graph) == {("x", "#1"): "diag, 0 … 2"}


def test_partial_between_larger_tensors_is_shape_and_norm() -> None:
    """A full Jacobian must be summarised by its shape and Frobenius norm."""
    graph = graph_of(
        lambda v: v["X"] @ v["w"], X=torch.eye(2, dtype=torch.float64), w=torch.tensor([3.0, 4.0], dtype=torch.float64)
    )
    assert partials(graph)["X", "#2"] == "2×4 Jacobian, ‖J‖ = 7.071"


def test_undefined_partial_is_none() -> None:
    """Whole numbers have no derivative, so their edges must carry none."""
    graph = graph_of(lambda v: v["x"].argmax(), x=torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert partials(graph) == {("x", "#1"): None}


def test_detach_is_shown_as_a_cut() -> None:
    """A subject that detaches must show where its gradient path ends."""
    graph = graph_of(lambda v: v["x"].detach() * v["x"], x=2.0)
    assert partials(graph)["x", "#1"] == "0 (cut)"


def test_clones_and_aliases_are_not_drawn() -> None:
    """Copies must not clutter the graph, nor break the partials across them."""
    graph = graph_of(lambda v: v["x"].clone().view_as(v["x"]).contiguous().clone().sin(), x=0.0)
    assert (labels(graph), partials(graph)) == (["x", "sin"], {("x", "#1"): "1"})


def test_operators_with_several_results_are_one_node() -> None:
    """The values of max(dim) must come from one node, differentiable through the unpacking."""
    graph = graph_of(lambda v: v["x"].max(0).values, x=torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert (labels(graph), partials(graph)) == (["x", "max dim 0"], {("x", "#1"): "[0, 1]ᵀ"})


def test_torchs_own_reshapes_in_place_keep_shapes_and_partials() -> None:
    """A vector times a matrix, which torch reshapes in place, must keep every value's shape and every partial."""
    vector, matrix = torch.ones(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    graph = graph_of(lambda v: v["x"] @ v["A"] @ v["x"], x=vector, A=matrix)
    assert "1×2: all 1" in {node.value for node in graph.nodes if node.label == "matmul"}
    assert None not in partials(graph).values()


def test_names_that_no_output_depends_on_are_not_drawn() -> None:
    """An intermediate that leads nowhere must not stand alone in the graph."""

    def named(v: Tensors) -> tuple[Mapping[str, Tensor], tuple[Tensor, ...]]:
        return {"unused": v["x"].exp()}, (v["x"].sin(),)

    subject = Subject(name="s", inputs={"x": Input()}, function=lambda v: named(v)[1], intermediates=named)
    graph = trace_graph(subject, point(x=1.0))
    assert graph is not None and labels(graph) == ["x", "sin"]


def test_constants_are_folded_into_one_node() -> None:
    """What does not depend on the inputs must be one constant, however it was computed."""
    graph = graph_of(lambda v: v["x"] + torch.arange(3.0, dtype=torch.float64).exp().sum().log(), x=1.0)
    assert [node.kind for node in graph.nodes] == ["input", "constant", "output"]


def test_unused_inputs_stay() -> None:
    """An input that the output does not depend on must be drawn, without edges."""
    graph = graph_of(lambda v: v["x"] * 2, x=1.0, y=1.0)
    assert ("y" in labels(graph), len(graph.edges)) == (True, 1)


def test_complex_values_have_no_real_partials() -> None:
    """Complex nodes must show their value and no partial."""
    graph = graph_of(lambda v: v["z"] * v["z"], z=torch.tensor(1 + 2j, dtype=torch.complex128))
    assert (graph.nodes[1].value, partials(graph)) == ("-3 + 4i", {("z", "#1"): None})


def test_large_graphs_are_bounded_and_say_so() -> None:
    """A long chain must be cut to the limit, with inputs and output kept and the rest counted."""

    def chain(v: Tensors) -> Tensor:
        value = v["x"]
        for _ in range(100):
            value = value.sin()
        return value

    graph = graph_of(chain, x=1.0)
    assert (len(graph.nodes), graph.omitted) == (41, 61)
    assert (graph.nodes[0].id, graph.nodes[-2].kind, graph.nodes[-1].id) == ("x", "output", REST)
    assert any(edge.source == "x" and edge.target == REST for edge in graph.edges)


def test_without_a_graph_there_is_a_reason() -> None:
    """A subject that branches on its data must give None, and the reason where it is asked for."""
    at = point(x=1.0)
    subject = subject_of(lambda v: v["x"] if v["x"] > 0 else -v["x"], at)
    assert trace_graph(subject, at) is None
    assert graph_or_reason(subject, at) == "its control flow depends on the data"
