"""The figure of a sweep over PyTorch's operators: to how many digits each agrees, and how it ended.

Pure functions of the frames that `columns` declares.
"""

from __future__ import annotations

import math
from collections import Counter

import pandas as pd
import plotly.graph_objects as go

from harness.case.operators import PATH
from harness.records import Outcome
from harness.report.figure_style import OUTCOME_COLOURS, linear_axis, styled

CERTIFIED = "certified"
"""A pass that rests on enclosures."""
_CERTIFYING = "ball arithmetic"
_COLOURS = {CERTIFIED: "#0b6b3a", **OUTCOME_COLOURS}


def operators_frame(cases: pd.DataFrame, findings: pd.DataFrame) -> pd.DataFrame:
    """Return one row per operator that was verified: its `ending` and its least `digits` against an independent oracle.

    Args:
        cases: as in `columns.CASES`.
        findings: as in `columns.FINDINGS`.
    """
    swept = cases[(cases["path"] == str(PATH)) & (cases["outcome"] != Outcome.SKIPPED)]
    own = findings[findings["case"].isin(swept["case"])]
    judged = own[(own["route"] == "autograd") & (own["order"] == 1) & own["independent"].fillna(value=False)]
    certified = set(own["case"][(own["oracle"] == _CERTIFYING) & (own["outcome"] == Outcome.PASS)])
    passed = {
        str(case) for case, outcome in zip(swept["case"], swept["outcome"], strict=True) if outcome == Outcome.PASS
    }
    digits = judged.groupby("case")["digits"].min()
    return pd.DataFrame(
        {
            "case": [str(case) for case in swept["case"]],
            "ending": [
                CERTIFIED if case in certified & passed else str(outcome)
                for case, outcome in zip(swept["case"], swept["outcome"], strict=True)
            ],
            "digits": [digits.get(case) for case in swept["case"]],
        }
    )


def operators_figure(operators: pd.DataFrame) -> go.Figure | None:
    """Plot how many operators agree to how many digits, stacked by how they ended.

    Args:
        operators: as `operators_frame` returns it.

    Returns:
        One bar per whole digit; None without operators that have digits.
    """
    known = operators.dropna(subset=["digits"])
    if known.empty:
        return None
    figure = go.Figure()
    for ending, colour in _COLOURS.items():
        counted = Counter(math.floor(digits) for digits in known["digits"][known["ending"] == ending])
        if counted:
            figure.add_bar(
                x=sorted(counted),
                y=[counted[digits] for digits in sorted(counted)],
                name=ending,
                marker={"color": colour},
                hovertemplate="%{y} operators agree to %{x} digits<extra>" + ending + "</extra>",
            )
    figure.update_layout(
        barmode="stack",
        xaxis=linear_axis("digits of agreement, an operator's least", range=[-0.7, 17.7], dtick=2),
        yaxis=linear_axis("operators", rangemode="tozero"),
    )
    return styled(figure, height=320)


def operators_text(operators: pd.DataFrame) -> str:
    """Say how many operators ended how: "534 operators: 391 certified, 96 pass, …"."""
    counted = Counter(operators["ending"])
    parts = [f"{counted[ending]} {ending}" for ending in _COLOURS if counted[ending]]
    return f"{len(operators)} operators verified: {', '.join(parts)}."
