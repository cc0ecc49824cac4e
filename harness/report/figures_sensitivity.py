"""The figure of a sweep over learning rates: steps to arrival against the rate, with the basin of rates that work.

A pure function of the frame that `columns.RATES` declares.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from harness.report.figure_style import coloured, faded, log_axis, numbers, positive, short, styled

MARKS = {"diverges": "x", "censored": "triangle-up-open"}
"""Drawn at the budget: rates that did not arrive, by their status."""
WORDS = {"diverges": "diverges", "censored": "more steps than there were, if ever"}


def sensitivity_figure(rates: pd.DataFrame) -> go.Figure | None:
    """Plot steps to arrival against the learning rate: the median over seeds, and a band from the least to the most.

    The basin of each sweep is a shaded block with its best rate as a star; rates that did not arrive stand at the top.

    Args:
        rates: rows of one case, as in `columns.RATES`.

    Returns:
        One panel, both axes logarithmic; None without rates.
    """
    if rates.empty:
        return None
    figure = go.Figure()
    colours = coloured(rates["sweep"])
    for sweep, rows in rates.groupby("sweep", sort=False):
        _add_sweep(figure, str(sweep), rows, colours[str(sweep)])
    figure.update_layout(
        xaxis=log_axis("learning rate", positive(rates["rate"])),
        yaxis=log_axis("steps to arrival", [1.0, *positive(rates["budget"])]),
    )
    return styled(figure, height=400)


def _add_sweep(figure: go.Figure, sweep: str, rows: pd.DataFrame, colour: str) -> None:
    """Draw one sweep: basin, band, median, best, and what did not arrive."""
    by_rate = rows.astype({"steps": "float64"}).groupby("rate", sort=True)
    working = rows[rows["status"] == "works"].astype({"steps": "float64"}).groupby("rate", sort=True)["steps"]
    line = pd.DataFrame({"low": working.min(), "middle": working.median(), "high": working.max()})
    # A rate between two working ones that does not work itself parts the line.
    line = line.clip(lower=1).reindex(by_rate.size().index)
    basin = rows[rows["in_basin"]]["rate"]
    if len(basin):
        ends = {"x0": float(basin.min()), "x1": float(basin.max())}
        figure.add_shape(
            type="rect", **ends, y0=0, y1=1, yref="y domain", fillcolor=faded(colour, 0.1), line={"width": 0},
            layer="below",
        )  # fmt: skip
    seeds = len(rows["seed"].unique())
    if seeds > 1:
        _add_band(figure, sweep, line, colour)
    figure.add_scatter(
        x=numbers(line.index),
        y=numbers(line["middle"]),
        name=sweep if seeds == 1 else f"{sweep} ({seeds} seeds)",
        legendgroup=sweep,
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 5},
        hovertemplate="rate %{x:.3g}<br>%{y:.4g} steps<extra></extra>",
    )
    best = rows[rows["best"]]["rate"].unique()
    figure.add_scatter(
        x=numbers(best),
        y=[short(line["middle"][rate]) for rate in best],
        legendgroup=sweep,
        showlegend=False,
        mode="markers",
        marker={"symbol": "star", "size": 13, "color": colour},
        hovertemplate="best in the basin: rate %{x:.3g}<br>%{y:.4g} steps<extra></extra>",
    )
    for status, symbol in MARKS.items():
        missed = rows[rows["status"] == status].drop_duplicates("rate")
        figure.add_scatter(
            x=numbers(missed["rate"]),
            y=numbers(missed["budget"]),
            legendgroup=sweep,
            showlegend=False,
            mode="markers",
            marker={"symbol": symbol, "size": 7, "color": colour},
            hovertemplate=f"rate %{{x:.3g}}<br>{WORDS[status]}<extra></extra>",
        )


def _add_band(figure: go.Figure, sweep: str, line: pd.DataFrame, colour: str) -> None:
    """Shade between the fewest and the most steps of any seed, one block for each unbroken run of rates."""
    known = line["middle"].notna()
    for _, block in line[known].groupby((known != known.shift()).cumsum()[known]):
        figure.add_scatter(
            x=numbers([*block.index, *reversed(block.index)]),
            y=numbers([*block["low"], *reversed(list(block["high"]))]),
            legendgroup=sweep,
            showlegend=False,
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=faded(colour, 0.2),
            hoverinfo="skip",
        )
