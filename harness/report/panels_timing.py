"""The figures of timings, of one case or of the whole run, each with a heading and a sentence that says how to read it.

What is drawn is `figures`' job; this says what could not be drawn, and why.
"""

from __future__ import annotations

from collections import Counter

import pandas as pd

from harness.report import figures, text
from harness.report.panel import Panel, make_panel

MOST_REASONS = 3
"""Reasons written out for what was not timed; the table has all of them."""


def timing_panels(
    timings: pd.DataFrame, scalings: pd.DataFrame, speedups: pd.DataFrame, crossovers: pd.DataFrame
) -> tuple[Panel | None, ...]:
    """Return the figures of one case's timings; None in the place of those with nothing to draw."""
    return (
        make_panel(
            "ratios",
            "timing",
            "Against autograd",
            "How many times faster than autograd, at the largest size. Bars are intervals of the ratio of samples from "
            "the same rounds; inside the shaded band a difference does not count. What is slower comes first, then "
            "what could not be decided (hollow).",
            figures.ratios_figure(speedups),
        ),
        make_panel(
            "distribution",
            "timing",
            "All samples",
            "The share of samples that took no longer. A steep curve is a steady timing, a long upper tail is "
            "interruptions, a step between two slopes is two speeds. The bar at 50 % is the interval of the median; "
            "faint curves had no steady state.",
            figures.distribution_figure(timings),
        ),
        make_panel(
            "scaling",
            "timing",
            "Time against size",
            "Median time of a call; bars are intervals of the median, hollow points had no steady state. The exponent "
            "p of time ∝ nᵖ stands at its curve, with its interval.",
            figures.scaling_figure(timings, scalings),
        ),
        make_panel(
            "speedup",
            "timing",
            "CUDA against CPU",
            "How many times faster the other device is; below 1 the CPU wins. Shaded: the interval of the ratio. A "
            f"star is where it overtakes. {left_out(speedups)}".strip(),
            figures.crossover_figure(speedups, crossovers),
        ),
    )


def left_out(speedups: pd.DataFrame) -> str:
    """Say how many comparisons with the CPU there are no ratios for, and why; empty where none is missing.

    Args:
        speedups: as in `columns.SPEEDUPS`.
    """
    against = speedups[speedups["against"] == "the CPU"]
    reasons = Counter(str(reason) for reason in against["reason"].dropna())
    if not reasons:
        return ""
    named = [f"{reason.rstrip('.')} ({count})" for reason, count in reasons.most_common(MOST_REASONS)]
    more = f"; and {len(reasons) - MOST_REASONS} other reasons" if len(reasons) > MOST_REASONS else ""
    return f"Left out: {text.count(sum(reasons.values()), 'comparison')}. {'; '.join(named)}{more}."
