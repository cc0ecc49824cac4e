"""How much faster: every timing beside its counterpart, as a frame, worst first.

A ratio is computed only for a case whose verdict is green; otherwise the row says why there is none. How ratios are
judged is `harness.bench.comparison`'s job; all rows here come from one process, so nothing is said about how the same
comparison would come out in another.
"""

from __future__ import annotations

from functools import lru_cache

import pandas as pd

from harness.bench.comparison import Decision, Margin, PairSamples, screen
from harness.bench.statistics import Interval, paired_ratio, unpaired_ratio
from harness.records import Outcome, Run, Timing
from harness.report import columns
from harness.report.outcomes import counted_outcome
from harness.report.tables import benchmark_records, build, sizes_text

MARGIN = Margin(processes=0.0)
"""What counts as a difference; nothing is allowed for what processes differ by, since both sides are of one process."""
DECISIONS = (Decision.SLOWER, Decision.INCONCLUSIVE, Decision.SAME, Decision.FASTER)
"""The order rows stand in: what is worse and what could not be decided come first."""

DEVICE = "device"
END_TO_END = "end to end"


def speedups_frame(run: Run) -> pd.DataFrame:
    """Return every timing against its counterpart: another device against the CPU, another variant against autograd.

    Variants on one device are sampled in the same rounds, and their ratio is that of pairs of samples; those of two
    devices are not, and theirs is that of the medians. Within a case, slower rows and undecided ones come first, and
    rows without a ratio last.
    """
    reasons = _not_green(run)
    return build(
        (
            row
            for record in benchmark_records(run)
            for row in sorted(_speedup_rows(record.case, record.timings, reasons.get(record.case)), key=_rank)
        ),
        columns.SPEEDUPS,
    )


def _not_green(run: Run) -> dict[str, str]:
    """Return, for each case whose verdict is not green, why its timings may not be compared."""
    reasons: dict[str, str] = {}
    for record in run.records:
        outcome = counted_outcome(record)
        # A descent that was skipped says nothing against the gradient; a gradient that was not verified is not green.
        if outcome is Outcome.PASS or record.kind == "benchmark":
            continue
        if outcome is Outcome.SKIPPED and record.kind == "converge":
            continue
        reasons[record.case] = f"No ratio beside a verdict that is not green ({record.kind}: {outcome.value})."
    return reasons


def _speedup_rows(case: str, timings: tuple[Timing, ...], reason: str | None) -> list[dict[str, object]]:
    by_place = {_place(timing): timing for timing in timings}
    rows = []
    for timing in timings:
        if timing.device != "cpu":
            baseline = by_place.get((*_place(timing)[:-1], "cpu"))
            rows += [_speedup(case, timing, baseline, "the CPU", reason, by) for by in _clocks(timing)]
        # A pass that was not timed is in the table of timings with its reason; here it would only say so again.
        if timing.outcome is Outcome.PASS and timing.variant != "autograd" and timing.what != "step":
            baseline = by_place.get(("autograd", *_place(timing)[1:]))
            rows.append(_speedup(case, timing, baseline, "autograd", reason))
    return rows


def _place(timing: Timing) -> tuple[object, ...]:
    return timing.variant, timing.what, timing.sizes, timing.dtype, timing.device


def _rank(row: dict[str, object]) -> tuple[int, float]:
    decision, ratio = row.get("decision"), row.get("ratio")
    place = DECISIONS.index(Decision(str(decision))) if decision else len(DECISIONS)
    return place, ratio if isinstance(ratio, float) else 0.0


def _clocks(timing: Timing) -> tuple[str, ...]:
    """List by which of an accelerator's times it is compared: its own, and the host's until it has finished."""
    whole = timing.on_device is not None and timing.on_device.end_to_end is not None
    return (DEVICE, END_TO_END) if whole else (DEVICE,)


