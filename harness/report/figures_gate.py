"""Figures of a gate: what head takes compared with base, by workload, by pair of processes and sample by sample.

Pure functions of the frames that `columns` declares; each returns None where there is nothing to draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pandas as pd
import plotly.graph_objects as go

from harness.bench.comparison import Margin
from harness.report import text
from harness.report.figure_forest import ForestRow, forest
from harness.report.figure_style import GRID, INK, PALETTE, linear_axis, log_axis, positive, short, styled
from harness.report.tables import rows

MOST_ROWS = 40
"""Workloads of the forest plot; the table has all of them."""
MOST_SERIES = 12
"""Workloads whose samples are drawn."""
MOST_SAMPLES = 60
"""Samples drawn of one pair of processes; of more, the first ones."""


def gate_forest_figure(compared: pd.DataFrame, samples: pd.DataFrame, margin: Margin) -> go.Figure | None:
    """Plot head's time over base's with intervals, worst first, and a dot for the median of each pair of processes.

    Args:
        compared: as in `columns.GATE`.
        samples: as in `columns.GATE_SAMPLES`.
        margin: what counts as a difference; the shaded band.

    Returns:
        A forest plot; workloads without a ratio are left out. None where there is none.
    """
    drawn = [row for row in rows(compared) if row.ratio is not None][:MOST_ROWS]
    if not drawn:
        return None
    places = {row.workload: place for place, row in enumerate(drawn)}
    medians = samples.groupby(["workload", "pair"], sort=False)["ratio"].median().reset_index()
    dots = [row for row in rows(medians) if row.workload in places]
    values = [value for row in drawn for value in (row.ratio, row.low, row.high)]
    shown = positive([*values, *(row.ratio for row in dots)])
    axis = log_axis("time of head ÷ time of base", shown, exponentformat="none", ticksuffix="×", nticks=6)
    figure = forest([_row(row) for row in drawn], axis=axis, level=1.0, band=band(margin))
    figure.add_trace(_dots(dots, places))
    return figure


def gate_series_figure(samples: pd.DataFrame, margin: Margin, *, most: int = MOST_SERIES) -> go.Figure | None:
    """Plot the ratio of every pair of samples in the order they were taken, of one workload at a time.

    Args:
        samples: as in `columns.GATE_SAMPLES`; the reader chooses between the workloads that come first.
        margin: what counts as a difference; the shaded band.
        most: workloads to choose from.
    """
    workloads = [str(name) for name in samples["workload"].drop_duplicates()][:most]
    if not workloads:
        return None
    figure = go.Figure()
    for workload, mine in samples[samples["workload"].isin(workloads)].groupby("workload", sort=False):
        start = 0
        for _, series in mine.groupby("pair", sort=True):
            kept = rows(series)[:MOST_SAMPLES]
            trace = _series(kept[0].pair, kept, start).update(meta=str(workload), visible=str(workload) == workloads[0])
            figure.add_trace(trace)
            start += len(kept)
    low, high = band(margin)
    across = {"x0": 0, "x1": 1, "xref": "x domain", "layer": "below"}
    figure.add_shape(type="rect", y0=low, y1=high, fillcolor=GRID, line_width=0, **across)
    figure.add_shape(type="line", y0=1, y1=1, line={"color": INK, "dash": "dash", "width": 1}, **across)
    figure.update_layout(
        xaxis=linear_axis("pairs of samples, in order"),
        yaxis=log_axis("time of head ÷ time of base", exponentformat="none", ticksuffix="×", dtick=None, nticks=6),
        meta={"choose": "Workload", "choices": workloads, "chosen": workloads[0]},
        showlegend=True,
    )
    return styled(figure, height=400)


def band(margin: Margin) -> tuple[float, float]:
    """Return the ratios between which a difference does not matter."""
    return 1.0 / (1.0 + margin.relative), 1.0 + margin.relative


def _row(row: SimpleNamespace) -> ForestRow:
    notes = [
        row.message,
        "" if row.mde is None else f"smallest slow-down that would have been found: {text.percent(row.mde)}",
        "" if row.p is None else f"p = {text.number(row.p, 2)}",
    ]
    hover = "<br>".join(note for note in notes if note)
    return ForestRow(label=row.workload, point=row.ratio, low=row.low, high=row.high, kind=row.decision, hover=hover)


def _dots(dots: Sequence[SimpleNamespace], places: Mapping[str, int]) -> go.Scatter:
    """Return the medians of single pairs of processes, a little below their rows."""
    return go.Scatter(
        x=[short(row.ratio) for row in dots],
        y=[places[row.workload] + 0.22 for row in dots],
        customdata=[_pair_name(row.pair) for row in dots],
        mode="markers",
        name="one pair of processes",
        marker={"color": INK, "size": 5, "symbol": ["diamond-open" if row.pair == 0 else "circle" for row in dots]},
        hovertemplate="%{customdata}: %{x:.4g}×<extra></extra>",
    )


def _series(pair: int, samples: Sequence[SimpleNamespace], start: int) -> go.Scatter:
    return go.Scatter(
        x=list(range(start, start + len(samples))),
        y=[short(row.ratio) for row in samples],
        mode="markers",
        name="screening" if pair == 0 else f"pair {pair}",
        marker={
            "size": 6,
            "color": INK if pair == 0 else PALETTE[(pair - 1) % len(PALETTE)],
            "symbol": "diamond-open" if pair == 0 else "circle",
        },
        hovertemplate="%{y:.4g}×<extra>" + _pair_name(pair) + "</extra>",
    )


def _pair_name(pair: int) -> str:
    return "screening" if pair == 0 else f"fresh pair of processes {pair}"
