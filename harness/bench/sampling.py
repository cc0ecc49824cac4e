"""Sampling: run pieces of work on a clock and keep the raw times. Summarising them is `statistics`' job.

Each piece is called once (the first call, with whatever compiling it does, is a figure of its own), its calls per
sample are set so that a sample takes about `sample_s`, and it is warmed up until two windows of samples agree or a
bound is reached. Then all pieces are sampled in rounds, in a new random order each round: what slows the machine for a
while slows all of them alike, and sample i of two pieces comes from the same round. The garbage collector rests
meanwhile. A piece that raises is dropped with its reason; the others go on.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from harness.bench.block import Block, Call, Observed
from harness.bench.clocks import Clock
from harness.bench.statistics import is_steady

MAX_CALLS = 1_000_000
TRIES = 5
"""Most blocks that are timed to find out how long one takes when nothing interrupts it."""

DIGITS = 10
"""Decimals kept of a time in seconds: a tenth of a nanosecond, well below what any clock resolves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A piece of work to time.

    `call` is what is timed. `before`, when there is one, is given the number of calls that follow and prepares them
    outside the timed interval (it is never counted); `most_calls` bounds that number where preparing a call takes
    memory.
    """

    call: Call
    before: Callable[[int], None] | None = None
    most_calls: int = MAX_CALLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to sample: lengths in seconds, counts in samples.

    A piece is done after `samples` samples, or earlier when it has used `budget_s` and has at least `fewest`; at
    `limit_s` it ends however few there are.
    """

    sample_s: float
    samples: int
    fewest: int
    budget_s: float
    limit_s: float
    window: int
    """Samples in each of the two windows whose medians say whether the warm-up is over."""
    tolerance: float
    """Largest relative difference of those medians."""
    most_windows: int
    """The warm-up ends after this many windows, steady or not."""


