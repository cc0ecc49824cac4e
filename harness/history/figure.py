"""The figure of one trend: every run's figure in the order of time, the levels, and where they changed."""

from __future__ import annotations

import statistics
from itertools import pairwise

import plotly.graph_objects as go

from harness.history.metrics import METRICS
from harness.history.trends import Point, Trend
from harness.history.words import size_text
from harness.report.figure_style import INK, OUTCOME_COLOURS, PALETTE, linear_axis, log_axis, short, styled

TICKS = 8
"""Days written along the axis at most."""


def trend_figure(trend: Trend) -> go.Figure:
    """Plot a trend against the order of its runs; days stand along the axis, since runs come in bursts."""
    metric = METRICS[trend.metric]
    numbers = list(range(1, len(trend.points) + 1))
    figure = go.Figure()
    figure.add_scatter(
        x=numbers,
        y=[short(point.value) for point in trend.points],
        error_y=_interval(trend.points) if metric.interval else None,
        customdata=[_note(point) for point in trend.points],
        mode="markers",
        marker={"size": 7, "color": PALETTE[0]},
        showlegend=False,
        hovertemplate="%{customdata}<extra></extra>",
    )
    _add_levels(figure, trend)
    for change in trend.changes:
        colour = OUTCOME_COLOURS["fail" if change.worse else "pass"]
        figure.add_vline(
            x=change.position + 0.5,
            line={"color": colour, "dash": "dash", "width": 1.5},
            annotation={"text": size_text(change, trend.metric), "font": {"color": colour}, "yanchor": "bottom"},
            annotation_position="top",
        )
    every = max(1, -(-len(numbers) // TICKS))
    days = {"tickvals": numbers[::every], "ticktext": [f"{p.started:%Y-%m-%d}" for p in trend.points[::every]]}
    figure.update_layout(
        xaxis=linear_axis("runs in the order of time", showgrid=False, range=[0.3, len(numbers) + 0.7], **days),
        yaxis=_axis(trend),
    )
    return styled(figure, height=340)


def _axis(trend: Trend) -> dict[str, object]:
    metric = METRICS[trend.metric]
    if not metric.relative:
        return linear_axis(metric.title)
    values = [point.value for point in trend.points]
    spread = max(values) / min(values)
    units: dict[str, object] = {"exponentformat": "SI", "minexponent": 1}
    if metric.column.endswith("_s"):
        units["ticksuffix"] = "s"
    if spread < 3:  # a logarithmic axis has too few labels there
        return linear_axis(metric.title, rangemode="tozero" if spread > 1.5 else "normal", **units)
    return log_axis(metric.title, values, **units)


def _add_levels(figure: go.Figure, trend: Trend) -> None:
    """Draw the median of the figures between changes."""
    ends = [0, *(change.position for change in trend.changes), len(trend.points)]
    for start, end in pairwise(ends):
        level = statistics.median(point.value for point in trend.points[start:end])
        figure.add_scatter(
            x=[start + 0.6, end + 0.4],
            y=[short(level)] * 2,
            mode="lines",
            line={"color": INK, "width": 2},
            showlegend=False,
            hoverinfo="skip",
        )


def _interval(points: tuple[Point, ...]) -> dict[str, object]:
    above = [short(point.high - point.value) if point.high is not None else 0.0 for point in points]
    below = [short(point.value - point.low) if point.low is not None else 0.0 for point in points]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.2, "width": 3}


def _note(point: Point) -> str:
    """Return a point's words; Plotly reads a few tags in them, and a commit or a run's name is no tag."""
    run = point.run.replace("<", "‹").replace(">", "›")
    return f"{point.value:.4g}<br>{point.commit or 'no commit'}<br>{point.started:%Y-%m-%d %H:%M} UTC<br>{run}"
