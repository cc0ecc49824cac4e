"""How much faster: every timing beside its counterpart, as a frame.

A ratio is computed only for a case whose verdict is green; otherwise the row says why there is none.
"""

from __future__ import annotations

import pandas as pd

from harness.records import Outcome, Run, Timing
from harness.report import columns
from harness.report.outcomes import counted_outcome
from harness.report.tables import benchmark_records, build


def speedups_frame(run: Run) -> pd.DataFrame:
    """Return every timing against its counterpart: another device against the CPU, another variant against autograd.

    A ratio's interval divides the one interval's ends by the other's, which is wider than either's confidence asks.
    """
    reasons = _not_green(run)
    return build(
        (
            row
            for record in benchmark_records(run)
            for row in _speedup_rows(record.case, record.timings, reasons.get(record.case))
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
            rows.append(_speedup(case, timing, baseline, "the CPU", reason))
        # A pass that was not timed is in the table of timings with its reason; here it would only say so again.
        if timing.outcome is Outcome.PASS and timing.variant != "autograd" and timing.what != "step":
            baseline = by_place.get(("autograd", *_place(timing)[1:]))
            rows.append(_speedup(case, timing, baseline, "autograd", reason))
    return rows


def _place(timing: Timing) -> tuple[object, ...]:
    return timing.variant, timing.what, timing.sizes, timing.dtype, timing.device


def _speedup(case: str, timing: Timing, baseline: Timing | None, against: str, reason: str | None) -> dict[str, object]:
    row: dict[str, object] = {
        "case": case,
        "what": timing.what,
        "variant": timing.variant,
        "device": timing.device,
        "sizes": ", ".join(f"{name}={size}" for name, size in timing.sizes),
        "elements": timing.elements,
        "against": against,
        "median_s": timing.median_s,
        "against_median_s": baseline.median_s if baseline else None,
    }
    if timing.outcome is not Outcome.PASS:
        return row | {"reason": timing.message}
    if reason:
        return row | {"reason": reason}
    if baseline is None or baseline.outcome is not Outcome.PASS:
        return row | {"reason": baseline.message if baseline else f"The same pass was not timed for {against}."}
    return row | _ratio(timing, baseline)


def _ratio(timing: Timing, baseline: Timing) -> dict[str, object]:
    def divide(upper: float | None, lower: float | None) -> float | None:
        return upper / lower if upper is not None and lower else None

    return {
        "ratio": divide(baseline.median_s, timing.median_s),
        "low": divide(baseline.low_s, timing.high_s),
        "high": divide(baseline.high_s, timing.low_s),
    }