FULL = Effort(
    sample_s=5e-3, samples=60, fewest=8, budget_s=0.4, limit_s=20.0, window=10, tolerance=0.01, most_windows=5
)
QUICK = Effort(sample_s=1e-3, samples=25, fewest=8, budget_s=0.05, limit_s=4.0, window=3, tolerance=0.1, most_windows=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What sampling one piece of work gave; times in seconds per call.

    `error` is the reason the work could not be sampled, with its `traceback`; samples taken before it are kept.
    """

    samples: tuple[float, ...] = ()
    observed: tuple[Observed, ...] = ()
    """What the device told during each sample; empty where it tells nothing (a CPU)."""
    calls: int = 0
    """Calls per sample."""
    first_call_s: float | None = None
    steady: bool = False
    """Whether the warm-up ended because two windows agreed, rather than at its bound."""
    error: str | None = None
    traceback: str | None = None


@contextmanager
def resting_collector() -> Iterator[None]:
    """Collect garbage once, then keep the collector from running; leave it as it was found."""
    was_enabled, was_frozen = gc.isenabled(), gc.get_freeze_count() > 0
    gc.collect()
    gc.disable()
    if not was_frozen:
        gc.freeze()
    try:
        yield
    finally:
        if not was_frozen:
            gc.unfreeze()
        if was_enabled:
            gc.enable()


def block(work: Work, clock: Clock, calls: int) -> Block:
    """Prepare a block of calls, run it, and return how long the calls took together and what the device told."""
    if work.before is not None:
        work.before(calls)
    return clock.block(work.call, calls)


def block_s(work: Work, clock: Clock, calls: int) -> float:
    """Prepare a block of calls, run it, and return how long the calls took together, in seconds."""
    return block(work, clock, calls).time_s


def calibrated(work: Work, clock: Clock, sample_s: float) -> int:
    """Find how many calls make a sample: double them until a block takes a quarter of one, then scale to a whole one.

    The fastest of a few blocks counts: one that was interrupted would end this with far too few calls.

    Args:
        work: what is timed; it has been called before.
        clock: times the blocks.
        sample_s: wanted length of a sample.
    """
    most = min(work.most_calls, MAX_CALLS)
    calls, took_s = 1, _fastest_block_s(work, clock, 1, sample_s)
    while took_s < sample_s / 4 and calls < most:
        calls = min(2 * calls, most)
        took_s = _fastest_block_s(work, clock, calls, sample_s)
    return max(1, min(most, round(calls * sample_s / took_s))) if took_s > 0 else calls


def _fastest_block_s(work: Work, clock: Clock, calls: int, sample_s: float) -> float:
    """Time a block, up to `TRIES` times as long as none of them was faster than a quarter of a sample."""
    fastest = block_s(work, clock, calls)
    for _ in range(TRIES - 1):
        if fastest < sample_s / 4 or fastest >= TRIES * sample_s:
            break
        fastest = min(fastest, block_s(work, clock, calls))
    return fastest


@dataclass(slots=True)
class _Sampler:
    """One piece of work on its way through first call, calibration, warm-up and rounds."""

    work: Work
    clock: Clock
    effort: Effort
    calls: int = 1
    first_call_s: float | None = None
    steady: bool = False
    samples: list[float] = field(default_factory=list)
    observed: list[Observed] = field(default_factory=list)
    used_s: float = 0.0
    error: str | None = None
    trace: str | None = None

    def guard(self, step: Callable[[], None]) -> None:
        """Run a step of this sampler; keep the reason if the work raises."""
        start = self.clock.now_s()
        try:
            step()
        except Exception as error:  # noqa: BLE001  The case boundary: whatever a subject raises is its result.
            self.error = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            self.trace = traceback.format_exc()
        self.used_s += self.clock.now_s() - start

    def prepare(self) -> None:
        """Make the first call, set the calls per sample and warm up; none of it is charged to the samples' budget."""
        self.guard(self._first_call)
        if self.error is None:
            self.guard(self._calibrate)
        self.used_s = 0.0
        if self.error is None:
            self.guard(self._warm_up)
        self.used_s = 0.0

    def take(self) -> None:
        """Take one sample in this round."""
        self.guard(self._take)

    @property
    def wants_more(self) -> bool:
        """Whether this piece takes part in the next round."""
        count, effort = len(self.samples), self.effort
        if self.error is not None or count >= effort.samples or self.used_s >= effort.limit_s:
            return False
        return count < effort.fewest or self.used_s < effort.budget_s

    def measurement(self) -> Measurement:
        """Freeze what was measured."""
        return Measurement(
            samples=tuple(self.samples),
            observed=tuple(self.observed),
            calls=self.calls,
            first_call_s=self.first_call_s,
            steady=self.steady,
            error=self.error,
            traceback=self.trace,
        )

    def _block(self, calls: int) -> float:
        return block_s(self.work, self.clock, calls)

    def _take(self) -> None:
        taken = block(self.work, self.clock, self.calls)
        self.samples.append(round(taken.time_s / self.calls, DIGITS))
        if taken.observed is not None:
            self.observed.append(taken.observed)

    def _first_call(self) -> None:
        if self.work.before is not None:
            self.work.before(1)
        self.clock.settle()
        start = self.clock.now_s()
        self.work.call()
        self.clock.settle()
        self.first_call_s = round(self.clock.now_s() - start, DIGITS)

    def _calibrate(self) -> None:
        self.calls = calibrated(self.work, self.clock, self.effort.sample_s)

    def _warm_up(self) -> None:
        effort, taken = self.effort, list[float]()
        until = self.clock.now_s() + effort.budget_s
        while len(taken) < effort.window * effort.most_windows and self.clock.now_s() < until:
            taken.append(self._block(self.calls))
            self.steady = is_steady(taken, effort.window, effort.tolerance)
            if self.steady:
                return


def sample(works: Sequence[Work], clock: Clock, effort: Effort, order: Random) -> tuple[Measurement, ...]:
    """Sample pieces of work, interleaved in rounds of random order.

    Args:
        works: what to time; all of it is kept warm together, so it has to fit in memory together.
        clock: times blocks of calls and keeps the budgets.
        effort: how long.
        order: decides each round's order; seeded by the caller.

    Returns:
        One measurement per piece of work, in the order given.
    """
    samplers = [_Sampler(work=work, clock=clock, effort=effort) for work in works]
    with resting_collector():
        for sampler in samplers:
            sampler.prepare()
        while active := [sampler for sampler in samplers if sampler.wants_more]:
            order.shuffle(active)
            for sampler in active:
                sampler.take()
    return tuple(sampler.measurement() for sampler in samplers)
