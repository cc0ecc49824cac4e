"""What figures of timings share: the order of passes, a panel for each, names, and marks for what cannot be trusted.

Panels stand two beside each other on a desk; the page puts them below each other where it is narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

PASSES = ("value", "forward", "backward", "forward_backward", "jacobian", "step")
UNSTEADY = " (no steady state)"
"""Added to the name of what was still getting faster or slower when it was timed."""
FAINT = 0.45
"""Opacity of the same."""


def pass_title(what: object) -> str:
    """Return a pass's name as people read it: ``forward + backward``."""
    return str(what).replace("_", " + ")


def ordered_passes(timings: pd.DataFrame) -> list[str]:
    """Return the passes that occur, in the order they run; unknown ones follow by name."""
    found = {str(what) for what in timings["what"]}
    return [what for what in PASSES if what in found] + sorted(found - set(PASSES))


def pass_panels(passes: Sequence[str]) -> tuple[go.Figure, Mapping[str, tuple[int, int]]]:
    """Return an empty figure with a titled panel for each pass, and each pass's (row, column) in it, from 1."""
    columns = min(2, len(passes))
    rows = -(-len(passes) // columns)
    titles = [pass_title(what) for what in passes]
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, shared_yaxes="all", vertical_spacing=0.3 / rows
    )
    figure.update_layout(
        meta={"panels": len(passes)}, height=110 + 300 * rows, margin={"t": 70}, legend={"y": 1 + 0.09 / rows}
    )
    return figure, {what: (1 + at // columns, 1 + at % columns) for at, what in enumerate(passes)}


def series_name(row: SimpleNamespace) -> str:
    """Return what a timing's curve is called: ``analytic on cpu``, with a mark where it has no steady state."""
    return f"{row.variant} on {row.device}{UNSTEADY if row.steady is False else ''}"