def _speedup(
    case: str, timing: Timing, baseline: Timing | None, against: str, reason: str | None, by: str = DEVICE
) -> dict[str, object]:
    median_s, samples = _times(timing, by)
    row: dict[str, object] = {
        "case": case,
        "what": timing.what,
        "variant": timing.variant,
        "device": timing.device,
        "sizes": sizes_text(timing.sizes),
        "elements": timing.elements,
        "against": against,
        "by": by if timing.device != "cpu" else None,
        "median_s": median_s,
        "against_median_s": baseline.median_s if baseline else None,
    }
    if timing.outcome is not Outcome.PASS:
        return row | {"reason": timing.message}
    if reason:
        return row | {"reason": reason}
    if baseline is None or baseline.outcome is not Outcome.PASS:
        return row | {"reason": baseline.message if baseline else f"The same pass was not timed for {against}."}
    if not samples or not baseline.samples:
        return row | {"reason": "The samples of one of the two were not kept."}
    paired = timing.device == baseline.device
    judged = _paired(timing, baseline) if paired else _unpaired(timing, baseline, samples)
    return row | {"paired": paired, "steady": _both_steady(timing, baseline)} | judged


def _times(timing: Timing, by: str) -> tuple[float | None, tuple[float, ...]]:
    """Return a timing's median and samples, by one of the clocks it has."""
    if by == END_TO_END and timing.on_device is not None and timing.on_device.end_to_end is not None:
        return timing.on_device.end_to_end.median_s, timing.on_device.end_to_end.samples
    return timing.median_s, timing.samples


_screened = lru_cache(maxsize=8192)(screen)
"""A report asks for the same comparison several times, and its bootstrap takes milliseconds."""


def _paired(timing: Timing, baseline: Timing) -> dict[str, object]:
    """Judge samples from the same rounds."""
    steady = _both_steady(timing, baseline) is not False
    judged = _screened(PairSamples(base=baseline.samples, head=timing.samples, steady=steady), MARGIN)
    faster = _inverse(judged.ratio) if judged.ratio else paired_ratio(baseline.samples, timing.samples)
    return _numbers(faster) | {"decision": judged.decision.value, "because": judged.reason, "mde": judged.mde}


def _unpaired(timing: Timing, baseline: Timing, samples: tuple[float, ...]) -> dict[str, object]:
    """Judge samples of two devices by where the interval of the ratio of their medians lies."""
    faster = unpaired_ratio(baseline.samples, samples)
    limit = 1.0 + MARGIN.threshold(baseline.median_s or 0.0)
    decision, because = Decision.INCONCLUSIVE, "the interval allows both a difference that matters and none"
    if timing.throttled or baseline.throttled:
        because = "the device was throttled"
    elif _both_steady(timing, baseline) is False:
        because = "no steady state"
    elif faster.low is None or faster.high is None:
        because = f"{faster.samples} samples are too few for an interval"
    elif faster.low > limit:
        decision, because = Decision.FASTER, "the whole interval lies above the margin"
    elif faster.high < 1.0 / limit:
        decision, because = Decision.SLOWER, "the whole interval lies below the margin"
    elif 1.0 / limit <= faster.low and faster.high <= limit:
        decision, because = Decision.SAME, "any difference is smaller than the margin"
    return _numbers(faster) | {"decision": decision.value, "because": because}


def _inverse(ratio: Interval) -> Interval:
    """Turn "times slower" into "times faster"."""
    low = None if ratio.high is None else 1.0 / ratio.high
    high = None if ratio.low is None else 1.0 / ratio.low
    return Interval(point=1.0 / ratio.point, low=low, high=high, confidence=ratio.confidence, samples=ratio.samples)


def _numbers(faster: Interval) -> dict[str, object]:
    return {
        "ratio": faster.point,
        "low": faster.low,
        "high": faster.high,
        "confidence": faster.confidence,
        "n": faster.samples,
    }


def _both_steady(timing: Timing, baseline: Timing) -> bool | None:
    known = (timing.steady, baseline.steady)
    return False if False in known else None if None in known else True
