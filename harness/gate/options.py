"""How the gate times: how many samples and processes, under which limits, and whom it tells. Values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from harness.bench.comparison import Margin

Stage = Literal["verify", "screen", "confirm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingOptions:
    """How the two sides are timed.

    Args:
        margin: smallest slow-down that counts, and the level of the tests.
        threads: threads that torch computes with, in both processes.
        seed: seed of the inputs and of the order inside the pairs.
        device: "cpu", or an accelerator such as ``cuda`` or ``cuda:1``, which is timed beside the CPU.
        all_cases: whether cases that declare no `benchmark` are timed too.
        sample_s: wanted length of a sample.
        pairs: pairs of samples of a workload in one pair of processes, at most.
        fewest_pairs: pairs after which a row whose interval is narrow enough may stop.
        fewest_processes: fresh pairs of processes that confirm a row, at least.
        most_processes: the most of them, while the interval is still wide.
        slowest_call_s: sizes at which one call takes longer are not timed.
        limit_s: longest that one answer of a timing process may take before it is stopped.
        memory_gib: memory a timing process may take on top of what it needs to start; None is no cap.
        injected: share of time that is added to the head's samples on purpose, to measure what the gate finds.
    """

    margin: Margin = field(default_factory=Margin)
    threads: int = 1
    seed: int = 0
    device: str = "cpu"
    all_cases: bool = False
    sample_s: float = 5e-3
    pairs: int = 32
    fewest_pairs: int = 20
    fewest_processes: int = 5
    most_processes: int = 10
    slowest_call_s: float = 0.02
    limit_s: float = 60.0
    memory_gib: float | None = 8.0
    injected: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the timing stands: `done` of `total` pieces of a stage, and what is being done."""

    stage: Stage
    done: int
    total: int
    text: str = ""


OnProgress = Callable[[Progress], None]


def untold(_: Progress) -> None:
    """Hear of progress and do nothing."""
