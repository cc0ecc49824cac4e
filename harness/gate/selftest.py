"""How often the gate is wrong on this machine: the same code timed as both sides, as it is and slowed down on purpose.

Each repetition is a whole gate with processes of its own: nothing is shared between repetitions, so they are
independent; workloads of one repetition share processes, as they do in any gate. The same repetition is run without
and with slow-downs. A row that is slowed down is judged as the only one among rows that are not: it has to hold against
the correction for all of them. What this cannot see: slow-downs that do not lengthen every call alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter
from scipy import stats

from harness.bench.comparison import Decision, Judgement, Margin, adjusted
from harness.gate.engine import time_sides
from harness.gate.options import OnProgress, Progress, TimingOptions, untold
from harness.gate.records import Candidate, Compared, Side
from harness.gate.verdict import rejudged
from harness.records import Environment

EFFECTS = (0.0, 0.05, 0.10)
COMPARISONS = 200
CONFIDENCE = 0.95
MOST_CANDIDATES = 10
"""Most cases that take part: few enough for many repetitions, enough for one start of processes to serve many rows."""

TimeSides = Callable[[Side, Side, Sequence[Candidate], TimingOptions, OnProgress], tuple[Compared, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """One gate of the same code against itself, with head slowed down by a share of its time."""

    number: int
    injected: float
    rows: tuple[Compared, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """Everything that was measured, with the raw samples: its rates can be computed again from them."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="strings")
    margin: Margin
    environment: Environment | None = None
    repetitions: tuple[Repetition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many comparisons ended as slower: false alarms where nothing was injected, else what was found."""

    injected: float
    workload: str
    """Its label; "" is all of them together."""
    slower: int
    comparisons: int
    undecided: int
    """Comparisons that ended as inconclusive; they are among the comparisons."""
    low: float
    high: float
    """Exact (Clopper–Pearson) interval of the share at 95 %."""

    @property
    def share(self) -> float:
        """The share that ended as slower."""
        return self.slower / self.comparisons


def self_test(
    side: Side,
    candidates: Sequence[Candidate],
    options: TimingOptions,
    *,
    comparisons: int = COMPARISONS,
    effects: Sequence[float] = EFFECTS,
    environment: Environment | None = None,
    on_progress: OnProgress = untold,
    on_repetition: Callable[[SelfTest], None] | None = None,
    time: TimeSides | None = None,
) -> SelfTest:
    """Time one tree against itself until there are comparisons enough for every effect.

    Args:
        side: the tree.
        candidates: its cases; at most `MOST_CANDIDATES` of them take part, each with its costliest pass.
        options: how; its seed numbers the repetitions.
        comparisons: how many there have to be at least, for each effect.
        effects: shares of time that are added to head; 0 is needed to judge the others.
        environment: where this happens, for the record.
        on_progress: told where the timing stands.
        on_repetition: given what there is after each repetition, so that an interrupted test has not been for nothing.
        time: times both sides (for tests).

    Returns:
        The repetitions, in order; without a workload that can be timed there is one, which says why.
    """
    run = time or time_sides
    chosen = [replace(each, passes=(_costliest(each.passes),)) for each in _spread(candidates)]
    found = SelfTest(margin=options.margin, environment=environment)
    counts = dict.fromkeys(dict.fromkeys((0.0, *effects)), 0)
    number = 0
    while chosen and min(counts.values()) < comparisons:
        number += 1
        for effect in counts:
            on_progress(Progress(stage="screen", done=counts[effect], total=comparisons, text=f"{effect:+.0%}"))
            how = replace(options, seed=options.seed + number, injected=effect)
            rows = run(replace(side, name="base"), replace(side, name="head"), chosen, how, untold)
            found = replace(
                found, repetitions=(*found.repetitions, Repetition(number=number, injected=effect, rows=rows))
            )
            measured = sum(row.screened is not None for row in rows)
            counts[effect] += measured
            if on_repetition is not None:
                on_repetition(found)
            if not measured:
                return found
    return found


def rates(test: SelfTest, margin: Margin | None = None) -> tuple[Rate, ...]:
    """Judge all samples of a self-test again and count.

    Args:
        test: the samples.
        margin: what to judge them with; None is what they were taken for.

    Returns:
        For each effect the rate over all workloads, then of each workload.
    """
    margin = margin or test.margin
    decisions = list[tuple[float, str, Decision]]()
    nulls = {one.number: [rejudged(row, margin) for row in one.rows] for one in test.repetitions if one.injected == 0.0}
    for one in test.repetitions:
        family = nulls.get(one.number, [])
        judged = [rejudged(row, margin) for row in one.rows]
        for place, row in enumerate(one.rows):
            if row.screened is not None:
                others = [each for at, each in enumerate(family) if at != place]
                decisions.append((one.injected, row.workload.label, among(judged[place], others, margin).decision))
    return tuple(_rates(decisions))


def among(judged: Judgement, others: Sequence[Judgement], margin: Margin) -> Judgement:
    """Adjust one judgement for standing among others."""
    return adjusted([judged, *others], margin)[0]


def clopper_pearson(count: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper & Pearson 1934, Biometrika 26:404).

    Args:
        count: how many of them.
        total: how many there are, at least 1.
        confidence: its coverage, at least.
    """
    tail = (1.0 - confidence) / 2.0
    low = float(stats.beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(stats.beta.ppf(1.0 - tail, count + 1, total - count)) if count < total else 1.0
    return low, high


def table(found: Iterable[Rate]) -> str:
    """Lay rates out as a Markdown table."""
    lines = [
        "| injected | workload | found slower | share | 95 % interval | inconclusive |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {rate.injected:+.0%} | {rate.workload or 'all'} | {rate.slower} of {rate.comparisons} | {rate.share:.1%} "
        f"| {rate.low:.1%} to {rate.high:.1%} | {rate.undecided} |"
        for rate in found
    ]
    return "\n".join(lines)


_ADAPTER = TypeAdapter(SelfTest)


def to_json(test: SelfTest) -> str:
    """Return a self-test with its raw samples as strict JSON."""
    return _ADAPTER.dump_json(test).decode()


def from_json(text: str | bytes) -> SelfTest:
    """Read a self-test back.

    Raises:
        ValueError: the text is none.
    """
    return _ADAPTER.validate_json(text)


def _rates(decisions: Sequence[tuple[float, str, Decision]]) -> Iterable[Rate]:
    for effect in dict.fromkeys(effect for effect, _, _ in decisions):
        ended = [(label, decision) for at, label, decision in decisions if at == effect]
        yield _rate(effect, "", [decision for _, decision in ended])
        for label in dict.fromkeys(label for label, _ in ended):
            yield _rate(effect, label, [decision for name, decision in ended if name == label])


def _rate(effect: float, workload: str, decisions: Sequence[Decision]) -> Rate:
    slower, total = decisions.count(Decision.SLOWER), len(decisions)
    low, high = clopper_pearson(slower, total)
    return Rate(
        injected=effect,
        workload=workload,
        slower=slower,
        comparisons=total,
        undecided=decisions.count(Decision.INCONCLUSIVE),
        low=low,
        high=high,
    )


def _spread(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Choose candidates evenly."""
    count = min(len(candidates), MOST_CANDIDATES)
    return [candidates[place * len(candidates) // count] for place in range(count)]


def _costliest(passes: Sequence[str]) -> str:
    return "forward_backward" if "forward_backward" in passes else passes[-1]
