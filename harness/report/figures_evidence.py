"""Figures of the evidence behind verdicts: error against step, digits of agreement, outcomes, detection limits.

Pure functions of the frames that `columns` declares; each returns None where there is nothing to draw.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from harness.report.figure_forest import ROW_HEIGHT, name_rows
from harness.report.figure_style import (
    GRID,
    INK,
    OUTCOME_COLOURS,
    coloured,
    count_axis,
    linear_axis,
    log_axis,
    positive,
    styled,
)

WIDEST = 1e12
"""Most times the median error that an axis shows."""
COUNTED = ("cases", "verify", "converge", "benchmark", "findings", "timings")


def step_error_figure(curves: pd.DataFrame) -> go.Figure | None:
    """Plot the error of finite differences against their step, with the step the ladder chose.

    The raw curve falls with h² (truncation) and rises again with 1/h (rounding); extrapolation moves its valley
    down and to the right.

    Args:
        curves: rows of one case, as in `columns.CURVES`.

    Returns:
        A log-log figure, a colour for each derivative; None without curves, or where every error is zero.
    """
    seen = [label for label, rows in curves.groupby("label", sort=False) if any(positive(rows["error"]))]
    curves = curves[curves["label"].isin(seen)]
    if curves.empty:
        return None
    figure = go.Figure()
    colours = coloured(curves["label"])
    for label, rows in curves.groupby("label", sort=False):
        ordered = rows.sort_values("step_size")
        steps, raw, better = (positive(ordered[name]) for name in ("step_size", "error", "extrapolated_error"))
        hover = "h = %{x:.3g}<br>error = %{y:.2e}"
        line = {"color": colours[str(label)], "width": 2}
        group = {"legendgroup": str(label), "x": steps, "mode": "lines+markers", "marker": {"size": 4}}
        name = f"{label}, central difference"
        figure.add_scatter(y=raw, name=name, line=line, hovertemplate=hover + f"<extra>{name}</extra>", **group)
        name = f"{label}, extrapolated"
        dashed = {**line, "dash": "dot"}
        figure.add_scatter(y=better, name=name, line=dashed, hovertemplate=hover + f"<extra>{name}</extra>", **group)
        _mark_chosen(figure, ordered[ordered["chosen"].fillna(value=False)], str(label), colours[str(label)])
    figure.update_layout(
        xaxis=log_axis("step h", positive(curves["step_size"])),
        yaxis=_error_axis([error for error in positive(curves["error"]) if error is not None]),
    )
    return styled(figure)


def _error_axis(errors: Sequence[float]) -> dict[str, Any]:
    """Describe the axis of errors; those of steps so wide that the function explodes are left above it."""
    most = WIDEST * median(errors)
    low, high = min(errors), min(max(errors), most)
    span = {"range": [math.log10(low) - 1, math.log10(high)]} if max(errors) > most else {}
    return log_axis("error of the derivative", (low, high), **span)


def _mark_chosen(figure: go.Figure, rows: pd.DataFrame, label: str, colour: str) -> None:
    errors = [
        better or raw for better, raw in zip(positive(rows["extrapolated_error"]), positive(rows["error"]), strict=True)
    ]
    figure.add_scatter(
        x=positive(rows["step_size"]),
        y=errors,
        name=f"{label}, chosen",
        legendgroup=label,
        mode="markers",
        marker={"symbol": "star", "size": 14, "color": colour, "line": {"color": INK, "width": 1}},
        hovertemplate="chosen: h = %{x:.3g}<br>error = %{y:.2e}<extra></extra>",
    )


def outcomes_figure(counts: pd.DataFrame) -> go.Figure | None:
    """Plot what share of cases, jobs, findings and timings had each outcome, with what never ran.

    Args:
        counts: as in `columns.COUNTS`.

    Returns:
        Stacked bars, the counts written on them; None when nothing was planned.
    """
    kinds = [kind for kind in COUNTED if kind in counts and int(counts[kind].sum())]
    if not kinds:
        return None
    figure = go.Figure()
    for _, row in counts.iterrows():
        values = [int(row[kind]) for kind in kinds]
        if not any(values):
            continue
        name = str(row["outcome"])
        figure.add_bar(
            y=kinds,
            x=values,
            name=name,
            orientation="h",
            customdata=values,
            text=[str(value) if value else "" for value in values],
            textposition="inside",
            insidetextanchor="middle",
            marker={"color": OUTCOME_COLOURS[name], "pattern": {"shape": "/" if name == "not run" else ""}},
            hovertemplate="%{customdata} of the %{y}: " + name + " (%{x:.1f} %)<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        barnorm="percent",
        xaxis=linear_axis("share", ticksuffix=" %", range=[0, 100]),
        yaxis={"autorange": "reversed", "type": "category", "gridcolor": "rgba(0, 0, 0, 0)"},
        legend={"traceorder": "normal"},
    )
    return styled(figure, height=110 + 40 * len(kinds))


def digits_figure(findings: pd.DataFrame) -> go.Figure | None:
    """Plot how many decimal digits subjects and oracles agree to, over all comparisons that say so.

    Args:
        findings: as in `columns.FINDINGS`.

    Returns:
        Discs, as large as there are comparisons at that half digit, one line for each oracle, number type and order;
        None without such comparisons.
    """
    found = findings.dropna(subset=["digits"])
    if found.empty:
        return None
    rows = Counter(
        (_line(oracle, dtype, order), str(outcome), round(2 * float(digits)) / 2)
        for oracle, dtype, order, outcome, digits in zip(
            *(found[name] for name in ("oracle", "dtype", "order", "outcome", "digits")), strict=True
        )
    )
    lines = sorted({line for line, _, _ in rows})
    places = {line: place for place, line in enumerate(lines)}
    figure = go.Figure()
    for outcome, colour in OUTCOME_COLOURS.items():
        mine = sorted((digits, line, count) for (line, ended, digits), count in rows.items() if ended == outcome)
        if mine:
            figure.add_scatter(
                x=[digits for digits, _, _ in mine],
                y=[places[line] for _, line, _ in mine],
                customdata=[[line, count] for _, line, count in mine],
                name=outcome,
                mode="markers",
                marker={"color": colour, "opacity": 0.75, "size": [_disc(count) for _, _, count in mine]},
                hovertemplate="%{customdata[0]}: %{customdata[1]} comparisons agree to about %{x} digits<extra>"
                + outcome
                + "</extra>",
            )
    figure.update_layout(
        xaxis=linear_axis("digits of agreement", range=[-0.5, 17.5], dtick=2),
        yaxis={"range": [len(lines) - 0.5, -0.8], "showticklabels": False, "ticks": "", "tickvals": [*places.values()]},
        margin={"l": 10},
    )
    name_rows(figure, lines)
    return styled(figure, height=110 + ROW_HEIGHT * len(lines))


def _line(oracle: object, dtype: object, order: object) -> str:
    kind = {0: ", value", 1: "", 2: ", second order"}.get(int(order), f", order {order}")  # type: ignore[call-overload]
    return f"{'other checks' if oracle is None or oracle is pd.NA else oracle}, {dtype}{kind}"


def _disc(count: int) -> float:
    """Diameter in pixels: area in proportion to the count, within what fits a line."""
    return round(min(26.0, 5 + 2 * math.sqrt(count)), 1)


def detection_figure(detection: pd.DataFrame) -> go.Figure | None:
    """Plot how many cases would notice which relative fault in their gradient.

    Args:
        detection: as in `columns.DETECTION`.

    Returns:
        One bar for each decade; None where no case has a detection limit.
    """
    if detection.empty:
        return None
    decades, cases = [int(decade) for decade in detection["decade"]], [int(count) for count in detection["cases"]]
    figure = go.Figure()
    figure.add_bar(
        x=[f"10<sup>{str(decade).replace('-', '−')}</sup>" for decade in decades],
        y=cases,
        marker={"color": OUTCOME_COLOURS["pass"], "line": {"color": GRID, "width": 1}},
        hovertemplate="%{y} cases notice a relative fault of %{x}<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(
        xaxis={"title": {"text": "smallest relative fault noticed"}, "type": "category"},
        yaxis=count_axis("cases", cases),
    )
    return styled(figure, height=280)
