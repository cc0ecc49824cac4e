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


ROOFLINE_WORDS = (
    "Rates of single timings beside the best a copy and a product of matrices reached here in the same run. Counted "
    "FLOPs stand under a roof: as high as they can be at that many FLOPs per byte. Bytes alone stand beside the copy, "
    "since element-wise work has no counted FLOPs; above the line its data stayed in a cache."
)


def timing_panels(
    timings: pd.DataFrame,
    scalings: pd.DataFrame,
    speedups: pd.DataFrame,
    crossovers: pd.DataFrame,
    roofline: pd.DataFrame,
) -> tuple[Panel | None, ...]:
    """Return the figures of one case's timings; None in the place of those with nothing to draw.

    Args:
        timings: as in `columns.TIMINGS`.
        scalings: as in `columns.SCALINGS`.
        speedups: as in `columns.SPEEDUPS`.
        crossovers: as in `columns.CROSSOVERS`.
        roofline: as in `columns.ROOFLINE`.
    """
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
        make_panel(
            "roofline",
            "timing",
            "Roofline",
            ROOFLINE_WORDS,
            figures.roofline_figure(roofline),
        ),
    )


def run_timing_panels(speedups: pd.DataFrame, crossovers: pd.DataFrame, roofline: pd.DataFrame) -> tuple[Panel, ...]:
    """Return the figures of the whole run's timings; those with nothing to draw are left out.

    Args:
        speedups: as in `columns.SPEEDUPS`.
        crossovers: as in `columns.CROSSOVERS`.
        roofline: as in `columns.ROOFLINE`.
    """
    drawn = (
        make_panel(
            "run-ratios",
            "timing",
            "Against autograd",
            "How many times faster than autograd each variant is, at the largest size of its case; what is slower and "
            f"what could not be decided first, {figures.MOST_RATIOS} rows at most.",
            figures.ratios_figure(speedups),
        ),
        make_panel(
            "run-speedup",
            "timing",
            "CUDA against CPU",
            f"How many times faster the other device is, forward and backward together. {left_out(speedups)}".strip(),
            figures.crossover_figure(_main_pass(speedups), crossovers),
        ),
        make_panel(
            "run-roofline",
            "timing",
            "Roofline",
            ROOFLINE_WORDS,
            figures.roofline_figure(roofline, by=lambda row: f"{row.what} on {row.device}".replace("_", " + ")),
        ),
    )
    return tuple(panel for panel in drawn if panel is not None)


def _main_pass(speedups: pd.DataFrame) -> pd.DataFrame:
    return speedups[(speedups["what"] == "forward_backward") & (speedups["variant"] == "autograd")]


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
