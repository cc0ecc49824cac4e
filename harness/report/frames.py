"""The frames of a run: every table and figure of a report is made from these and from nothing else.

The public face of `tables` (the records' own rows), `summary` (what they come to) and `speedups`; the columns of each
frame, with their types and meanings, are declared in `columns`.
"""

from __future__ import annotations

from harness.report.accuracy import accuracy_frame
from harness.report.rates import rates_frame
from harness.report.roofline import ceilings_frame, roofline_frame
from harness.report.speedups import speedups_frame
from harness.report.summary import (
    NOT_RUN,
    cases_frame,
    counts_frame,
    detection_frame,
    jobs_frame,
    results_frame,
)
from harness.report.tables import (
    agreements_frame,
    contours_frame,
    converge_frame,
    crossovers_frame,
    curves_frame,
    edges_frame,
    findings_frame,
    fits_frame,
    nodes_frame,
    scalings_frame,
    targets_frame,
    timings_frame,
    trajectory_frame,
)

__all__ = [
    "NOT_RUN",
    "accuracy_frame",
    "agreements_frame",
    "cases_frame",
    "ceilings_frame",
    "contours_frame",
    "converge_frame",
    "counts_frame",
    "crossovers_frame",
    "curves_frame",
    "detection_frame",
    "edges_frame",
    "findings_frame",
    "fits_frame",
    "jobs_frame",
    "nodes_frame",
    "rates_frame",
    "results_frame",
    "roofline_frame",
    "scalings_frame",
    "speedups_frame",
    "targets_frame",
    "timings_frame",
    "trajectory_frame",
]
