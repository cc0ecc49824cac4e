"""A gate's result as pandas frames, worst first: its rows, and the ratios of their pairs of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from harness.gate.records import Compared, GateResult
from harness.report import columns
from harness.report.gate_words import ordered
from harness.report.tables import build


def gate_frame(result: GateResult) -> pd.DataFrame:
    """Return one row per compared workload, worst first, as in `columns.GATE`."""
    return build((_row(row) for row in ordered(result)), columns.GATE)


def gate_samples_frame(result: GateResult) -> pd.DataFrame:
    """Return one row per pair of samples, as in `columns.GATE_SAMPLES`; the workloads worst first."""
    return build((sample for row in ordered(result) for sample in _samples(row)), columns.GATE_SAMPLES)


def _row(row: Compared) -> dict[str, object]:
    judged = row.judgement
    return {
        "workload": row.workload.label,
        "decision": judged.decision.value,
        "message": row.message,
        "ratio": None if judged.ratio is None else judged.ratio.point,
        "low": None if judged.ratio is None else judged.ratio.low,
        "high": None if judged.ratio is None else judged.ratio.high,
        "threshold": judged.threshold,
        "mde": judged.mde,
        "p": judged.p,
    }


def _samples(row: Compared) -> Iterator[dict[str, object]]:
    screened = () if row.screened is None else ((0, row.screened),)
    for pair, samples in (*screened, *enumerate(row.confirmed, start=1)):
        for number, (base, head) in enumerate(zip(samples.base, samples.head, strict=False)):
            if base > 0 and head > 0 and math.isfinite(base) and math.isfinite(head):
                yield {"workload": row.workload.label, "pair": pair, "number": number, "ratio": head / base}
