"""Figures of ratios: how much faster a variant is than autograd, with intervals, worst and undecided first.

Pure functions of the frame that `columns.SPEEDUPS` declares; each returns None where there is nothing to draw. What may
be compared with what, and what is decided, is settled where the frame is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pandas as pd
import plotly.graph_objects as go

from harness.report import text
from harness.report.figure_forest import ForestRow, forest
from harness.report.figure_passes import pass_title
from harness.report.figure_style import log_axis, positive
from harness.report.speedups import MARGIN
from harness.report.tables import rows

MOST_ROWS = 24
"""Rows of one figure; the table has all of them."""


def ratios_figure(speedups: pd.DataFrame, *, most: int = MOST_ROWS) -> go.Figure | None:
    """Plot how many times faster each variant is than autograd, at the largest size of each case.

    Args:
        speedups: as in `columns.SPEEDUPS`, of one case or of several, in the order to draw within a decision.
        most: rows drawn; those that come first stay.

    Returns:
        A forest plot on a logarithmic axis with a band of ±δ around 1; None where nothing was compared with autograd.
    """
    compared = [row for row in rows(speedups) if row.against == "autograd" and row.ratio is not None]
    largest = _largest(compared)
    kept = worst_first([row for row in compared if row.elements == largest[row.case]])[:most]
    if not kept:
        return None
    with_case = len(largest) > 1
    values = positive(value for row in kept for value in (row.ratio, row.low, row.high))
    axis = log_axis("times faster than autograd", values, exponentformat="none", ticksuffix="×", nticks=6)
    drawn = [_forest_row(row, with_case=with_case) for row in kept]
    return forest(drawn, axis=axis, level=1.0, band=(1.0 / (1.0 + MARGIN.relative), 1.0 + MARGIN.relative))


def worst_first(speedups: Sequence[SimpleNamespace]) -> list[SimpleNamespace]:
    """Return rows of several cases with the slower ones first, then the undecided, the same and the faster."""
    order = ["slower", "inconclusive", "same", "faster"]
    return sorted(speedups, key=lambda row: (order.index(row.decision), row.ratio))


def _largest(speedups: Sequence[SimpleNamespace]) -> dict[str, int | None]:
    sizes: dict[str, int | None] = {}
    for row in sorted(speedups, key=lambda row: row.elements or 0):
        sizes[row.case] = row.elements
    return sizes


def _forest_row(row: SimpleNamespace, *, with_case: bool) -> ForestRow:
    parts = [
        row.case if with_case else "",
        row.variant,
        pass_title(row.what),
        "" if row.device == "cpu" else row.device,
    ]
    detectable = "" if row.mde is None else f"<br>smallest slow-down these samples find: {row.mde:.1%}"
    return ForestRow(
        label=" · ".join(part for part in parts if part),
        point=row.ratio,
        low=row.low,
        high=row.high,
        kind=row.decision,
        hover=f"{row.sizes}<br>{text.ratio(row.ratio)} as fast as autograd, {row.low:.3g} to {row.high:.3g}"
        f"<br>{row.decision}: {row.because}{detectable}"
        if row.low is not None and row.high is not None
        else f"{row.sizes}<br>{text.ratio(row.ratio)}: {row.because}",
    )
