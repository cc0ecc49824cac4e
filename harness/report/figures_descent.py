"""Figures of convergence runs: loss and error by step, the path on contours, the fit as it forms.

Pure functions of the frames that `columns` declares; each returns None where there is nothing to draw.
"""

from __future__ import annotations

import math
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
    faded,
    has_positive_only,
    linear_axis,
    log_axis,
    numbers,
    positive,
    short,
    styled,
)

MAX_FRAMES = 60
"""Most steps an animation shows; the slider's last is the run's last."""
MAX_POINTS = 2000
"""Most steps a panel draws, over all its lines."""
SEED = " · seed "
"""What parts a descent's name into run and seed."""


def convergence_figure(trajectory: pd.DataFrame, converge: pd.DataFrame | None = None) -> go.Figure | None:
    """Plot loss, and the distance to the minimum where one is known, against the step.

    Args:
        trajectory: rows of one case, as in `columns.TRAJECTORY`; several seeds become faint lines of one colour.
        converge: rows of the same case, as in `columns.CONVERGE`, for the tolerance to draw.

    Returns:
        One or two panels over a common axis of steps, logarithmic unless a loss is not positive; None without steps.
    """
    if trajectory.empty:
        return None
    panels = ["loss", *(["error"] if any(value for value in positive(trajectory["error"])) else [])]
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.07)
    logarithmic = {"loss": has_positive_only(trajectory["loss"]), "error": True}
    for position, panel in enumerate(panels, start=1):
        _add_descents(figure, trajectory, panel, position, logarithmic=logarithmic[panel])
        title = {"loss": "loss", "error": "distance to the minimum"}[panel]
        axis = log_axis(title, positive(trajectory[panel])) if logarithmic[panel] else linear_axis(title)
        figure.update_yaxes(axis, row=position, col=1)
    figure.update_xaxes(title_text="step", row=len(panels), col=1)
    tolerances: Iterable[float] = [] if converge is None or len(panels) < 2 else converge["tolerance"].dropna().unique()
    for tolerance in tolerances:
        add_level(figure, float(tolerance), f"within {tolerance:g}", axis="y2")
    return styled(figure, height=110 + 230 * len(panels))


def _add_descents(figure: go.Figure, trajectory: pd.DataFrame, panel: str, position: int, *, logarithmic: bool) -> None:
    descents = list(trajectory["descent"].unique())
    runs = {descent: _run(descent) for descent in descents}
    colours = coloured(runs.values())
    seeds = {run: sum(other == run for other in runs.values()) for run in colours}
    shown: set[str] = set()
    for descent, every in trajectory.groupby("descent", sort=False):
        rows, run = _thinned(every, MAX_POINTS // len(descents)), runs[str(descent)]
        several = seeds[run] > 1
        figure.add_scatter(
            x=[int(step) for step in rows["step"]],
            y=positive(rows[panel]) if logarithmic else numbers(rows[panel]),
            name=f"{run} ({seeds[run]} seeds)" if several else run,
            legendgroup=run,
            showlegend=position == 1 and run not in shown,
            mode="lines",
            line={"color": faded(colours[run], 0.6) if several else colours[run], "width": 1.2 if several else 2},
            hovertemplate=f"step %{{x}}<br>{panel} = %{{y:.4g}}<extra>{descent}</extra>",
            row=position,
            col=1,
        )
        shown.add(run)


def _thinned(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """Keep evenly spaced rows, the first and the last among them."""
    if len(rows) <= most:
        return rows
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, max(most, 2)).round().astype(int))]


def _run(descent: str) -> str:
    return str(descent).rsplit(SEED, 1)[0]


