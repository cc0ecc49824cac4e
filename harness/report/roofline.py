"""Timings beside what the device was seen to do at its best, as frames.

A timing has a place there when its FLOPs or its bytes were counted, and the same device's ceilings measured in the same
run. A count is the least that a call has to do: traffic of intermediate results is not in it.
"""

from __future__ import annotations

import pandas as pd

from harness.records import Ceilings, Outcome, Run, Timing
from harness.report import columns
from harness.report.tables import benchmark_records, build, sizes_text

Place = tuple[str, str]


def ceilings_frame(run: Run) -> pd.DataFrame:
    """Return one row per device and number type whose ceilings were measured."""
    return build(
        ({name: getattr(found, name) for name in columns.CEILINGS.names} for found in ceilings(run).values()),
        columns.CEILINGS,
    )


def roofline_frame(run: Run) -> pd.DataFrame:
    """Return one row per timing that can be set beside a ceiling."""
    roofs = ceilings(run)
    return build(
        (
            {"job": record.job, "case": record.case, **_row(timing, roofs[timing.device, timing.dtype])}
            for record in benchmark_records(run)
            for timing in record.timings
            if timing.outcome is Outcome.PASS and (timing.device, timing.dtype) in roofs and _counted(timing)
        ),
        columns.ROOFLINE,
    )


def ceilings(run: Run) -> dict[Place, Ceilings]:
    """Return the ceilings of a run by device and number type; they are measured once, by its first benchmark."""
    return {(each.device, each.dtype): each for record in benchmark_records(run) for each in record.ceilings}


def _counted(timing: Timing) -> bool:
    return bool(timing.median_s and timing.counts and (timing.counts.flops or timing.counts.bytes_moved))


def _row(timing: Timing, roof: Ceilings) -> dict[str, object]:
    row = {name: getattr(timing, name) for name in ("what", "variant", "device", "dtype", "elements", "median_s")}
    if timing.counts is None or not timing.median_s:
        return row
    flops, moved, took_s = timing.counts.flops or 0, timing.counts.bytes_moved or 0, timing.median_s
    memory_s, compute_s = moved / roof.bytes_per_s, flops / roof.flops_per_s
    return row | {
        "sizes": sizes_text(timing.sizes),
        "flops": timing.counts.flops,
        "bytes_moved": timing.counts.bytes_moved,
        "flops_per_s": flops / took_s if flops else None,
        "bytes_per_s": moved / took_s if moved else None,
        "most_flops_per_s": roof.flops_per_s,
        "most_bytes_per_s": roof.bytes_per_s,
        "intensity": flops / moved if flops and moved else None,
        "least_s": max(memory_s, compute_s),
        "share": max(memory_s, compute_s) / took_s,
        "bound": "compute" if compute_s > memory_s else "memory",
    }
