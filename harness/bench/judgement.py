"""What is judged of paired timings, by which margin, and what a judgement says: records without any statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from harness.bench.statistics import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSamples:
    """Times of both sides from one pair of processes, in seconds per call; sample i of both is one pair."""

    base: tuple[float, ...]
    head: tuple[float, ...]
    steady: bool
    """Whether both sides' warm-ups reached a steady state."""


class Decision(StrEnum):
    """What a comparison of two timings says about head."""

    SLOWER = "slower"
    SAME = "same"
    FASTER = "faster"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A decision about one case, with the evidence for it."""

    decision: Decision
    ratio: Interval | None
    """Time of head over time of base; `samples` are pairs of samples when screened, process pairs when confirmed."""
    mde: float | None
    """Smallest relative slow-down that this many samples of this spread find with a probability of 90 %."""
    p: float | None
    """One-sided p-value of "head is not slower than base", adjusted where it was; None where nothing was tested."""
    reason: str
    threshold: float | None = None
    """The relative difference that mattered: the margin, or the absolute floor where that is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """What counts as a difference, and how sure one has to be of it."""

    relative: float = 0.03
    """δ: relative differences up to this are of no interest."""
    floor_s: float = 50e-9
    """Differences up to this many seconds per call are of no interest either."""
    alpha: float = 0.05
    """One-sided level of every test; intervals cover 1 − 2α."""
    processes: float = 0.01
    """Standard deviation allowed for between two processes that run the same code, where only one pair was run."""

    @property
    def confidence(self) -> float:
        """Coverage of the intervals: two one-sided tests at α look at an interval of 1 − 2α."""
        return 1.0 - 2.0 * self.alpha

    def threshold(self, base_s: float) -> float:
        """Return the relative difference that matters for calls of `base_s` seconds."""
        return max(self.relative, self.floor_s / base_s) if base_s > 0 else math.inf
