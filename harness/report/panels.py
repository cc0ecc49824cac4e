"""The figures of one case or of the whole run, each with a heading and a sentence that says how to read it.

What is drawn is `figures`' job; this decides which figures a page shows, and where.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from harness.records import Outcome
from harness.report import figures
from harness.report.panel import Panel, make_panel
from harness.report.panels_timing import timing_panels

_ENDINGS = (
    (figures.CERTIFIED, "certified"),
    (str(Outcome.PASS), "agreed by ladder"),
    (str(Outcome.VACUOUS), "vacuous"),
    (str(Outcome.INCONCLUSIVE), "inconclusive"),
    (str(Outcome.TIMEOUT), "timed out"),
    (str(Outcome.CRASHED), "crashed"),
    (str(Outcome.ERROR), "in error"),
    (str(Outcome.FAIL), "failing"),
)
"""How a sweep's operators end, in words; a pass without an enclosure rests on the other oracles, the ladder first."""
_TONES = {figures.CERTIFIED: str(Outcome.PASS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFrames:
    """The rows of every frame that belong to one case."""

    findings: pd.DataFrame
    curves: pd.DataFrame
    converge: pd.DataFrame
    trajectory: pd.DataFrame
    rates: pd.DataFrame
    contours: pd.DataFrame
    fits: pd.DataFrame
    timings: pd.DataFrame
    scalings: pd.DataFrame
    speedups: pd.DataFrame
    crossovers: pd.DataFrame
    agreements: pd.DataFrame
    roofline: pd.DataFrame


def case_panels(frames: CaseFrames) -> tuple[Panel, ...]:
    """Return the figures of one case; those with nothing to draw are left out."""
    drawn = (
        make_panel(
            "step-error",
            "evidence",
            "Error against step",
            "Finite differences have a best step: larger ones cut the series short, smaller ones drown in rounding. "
            "The error is measured for every step of the ladder; the mark is the step it chose.",
            figures.step_error_figure(frames.curves),
        ),
        make_panel(
            "convergence",
            "descent",
            "Loss and distance, step by step",
            "Loss, and distance to the minimum where one is known, after each step. A straight line on a "
            "logarithmic axis is linear convergence; a line ends where it reaches zero. Where an entry has several "
            "seeds, the line is their median and the band holds the middle 80 % of them.",
            figures.convergence_figure(frames.trajectory, frames.converge),
        ),
        *_path_panels(frames),
        *_fit_panels(frames),
        make_panel(
            "sensitivity",
            "rates",
            "Steps to arrival against the learning rate",
            "The median over seeds, with a band from the fewest steps to the most. The shaded block is the basin, the "
            "largest unbroken run of rates at which every seed arrived; the star is the best rate in it. A cross "
            "diverged; a triangle would have needed more steps than there were, if it arrives at all.",
            figures.sensitivity_figure(frames.rates),
        ),
        *timing_panels(frames.timings, frames.scalings, frames.speedups, frames.crossovers, frames.roofline),
    )
    return tuple(panel for panel in drawn if panel is not None)


def run_panels(
    findings: pd.DataFrame, detection: pd.DataFrame, cases: pd.DataFrame, accuracy: pd.DataFrame
) -> tuple[Panel, ...]:
    """Return the figures of the whole run; those with nothing to draw are left out."""
    operators = figures.operators_frame(cases, findings)
    drawn = (
        make_panel(
            "run-operators",
            "accuracy",
            "PyTorch's operators",
            f"{figures.operators_text(operators)} Digits are the fewest to which an operator's gradient agrees with "
            "an oracle that evaluates only the function.",
            figures.operators_figure(operators),
        ),
        make_panel(
            "run-ulps",
            "accuracy",
            "Units in the last place",
            "In how many cases the worst entry of a gradient is so far from the truth. A correctly rounded result is "
            "at most ½ off; entries that cancel are further off than the rest.",
            figures.ulps_figure(accuracy),
        ),
        make_panel(
            "run-detection",
            "run",
            "Detection limits",
            "How many cases would notice which relative fault in their gradient; further left is sharper.",
            figures.detection_figure(detection),
        ),
        make_panel(
            "run-digits",
            "run",
            "Agreement",
            "Decimal digits, to the nearest half, to which gradients and oracles agree; the larger the disc, the more "
            "comparisons.",
            figures.digits_figure(findings),
        ),
    )
    return tuple(panel for panel in drawn if panel is not None)


def endings(cases: pd.DataFrame, findings: pd.DataFrame) -> tuple[tuple[str, str, int], ...]:
    """Return how many of PyTorch's operators ended how, as (outcome, words, count); nothing where none was swept."""
    counted = Counter(figures.operators_frame(cases, findings)["ending"])
    return tuple((_TONES.get(ending, ending), words, counted[ending]) for ending, words in _ENDINGS if counted[ending])


def _path_panels(frames: CaseFrames) -> list[Panel | None]:
    """Return one figure for each start on a loss of two parameters, with the paths of all descents from there."""
    caption = (
        "Each line joins points of equal loss; a path goes from the disc to the star. Play it, or move the slider: all "
        "descents are shown at the same step, and steps follow each other faster and faster. A step of LBFGS holds "
        "several gradient evaluations."
    )
    return [
        make_panel(
            f"path-{number}", "descent", journey.name, caption, figures.path_figure(journey.surface, journey.paths)
        )
        for number, journey in enumerate(figures.journeys(frames.contours, frames.trajectory))
    ]


def _fit_panels(frames: CaseFrames) -> list[Panel | None]:
    """Return one animation for each descent that fits a curve."""
    panels = []
    for number, (descent, rows) in enumerate(frames.fits.groupby("descent", sort=False)):
        caption = "The fitted curve as the descent goes on; play it, or move the slider."
        panels.append(make_panel(f"fit-{number}", "descent", f"Fit by {descent}", caption, figures.fit_figure(rows)))
    return panels
