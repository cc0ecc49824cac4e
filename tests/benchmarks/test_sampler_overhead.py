"""What sampling itself costs beside the time it samples, at samples of 5 ms.

The work is a call that keeps the processor busy for a set time, so whatever passes between the end of one timed block
and the start of the next is the sampler's own. Unlike times, this ratio is asserted, by the least tenth of the gaps:
what other processes push out of the caches, or when they take the processor, is not the sampler's doing.
"""

from __future__ import annotations

import statistics
import sys
import time
from itertools import pairwise
from random import Random

import pytest

from harness.bench.clocks import CpuClock
from harness.bench.sampling import FULL, Effort, Work, sample

CALL_S = 50e-6
BOUND = 0.01
EFFORT = Effort(
    sample_s=FULL.sample_s, samples=60, fewest=60, budget_s=5.0, limit_s=20.0, window=10, tolerance=0.01, most_windows=2
)


class Watched(CpuClock):
    """The host's clock, which also notes when its blocks begin and end."""

    def __init__(self):
        super().__init__()
        self.blocks = []

    def block(self, call, calls):
        begun = time.perf_counter_ns()
        taken = super().block(call, calls)
        self.blocks.append((begun, time.perf_counter_ns()))
        return taken


def busy():
    """Take `CALL_S` seconds of processor time."""
    until = time.perf_counter_ns() + round(CALL_S * 1e9)
    while time.perf_counter_ns() < until:
        pass


def overhead(works):
    """Sample some works; return the time between two blocks, relative to the time a sample is asked to take."""
    clock = Watched()
    sample(works, clock, EFFORT, Random(0))
    taken = clock.blocks[-EFFORT.samples * len(works) :]
    between = [begun - ended for (_, ended), (begun, _) in pairwise(taken)]
    return statistics.quantiles(between, n=10)[0] * 1e-9 / EFFORT.sample_s


@pytest.mark.parametrize("count", [1, 8])
def test_the_sampler_costs_less_than_a_hundredth(count, capsys):
    """Between two samples of 5 ms passes at most 1 % of their time, with one work or several in turn."""
    share = overhead([Work(call=busy, before=lambda calls: None)] * count)
    with capsys.disabled():
        sys.stdout.write(f"\nsampler, works: {count}: {share:.3%} of the sampled time\n")
    assert share <= BOUND


def test_a_costly_preparation_would_be_seen():
    """The measure sees what is not sampled: preparing a block for 0.5 ms is more than the bound."""
    share = overhead([Work(call=busy, before=lambda calls: [busy() for _ in range(10)])])
    assert share > BOUND
