"""Records of timings: what sampling measured, with what `statistics` makes of it, as `Timing` and `Scaling` rows.

Everything here is a function of samples that are already there; nothing is run. To judge timings differently, change
this module and `statistics`: the raw samples are in the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from harness.bench.sampling import Measurement
from harness.bench.sizes import Sweep
from harness.bench.statistics import MIN_SIZES, growth_exponent, median_interval, paired_ratio
from harness.bench.variants import AUTOGRAD
from harness.records import Outcome, Scaling, Timing

ALL = "all"
"""In the place of a pass or a variant: the row is about all of them."""

MAX_REASON = 500
"""Characters kept of an exception's message."""


def timing_of(measurement: Measurement, row: Timing) -> Timing:
    """Turn a measurement into a timing record.

    Args:
        measurement: what sampling gave.
        row: the record's fields that say what was timed where.

    Returns:
        An error with its reason when the work raised; inconclusive when the samples are too few for an interval;
        otherwise a pass.
    """
    row = replace(
        row,
        samples=measurement.samples,
        inner=measurement.calls,
        first_call_s=measurement.first_call_s,
        steady=measurement.steady,
    )
    if measurement.error is not None:
        return failure(row, shortened(measurement.error))
    count = len(measurement.samples)
    if not count:
        return replace(row, outcome=Outcome.INCONCLUSIVE, message="no sample was taken within the limit of time")
    median = median_interval(measurement.samples)
    if not median.known:
        message = f"{count} samples are too few for an interval of the median"
        return replace(row, outcome=Outcome.INCONCLUSIVE, message=message, median_s=median.point)
    message = f"median of {count} samples of {measurement.calls} calls"
    if not measurement.steady:
        message += "; no steady state: the warm-up ended before two windows of samples agreed"
    return replace(
        row,
        outcome=Outcome.PASS,
        message=message,
        median_s=median.point,
        low_s=median.low,
        high_s=median.high,
        confidence=median.confidence,
    )


def failure(row: Timing, reason: str) -> Timing:
    """Make the row of work that raised.

    Args:
        row: the record's fields that say what was timed where.
        reason: the exception, as `reason_of` describes it. What does not fit in a device's memory was not done, and is
            skipped; anything else is an error.
    """
    if reason.startswith(torch.OutOfMemoryError.__name__):
        return replace(row, outcome=Outcome.SKIPPED, message=f"it does not fit in the device's memory: {reason}")
    return replace(row, outcome=Outcome.ERROR, message=reason)


def with_compile_time(timing: Timing, told_s: float | None) -> Timing:
    """Say of the timing of a compiled pass what compiling took.

    Args:
        timing: has been sampled.
        told_s: what the compiler told; None where it told nothing, and the first call less the median is taken.
    """
    if told_s is not None:
        return replace(timing, compile_s=told_s)
    if timing.first_call_s is None or timing.median_s is None:
        return timing
    message = f"{timing.message}; compile time: the first call less the median"
    return replace(timing, compile_s=max(0.0, timing.first_call_s - timing.median_s), message=message)


def fit_scalings(timings: Sequence[Timing], sweeps: Sequence[Sweep]) -> tuple[Scaling, ...]:
    """Fit the growth exponent of every pass, variant and device along every sweep that has enough sizes."""
    scalings: list[Scaling] = []
    timed = [timing for timing in timings if timing.outcome is Outcome.PASS and timing.median_s and timing.elements]
    kinds = dict.fromkeys((timing.what, timing.variant, timing.device) for timing in timed)
    for sweep in (sweep for sweep in sweeps if len(sweep.sizes) >= MIN_SIZES):
        along = {tuple(sizes.items()) for sizes in sweep.sizes}
        for kind in kinds:
            rows = [row for row in timed if (row.what, row.variant, row.device) == kind and row.sizes in along]
            fit = growth_exponent([row.elements or 0 for row in rows], [row.median_s or 0.0 for row in rows])
            if fit is None or fit.low is None or fit.high is None:
                continue
            what, variant, device = kind
            scalings.append(
                Scaling(
                    what=what,
                    variant=variant,
                    device=device,
                    exponent=fit.point,
                    low=fit.low,
                    high=fit.high,
                    points=fit.samples,
                    over=sweep.over,
                )
            )
    return tuple(scalings)


def gradient_to_value(timings: Sequence[Timing]) -> tuple[float | None, int | None]:
    """Time of forward+backward over time of the value, at the largest size on the CPU at which both were timed.

    Returns:
        The median ratio of the paired samples, and the elements of the inputs at that size; (None, None) when there is
        none.
    """
    timed = {
        (timing.what, timing.sizes): timing
        for timing in timings
        if timing.outcome is Outcome.PASS and timing.variant == AUTOGRAD and timing.device == "cpu"
    }
    both = [
        (timing, timed[("forward_backward", sizes)])
        for (what, sizes), timing in timed.items()
        if what == "value" and ("forward_backward", sizes) in timed
    ]
    if not both:
        return None, None
    value, gradient = max(both, key=lambda pair: pair[0].elements or 0)
    return paired_ratio(gradient.samples, value.samples).point, value.elements


def reason_of(error: Exception) -> str:
    """Describe an exception as a row shows it: its type and the beginning of its message."""
    return shortened(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def shortened(text: str) -> str:
    """Put text on one line and cut it where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"
