"""Figures of convergence runs: loss and error by step, and the fit as it forms.

Pure functions of the frames that `columns` declares; each returns None where there is nothing to draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from harness.report.figure_style import (
    PALETTE,
    add_level,
    coloured,
    dashed,
    faded,
    linear_axis,
    log_axis,
    numbers,
    positive,
    short,
    styled,
    suits_logarithm,
)
from harness.report.seeds import Spread, run_of, seed_spread

MAX_FRAMES = 60
"""Most steps an animation shows; the slider's last is the run's last."""
MAX_POINTS = 2000
"""Most steps a panel draws, over all its lines."""


def convergence_figure(trajectory: pd.DataFrame, converge: pd.DataFrame | None = None) -> go.Figure | None:
    """Plot loss, and the distance to the minimum where one is known, against the step.

    Args:
        trajectory: rows of one case, as in `columns.TRAJECTORY`; several seeds of one
            entry become their median and the band of their middle 80 %.
        converge: rows of the same case, as in `columns.CONVERGE`, for the tolerance to draw.

    Returns:
        One or two panels over a common axis of steps, logarithmic unless a loss is negative; None without steps.
    """
    if trajectory.empty:
        return None
    panels = ["loss", *(["error"] if any(value for value in positive(trajectory["error"])) else [])]
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.07)
    tolerances: Iterable[float] = [] if converge is None or len(panels) < 2 else converge["tolerance"].dropna().unique()
    logarithmic = {"loss": suits_logarithm(trajectory["loss"]), "error": True}
    for position, panel in enumerate(panels, start=1):
        _add_descents(figure, trajectory, panel, position, logarithmic=logarithmic[panel])
        title = {"loss": "loss", "error": "distance to the minimum"}[panel]
        shown = [*positive(trajectory[panel]), *(positive(tolerances) if panel == "error" else [])]
        axis = log_axis(title, shown) if logarithmic[panel] else linear_axis(title)
        figure.update_yaxes(axis, row=position, col=1)
    figure.update_xaxes(title_text="step", row=len(panels), col=1)
    for place, tolerance in enumerate(sorted(tolerances)):
        add_level(figure, float(tolerance), f"within {tolerance:g}", axis="y2", at=1 - place % 4 / 6)
    return styled(figure, height=110 + 230 * len(panels))


def _add_descents(figure: go.Figure, trajectory: pd.DataFrame, panel: str, position: int, *, logarithmic: bool) -> None:
    """Draw a line for each run, with a band where it has several seeds."""
    runs = trajectory["descent"].map(run_of)
    colours, dashes = coloured(runs), dashed(runs)
    most = MAX_POINTS // len(colours)
    for run, rows in trajectory.groupby(runs, sort=False):
        seeds = rows["descent"].nunique()
        style = {"row": position, "col": 1}
        y: Iterable[object]
        if seeds == 1:
            line = _thinned(rows, most)
            x, y = [int(step) for step in line["step"]], line[panel]
        else:
            spread = seed_spread(rows, panel, most=most // 3)
            x, y = [int(step) for step in spread.steps], spread.middle
            _add_band(figure, spread, str(run), colours[str(run)], logarithmic=logarithmic, **style)
        figure.add_scatter(
            x=x,
            y=positive(y) if logarithmic else numbers(y),
            name=str(run) if seeds == 1 else f"{run} ({seeds} seeds)",
            legendgroup=str(run),
            showlegend=position == 1,
            mode="lines",
            line={"color": colours[str(run)], "dash": dashes[str(run)], "width": 2},
            hovertemplate=f"step %{{x}}<br>{panel} = %{{y:.4g}}<extra>{run}{'' if seeds == 1 else ', median'}</extra>",
            **style,
        )


def _add_band(figure: go.Figure, spread: Spread, run: str, colour: str, *, logarithmic: bool, **place: int) -> None:
    """Shade what lies between two curves, wherever both are there."""
    convert = positive if logarithmic else numbers
    both = [
        (int(step), low, high)
        for step, low, high in zip(spread.steps, convert(spread.low), convert(spread.high), strict=True)
        if low is not None and high is not None
    ]
    figure.add_scatter(
        x=[step for step, *_ in both] + [step for step, *_ in reversed(both)],
        y=[low for _, low, _ in both] + [high for *_, high in reversed(both)],
        name=f"{run}, 10–90 % of seeds",
        legendgroup=run,
        showlegend=False,
        mode="lines",
        line={"width": 0, "color": colour},
        fill="toself",
        fillcolor=faded(colour, 0.2),
        hoverinfo="skip",
        **place,
    )


def _thinned(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """Keep evenly spaced rows, the first and the last among them."""
    if len(rows) <= most:
        return rows
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, max(most, 2)).round().astype(int))]


def fit_figure(fits: pd.DataFrame) -> go.Figure | None:
    """Animate how a regression's curve moves onto its data.

    Args:
        fits: rows of one descent, as in `columns.FITS`; rows without a step are the data.

    Returns:
        The data, the last curve, and a frame for each kept step with play, pause and a slider; None without rows.
    """
    data = fits[fits["step"].isna()]
    steps = sorted(int(step) for step in fits["step"].dropna().unique())
    if data.empty or not steps:
        return None
    kept = [steps[round(position)] for position in np.linspace(0, len(steps) - 1, min(MAX_FRAMES, len(steps)))]
    curves = {step: fits[fits["step"] == step] for step in dict.fromkeys(kept)}
    figure = go.Figure(frames=[_frame(step, rows) for step, rows in curves.items()])
    dots = {"color": PALETTE[0], "size": 6, "opacity": 0.6}
    figure.add_scatter(x=numbers(data["x"]), y=numbers(data["y"]), mode="markers", name="data", marker=dots)
    figure.add_trace(_curve(kept[-1], curves[kept[-1]]))
    figure.update_layout(
        xaxis=linear_axis(str(data["x_label"].iloc[0])),
        yaxis=linear_axis(str(data["y_label"].iloc[0]), range=_range(data["y"])),
        updatemenus=[_buttons()],
        sliders=[_slider(list(curves))],
    )
    return styled(figure, height=460).update_layout(margin={"b": 110})


def _curve(step: int, rows: pd.DataFrame) -> go.Scatter:
    line = {"color": PALETTE[1], "width": 3}
    x, y = numbers(rows["x"]), numbers(rows["y"])
    return go.Scatter(x=x, y=y, mode="lines", name="fitted curve", line=line, hovertemplate=f"step {step}: %{{y:.4g}}")


def _frame(step: int, rows: pd.DataFrame) -> go.Frame:
    return go.Frame(name=str(step), data=[go.Scatter(y=numbers(rows["y"]))], traces=[1])


def _range(values: pd.Series) -> list[float | None]:
    """Show all data with some room; a curve that starts far away may leave the frame."""
    found = [value for value in numbers(values) if value is not None] or [0.0]
    room = 0.25 * (max(found) - min(found)) or 1.0
    return [short(min(found) - room), short(max(found) + room)]


def _buttons() -> dict[str, Any]:
    timing = {"frame": {"duration": 80, "redraw": False}, "transition": {"duration": 0}}
    play = {"label": "▶ play", "method": "animate", "args": [None, {**timing, "mode": "immediate"}]}
    still = {"frame": {"duration": 0, "redraw": False}, "mode": "immediate"}
    pause = {"label": "❚❚ pause", "method": "animate", "args": [[None], still]}
    place = {"type": "buttons", "direction": "left", "x": 0, "y": -0.2, "xanchor": "left", "yanchor": "top"}
    return {
        **place,
        "buttons": [play, pause],
        "showactive": False,
        "pad": {"t": 30},
        "bgcolor": "rgba(128, 128, 128, 0.15)",
    }


def _slider(steps: Sequence[int]) -> dict[str, Any]:
    still = {"frame": {"duration": 0, "redraw": False}, "mode": "immediate"}
    marks = [{"label": str(step), "method": "animate", "args": [[str(step)], still]} for step in steps]
    place = {"x": 0.25, "len": 0.75, "y": -0.2, "yanchor": "top", "pad": {"t": 30}}
    return {**place, "active": len(steps) - 1, "currentvalue": {"prefix": "step "}, "steps": marks}
