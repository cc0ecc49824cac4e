"""False alarms and power of whole gates, simulated: screening, confirmation and adjustment together.

Run as a program for the figures of the documentation: ``python tests/bench/test_comparison_study.py 30`` simulates 30
gates of every kind; a second number is the most process pairs a row is confirmed with.
"""

import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.signal import lfilter

from harness.bench.comparison import Decision, Judgement, Margin, PairSamples, adjusted, confirm, screen, wide

MARGIN = Margin()


@dataclass(frozen=True)
class Noise:
    """What makes times of equal code differ; standard deviations are of the logarithm."""

    processes: float
    """Persistent difference between the two processes of a pair."""
    rho: float = 0.5
    """Lag-1 correlation of what varies from sample to sample."""
    side: float = 0.015
    """Variation of each side."""
    machine: float = 0.05
    """Variation both sides share."""
    interrupts: float = 0.03
    """Share of samples that are interrupted, and take 1.2 to 3 times as long."""

    def pair(self, rng, effect, samples):
        """Simulate one process pair; `effect` is head's log-ratio."""
        logs = self.machine * correlated(rng, self.rho, (1, samples)) + self.side * correlated(
            rng, self.rho, (2, samples)
        )
        logs += np.where(rng.random((2, samples)) < self.interrupts, np.log(rng.uniform(1.2, 3.0, (2, samples))), 0.0)
        logs[1] += effect + rng.normal(0.0, self.processes)
        base, head = 1e-4 * np.exp(logs)
        return PairSamples(base=tuple(base), head=tuple(head), steady=True)


def correlated(rng, rho, shape):
    """A first-order autoregression of unit variance along the last axis."""
    shocks = rng.normal(size=(shape[0], shape[1] + 30))
    return lfilter([np.sqrt(1.0 - rho**2)], [1.0, -rho], shocks, axis=1)[:, 30:]


@dataclass
class Study:
    """Simulated gates: rows of equal code, and rows slowed by each factor, each of them alone among the equal ones."""

    noise: Noise
    rows: int
    seed: int = 0
    samples: int = 40
    most_pairs: int = 10
    final: list[Judgement] = field(default_factory=list)
    """Of equal code, in gates without a regression."""
    red: int = 0
    """Gates of equal code with an alarm."""
    found: dict[float, list[bool]] = field(default_factory=dict)
    beside: int = 0
    """Alarms of equal code beside a regression."""
    confirmed: int = 0
    process_pairs: int = 0

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)

    def row(self, factor):
        """Judge a row as the engine does: screen it, and confirm what is not the same."""
        effect = np.log(factor)
        judged = screen(self.noise.pair(self.rng, effect, self.samples), MARGIN)
        if judged.decision is Decision.SAME:
            return judged
        pairs = [self.noise.pair(self.rng, effect, self.samples) for _ in range(5)]
        while len(pairs) < self.most_pairs and wide(pairs, MARGIN):
            pairs.append(self.noise.pair(self.rng, effect, self.samples))
        self.confirmed += factor == 1.0
        self.process_pairs += len(pairs) if factor == 1.0 else 0
        return confirm(pairs, MARGIN)

    def gate(self, slowed=()):
        """Judge a gate of equal code, and the same gate with one more row of each factor in turn."""
        equal = [self.row(1.0) for _ in range(self.rows)]
        final = adjusted(equal, MARGIN)
        self.final += final
        self.red += bool(alarms(final))
        for factor in slowed:
            *others, slow = adjusted([*equal, self.row(factor)], MARGIN)
            self.found.setdefault(factor, []).append(slow.decision is Decision.SLOWER)
            self.beside += alarms(others)
        return self

    def power(self, factor):
        """Share of the slowed rows that were found."""
        return float(np.mean(self.found[factor]))


def alarms(judged):
    """Count the slow-downs."""
    return sum(row.decision is Decision.SLOWER for row in judged)


@pytest.mark.parametrize("processes", [0.01, 0.02])
def test_false_alarms_of_equal_code(processes):
    """Of 200 comparisons of equal code, in gates of 50, at most 1 % end as slower, and most as the same."""
    study = Study(noise=Noise(processes=processes), rows=50)
    for _ in range(4):
        study.gate()
    assert alarms(study.final) <= 0.01 * len(study.final)
    assert study.confirmed > 20
    assert np.mean([row.decision is Decision.SAME for row in study.final]) > 0.9


@pytest.mark.parametrize("processes", [0.01, 0.015])
def test_one_regression_among_many_is_found(processes):
    """A single slow-down among 60 rows is found as often as promised, although the other rows are tested too."""
    study = Study(noise=Noise(processes=processes), rows=60)
    study.gate([1.05] * 40 + [1.10] * 40)
    assert study.power(1.05) >= 0.9
    assert study.power(1.10) >= 0.98
    assert study.beside <= 0.01 * 80 * study.rows


def test_where_processes_differ_too_much_it_says_nothing():
    """Differences between processes of 8 % leave equal code undecided, not slower."""
    study = Study(noise=Noise(processes=0.08), rows=30).gate()
    assert np.mean([row.decision is Decision.INCONCLUSIVE for row in study.final]) > 0.3
    assert alarms(study.final) <= 1


def test_without_confirmation_there_would_be_false_alarms():
    """The simulated noise is hard enough: judged by one process pair without any allowance, equal code is slower."""
    rng, noise = np.random.default_rng(1), Noise(processes=0.03)
    naive = Margin(processes=0.0)
    judged = [screen(noise.pair(rng, 0.0, 40), naive) for _ in range(200)]
    assert alarms(judged) > 0.01 * len(judged)


def main(gates, most_pairs=10):
    """Print the figures of larger studies: gates of 50 rows, five single regressions of each size in every gate."""
    for processes in (0.005, 0.01, 0.015, 0.02, 0.03):
        for rho in (0.3, 0.6):
            study = Study(noise=Noise(processes=processes, rho=rho), rows=50, most_pairs=most_pairs)
            for _ in range(gates):
                study.gate([1.05] * 5 + [1.10] * 5)
            undecided = np.mean([row.decision is Decision.INCONCLUSIVE for row in study.final])
            sys.stdout.write(
                f"processes {processes:.1%} rho {rho}: alarms {alarms(study.final)}/{len(study.final)}, "
                f"red gates {study.red}/{gates}, found +5 % {study.power(1.05):.1%}, +10 % {study.power(1.1):.1%} "
                f"of {len(study.found[1.05])}, inconclusive {undecided:.1%}, confirmed {study.confirmed / gates:.1f} "
                f"rows a gate with {study.process_pairs / max(study.confirmed, 1):.1f} process pairs\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
