"""The figure of one device against another: how many times faster it is, and from which size on.

A pure function of the frames that `columns` declares. Where the accelerator overtakes the CPU is estimated where the
timings are; nothing is estimated here.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from harness.report.figure_passes import pass_title
from harness.report.figure_style import add_level, coloured, faded, log_axis, positive, short, styled, texts

END_TO_END = "end to end"


def crossover_figure(speedups: pd.DataFrame, crossovers: pd.DataFrame | None = None) -> go.Figure | None:
    """Plot how many times faster another device is than the CPU against size, with the size at which it overtakes.

    Args:
        speedups: as in `columns.SPEEDUPS`; rows without a ratio (no such device, or a verdict that is not green) and
            rows against something other than the CPU are left out.
        crossovers: as in `columns.CROSSOVERS`.

    Returns:
        A log-log figure with bands for the intervals and a line at 1, below which the CPU wins; a star stands where a
        curve is known to cross it. Dashed curves are end to end. None where the two were not both timed.
    """
    both = speedups[(speedups["against"] == "the CPU")].dropna(subset=["ratio", "elements"])
    if both.empty:
        return None
    figure = go.Figure()
    keys = ["case", "what", "variant", "device", "by"]
    colours = coloured(_colour_key(key) for key, _ in both.groupby(keys, sort=False, dropna=False))
    parts = [name for name in keys if len(set(texts(both[name]))) > 1 or name == "what"]
    for key, rows in both.groupby(keys, sort=False, dropna=False):
        named = dict(zip(keys, texts(key), strict=True))
        label = ", ".join(pass_title(named[name]) for name in parts)
        for trace in _curve(rows.sort_values("elements"), label, colours[_colour_key(key)], named["by"] == END_TO_END):
            figure.add_trace(trace)
        figure.add_traces(_star(crossovers, named, label, colours[_colour_key(key)]))
    add_level(figure, 1.0, "as fast as the CPU")
    shown = positive(value for column in ("low", "ratio", "high") for value in both[column])
    figure.update_layout(
        xaxis=log_axis("elements of the inputs", positive(both["elements"]), exponentformat="SI", minexponent=1),
        yaxis=log_axis("times faster than the CPU", shown, exponentformat="none", ticksuffix="×"),
    )
    return styled(figure, height=400)


def _colour_key(key: Sequence[object]) -> str:
    """Name what has a colour of its own: everything but by which clock it was timed."""
    return " ".join(str(part) for part in key[:-1])


def _curve(rows: pd.DataFrame, label: str, colour: str, dashed: bool) -> list[go.Scatter]:  # noqa: FBT001
    """Return a curve over the band of its interval; a band is the area between its lower and its upper end."""
    x = [int(count) for count in rows["elements"]]
    ratio, low, high = (positive(rows[column]) for column in ("ratio", "low", "high"))
    ends = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "legendgroup": label, "hoverinfo": "skip"}
    notes = zip(texts(rows["sizes"]), texts(rows["device"]), texts(rows["decision"]), low, high, strict=True)
    return [
        go.Scatter(x=x, y=low, **ends),
        go.Scatter(x=x, y=high, fill="tonexty", fillcolor=faded(colour, 0.2), **ends),
        go.Scatter(
            x=x,
            y=ratio,
            customdata=list(notes),
            name=label,
            legendgroup=label,
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": "dash" if dashed else "solid"},
            hovertemplate="%{customdata[0]}: %{y:.2f}× on %{customdata[1]}, %{customdata[3]:.2f}× to "
            "%{customdata[4]:.2f}× (%{customdata[2]})<extra>" + label + "</extra>",
        ),
    ]


def _star(crossovers: pd.DataFrame | None, named: dict[str, str], label: str, colour: str) -> list[go.Scatter]:
    """Return the mark of the size at which a curve crosses 1, with its interval; nothing where it is not known."""
    if crossovers is None or crossovers.empty:
        return []
    keys = [name for name in ("case", "what", "variant", "device", "by") if named[name]]
    mine = crossovers[(crossovers[keys] == pd.Series({name: named[name] for name in keys})).all(axis=1)]
    mine = mine.dropna(subset=["elements"])
    if mine.empty:
        return []
    at, low, high = ([short(value) for value in mine[column]] for column in ("elements", "low", "high"))
    bars = {
        "array": [short(end - middle) if end and middle else None for end, middle in zip(high, at, strict=True)],
        "arrayminus": [short(middle - end) if end and middle else None for end, middle in zip(low, at, strict=True)],
    }
    return [
        go.Scatter(
            x=at,
            y=[1.0] * len(at),
            error_x={"type": "data", "symmetric": False, "thickness": 2, "width": 5, **bars},
            customdata=texts(mine["message"]),
            mode="markers",
            marker={"color": colour, "size": 13, "symbol": "star", "line": {"width": 1, "color": "#FFFFFF"}},
            legendgroup=label,
            showlegend=False,
            hovertemplate="overtakes at %{x:.3s} elements<br>%{customdata}<extra>" + label + "</extra>",
        )
    ]
