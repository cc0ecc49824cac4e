"""Figures of timings: time against size, and one device against another.

Pure functions of the frames that `columns` declares; each returns None where there is nothing to draw. What may be
compared with what is decided where the frames are made, not here.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from harness.report.figure_style import DASHES, add_level, coloured, log_axis, positive, short, styled, texts

PASSES = ("value", "forward", "backward", "forward_backward", "step")
FITTED = {"what", "variant", "device"}


def scaling_figure(timings: pd.DataFrame, scalings: pd.DataFrame | None = None) -> go.Figure | None:
    """Plot the time of a call against the number of elements, with its interval and the fitted growth.

    Args:
        timings: rows of one case, as in `columns.TIMINGS`.
        scalings: rows of the same case, as in `columns.SCALINGS`, for the exponents written beside the lines.

    Returns:
        A log-log panel for each pass; colours are variants, dashes are devices. None where nothing was timed.
    """
    timed = timings.dropna(subset=["median_s", "elements"])
    if timed.empty:
        return None
    passes = sorted(timed["what"].unique(), key=lambda what: PASSES.index(what) if what in PASSES else len(PASSES))
    columns = min(2, len(passes))
    rows = -(-len(passes) // columns)
    titles = [str(what).replace("_", " + ") for what in passes]
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, shared_yaxes="all", vertical_spacing=0.3 / rows
    )
    colours = coloured(timed["variant"])
    dashes = dict(zip(timed["device"].unique(), DASHES * 3, strict=False))
    shown: set[str] = set()
    for (what, variant, device), mine in timed.groupby(["what", "variant", "device"], sort=False):
        row, column = divmod(passes.index(str(what)), columns)
        name = f"{variant} on {device}"
        exponent = _exponent(scalings, {"what": what, "variant": variant, "device": device})
        line = _timed_line(mine, name, exponent, colours[str(variant)], dashes[device])
        figure.add_trace(line.update(showlegend=name not in shown), row=row + 1, col=column + 1)
        shown.add(name)
    figure.update_xaxes(log_axis("", positive(timed["elements"]), exponentformat="SI"))
    figure.update_yaxes(log_axis("", positive(timed["median_s"]), exponentformat="SI", ticksuffix="s"))
    figure.update_xaxes(title_text="elements of the inputs", row=rows)
    figure.update_yaxes(title_text="time per call", col=1)
    return styled(figure, height=90 + 300 * rows).update_layout(legend={"y": 1.06 if rows > 1 else 1.12})


def _exponent(scalings: pd.DataFrame | None, key: Mapping[str, object]) -> str:
    if scalings is None:
        return ""
    mine = scalings[(scalings[list(key)] == pd.Series(key)).all(axis=1)]
    if mine.empty:
        return ""
    fit = mine.iloc[0]
    return f"∝ n<sup>{fit['exponent']:.2f}</sup> [{fit['low']:.2f}, {fit['high']:.2f}]"


def _timed_line(rows: pd.DataFrame, name: str, exponent: str, colour: str, dash: str) -> go.Scatter:
    ordered = rows.sort_values("elements")
    median, low, high = (positive(ordered[column]) for column in ("median_s", "low_s", "high_s"))
    notes = texts(ordered["sizes"])
    samples = texts(ordered["n"])
    return go.Scatter(
        x=[int(count) for count in ordered["elements"]],
        y=median,
        error_y=_interval(median, low, high),
        customdata=list(zip(notes, samples, strict=True)),
        name=name,
        legendgroup=name,
        mode="lines+markers+text" if exponent else "lines+markers",
        text=[*[""] * (len(median) - 1), exponent],
        textposition="top left",
        textfont={"color": colour, "size": 11},
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": 6},
        hovertemplate=f"%{{customdata[0]}}<br>%{{y:.3s}}s per call, %{{customdata[1]}} samples<extra>{name}</extra>",
    )


def _interval(median: list[float | None], low: list[float | None], high: list[float | None]) -> dict[str, object]:
    """Describe error bars from interval ends; no bar where an end is missing."""
    above = [short(end - middle) if end and middle else 0.0 for end, middle in zip(high, median, strict=True)]
    below = [short(middle - end) if end and middle else 0.0 for end, middle in zip(low, median, strict=True)]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.2, "width": 3}


def speedup_figure(speedups: pd.DataFrame) -> go.Figure | None:
    """Plot how many times faster another device is than the CPU, against size.

    Args:
        speedups: as in `columns.SPEEDUPS`; rows without a ratio (no such device, or a verdict that is not green) and
            rows against something other than the CPU are left out.

    Returns:
        A log-log figure with a line at 1, below which the CPU wins; None where the two were not both timed.
    """
    both = speedups[(speedups["against"] == "the CPU")].dropna(subset=["ratio", "elements"])
    if both.empty:
        return None
    figure = go.Figure()
    names = [
        f"{case}: {what}, {variant}"
        for case, what, variant in zip(both["case"], both["what"], both["variant"], strict=True)
    ]
    one_case = len(set(both["case"])) == 1
    colours = coloured(names)
    for name, rows in both.groupby(pd.Series(names, index=both.index), sort=False):
        ordered = rows.sort_values("elements")
        ratio, low, high = (positive(ordered[column]) for column in ("ratio", "low", "high"))
        label = str(name).partition(": ")[2] if one_case else str(name)
        figure.add_scatter(
            x=[int(count) for count in ordered["elements"]],
            y=ratio,
            error_y=_interval(ratio, low, high),
            customdata=list(zip(texts(ordered["sizes"]), texts(ordered["device"]), strict=True)),
            name=label.replace("_", " + "),
            mode="lines+markers",
            line={"color": colours[str(name)], "width": 2},
            hovertemplate="%{customdata[0]}: %{y:.2f}× on %{customdata[1]}<extra>" + label + "</extra>",
        )
    add_level(figure, 1.0, "as fast as the CPU")
    figure.update_layout(
        xaxis=log_axis("elements of the inputs", positive(both["elements"]), exponentformat="SI"),
        yaxis=log_axis("times faster than the CPU", positive(both["ratio"]), exponentformat="none", ticksuffix="×"),
    )
    return styled(figure)
