"""Two timing processes driven alternately: base and head every few milliseconds, in random order inside each pair.

What slows the machine for a while then slows both samples of a pair, and falls out of their ratio. While one process
runs the other waits for its next request. Both run the same number of calls per sample, found on the base. Judging the
samples is `harness.bench.comparison`'s job.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import TypeVar

from harness.bench.comparison import PairSamples
from harness.gate.options import TimingOptions
from harness.gate.process import Asked, LostError
from harness.gate.protocol import (
    Answer,
    Calibrate,
    Calibrated,
    CountCalls,
    Counted,
    Failed,
    Prepare,
    Prepared,
    Request,
    Sample,
    Sampled,
    Survey,
    Surveyed,
)
from harness.gate.records import Candidate, SideName, Workload
from harness.records import Counts

PREFIX = 0.1
"""Untimed calls before each sample, as a share of its own: they bring back what the other process took from caches."""
COLD = 2
"""Pairs of samples that are thrown away in any case."""
WINDOW = 10
"""Pairs in each of the two windows whose medians say whether the warm-up is over."""
STEADY = 0.01
"""Difference of those medians (of log-ratios) that is let be; a larger one only where the spread explains it."""
DROPPED = 5
"""Pairs that are given up to the warm-up each time the windows disagree."""
MOST_WARM = 30
"""Most pairs of samples spent on warming up."""

Enough = Callable[[PairSamples], bool]
AnswerT = TypeVar("AnswerT", bound=Answer)


def agree(base: Sequence[float], head: Sequence[float]) -> bool:
    """Say whether the ratio of the sides is the same in both halves of their samples, as far as spread lets one tell.

    A side that is still warming up moves the ratio; a machine that slows both does not. A median of n has a standard
    error of 1.25 σ/√n, and σ is 1.48 times the median absolute deviation.

    Args:
        base: seconds per call, positive.
        head: of the same pairs.
    """
    logs = [math.log(above / below) for below, above in zip(base, head, strict=True)]
    half = len(logs) // 2
    first, second = logs[:half], logs[half:]
    spread = median([abs(each - median(part)) for part in (first, second) for each in part])
    noise = 2.0 * math.sqrt(2.0 / half) * 1.25 * 1.48 * spread
    return abs(median(second) - median(first)) <= max(STEADY, noise)


class RefusedError(Exception):
    """A side could not do what was asked; the process goes on. The message names the side and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one pair of processes gave for one workload; `reason` says why there are no samples, where there are none.

    `lost` says that a process is gone, and the pair with it.
    """

    samples: PairSamples | None = None
    reason: str = ""
    lost: bool = False
    inner: int | None = None
    base: Prepared | None = None
    head: Prepared | None = None
    base_counts: Counts | None = None
    head_counts: Counts | None = None


class Pair:
    """A pair of timing processes, one of each side."""

    def __init__(self, base: Asked, head: Asked, options: TimingOptions, order: Random) -> None:
        """Take both processes.

        Args:
            base: of the base side, ready.
            head: of the head side, ready.
            options: length and number of samples.
            order: decides which side goes first in each pair of samples.
        """
        self._base, self._head, self._options, self._order = base, head, options, order

    def close(self) -> None:
        """End both processes."""
        self._base.close()
        self._head.close()

    def survey(self, candidate: Candidate) -> Surveyed:
        """Find on the base at which sizes a candidate is timed; none, with the reason.

        Raises:
            LostError: the process is gone.
        """
        try:
            return self._ask("base", Survey(candidate=candidate), Surveyed)
        except RefusedError as refused:
            return Surveyed(reason=str(refused))

    def measure(
        self, workload: Workload, *, inner: int | None = None, most: int, enough: Enough, count: bool = False
    ) -> Measured:
        """Time a workload on both sides.

        Args:
            workload: what.
            inner: calls per sample, where an earlier pair of processes found it.
            most: pairs of samples, at most; never fewer than two windows.
            enough: whether the samples so far will do.
            count: whether one call's exact counts are wanted too.
        """
        found = Measured()
        try:
            base = self._ask("base", Prepare(workload=workload), Prepared)
            head = self._ask("head", Prepare(workload=workload), Prepared)
            if base.inputs != head.inputs:
                return Measured(reason="the inputs differ: the case draws or declares them otherwise on the two sides")
            found = Measured(base=base, head=head)
            inner = inner or self._ask("base", Calibrate(sample_s=self._options.sample_s), Calibrated).calls
            samples = self._samples(inner, most, enough)
            base_counts, head_counts = (self._counts("base"), self._counts("head")) if count else (None, None)
        except RefusedError as refused:
            return Measured(reason=str(refused), base=found.base, head=found.head)
        except LostError as lost:
            return Measured(reason=str(lost), lost=True, base=found.base, head=found.head)
        return Measured(
            samples=samples, inner=inner, base=base, head=head, base_counts=base_counts, head_counts=head_counts
        )

    def _samples(self, inner: int, most: int, enough: Enough) -> PairSamples:
        """Sample until it is enough, beginning with the first two windows that agree; what came before was warm-up."""
        base, head = list[float](), list[float]()
        self._take(inner, COLD, [], [])
        self._take(inner, 2 * WINDOW, base, head)
        for _ in range(MOST_WARM // DROPPED):
            if agree(base, head):
                break
            del base[:DROPPED], head[:DROPPED]
            self._take(inner, DROPPED, base, head)
        steady = agree(base, head)
        while True:
            samples = PairSamples(base=tuple(base), head=tuple(head), steady=steady)
            if len(base) >= most or not steady or enough(samples):
                return samples
            self._take(inner, 1, base, head)

    def _take(self, inner: int, count: int, base: list[float], head: list[float]) -> None:
        """Take pairs of samples, each in random order."""
        request = Sample(calls=inner, prefix=round(PREFIX * inner))
        sides: list[tuple[SideName, list[float]]] = [("base", base), ("head", head)]
        for _ in range(count):
            self._order.shuffle(sides)
            for name, times in sides:
                times.append(self._ask(name, request, Sampled).per_call_s)

    def _counts(self, name: SideName) -> Counts | None:
        try:
            return self._ask(name, CountCalls(), Counted).counts
        except RefusedError:  # a pass that can be timed but not counted, such as one that needs a fresh graph each call
            return None

    def _ask(self, name: SideName, request: Request, kind: type[AnswerT]) -> AnswerT:
        process = self._base if name == "base" else self._head
        try:
            answer = process.ask(request)
        except LostError as lost:
            raise LostError(f"{name}: {lost}") from lost
        if isinstance(answer, kind):
            return answer
        reason = answer.message if isinstance(answer, Failed) else f"answered {answer.kind} to {request.kind}"
        raise RefusedError(f"{name}: {reason}")
