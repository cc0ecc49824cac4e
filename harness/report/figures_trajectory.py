"""The figure of paths on the contours of a loss of two parameters, animated step by step.

Pure functions of the frames that `columns` declares; each returns None where there is nothing to draw.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from harness.report.figure_style import DASHES, PALETTE, linear_axis, numbers, short, styled
from harness.report.seeds import SEED, run_of

MOST_FRAMES = 60
"""Most steps the animation shows, evenly spaced in their logarithm: descents do most at their start."""
SWATCH, LETTERS, LEGEND_ROW = 8, 120, 28
"""Room in a legend: letters that a line's sample takes, letters in a row, and pixels of a row."""
TAIL = 12
"""Kept steps behind a descent that its tail shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """Descents from one start on one loss, and the surface to draw them on."""

    name: str
    surface: pd.DataFrame
    """As in `columns.CONTOURS`, of one descent."""
    paths: pd.DataFrame
    """As in `columns.TRAJECTORY`."""


def journeys(contours: pd.DataFrame, trajectory: pd.DataFrame) -> tuple[Journey, ...]:
    """Return the descents of one case that belong on one picture: those from one start with one loss there.

    Args:
        contours: rows of one case, as in `columns.CONTOURS`.
        trajectory: rows of the same case, as in `columns.TRAJECTORY`.
    """
    surfaces = dict(iter(contours.groupby("descent", sort=False)))
    paths = {str(descent): rows for descent, rows in trajectory.groupby("descent", sort=False) if descent in surfaces}
    together: dict[object, list[str]] = {}
    for descent, rows in paths.items():
        together.setdefault(_start(rows) or descent, []).append(descent)
    return tuple(
        Journey(
            name=_title(names, start),
            surface=_widest([surfaces[name] for name in names], [paths[name] for name in names]),
            paths=pd.concat([paths[name] for name in names]),
        )
        for start, names in together.items()
    )


def _start(rows: pd.DataFrame) -> tuple[str, ...] | None:
    first = rows.iloc[0]
    if not _is_pair(first["parameters"]):
        return None
    return tuple(f"{value:.9g}" for value in (*first["parameters"], first["loss"]))


def _title(names: Sequence[str], start: object) -> str:
    if len(names) == 1 or not isinstance(start, tuple):
        return f"Path of {names[0]}"
    x, y = (f"{float(value):.4g}".replace("-", "−") for value in start[:2])
    return f"Paths of {len(names)} descents from ({x}, {y})"


def _widest(surfaces: Sequence[pd.DataFrame], paths: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the largest surface, of the descents that end on their own where there are any: others blew up."""
    ended = [surface for surface, path in zip(surfaces, paths, strict=True) if _ends_on(surface, path)]
    return max(ended or surfaces, key=lambda surface: math.prod(float(np.ptp(surface[axis])) for axis in ("x", "y")))


def _ends_on(surface: pd.DataFrame, path: pd.DataFrame) -> bool:
    last = path.iloc[-1]["parameters"]
    if not _is_pair(last):
        return False
    return all(surface[axis].min() <= value <= surface[axis].max() for axis, value in zip("xy", last, strict=True))


