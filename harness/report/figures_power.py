"""The figure of detection power: which check noticed which fault, and in how many cases.

A pure function of the frame that `power.power_frame` makes.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from harness.report.figure_style import INK, styled

NOBODY = "no check"
_ROW = 24
"""Height of a row in pixels."""
_COLUMN = 22
"""Least width of a column in pixels, in which a number of three digits can be read."""
_SCALE = ((0.0, "rgba(0, 158, 115, 0)"), (0.001, "rgba(0, 158, 115, 0.15)"), (1.0, "rgba(0, 158, 115, 0.9)"))


def power_figure(power: pd.DataFrame) -> go.Figure | None:
    """Draw the matrix of checks and faults, a number of cases in each cell.

    Args:
        power: as `power_frame` returns it.

    Returns:
        Checks down, faults across, each in the order they first came up; None where no fault was injected.
    """
    injected = power[power["status"] != "equivalent"].copy()
    if injected.empty:
        return None
    injected["check"] = injected["check"].fillna(NOBODY)
    counts = injected.groupby(["check", "fault"])["job"].nunique()
    faults = list(dict.fromkeys(injected["fault"]))
    checks = sorted(dict.fromkeys(injected["check"]), key=lambda check: check == NOBODY)
    cells = [[int(counts.get((check, fault), 0)) for fault in faults] for check in checks]
    figure = go.Figure(
        go.Heatmap(
            x=[str(fault) for fault in faults],
            y=[str(check) for check in checks],
            z=cells,
            text=[[str(count) if count else "" for count in row] for row in cells],
            texttemplate="%{text}",
            colorscale=[list(step) for step in _SCALE],
            showscale=False,
            xgap=1,
            ygap=1,
            hovertemplate="%{x}<br>%{y}<br>%{z} cases<extra></extra>",
        )
    )
    figure.update_layout(
        xaxis={"side": "top", "tickangle": -60, "type": "category", "tickfont": {"size": 11, "color": INK}},
        yaxis={"autorange": "reversed", "type": "category", "tickfont": {"size": 11, "color": INK}},
        margin={"l": 220, "r": 10, "t": 150, "b": 10},
        meta={"least_width": 290 + _COLUMN * len(faults)},
    )
    return styled(figure, height=170 + _ROW * len(checks))
