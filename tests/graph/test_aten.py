"""Tests of harness.graph.aten: what is traced is the subject, and what cannot be traced says why."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._ops import OpOverload

from harness.case.subject import Input, Point, Subject
from harness.graph.aten import UntraceableError, trace_aten


def make(function: Callable[..., Tensor], **values: Tensor) -> tuple[Subject, Point]:
    """A subject of one output, and a point."""
    subject = Subject(
        name="test",
        inputs={name: Input() for name in values},
        function=lambda tensors: (function(**tensors),),
    )
    return subject, Point(name="point 1", values=values, sizes={}, seed=0)


X = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)


def test_the_graph_repeats_the_subject_elsewhere() -> None:
    """Replayed at other inputs, the graph must give what the subject gives there."""
    graph = trace_aten(*make(lambda x: (x.sin() ** 2).sum() / x.norm(), x=X))
    elsewhere = torch.tensor([-0.3, 4.0, 0.1], dtype=torch.float64)
    expected = (elsewhere.sin() ** 2).sum() / elsewhere.norm()
    assert torch.equal(graph.module(elsewhere)[0], expected)


def test_inputs_are_left_as_they_were() -> None:
    """Tracing a subject that writes into its input must not change the point."""

    def writes(x: Tensor) -> Tensor:
        x.mul_(2)
        return x.sum()

    values = X.clone()
    trace_aten(*make(writes, x=values))
    assert torch.equal(values, X)


def test_in_place_operators_are_rewritten() -> None:
    """A graph must hold no operator that changes its argument, so that every node keeps its value."""

    def writes(x: Tensor) -> Tensor:
        y = x.clone()
        y[0] = 3
        y.mul_(2)
        return y.sum()

    graph = trace_aten(*make(writes, x=X))
    names = [str(node.target) for node in graph.module.graph.nodes]
    assert not [name for name in names if name.split(".")[1:2] and name.split(".")[1].endswith("_")]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.nn.functional.pad(x[None], (1, 1), mode="circular"),
        lambda x: torch.nn.functional.cosine_similarity(x, x.flip(0), dim=0),
        lambda x: torch.quantile(x, 0.3),
    ],
    ids=["pad", "cosine_similarity", "quantile"],
)
def test_what_composite_operators_do_in_place_is_rewritten(function: Callable[[Tensor], Tensor]) -> None:
    """Operators that write in place inside themselves must have a graph, free of in-place operators."""
    graph = trace_aten(*make(function, x=X))
    elsewhere = torch.tensor([-0.3, 4.0, 0.1], dtype=torch.float64)
    assert torch.equal(graph.module(elsewhere)[0], function(elsewhere))
    assert not [n for n in graph.module.graph.nodes if isinstance(n.target, OpOverload) and n.target._schema.is_mutable]


def test_writes_beside_a_custom_function_are_rewritten() -> None:
    """A subject that writes in place and calls an autograd.Function of the older style must have a graph."""

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return 2 * x

    graph = trace_aten(*make(lambda x: Double.apply(x).mul_(3).sum(), x=X))
    assert float(graph.module(X)[0]) == 36.0


def test_decomposition_leaves_simpler_operators() -> None:
    """With decompositions, logsumexp must be gone in favour of exp and log."""
    graph = trace_aten(*make(lambda x: torch.logsumexp(x, 0), x=X), decompose=True)
    targets = {str(node.target) for node in graph.module.graph.nodes}
    assert {"aten.exp.default", "aten.log.default"} <= targets
    assert "aten.logsumexp.default" not in targets


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x * 2 if x.sum() > 0 else x * 3, "control flow depends on the data"),
        (lambda x: x * float(x[0]), "control flow depends on the data"),
        (lambda x: x + torch.from_numpy(x.numpy() * 2), "leaves torch through Tensor.numpy"),
        (lambda x: x + torch.as_tensor(x.tolist(), dtype=x.dtype), "random or opaque"),
        (lambda x: x + torch.randn(3, dtype=x.dtype), "random or opaque"),
        (lambda x: x @ torch.ones(4, dtype=x.dtype), "RuntimeError"),
    ],
    ids=["branch", "item", "numpy", "tolist", "random", "broken"],
)
def test_what_cannot_be_traced_says_why(function: Callable[[Tensor], Tensor], reason: str) -> None:
    """A subject whose graph would not be the subject must be refused with its reason."""
    with pytest.raises(UntraceableError, match=reason):
        trace_aten(*make(function, x=X))
