"""What the gate's result is called, in words and cells that its terminal output, summary, page and JUnit file share.

Plain text only: nothing here escapes or makes markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from harness.bench.comparison import Decision, Judgement
from harness.gate.counts import CountChange, count_changes
from harness.gate.records import Compared, GateResult, VerificationChange
from harness.records import ExitCode
from harness.report import text

WORST_FIRST = (Decision.SLOWER, Decision.INCONCLUSIVE, Decision.FASTER, Decision.SAME)
MEANINGS = {
    Decision.SLOWER: "Confirmed in fresh pairs of processes: slower by at least the margin.",
    Decision.FASTER: "Confirmed in fresh pairs of processes: faster by at least the margin.",
    Decision.SAME: "Not slower by more than the margin. Whether it is a little faster was not pursued.",
    Decision.INCONCLUSIVE: "The measurement cannot tell; the reason is given. It fails nothing.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CountRow:
    """An exact count of a workload that changed."""

    label: str
    change: CountChange


def headline(result: GateResult) -> str:
    """Say the result in a line, the bad news first: "Gate: 1 slower, 1 verification worse"."""
    worse = sum(change.direction == "worse" for change in result.changes)
    slower, unsure = len(result.rows(Decision.SLOWER)), len(result.rows(Decision.INCONCLUSIVE))
    risen = sum(row.change.risen for row in count_rows(result)) if result.counts == "fail" else 0
    bad = [
        text.count(slower, "workload slower", "workloads slower") if slower else "",
        text.count(worse, "verification worse", "verifications worse") if worse else "",
        text.count(risen, "exact count risen", "exact counts risen") if risen else "",
    ]
    if any(bad):
        return f"Gate: {', '.join(filter(None, bad))}"
    if result.exit_code == ExitCode.UNDECIDED:
        return "Gate: nothing could be measured"
    decided = len(result.compared) - unsure
    parts = [
        f"{decided} of {text.count(len(result.compared), 'workload')} compared" if result.compared else "",
        f"{text.count(len(result.verified), 'case')} verified on both sides" if result.verified else "",
    ]
    return f"Gate: nothing got worse ({', '.join(filter(None, parts))})"


def counts(result: GateResult) -> tuple[tuple[str, int], ...]:
    """Return how many workloads were decided how, worst first, and how many cases were not timed."""
    decided = tuple((decision.value, len(result.rows(decision))) for decision in WORST_FIRST)
    return (*decided, ("not timed", len(result.untimed)))


def ordered(result: GateResult) -> tuple[Compared, ...]:
    """Return the compared workloads, worst first; within a decision, the greatest ratio first."""
    return tuple(sorted(result.compared, key=lambda row: (WORST_FIRST.index(row.decision), -_point(row.judgement))))


def changes(result: GateResult, *directions: str) -> tuple[VerificationChange, ...]:
    """Return the changes of verification in some directions."""
    return tuple(change for change in result.changes if change.direction in directions)


def count_rows(result: GateResult) -> tuple[CountRow, ...]:
    """Return the exact counts that changed, those that rose first."""
    rows = [CountRow(label=row.workload.label, change=each) for row in result.compared for each in count_changes(row)]
    return tuple(sorted(rows, key=lambda row: (not row.change.risen, -row.change.head / max(row.change.base, 1))))


def slowdown(judgement: Judgement) -> str:
    """Return the ratio as a difference in per cent: ``+41.2 %``."""
    return text.MISSING if judgement.ratio is None else _signed(judgement.ratio.point)


def interval(judgement: Judgement) -> str:
    """Return the ratio's interval in per cent: ``+39.8 % to +42.5 %``."""
    ratio = judgement.ratio
    if ratio is None or ratio.low is None or ratio.high is None:
        return text.MISSING
    return f"{_signed(ratio.low)} to {_signed(ratio.high)}"


def detectable(judgement: Judgement) -> str:
    """Return the smallest slow-down that would have been found: ``4.1 %``."""
    return text.MISSING if judgement.mde is None else f"{100 * judgement.mde:.1f} %"


def probability(judgement: Judgement) -> str:
    """Return the p-value: ``2.1e-5``."""
    return text.number(judgement.p, 2)


def base_s(row: Compared) -> float | None:
    """Return the median time of a call on the base, in seconds; None where nothing was measured.

    Head's is not shown beside it: processes differ, so two medians over all of them would not have the ratio that their
    pairs have.
    """
    pairs = row.confirmed or (() if row.screened is None else (row.screened,))
    samples = [sample for pair in pairs for sample in pair.base]
    return median(samples) if samples else None


def phases(result: GateResult) -> str:
    """Say how long each part took: "base provided 0.4 s, verification 21 s, timing 35 s"."""
    return ", ".join(f"{phase.name} {text.seconds(phase.duration_s)}" for phase in result.phases)


def duration_s(result: GateResult) -> float:
    """Return how long the gate took, in seconds."""
    return sum(phase.duration_s for phase in result.phases)


def margin(result: GateResult) -> str:
    """Say what counts as slower: "3 % (and 50 ns per call), error rate 5 %"."""
    used = result.margin
    return (
        f"{100 * used.relative:.3g} % (and {text.seconds(used.floor_s)} per call), error rate {100 * used.alpha:.3g} %"
    )


def _signed(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


def _point(judgement: Judgement) -> float:
    return 0.0 if judgement.ratio is None else judgement.ratio.point
