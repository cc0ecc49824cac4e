"""Figures of raw samples: how the times of single samples are distributed, not only where their median lies.

Pure functions of the frames that `columns` declares; each returns None where there is nothing to draw. A figure of
several sizes draws one of them; the traces of the others are hidden, and the page lets the reader choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pandas as pd
import plotly.graph_objects as go

from harness.report.figure_passes import FAINT, ordered_passes, pass_panels, series_name
from harness.report.figure_style import DASHES, coloured, short, styled
from harness.report.tables import rows

MOST_SIZES = 6
"""Sizes a figure holds: the smallest, the largest and some between."""
MOST_POINTS = 61
"""Points of one curve; of more samples, evenly spaced order statistics are kept, the extremes among them."""


def distribution_figure(timings: pd.DataFrame) -> go.Figure | None:
    """Plot the empirical distribution function of every pass's samples, by variant and device.

    Args:
        timings: rows of one case, as in `columns.TIMINGS`.

    Returns:
        A panel for each pass; a curve's height is the share of samples that took no longer. The bar at one half is
        the interval of the median. The largest size is shown. None where no samples were kept.
    """
    sampled = [row for row in rows(timings) if row.samples and len(row.samples) > 1]
    if not sampled:
        return None
    sizes = chosen_sizes(sampled)
    figure, places = pass_panels(ordered_passes(timings[timings["n"] > 1]))
    colours = coloured(row.variant for row in sampled)
    dashes = dict(zip(dict.fromkeys(row.device for row in sampled), DASHES * 3, strict=False))
    listed: set[tuple[str, str]] = set()
    for row in (row for row in sampled if row.sizes in sizes):
        name, (down, across) = series_name(row), places[row.what]
        own = {"meta": row.sizes, "visible": row.sizes == sizes[-1], "legendgroup": name}
        steps = _steps(row, name).update(showlegend=(row.sizes, name) not in listed, **own)
        steps.update(line={"color": colours[row.variant], "dash": dashes[row.device]})
        listed.add((row.sizes, name))
        figure.add_trace(steps, row=down, col=across)
        figure.add_trace(_median(row, name, colours[row.variant]).update(**own), row=down, col=across)
    figure.update_xaxes(type="log", exponentformat="SI", minexponent=1, ticksuffix="s", nticks=4, tickangle=0)
    figure.update_xaxes(title_text="time per call", row=max(down for down, _ in places.values()))
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    figure.update_yaxes(title_text="share of samples", col=1)
    figure.layout.meta = {**figure.layout.meta, "choose": "Size", "choices": sizes, "chosen": sizes[-1]}
    return styled(figure, height=figure.layout.height)


def chosen_sizes(timings: Sequence[SimpleNamespace], most: int = MOST_SIZES) -> list[str]:
    """Return the sizes to show, smallest first: all where there are few, else the ends and some evenly between.

    Args:
        timings: rows with `sizes` and `elements`.
        most: sizes kept, at least two.
    """
    sizes = list(dict.fromkeys(row.sizes for row in sorted(timings, key=lambda row: row.elements or 0)))
    if len(sizes) <= most:
        return sizes
    return [sizes[round(place * (len(sizes) - 1) / (most - 1))] for place in range(most)]


def distribution(samples: Sequence[float], most: int = MOST_POINTS) -> tuple[list[float | None], list[float | None]]:
    """Return order statistics, and for each the share of samples that are no larger.

    Args:
        samples: at least two times in seconds.
        most: points kept; the extremes are always among them.
    """
    ordered = sorted(samples)
    count = len(ordered)
    kept = min(count, most)
    places = [round(place * (count - 1) / (kept - 1)) for place in range(kept)]
    return [short(ordered[at]) for at in places], [short((at + 1) / count) for at in places]


def _steps(row: SimpleNamespace, name: str) -> go.Scatter:
    times, shares = distribution(row.samples)
    return go.Scatter(
        x=times,
        y=shares,
        name=name,
        mode="lines",
        line={"shape": "hv", "width": 2},
        opacity=FAINT if row.steady is False else 1.0,
        hovertemplate=f"%{{y:.0%}} of {row.n} samples within %{{x:.4s}}s<extra>{name}</extra>",
    )


def _median(row: SimpleNamespace, name: str, colour: str) -> go.Scatter:
    """Return the median with its interval, as a mark where the curve crosses one half."""
    ends = {"array": row.high_s, "arrayminus": row.low_s}
    bars = {key: [short(abs(end - row.median_s))] for key, end in ends.items() if end is not None and row.median_s}
    return go.Scatter(
        x=[short(row.median_s)],
        y=[0.5],
        error_x={"type": "data", "symmetric": False, **bars, "thickness": 3, "width": 5},
        mode="markers",
        marker={"color": colour, "size": 7},
        showlegend=False,
        hovertemplate=f"median %{{x:.4s}}s<extra>{name}</extra>",
    )
