"""What certified gradients cost in ball arithmetic: against the number of inputs, and against the size of the graph.

Every coordinate takes a pass over what depends on it, so a Rosenbrock gradient costs about its inputs, and a chain of
functions about inputs × operators. Times are printed; only that the answers are certified is asserted.
"""

from __future__ import annotations

import pytest
import torch

from harness.case.subject import Input, Point, Subject
from harness.oracle.ball.oracle import ball_estimates
from harness.oracle.flat import FlatSubject

PEERS = {"inputs": (25, 50, 100, 200), "operators": (4, 8, 16, 32)}
CHAIN_INPUTS = 10


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def chain(length):
    """A dense graph: each link mixes all entries."""

    def function(x):
        for _ in range(length):
            x = torch.tanh(x + x.sum() / len(x))
        return x.sum()

    return function


def flat_of(function, count):
    x = torch.randn(count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    subject = Subject(name="benchmark", inputs={"x": Input()}, function=lambda v: (function(v["x"]),))
    return FlatSubject(subject, Point(name="point 1", values={"x": x}, sizes={}, seed=0))


def certify(flat):
    return ball_estimates(flat, torch.ones(1, 1, dtype=torch.float64))[1]


@pytest.mark.parametrize("count", PEERS["inputs"])
def test_cost_against_inputs(benchmark, count):
    """A Rosenbrock gradient is certified coordinate by coordinate."""
    benchmark.group, benchmark.extra_info["peer"] = f"ball: rosenbrock, {count} inputs", "harness"
    flat = flat_of(rosenbrock, count)
    found = benchmark.pedantic(certify, args=(flat,), rounds=3)
    assert found.directions is None
    assert bool((found.bar <= 2.0**-53 * found.value.abs()).all())


@pytest.mark.parametrize("length", PEERS["operators"])
def test_cost_against_operators(benchmark, length):
    """A chain of dense operators is certified at a cost that grows with its length."""
    benchmark.group, benchmark.extra_info["peer"] = f"ball: chain of {length} links", "harness"
    flat = flat_of(chain(length), CHAIN_INPUTS)
    found = benchmark.pedantic(certify, args=(flat,), rounds=3)
    assert found.directions is None
