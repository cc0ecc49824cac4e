"""The figure of performance and data profiles, for every target of the ladder.

A pure function of what `profiles` makes of the frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from harness.report import text
from harness.report.figure_style import DASHES, PALETTE, linear_axis, log_axis, short, styled
from harness.report.profiles import Curve, Profile, target_text

FEWEST = 3
"""Problems an optimizer was run on from which its curve says something; in smaller runs, all there are."""
CHOSEN = 1e-5
"""Target that is shown at first, where there is one."""
_TITLES = ("Performance profile", "Data profile")
_AXES = ("evaluations ÷ fewest of any optimizer", "evaluations ÷ (parameters + 1)")
PHONE_GAP = 110
"""Pixels between the panels where they stand below each other: an axis title and a panel's title."""


def profiles_figure(profiles: Sequence[Profile]) -> go.Figure | None:
    """Plot the share of its problems that each optimizer solved within a cost, for a target the reader chooses.

    Args:
        profiles: as `profiles.profiles` returns them.

    Returns:
        Performance profiles beside data profiles; None where no two optimizers can be compared.
    """
    kept = [profile for profile in profiles if any(shown_curves(profile, profile.performance))]
    if not kept:
        return None
    choices = [target_text(profile.tau) for profile in kept]
    chosen = target_text(CHOSEN) if target_text(CHOSEN) in choices else choices[-1]
    styles = _styles(kept)
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, subplot_titles=_TITLES, horizontal_spacing=0.06)
    for profile in kept:
        for column, curves in enumerate((profile.performance, profile.data), start=1):
            _add_curves(figure, profile, shown_curves(profile, curves), column, styles, chosen)
    for column, title in enumerate(_AXES, start=1):
        costs = [cost for trace in figure.data if (trace.xaxis or "x") == ("x", "x2")[column - 1] for cost in trace.x]
        figure.update_xaxes(log_axis(title, costs), row=1, col=column)
    figure.update_yaxes(linear_axis("", range=[-0.02, 1.03], tickformat=".0%"))
    figure.update_yaxes(title_text="problems solved", col=1)
    styled(figure, height=430)
    return figure.update_layout(
        meta={"panels": 2, "gap": PHONE_GAP, "choices": choices, "chosen": chosen, "choose": "Target"},
        legend={"yanchor": "top", "y": -0.2},
        margin={"b": 120},
    )


def shown_curves(profile: Profile, curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves of optimizers that were run on enough problems to say something."""
    return [curve for curve in curves if curve.problems >= min(FEWEST, profile.problems)]


def _styles(profiles: Sequence[Profile]) -> Mapping[str, dict[str, object]]:
    """Give each optimizer a colour and a dash of its own, the same in every panel."""
    names = dict.fromkeys(curve.optimizer for one in profiles for curve in shown_curves(one, one.performance))
    size = len(PALETTE)
    return {
        name: {"color": PALETTE[at % size], "dash": DASHES[at // size % len(DASHES)], "width": 2}
        for at, name in enumerate(names)
    }


def _add_curves(
    figure: go.Figure,
    profile: Profile,
    curves: Sequence[Curve],
    column: int,
    styles: Mapping[str, dict[str, object]],
    chosen: str,
) -> None:
    ends = [cost for curve in curves for cost in curve.costs] or [1.0]
    low, high = min(ends), 1.3 * max(ends)
    unit = ("times the fewest evaluations", "evaluations per n + 1")[column - 1]
    for curve in curves:
        x = [low, *curve.costs, high]
        y = [0.0, *curve.shares, curve.shares[-1] if curve.shares else 0.0]
        figure.add_scatter(
            x=[short(value) for value in x],
            y=[short(value) for value in y],
            name=f"{curve.optimizer} ({text.count(curve.problems, 'problem')})",
            legendgroup=curve.optimizer,
            showlegend=column == 1,
            mode="lines",
            line={**styles[curve.optimizer], "shape": "hv"},
            meta=target_text(profile.tau),
            visible=target_text(profile.tau) == chosen,
            hovertemplate=f"%{{y:.0%}} solved within %{{x:.3g}} {unit}<extra>{curve.optimizer}</extra>",
            row=1,
            col=column,
        )
