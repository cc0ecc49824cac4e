"""What certified gradients cost in ball arithmetic: against the number of inputs, and against the size of the graph.

Every coordinate takes a pass over what depends on it, so a Rosenbrock gradient costs about its inputs, and a chain of
functions about inputs × operators × entries. Times are printed. Asserted is that the answers are certified, that ball
operations (which, unlike times, are the same in every run) grow no faster, and that 200 inputs stay interactive.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from harness.case.subject import Input, Point, Subject
from harness.oracle.ball.budget import Budget, Work
from harness.oracle.ball.oracle import ball_estimates
from harness.oracle.ball.passes import Passes
from harness.oracle.flat import FlatSubject

PEERS = {"inputs": (25, 50, 100, 200), "operators": (4, 8, 16, 32)}
CHAIN_INPUTS = 10
INTERACTIVE_S = 5.0
"""Longest that a Rosenbrock gradient of 200 inputs may take."""


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


def operations(flat):
    """Ball operations of one gradient: the constant pass and a pass per coordinate."""
    work = Work(Budget())
    passes = Passes(flat, work)
    passes.values(work.budget.first_precision)
    for place in range(flat.size):
        passes.along({place: 1.0}, 1)
    return work.operations


@pytest.mark.parametrize("count", PEERS["inputs"])
def test_cost_against_inputs(benchmark, count):
    """A Rosenbrock gradient is certified coordinate by coordinate."""
    benchmark.group, benchmark.extra_info["peer"] = f"ball: rosenbrock, {count} inputs", "harness"
    flat = flat_of(rosenbrock, count)
    found = benchmark.pedantic(certify, args=(flat,), rounds=3)
    assert benchmark.stats.stats.min <= INTERACTIVE_S
    assert found.directions is None
    assert bool((found.bar <= 2.0**-53 * found.value.abs()).all())


@pytest.mark.parametrize("length", PEERS["operators"])
def test_cost_against_operators(benchmark, length):
    """A chain of dense operators is certified at a cost that grows with its length."""
    benchmark.group, benchmark.extra_info["peer"] = f"ball: chain of {length} links", "harness"
    flat = flat_of(chain(length), CHAIN_INPUTS)
    found = benchmark.pedantic(certify, args=(flat,), rounds=3)
    assert found.directions is None


def test_operations_grow_with_the_graph():
    """Twice the links of a dense chain must cost about twice the ball operations."""
    counted = [operations(flat_of(chain(length), CHAIN_INPUTS)) for length in PEERS["operators"]]
    assert all(later <= 2.1 * earlier for earlier, later in pairwise(counted)), counted


def test_operations_grow_with_the_inputs():
    """In a dense chain, where each of the operators works on all inputs, n inputs must cost n passes over n entries."""
    counted = [operations(flat_of(chain(4), count)) for count in (10, 20, 40)]
    assert all(later <= 4.4 * earlier for earlier, later in pairwise(counted)), counted


def test_operations_of_a_sparse_gradient_grow_with_the_inputs():
    """In a Rosenbrock gradient each input moves two terms of a sum: n passes must cost about n sums of n terms."""
    counted = [operations(flat_of(rosenbrock, count)) for count in PEERS["inputs"]]
    assert all(cost <= 3 * count * count for count, cost in zip(PEERS["inputs"], counted, strict=True)), counted
