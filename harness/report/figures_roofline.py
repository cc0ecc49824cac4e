"""The roofline: every timing as a point beside what its device was seen to do at its best.

A pure function of the frames that `columns` declares (Williams, Waterman and Patterson 2009, CACM 52(4):65). Work
without counted FLOPs has no place under the roof; it stands beside the copy's rate alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from harness.report import text
from harness.report.figure_passes import pass_title
from harness.report.figure_style import DASHES, INK, coloured, log_axis, positive, short, styled
from harness.report.tables import rows

COMPUTE, MEMORY = "FLOPs against bytes", "bytes per second"
MOST_POINTS = 600
"""Points of one figure; those with the smallest share of what is possible stay."""


def roofline_figure(roofline: pd.DataFrame, *, by: Callable[[SimpleNamespace], str] | None = None) -> go.Figure | None:
    """Plot the rate of every timing under the ceilings of its device.

    Args:
        roofline: as in `columns.ROOFLINE`.
        by: what a point's colour and name stand for; variant and device when left out.

    Returns:
        Up to two log-log panels: FLOPs per second against FLOPs per byte, under the roof; and bytes per second against
        bytes, under the rate of a copy. None where no row is.
    """
    points = sorted((row for row in rows(roofline) if row.bytes_per_s), key=lambda row: row.share)[:MOST_POINTS]
    if not points:
        return None
    name = by or _variant
    under = [row for row in points if row.intensity]
    titles = [COMPUTE, MEMORY] if under else [MEMORY]
    figure = make_subplots(rows=1, cols=len(titles), subplot_titles=titles, horizontal_spacing=0.14)
    colours = coloured(name(row) for row in points)
    for label, colour in colours.items():
        own = [row for row in points if name(row) == label]
        crossed = [row for row in own if row.intensity]
        if crossed:
            figure.add_trace(_points(crossed, ("intensity", "flops_per_s"), label, colour), row=1, col=1)
        marks = _points(own, ("bytes_moved", "bytes_per_s"), label, colour).update(showlegend=not crossed)
        figure.add_trace(marks, row=1, col=len(titles))
    places = dict.fromkeys((row.device, row.dtype) for row in points)
    for place, dash in zip(places, DASHES * len(places), strict=False):
        mine = [row for row in points if (row.device, row.dtype) == place]
        crossed = [row for row in mine if row.intensity]
        if crossed:
            figure.add_trace(_roof(crossed, dash), row=1, col=1)
        figure.add_trace(_copy_rate(mine, dash).update(showlegend=not crossed), row=1, col=len(titles))
    if under:
        figure.update_xaxes(log_axis("FLOPs per byte", positive(row.intensity for row in under)), col=1)
        figure.update_yaxes(_rate_axis("FLOP/s", _both(under, "flops_per_s")), col=1)
    figure.update_xaxes(_rate_axis("bytes of a call", [row.bytes_moved for row in points], "B"), col=len(titles))
    figure.update_yaxes(_rate_axis("B/s", _both(points, "bytes_per_s")), col=len(titles))
    figure.update_layout(meta={"panels": len(titles)}, margin={"t": 90}, legend={"y": 1.12}, showlegend=True)
    return styled(figure, height=460)


def _variant(row: SimpleNamespace) -> str:
    return f"{row.variant} on {row.device}"


def _both(points: Sequence[SimpleNamespace], rate: str) -> list[float]:
    """Return the rates of some points, and their ceilings."""
    return [getattr(row, name) for row in points for name in (rate, f"most_{rate}")]


def _rate_axis(title: str, values: Sequence[float | None], suffix: str = "") -> dict[str, object]:
    return log_axis(title, positive(values), exponentformat="SI", minexponent=1, ticksuffix=suffix)


def _points(points: Sequence[SimpleNamespace], at: tuple[str, str], label: str, colour: str) -> go.Scatter:
    return go.Scatter(
        x=[short(getattr(row, at[0])) for row in points],
        y=[short(getattr(row, at[1])) for row in points],
        customdata=[_hover(row) for row in points],
        name=label,
        legendgroup=label,
        mode="markers",
        marker={"color": colour, "size": 8, "opacity": 0.8},
        hovertemplate="%{customdata}<extra></extra>",
    )


def _hover(row: SimpleNamespace) -> str:
    rates = [
        f"{text.amount(row.flops_per_s)}FLOP/s" if row.flops_per_s else "no counted FLOPs",
        f"{text.amount(row.bytes_per_s)}B/s",
    ]
    return "<br>".join(
        [
            f"{row.case}: {pass_title(row.what)}, {row.variant} on {row.device}, {row.dtype}",
            row.sizes,
            f"{text.seconds(row.median_s)} per call: {', '.join(rates)}",
            f"{text.amount(row.flops)} FLOPs, {text.amount(row.bytes_moved)}B",
            f"{text.percent(row.share)} of what {row.bound} allows ({text.seconds(row.least_s)})",
        ]
    )


def _roof(points: Sequence[SimpleNamespace], dash: str) -> go.Scatter:
    """Draw the lower of the two ceilings, from the leftmost point to beyond the ridge."""
    roof = points[0]
    compute, memory = roof.most_flops_per_s, roof.most_bytes_per_s
    ridge = compute / memory
    left, right = min(ridge / 4, *(row.intensity for row in points)), max(ridge * 4, *(row.intensity for row in points))
    label = f"{roof.device}, {roof.dtype}: {text.amount(memory)}B/s, {text.amount(compute)}FLOP/s"
    return go.Scatter(
        x=[short(left), short(ridge), short(right)],
        y=[short(left * memory), short(compute), short(compute)],
        name=label,
        mode="lines",
        line={"color": INK, "dash": dash, "width": 2},
        hovertemplate=f"{label}<extra>ceiling</extra>",
    )


def _copy_rate(points: Sequence[SimpleNamespace], dash: str) -> go.Scatter:
    roof = points[0]
    moved = [row.bytes_moved for row in points]
    label = f"{roof.device}: copies at {text.amount(roof.most_bytes_per_s)}B/s"
    return go.Scatter(
        x=[short(min(moved) / 2), short(max(moved) * 2)],
        y=[short(roof.most_bytes_per_s)] * 2,
        name=label,
        mode="lines",
        line={"color": INK, "dash": dash, "width": 2},
        hovertemplate=f"{label}<extra>ceiling</extra>",
    )
