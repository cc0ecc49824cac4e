"""Every figure of a report, as pure functions of pandas frames; the public face of the `figures_*` modules.

A figure holds rounded numbers only, and no JavaScript: `figure.to_json()` is what a page embeds. None stands for
nothing to draw.
"""

from __future__ import annotations

from harness.report.figures_accuracy import ulps_figure
from harness.report.figures_crossover import crossover_figure
from harness.report.figures_descent import convergence_figure, fit_figure
from harness.report.figures_distribution import distribution_figure
from harness.report.figures_evidence import detection_figure, digits_figure, outcomes_figure, step_error_figure
from harness.report.figures_profiles import profiles_figure
from harness.report.figures_ratios import MOST_ROWS as MOST_RATIOS
from harness.report.figures_ratios import ratios_figure
from harness.report.figures_roofline import roofline_figure
from harness.report.figures_scaling import scaling_figure
from harness.report.figures_sensitivity import sensitivity_figure
from harness.report.figures_sweep import CERTIFIED, operators_figure, operators_frame, operators_text
from harness.report.figures_trajectory import journeys, path_figure

__all__ = [
    "CERTIFIED",
    "MOST_RATIOS",
    "convergence_figure",
    "crossover_figure",
    "detection_figure",
    "digits_figure",
    "distribution_figure",
    "fit_figure",
    "journeys",
    "operators_figure",
    "operators_frame",
    "operators_text",
    "outcomes_figure",
    "path_figure",
    "profiles_figure",
    "ratios_figure",
    "roofline_figure",
    "scaling_figure",
    "sensitivity_figure",
    "step_error_figure",
    "ulps_figure",
]
