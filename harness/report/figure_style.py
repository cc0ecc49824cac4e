"""The one look of every figure: colours anyone can tell apart, no background, greys that read on light and dark pages.

Also the small conversions every figure needs: frame columns as short lists, numbers on logarithmic axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
import plotly.graph_objects as go

PALETTE = ("#2E86C1", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's colours, which stay distinct with any colour vision, less black and yellow, the blue lightened so
that it is seen on dark pages too."""
DASHES = ("solid", "dash", "dot", "dashdot")
OUTCOME_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "pass": "#009E73",
        "skipped": "#9A9A9A",
        "vacuous": "#CC79A7",
        "inconclusive": "#E69F00",
        "timeout": "#56B4E9",
        "crashed": "#0072B2",
        "error": "#8C510A",
        "fail": "#D55E00",
        "not run": "#C8C8C8",
    }
)
INK = "#767676"
"""The grey whose contrast is at least 4 to 1 on white and on near-black."""
GRID = "rgba(128, 128, 128, 0.25)"
DIGITS = 5
"""Significant digits kept in a figure: beyond what an eye can see, and the page stays small."""

_SI = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
_AXIS = {
    "gridcolor": GRID,
    "linecolor": INK,
    "zeroline": False,
    "ticks": "outside",
    "tickcolor": GRID,
    "automargin": True,
    "exponentformat": "power",
}

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "colorway": list(PALETTE),
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "margin": {"l": 60, "r": 20, "t": 30, "b": 50},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0},
        "hovermode": "closest",
    }
)

CONFIG: Mapping[str, Any] = MappingProxyType({"responsive": True, "displaylogo": False, "displayModeBar": False})
"""What a page passes to Plotly beside a figure's data, layout and frames: no bar of buttons over the legend, a double
click resets the view."""


def styled(figure: go.Figure, *, height: int = 360) -> go.Figure:
    """Give a figure the common look and a height in pixels; its width is the page's."""
    figure.update_layout(template=TEMPLATE, height=height, autosize=True)
    return figure


def short(value: object) -> float | None:
    """Round one number to the digits a figure keeps; None where there is no finite number."""
    if value is None or value is pd.NA:
        return None
    number = float(value)  # type: ignore[arg-type]
    return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None


def numbers(values: Iterable[object]) -> list[float | None]:
    """Return a column as short numbers, with gaps where there is none."""
    return [short(value) for value in values]


def positive(values: Iterable[object]) -> list[float | None]:
    """Return a column for a logarithmic axis, with gaps where there is no positive number."""
    return [number if number is not None and number > 0 else None for number in numbers(values)]


def texts(values: Iterable[object]) -> list[str]:
    """Return a column as texts, empty where there is none."""
    return ["" if value is None or value is pd.NA else str(value) for value in values]


def suits_logarithm(values: Iterable[object]) -> bool:
    """Return whether a column has positive numbers and none below zero; a zero, such as the last loss, is a gap."""
    found = [number for number in numbers(values) if number is not None]
    return bool(found) and min(found) >= 0 and max(found) > 0


def log_axis(title: str, values: Sequence[float | None] = (), **rest: Any) -> dict[str, Any]:
    """Describe a logarithmic axis: labelled at whole decades, or at 1, 2, 5 where there are few, or in between."""
    found = [value for value in values if value]
    decades = math.log10(max(found) / min(found)) if found else 0.0
    # Below a factor of about five, 1, 2 and 5 may all lie outside; plotly then finds ticks that do not.
    ticks: dict[str, object] = {}
    if decades > 1.5:
        ticks = {"dtick": max(1, round(decades / 6))}
    elif decades > 0.7:
        # Written out: of its own 1, 2 and 5 plotly writes the digit alone, so that 0.5 reads as 5.
        values = _one_two_five(min(found), max(found))
        how, suffix = str(rest.get("exponentformat", "power")), str(rest.pop("ticksuffix", ""))
        ticks = {"tickvals": values, "ticktext": [f"{_tick_text(value, how)}{suffix}" for value in values]}
    return {"title": {"text": title}, "type": "log", "exponentformat": "power", **ticks, **rest}


def _one_two_five(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten from half of `low` to twice `high`."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    return [tick for tick in ticks if low / 2 <= tick <= 2 * high]


def _tick_text(value: float, how: str) -> str:
    """Write a tick as plotly's exponent formats `none`, `SI` and `power` do."""
    if how == "SI":
        power = 3 * math.floor(math.log10(value) / 3 + 1e-9)
        return f"{value / 10.0**power:g}{_SI.get(power, f'e{power}')}"
    if how == "none" or 1e-3 <= value < 1e5:
        return f"{value:g}"
    digit, _, exponent = f"{value:.0e}".partition("e")
    return f"{'' if digit == '1' else digit + '·'}10<sup>{int(exponent)}</sup>".replace("-", "−")


def add_level(figure: go.Figure, value: float, text: str, *, axis: str = "y", at: float = 1.0) -> None:
    """Draw a line across a panel whose vertical axis is logarithmic; its label ends at a share of the width."""
    number = axis.removeprefix("y")
    line = {"color": INK, "dash": "dash", "width": 1}
    figure.add_shape(type="line", x0=0, x1=1, xref=f"x{number} domain", y0=value, y1=value, yref=axis, line=line)
    # Annotations on logarithmic axes are placed by the exponent, unlike shapes.
    place = {"x": at, "xref": f"x{number} domain", "y": math.log10(value), "yref": axis}
    figure.add_annotation(text=text, showarrow=False, xanchor="right", yanchor="bottom", font={"size": 11}, **place)


def error_bars(median: list[float | None], low: list[float | None], high: list[float | None]) -> dict[str, object]:
    """Describe error bars from interval ends; no bar where an end is missing.

    Args:
        median: what the bars stand on.
        low: lower ends, as long.
        high: upper ends, as long.
    """
    above = [short(end - middle) if end and middle else 0.0 for end, middle in zip(high, median, strict=True)]
    below = [short(middle - end) if end and middle else 0.0 for end, middle in zip(low, median, strict=True)]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.2, "width": 3}


def linear_axis(title: str, **rest: Any) -> dict[str, Any]:
    """Describe a linear axis."""
    return {"title": {"text": title}, "type": "linear", **rest}


def count_axis(title: str, counts: Sequence[int]) -> dict[str, Any]:
    """Describe an axis of counts from zero on, which has no ticks between whole numbers."""
    few: dict[str, object] = {"dtick": 1} if max(counts, default=0) <= 5 else {}
    return linear_axis(title, rangemode="tozero", **few)


def coloured(names: Iterable[str]) -> dict[str, str]:
    """Give each name a colour, in order of appearance, going round when there are many."""
    unique = list(dict.fromkeys(names))
    return {name: PALETTE[position % len(PALETTE)] for position, name in enumerate(unique)}


def dashed(names: Iterable[str]) -> dict[str, str]:
    """Give each name a dash, in order of appearance: another each time that `coloured` has gone round."""
    unique = list(dict.fromkeys(names))
    return {name: DASHES[position // len(PALETTE) % len(DASHES)] for position, name in enumerate(unique)}


def faded(colour: str, opacity: float) -> str:
    """Return a #rrggbb colour with an opacity."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"