def path_figure(contours: pd.DataFrame, trajectory: pd.DataFrame) -> go.Figure | None:
    """Animate descents over the contours of a loss of two parameters.

    Levels are spaced evenly in the logarithm of the loss (of its height above the lowest value shown, where losses come
    near zero or below), so that the valley floor is seen as well as the slopes.

    Args:
        contours: rows of one case, as in `columns.CONTOURS`; with several descents, the first one's surface is drawn.
        trajectory: rows of the same case, as in `columns.TRAJECTORY`.

    Returns:
        The surface and every path; then, for each descent, its tail and its head, which the frames move. None without
        a surface.
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
    letters = sum(len(trace.name) + SWATCH for trace in figure.data[1:] if trace.showlegend is not False)
    return styled(figure, height=460 + LEGEND_ROW * (letters // LETTERS))


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
    paths = [_Path.of(str(descent), rows) for descent, rows in kept.groupby("descent", sort=False)]
    runs = dict.fromkeys(run_of(path.name) for path in paths)
    lines = {run: _line(at) for at, run in enumerate(runs)}
    for path in paths:
        figure.add_trace(_whole(path, lines[run_of(path.name)], faint=len(paths) > 1))
    moving = len(figure.data)
    for path in paths:
        figure.add_traces(_moved(path, path.steps[-1], lines[run_of(path.name)]["color"]))
    last = max((path.steps[-1] for path in paths), default=0)
    traces = list(range(moving, len(figure.data)))
    figure.frames = [
        go.Frame(name=str(step), data=[trace for path in paths for trace in _moved(path, step)], traces=traces)
        for step in (_frame_steps(last) if last else ())
    ]


def _line(at: int) -> dict[str, str]:
    """Return colour and dash of a run; the palette's blue is left to the contours."""
    colours = PALETTE[1:]
    return {"color": colours[at % len(colours)], "dash": DASHES[at // len(colours) % len(DASHES)]}


def _frame_steps(last: int) -> list[int]:
    spaced = np.geomspace(1, last, min(MOST_FRAMES, last)).round().astype(int)
    return [0, *(int(step) for step in np.unique(spaced))]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Path:
    """The kept steps of a descent in the plane."""

    name: str
    steps: tuple[int, ...]
    x: tuple[float | None, ...]
    y: tuple[float | None, ...]
    losses: tuple[float | None, ...]

    @classmethod
    def of(cls, name: str, rows: pd.DataFrame) -> _Path:
        ordered = rows.sort_values("step")
        pairs = [tuple(parameters) for parameters in ordered["parameters"]]
        return cls(
            name=name,
            steps=tuple(int(step) for step in ordered["step"]),
            x=tuple(short(pair[0]) for pair in pairs),
            y=tuple(short(pair[1]) for pair in pairs),
            losses=tuple(numbers(ordered["loss"])),
        )


def _whole(path: _Path, line: Mapping[str, str], *, faint: bool) -> go.Scatter:
    """Draw a whole path, its start a larger disc, its end a star."""
    shown = path.name.removesuffix(f"{SEED}0")
    between = [0] * (len(path.steps) - 2)
    count = len(path.steps)
    return go.Scatter(
        x=path.x,
        y=path.y,
        customdata=list(zip(path.steps, path.losses, strict=True)),
        name=shown,
        legendgroup=path.name,
        mode="lines+markers",
        opacity=0.6 if faint else 0.8,
        line={**line, "width": 1.5},
        marker={"size": [10, *[4] * len(between), 14][:count], "symbol": _symbols(count)}
        | {"line": {"color": "white", "width": [2, *between, 1][:count]}},
        hovertemplate="step %{customdata[0]}: (%{x:.4g}, %{y:.4g})<br>loss = %{customdata[1]:.4g}"
        f"<extra>{path.name}</extra>",
    )


def _moved(path: _Path, step: int, colour: str | None = None) -> list[go.Scatter]:
    """Return tail and head of a descent at a step; without a colour, only what a frame changes."""
    end = bisect_right(path.steps, step)
    tail = go.Scatter(x=path.x[max(0, end - TAIL) : end], y=path.y[max(0, end - TAIL) : end])
    head = go.Scatter(x=path.x[end - 1 : end], y=path.y[end - 1 : end])
    if colour is not None:
        common = {"legendgroup": path.name, "showlegend": False, "hoverinfo": "skip"}
        tail.update(name=f"{path.name}, tail", mode="lines", line={"color": colour, "width": 4}, **common)
        disc = {"color": colour, "size": 13, "line": {"color": "white", "width": 2}}
        head.update(name=f"{path.name}, head", mode="markers", marker=disc, **common)
    return [tail, head]


def _is_pair(parameters: object) -> bool:
    return parameters is not None and parameters is not pd.NA and len(parameters) == 2  # type: ignore[arg-type]


def _symbols(count: int) -> list[str]:
    """Mark the end with a star; the start is a larger disc."""
    return ["circle", *["circle"] * (count - 2), "star"][:count]
