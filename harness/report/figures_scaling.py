"""The figure of growth: time against size, with the exponent that was fitted to it.

A pure function of the frames that `columns` declares. The fits are made where the timings are; nothing is fitted here.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from harness.report.figure_passes import UNSTEADY, ordered_passes, pass_panels
from harness.report.figure_style import DASHES, coloured, error_bars, log_axis, positive, styled, texts


def scaling_figure(timings: pd.DataFrame, scalings: pd.DataFrame | None = None) -> go.Figure | None:
    """Plot the time of a call against the number of elements, with its interval and the fitted growth.

    Args:
        timings: rows of one case, as in `columns.TIMINGS`.
        scalings: rows of the same case, as in `columns.SCALINGS`, for the exponents written beside the lines.

    Returns:
        A log-log panel for each pass; colours are variants, dashes are devices, hollow points had no steady state.
        None where nothing was timed.
    """
    timed = timings.dropna(subset=["median_s", "elements"])
    if timed.empty:
        return None
    figure, places = pass_panels(ordered_passes(timed))
    colours = coloured(timed["variant"])
    dashes = dict(zip(timed["device"].unique(), DASHES * 3, strict=False))
    shown: set[str] = set()
    fits: dict[str, list[str]] = {}
    for (what, variant, device), mine in timed.groupby(["what", "variant", "device"], sort=False):
        name = f"{variant} on {device}"
        line = _timed_line(mine, name, colours[str(variant)], dashes[device])
        if exponent := _exponent(scalings, {"what": what, "variant": variant, "device": device}):
            fits.setdefault(str(what), []).append(f'<span style="color:{colours[str(variant)]}">{exponent}</span>')
        row, column = places[str(what)]
        figure.add_trace(line.update(showlegend=name not in shown), row=row, col=column)
        shown.add(name)
    for what, lines in fits.items():
        _write(figure, "<br>".join(lines), *places[what])
    figure.update_xaxes(log_axis("", positive(timed["elements"]), exponentformat="SI", minexponent=1))
    figure.update_yaxes(log_axis("", positive(timed["median_s"]), exponentformat="SI", minexponent=1, ticksuffix="s"))
    figure.update_xaxes(title_text="elements of the inputs", row=max(row for row, _ in places.values()))
    figure.update_yaxes(title_text="time per call", col=1)
    return styled(figure, height=figure.layout.height)


def _exponent(scalings: pd.DataFrame | None, key: Mapping[str, object]) -> str:
    if scalings is None:
        return ""
    mine = scalings[(scalings[list(key)] == pd.Series(key)).all(axis=1)]
    if mine.empty:
        return ""
    fit = mine.iloc[0]
    return f"{key['variant']} ∝ n<sup>{fit['exponent']:.2f}</sup> [{fit['low']:.2f}, {fit['high']:.2f}]"


def _write(figure: go.Figure, text: str, row: int, column: int) -> None:
    """Write text into the lower right corner of a panel, where curves that grow leave room."""
    figure.add_annotation(
        text=text,
        align="right",
        showarrow=False,
        font={"size": 11},
        x=1,
        y=0,
        xref="x domain",
        yref="y domain",
        xanchor="right",
        yanchor="bottom",
        row=row,
        col=column,
    )


def _timed_line(rows: pd.DataFrame, name: str, colour: str, dash: str) -> go.Scatter:
    ordered = rows.sort_values("elements")
    median, low, high = (positive(ordered[column]) for column in ("median_s", "low_s", "high_s"))
    steady = [value is not False for value in ordered["steady"].tolist()]
    notes = [UNSTEADY if not settled else "" for settled in steady]
    return go.Scatter(
        x=[int(count) for count in ordered["elements"]],
        y=median,
        error_y=error_bars(median, low, high),
        customdata=list(zip(texts(ordered["sizes"]), texts(ordered["n"]), notes, strict=True)),
        name=name,
        legendgroup=name,
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": 7, "symbol": ["circle" if settled else "circle-open" for settled in steady]},
        hovertemplate="%{customdata[0]}<br>%{y:.3s}s per call, %{customdata[1]} samples%{customdata[2]}"
        f"<extra>{name}</extra>",
    )
