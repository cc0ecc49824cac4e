"""Detection power over a run: which faults were injected, which of them the checks noticed, and which checks did.

Pure functions of the records. How the counts are drawn is `figures_power`'s job.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from harness.records import Run, VerifyRecord
from harness.report.figures_power import NOBODY, power_figure
from harness.report.panel import Panel
from harness.report.tables import build, verify_records

CAUGHT, SURVIVED, EQUIVALENT = "caught", "survived", "equivalent"
POWER = pa.schema(
    [
        pa.field(name, pa.string(), metadata={"description": text})
        for name, text in (
            ("job", "Name of the planned job the row came from."),
            ("case", "Unique id of the case, as its file gives it."),
            ("fault", "Kind of the fault that was injected."),
            ("label", "The fault, with the input it sat in where it was put into each."),
            ("status", "caught, survived, or equivalent: it changes nothing for this case."),
            ("check", "A check that noticed it; a fault noticed by several has a row for each."),
            ("seen_by", "What would notice a fault that survived."),
        )
    ]
)
"""Columns of `power_frame`, with what they mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCount:
    """How one kind of fault fared over all cases."""

    fault: str
    injected: int
    caught: int
    equivalent: int
    checks: str
    """The checks that noticed it, the most frequent first, each with its number of faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSummary:
    """The detection power of a run."""

    cases: int
    injected: int
    caught: int
    equivalent: int
    faults: tuple[FaultCount, ...]
    survivors: tuple[tuple[str, str, str], ...]
    """Case, fault, and what would notice it."""

    @property
    def share(self) -> float:
        """Share of the injected faults that were caught."""
        return self.caught / self.injected if self.injected else 0.0


def power_frame(run: Run) -> pd.DataFrame:
    """Return one row per fault and check that noticed it, and one per fault that none did, in the records' order."""
    return build((row for record in verify_records(run) for row in _rows_of(record)), POWER)


def power_summary(run: Run) -> PowerSummary | None:
    """Return a run's detection power; None where no faults were injected."""
    frame = power_frame(run)
    if frame.empty:
        return None
    once = frame.drop_duplicates(["job", "label"])
    counts = Counter(once["status"])
    left = once[once["status"] == SURVIVED]
    return PowerSummary(
        cases=int(once["job"].nunique()),
        injected=counts[CAUGHT] + counts[SURVIVED],
        caught=counts[CAUGHT],
        equivalent=counts[EQUIVALENT],
        faults=tuple(_count(str(fault), rows) for fault, rows in frame.groupby("fault", sort=False)),
        survivors=tuple((str(c), str(f), str(s)) for c, f, s in left[["case", "label", "seen_by"]].to_numpy()),
    )


def power_panels(run: Run) -> tuple[Panel, ...]:
    """Return the matrix of checks and faults as a panel; none where no faults were injected."""
    figure = power_figure(power_frame(run))
    if figure is None:
        return ()
    caption = "In how many cases each check noticed each fault."
    if figure.data[0].y[-1] == NOBODY:
        caption = "In how many cases each check noticed each fault; the last row counts the faults that none noticed."
    return (
        Panel(
            id="run-power", section="power", title="Checks and faults", caption=caption,
            figure=json.loads(figure.to_json()),
        ),
    )  # fmt: skip


def _rows_of(record: VerifyRecord) -> Iterator[dict[str, object]]:
    power = record.power
    if power is None:
        return
    key: dict[str, object] = {"job": record.job, "case": record.case}
    for catch in power.catches:
        own = {**key, "fault": catch.fault, "label": catch.label, "status": CAUGHT}
        yield from ({**own, "check": check} for check in catch.checks)
    for survivor in power.survivors:
        own = {**key, "fault": survivor.fault, "label": survivor.label, "status": SURVIVED}
        yield {**own, "seen_by": survivor.seen_by}
    for label in power.equivalent:
        yield {**key, "fault": label.partition(" (")[0], "label": label, "status": EQUIVALENT}


def _count(fault: str, rows: pd.DataFrame) -> FaultCount:
    counts = Counter(rows.drop_duplicates(["job", "label"])["status"])
    checks = Counter(rows["check"].dropna())
    return FaultCount(
        fault=fault,
        injected=counts[CAUGHT] + counts[SURVIVED],
        caught=counts[CAUGHT],
        equivalent=counts[EQUIVALENT],
        checks=", ".join(f"{check} {count}" for check, count in checks.most_common()),
    )
