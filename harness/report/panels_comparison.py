"""Optimizers compared over the problems of a run: the figure of profiles with its words, and the tables.

What is compared with what is `profiles`' job, what is drawn `figures_profiles`'; this puts them together for a page.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from harness.report import figures, text
from harness.report.comparison import Table, comparison_tables
from harness.report.figures_profiles import shown_curves
from harness.report.panel import Panel, make_panel
from harness.report.profiles import Profile, profile_words, profiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the page's section on optimizers shows."""

    panels: tuple[Panel, ...]
    tables: tuple[Table, ...]


def comparison(converge: pd.DataFrame, targets: pd.DataFrame) -> Comparison:
    """Return profiles and tables of a run's optimizers; both are empty where there are not two of them.

    Args:
        converge: as in `columns.CONVERGE`.
        targets: as in `columns.TARGETS`.
    """
    found = profiles(converge, targets)
    panel = make_panel(
        "run-profiles",
        "comparison",
        "Performance and data profiles",
        _caption(found, converge) if found else "",
        figures.profiles_figure(found),
    )
    return Comparison(
        panels=() if panel is None else (panel,),
        tables=comparison_tables(converge, targets),
    )


def _caption(found: tuple[Profile, ...], converge: pd.DataFrame) -> str:
    hidden = {curve.optimizer for one in found for curve in one.performance}
    hidden -= {curve.optimizer for one in found for curve in shown_curves(one, one.performance)}
    rare = f" No curve for {text.count(len(hidden), 'optimizer')} run on too few of them." if hidden else ""
    return (
        f"{profile_words(found, converge)}{rare} The target is a loss of f* + τ(f₀ − f*); a descent that did not reach "
        "it never counts as solved. Left, the cost is set beside the fewest gradient evaluations that any optimizer "
        "took; right, beside the number of parameters plus one. Higher is better; each curve is over the problems its "
        "optimizer was run on, so compare curves with like counts. Where an optimizer has several entries or seeds on "
        "a problem, the share of them that got there counts. A Jacobian is one evaluation, a value alone is none."
    )
