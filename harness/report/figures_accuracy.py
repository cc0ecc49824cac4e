"""The figure of accuracy: in how many cases the worst entry of a gradient is how many units in the last place off.

A pure function of the frame that `columns.ACCURACY` declares.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter

import pandas as pd
import plotly.graph_objects as go

from harness.report.figure_style import coloured, count_axis, styled

_BOUNDS = (0.5, 1, 2, 4, 8, 16, 64, 256, 1024, 1e4, 1e6, 1e9)
_NAMES = ("≤ ½", "1", "2", "4", "8", "16", "64", "256", "1024", "10⁴", "10⁶", "10⁹", "more")


def ulps_figure(accuracy: pd.DataFrame) -> go.Figure | None:
    """Plot in how many cases the worst entry is up to so many units in the last place off.

    Args:
        accuracy: as in `columns.ACCURACY`.

    Returns:
        Bars side by side, a colour for each number type; None without units.
    """
    known = accuracy.dropna(subset=["ulps"])
    if known.empty:
        return None
    figure = go.Figure()
    for dtype, colour in coloured(sorted(set(map(str, known["dtype"])), reverse=True)).items():
        counted = Counter(_bin(float(ulps)) for ulps in known["ulps"][known["dtype"] == dtype])
        figure.add_bar(
            x=list(_NAMES),
            y=[counted[position] for position in range(len(_NAMES))],
            name=dtype,
            marker={"color": colour},
            hovertemplate="%{y} cases up to %{x} ULP off<extra>" + dtype + "</extra>",
        )
    figure.update_layout(
        barmode="group",
        showlegend=True,
        xaxis={"title": {"text": "units in the last place, up to"}, "type": "category"},
        yaxis=count_axis("cases", [count for bar in figure.data for count in bar.y]),
    )
    return styled(figure, height=320)


def _bin(ulps: float) -> int:
    return len(_BOUNDS) if math.isnan(ulps) else bisect_left(_BOUNDS, ulps)
