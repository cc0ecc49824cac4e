"""The forest plot: estimates with their intervals below each other, beside the band in which they count as equal.

What is estimated, in which order and in which colour is the caller's to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import plotly.graph_objects as go

from harness.report.figure_style import GRID, INK, PALETTE, short, styled

ROW_HEIGHT = 36
"""Pixels of one row: its name stands above its interval, so that a phone has room for both."""
DECISION_COLOURS: Mapping[str, str] = MappingProxyType(
    {"slower": "#D55E00", "inconclusive": "#E69F00", "same": PALETTE[0], "faster": "#009E73"}
)
"""Colours of decisions, in the order a reader wants to see them: worst and undecided first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One estimate; without ends there is a hollow mark and no bar."""

    label: str
    point: float
    low: float | None
    high: float | None
    kind: str
    """A decision, as `DECISION_COLOURS` names it."""
    hover: str = ""
    choice: str | None = None
    """Which of the reader's choices shows the row; None: it is always there."""


def forest(
    rows: Sequence[ForestRow], *, axis: Mapping[str, Any], level: float, band: tuple[float, float] | None = None
) -> go.Figure:
    """Draw rows from top to bottom in the order given, with a line at `level` and a band around it.

    Args:
        rows: at least one.
        axis: the horizontal axis, a logarithmic one, as Plotly describes it.
        level: where there is no difference.
        band: ends of what counts as no difference.
    """
    figure = go.Figure()
    for kind, colour in DECISION_COLOURS.items():
        own = [(place, row) for place, row in enumerate(rows) if row.kind == kind]
        if own:
            figure.add_trace(_marks(own, kind, colour))
    ends = {"y0": -0.75, "y1": len(rows) - 0.4, "layer": "below"}
    if band is not None:
        figure.add_shape(type="rect", x0=band[0], x1=band[1], fillcolor=GRID, line_width=0, **ends)
    figure.add_shape(type="line", x0=level, x1=level, line={"color": INK, "dash": "dash", "width": 1}, **ends)
    name_rows(figure, [row.label for row in rows])
    figure.update_layout(
        xaxis={**axis, "range": _span(rows, band or (level, level))},
        yaxis={"range": [len(rows) - 0.4, -0.75], "showticklabels": False, "ticks": "", "showgrid": False},
        margin={"l": 10},
        showlegend=True,
    )
    return styled(figure, height=110 + ROW_HEIGHT * len(rows))


def name_rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Write a name above each row, at the heights 0, 1, 2 and so on of the vertical axis."""
    for place, name in enumerate(names):
        # Names are annotations: tick labels inside the axes keep plotly busy for ever where the page is narrow.
        figure.add_annotation(
            text=name, x=0, xref="x domain", y=place, yshift=4, xanchor="left", yanchor="bottom", showarrow=False
        )


def _span(rows: Sequence[ForestRow], band: tuple[float, float]) -> list[float | None]:
    """Return the range of the logarithmic axis, as exponents: all intervals and the band, and a margin."""
    ends = [end for row in rows for end in (row.low, row.point, row.high) if end and end > 0 and math.isfinite(end)]
    low, high = math.log10(min(*ends, *band)), math.log10(max(*ends, *band))
    margin = 0.06 * (high - low) + 1e-3
    return [short(low - margin), short(high + margin)]


def _marks(rows: Sequence[tuple[int, ForestRow]], kind: str, colour: str) -> go.Scatter:
    def reach(row: ForestRow, end: float | None) -> float | None:
        return None if end is None else short(abs(end - row.point))

    return go.Scatter(
        x=[short(row.point) for _, row in rows],
        y=[place for place, _ in rows],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [reach(row, row.high) for _, row in rows],
            "arrayminus": [reach(row, row.low) for _, row in rows],
            "thickness": 2,
            "width": 4,
        },
        customdata=[f"{row.label}<br>{row.hover}" for _, row in rows],
        name=kind,
        mode="markers",
        marker={
            "color": colour,
            "size": 9,
            "symbol": ["circle-open" if kind == "inconclusive" or row.low is None else "circle" for _, row in rows],
            "line": {"width": 2, "color": colour},
        },
        hovertemplate="%{customdata}<extra></extra>",
    )
