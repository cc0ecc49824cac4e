"""Sweeps over learning rates as a frame: a row per rate and seed."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from harness.records import Run, SweepRecord
from harness.report import columns
from harness.report.tables import Row, build


def rates_frame(run: Run) -> pd.DataFrame:
    """Return one row per learning rate and seed of every sweep."""
    swept = (record for record in run.records if isinstance(record, SweepRecord))
    return build((row for record in swept for row in _rows(record)), columns.RATES)


def _rows(record: SweepRecord) -> Iterator[Row]:
    basin = record.basin
    same: Row = {
        "job": record.job,
        "case": record.case,
        "sweep": f"{record.run} [{record.entry}]",
        "outcome": record.outcome.value,
        "message": record.message,
        "budget": record.budget,
        "basin_decades": None if basin is None else basin.decades,
        "basin_open": None if basin is None else basin.open_low or basin.open_high,
    }
    for rate in record.rates:
        here: Row = {
            "rate": rate.rate,
            "status": rate.status,
            "in_basin": basin is not None and basin.low <= rate.rate <= basin.high,
            "best": basin is not None and rate.rate == basin.best_rate,
        }
        for seed, steps, loss in zip(record.seeds, rate.steps, rate.losses, strict=True):
            yield {**same, **here, "seed": seed, "steps": steps, "loss": loss}
