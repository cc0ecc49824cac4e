"""Tests of harness.graph.partials: products along paths, summed, are the derivative."""

from __future__ import annotations

import pytest
import torch

from harness.case.subject import Input, Point, Subject, Tensors
from harness.graph.partials import path_products, path_sum
from harness.graph.trace import trace_graph
from harness.records import Graph, GraphEdge


def chain(v: Tensors) -> torch.Tensor:
    """L = (w3·w1·a + w4·w2·a)², where `a` reaches L along two paths."""
    d = v["w3"] * (v["w1"] * v["a"]) + v["w4"] * (v["w2"] * v["a"])
    return d**2


VALUES = {"a": 2.0, "w1": 3.0, "w2": -1.0, "w3": 0.5, "w4": 4.0}


@pytest.fixture
def graph() -> Graph:
    """The graph of `chain`."""
    point = Point(
        name="p", values={k: torch.tensor(v, dtype=torch.float64) for k, v in VALUES.items()}, sizes={}, seed=0
    )
    subject = Subject(name="chain", inputs={k: Input() for k in VALUES}, function=lambda v: (chain(v),))
    made = trace_graph(subject, point)
    assert made is not None
    return made


def output(graph: Graph) -> str:
    """Id of the graph's output."""
    return next(node.id for node in graph.nodes if node.kind == "output")


@pytest.mark.parametrize("name", VALUES)
def test_sum_over_paths_is_the_gradient(graph: Graph, name: str) -> None:
    """By the chain rule, path products must sum to what autograd computes for the whole function."""
    leaves = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in VALUES.items()}
    (expected,) = torch.autograd.grad(chain(leaves), leaves[name])
    paths = path_products(graph.edges, name, output(graph))
    assert sum(path.product for path in paths) == pytest.approx(float(expected), rel=1e-15)


def test_every_path_is_found_once(graph: Graph) -> None:
    """`a` must reach the output along two paths, a weight along one."""
    found = [len(path_products(graph.edges, name, output(graph))) for name in ("a", "w1")]
    assert found == [2, 1]


@pytest.mark.parametrize("name", VALUES)
def test_path_sum_agrees_with_the_listed_paths(graph: Graph, name: str) -> None:
    """The linear-time sum must equal the sum of the listed products."""
    paths = path_products(graph.edges, name, output(graph))
    assert path_sum(graph.edges, name, output(graph)) == pytest.approx(sum(p.product for p in paths), rel=1e-15)


def test_no_path_sums_to_zero(graph: Graph) -> None:
    """Without a path the derivative must be zero."""
    assert (path_sum(graph.edges, "w1", "w2"), path_products(graph.edges, "w1", "w2")) == (0.0, ())


def ladder(rungs: int) -> list[GraphEdge]:
    """A graph with 2**rungs paths from "0" to its last node."""
    edges = []
    for k in range(rungs):
        ends = [(f"{k}", f"{k}a"), (f"{k}", f"{k}b"), (f"{k}a", f"{k + 1}"), (f"{k}b", f"{k + 1}")]
        edges.extend(GraphEdge(source=source, target=target, partial="1", number=1.0) for source, target in ends)
    return edges


def test_exponentially_many_paths_are_refused() -> None:
    """Listing must stop at its limit instead of running for ever."""
    with pytest.raises(ValueError, match="limit=1000"):
        path_products(ladder(40), "0", "40")


def test_exponentially_many_paths_are_summed() -> None:
    """The sum over 2^40 paths of product 1 must be 2^40."""
    assert path_sum(ladder(40), "0", "40") == 2.0**40


def test_an_edge_without_a_number_is_refused() -> None:
    """A product over an edge that is not between single numbers must be an error that names the edge."""
    with pytest.raises(ValueError, match="edge=x->y"):
        path_products([GraphEdge(source="x", target="y", partial="2×3 Jacobian")], "x", "y")