def path_figure(contours: pd.DataFrame, trajectory: pd.DataFrame) -> go.Figure | None:
    """Plot the paths of descents over the contours of a loss of two parameters.

    Levels are spaced evenly in the logarithm of the loss (of its height above the lowest value shown, where losses come
    near zero or below), so that the valley floor is seen as well as the slopes.

    Args:
        contours: rows of one case, as in `columns.CONTOURS`; with several descents, the first one's surface is drawn.
        trajectory: rows of the same case, as in `columns.TRAJECTORY`.

    Returns:
        The figure; None without a surface.
    """
    if contours.empty:
        return None
    surface = contours[contours["descent"] == contours["descent"].iloc[0]]
    x = sorted({float(value) for value in surface["x"]})
    y = sorted({float(value) for value in surface["y"]})
    place = {
        (float(a), float(b)): short(loss)
        for a, b, loss in zip(surface["x"], surface["y"], surface["loss"], strict=True)
    }
    losses = [[place.get((a, b)) for a in x] for b in y]
    figure = go.Figure()
    figure.add_trace(_contour(x, y, losses))
    _add_paths(figure, trajectory)
    figure.update_layout(
        xaxis=linear_axis(str(surface["x_label"].iloc[0]), range=[x[0], x[-1]], showgrid=False),
        yaxis=linear_axis(str(surface["y_label"].iloc[0]), range=[y[0], y[-1]], showgrid=False),
    )
    return styled(figure, height=460)


def _contour(x: Sequence[float], y: Sequence[float], losses: Sequence[Sequence[float | None]]) -> go.Contour:
    flat = [loss for line in losses for loss in line if loss is not None]
    low, high = (min(flat), max(flat)) if flat else (0.0, 1.0)
    lifted = low <= 0 or high < 10 * low
    base = low if lifted else 0.0
    heights = [loss - base for loss in flat if loss > base]
    floor = min(heights) / 2 if heights else 1.0
    levels = [[None if loss is None else _level(loss - base, floor) for loss in line] for line in losses]
    bottom, top = math.log10(floor), math.log10(max(heights, default=10 * floor))
    ticks = np.linspace(bottom, top, 6)
    return go.Contour(
        x=[short(value) for value in x],
        y=[short(value) for value in y],
        z=levels,
        customdata=losses,
        colorscale="Cividis",
        contours={"start": round(bottom, 4), "end": round(top, 4), "size": round((top - bottom) / 20, 4) or 1},
        line={"width": 0.5, "color": "rgba(255, 255, 255, 0.35)"},
        colorbar={
            "title": {"text": f"loss − {base:.3g}" if lifted and base else "loss", "side": "top"},
            "tickvals": [round(float(tick), 3) for tick in ticks],
            "ticktext": [f"{10**tick:.2g}" for tick in ticks],
            "outlinewidth": 0,
        },
        hovertemplate="(%{x:.4g}, %{y:.4g})<br>loss = %{customdata:.4g}<extra></extra>",
        name="loss",
    )


def _level(height: float, floor: float) -> float:
    return round(math.log10(max(height, floor)), 3)


def _add_paths(figure: go.Figure, trajectory: pd.DataFrame) -> None:
    kept = trajectory[[_is_pair(parameters) for parameters in trajectory["parameters"]]]
    colours = dict(zip(kept["descent"].unique(), (PALETTE[1], *PALETTE[2:]) * len(kept), strict=False))
    for descent, rows in kept.groupby("descent", sort=False):
        pairs = [tuple(parameters) for parameters in rows["parameters"]]
        figure.add_scatter(
            x=[short(pair[0]) for pair in pairs],
            y=[short(pair[1]) for pair in pairs],
            customdata=[[int(step), short(loss)] for step, loss in zip(rows["step"], rows["loss"], strict=True)],
            name=str(descent),
            mode="lines+markers",
            line={"color": colours[descent], "width": 2},
            marker={"size": [10, *[4] * (len(pairs) - 2), 14][: len(pairs)], "symbol": _symbols(len(pairs))}
            | {"line": {"color": "white", "width": [2, *[0] * (len(pairs) - 2), 1][: len(pairs)]}},
            hovertemplate="step %{customdata[0]}: (%{x:.4g}, %{y:.4g})<br>loss = %{customdata[1]:.4g}<extra></extra>",
        )


def _is_pair(parameters: object) -> bool:
    return parameters is not None and parameters is not pd.NA and len(parameters) == 2  # type: ignore[arg-type]


def _symbols(count: int) -> list[str]:
    """Mark the end with a star; the start is a larger disc."""
    return ["circle", *["circle"] * (count - 2), "star"][:count]


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
