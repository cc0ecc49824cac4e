"""Time both sides: screen every workload with one pair of processes, confirm what is left with several fresh ones.

Screening finds the rows about which nothing more needs to be known. Two processes that run the very same code differ
for good by a per cent or more, which one pair cannot tell from a slow-down; so what is not settled is timed again in
fresh pairs of processes, each of which goes through all open rows and is one observation of each. More pairs are run
only while intervals are wide, wherever they lie. Deciding is `harness.bench.comparison`'s job.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from harness.bench.comparison import Judgement, PairSamples, adjusted, confirm, screen, wide
from harness.gate.options import OnProgress, Progress, TimingOptions, untold
from harness.gate.pair import Measured, Pair
from harness.gate.process import LostError
from harness.gate.records import Candidate, Compared, Side, Workload
from harness.gate.start import start_pair
from harness.gate.verdict import compared, settled, why_not_comparable

MakePair = Callable[[int], Pair]
"""Starts the pair of processes with a number; raises LostError when one of them does not come up."""

NARROW = 0.6
"""A screened row has enough samples when half its interval is at most this share of the margin."""
NARROW_PAIR = 0.8
"""The same for a row in one of the pairs of processes that confirm it: their mean is narrower than each of them."""
CHECK_EVERY = 4
"""Pairs of samples between two looks at the interval's width."""
STARTS = 3
"""How often a pair of processes is started before that is given up."""


@dataclass(slots=True)
class Row:
    """A workload on its way through screening and confirmation."""

    workload: Workload
    first: Measured = field(default_factory=Measured)
    screening: Judgement | None = None
    confirmed: list[PairSamples] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether screening has left the row to be confirmed."""
        return self.screening is not None and not settled(self.screening)


def time_sides(
    base: Side,
    head: Side,
    candidates: Sequence[Candidate],
    options: TimingOptions,
    on_progress: OnProgress = untold,
    *,
    make_pair: MakePair | None = None,
) -> tuple[Compared, ...]:
    """Time candidates on both sides and judge each of their workloads.

    Args:
        base: the base side.
        head: the head side.
        candidates: cases both sides have, as `workloads.candidates` gives them.
        options: how.
        on_progress: told before each workload of each pair of processes.
        make_pair: starts a pair of processes (for tests).

    Returns:
        One row per workload, in the order of the candidates; a candidate without any has one that says why.

    Raises:
        LostError: timing processes do not even start.
    """
    make = make_pair or partial(start_pair, base, head, options)
    timing = _Timing(options=options, make=make, on_progress=on_progress, one_python=base.python == head.python)
    if not candidates:
        return ()
    try:
        timing.screen(candidates)
        timing.confirm()
    finally:
        timing.close()
    return timing.judged()


@dataclass(slots=True)
class _Timing:
    """One timing of both sides."""

    options: TimingOptions
    make: MakePair
    on_progress: OnProgress
    one_python: bool
    rows: list[Row] = field(default_factory=list)
    pair: Pair | None = None
    started: int = 0

    def screen(self, candidates: Sequence[Candidate]) -> None:
        """Go through all workloads with one pair of processes."""
        for place, candidate in enumerate(candidates):
            self.on_progress(Progress(stage="screen", done=place, total=len(candidates), text=candidate.case))
            reason = ""
            for workload in self._workloads(candidate):
                row = Row(workload=workload)
                self.rows.append(row)
                if reason:
                    row.first = Measured(reason=reason)
                    continue
                row.first = self._measure(workload, None, partial(self._narrow, NARROW), count=True)
                reason = f"not timed after this case lost {row.first.reason}" if row.first.lost else ""
                self._judge(row)

    def confirm(self) -> None:
        """Time open rows again, in fresh pairs of processes, more of them while their intervals are wide."""
        todo = [row for row in self.rows if row.open]
        for number in range(self.options.most_processes):
            if number >= self.options.fewest_processes:
                todo = [row for row in todo if wide(row.confirmed, self.options.margin)]
            if not todo:
                return
            self._fresh()
            for place, row in enumerate(todo):
                done = number * len(todo) + place
                total = self.options.fewest_processes * len(todo)
                self.on_progress(
                    Progress(stage="confirm", done=done, total=max(total, done + 1), text=row.workload.label)
                )
                self._confirm(row)

    def judged(self) -> tuple[Compared, ...]:
        """Decide every row, accounting for how many were confirmed."""
        alone = [confirm(row.confirmed, self.options.margin) if row.open else None for row in self.rows]
        final = iter(adjusted([judged for judged in alone if judged is not None], self.options.margin))
        return tuple(
            compared(row.workload, row.first, row.screening, tuple(row.confirmed), judged, judged and next(final))
            for row, judged in zip(self.rows, alone, strict=True)
        )

    def close(self) -> None:
        """End the processes that still run."""
        if self.pair is not None:
            self.pair.close()
            self.pair = None

    def _workloads(self, candidate: Candidate) -> list[Workload]:
        """Survey a candidate; one that cannot be timed becomes a row that says why."""
        bare = Workload(
            case=candidate.case, path=candidate.path, what="", device=candidate.device, dtype=candidate.dtype
        )
        pair = self._running()
        try:
            found = pair.survey(candidate)
        except LostError as lost:
            self.close()
            self.rows.append(Row(workload=bare, first=Measured(reason=str(lost))))
            return []
        if not found.sizes:
            self.rows.append(Row(workload=bare, first=Measured(reason=found.reason)))
        return [
            replace(bare, what=what, sizes=sizes, elements=elements)
            for sizes, elements in zip(found.sizes, found.elements, strict=True)
            for what in candidate.passes
        ]

    def _measure(
        self, workload: Workload, inner: int | None, enough: Callable[[PairSamples], bool], *, count: bool
    ) -> Measured:
        pair, most = self._running(), self.options.pairs
        found = pair.measure(workload, inner=inner, most=most, enough=enough, count=count)
        if found.lost:
            self.close()
        return found

    def _judge(self, row: Row) -> None:
        """Screen a row whose samples are there and whose code is each side's own."""
        reason = why_not_comparable(row.first, one_python=self.one_python)
        if reason:
            row.first = replace(row.first, reason=reason)
        elif row.first.samples is not None:
            row.screening = screen(row.first.samples, self.options.margin)

    def _confirm(self, row: Row) -> None:
        found = self._measure(row.workload, row.first.inner, partial(self._narrow, NARROW_PAIR), count=False)
        if found.samples is not None:
            row.confirmed.append(found.samples)

    def _narrow(self, share: float, samples: PairSamples) -> bool:
        """Whether half the interval is at most a share of the margin; its width is asked for and nothing else."""
        count = len(samples.base)
        if count < self.options.fewest_pairs or count % CHECK_EVERY:
            return False
        ratio, margin = screen(samples, self.options.margin).ratio, self.options.margin.relative
        return ratio is not None and ratio.known and (ratio.high or 0.0) - (ratio.low or 0.0) <= 2 * share * margin

    def _running(self) -> Pair:
        """Return the pair of processes at hand, or start one."""
        return self.pair or self._fresh()

    def _fresh(self) -> Pair:
        """Start a pair of processes in place of the one at hand."""
        self.close()
        for _ in range(STARTS - 1):
            with suppress(LostError):
                return self._start()
        return self._start()

    def _start(self) -> Pair:
        self.started += 1
        self.pair = self.make(self.started)
        return self.pair
