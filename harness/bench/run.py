"""Benchmark one case: from its declaration to a record.

Called for cases whose verification passed; it does not check that again. The CPU is always timed, and a CUDA device
where there is one; where there is none, one skipped row says so.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import torch

from harness.bench.ceilings import measure_ceilings
from harness.bench.clocks import Clock, NoClockError, clock_for
from harness.bench.measure import Benchmark, benchmark_subject
from harness.bench.options import BenchmarkOptions
from harness.bench.sizes import sweeps
from harness.bench.timings import reason_of
from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.points import subject_values
from harness.case.schema import BenchmarkModel
from harness.case.subject import Subject, Tensors
from harness.case.trust import Trust
from harness.commands import repeat_command
from harness.errors import UsageError
from harness.records import BenchmarkRecord, Ceilings, Outcome, worst

QUICK_SIZES = 4
"""Most sizes of a sweep that the quick pass times: one more than a growth exponent can be fitted to at all."""


def benchmark_case(
    case: Case,
    *,
    trust: Trust,
    seed: int,
    device: str = "cpu",
    quick: bool = False,
    ceilings: bool = False,
    make_clock: Callable[[str], Clock] = clock_for,
) -> BenchmarkRecord:
    """Time what a case declares under `benchmark`.

    Args:
        case: the case; one without `benchmark` gives a skipped record.
        trust: which Python code may run.
        seed: the run's seed; inputs, cotangents and the order of sampling follow from it.
        device: which accelerator to time beside the CPU, such as ``cuda:1``; ``cpu`` means the first CUDA device where
            there is one.
        quick: the short pass: fewer and shorter samples, at most four sizes of a sweep, nothing compiled.
        ceilings: whether to measure what the devices can do as well.
        make_clock: gives the clock of a device (for tests).

    Returns:
        The record; code of the case that raises is an error in it, not an exception.

    Raises:
        UsageError: the case names code that is not trusted, sweeps a size it does not declare, or `device` is no
            device.
    """
    start = time.perf_counter()
    record = _empty(case, seed)
    model = case.model.benchmark
    if model is None:
        return replace(record, outcome=Outcome.SKIPPED, message="the case declares no benchmark")
    options = options_of(case, model, seed=seed, device=device, quick=quick)
    if ceilings:
        record = replace(record, ceilings=_ceilings(options.devices, make_clock))
    try:
        subject = build_subject(case, trust=trust)
        result = benchmark_subject(subject, options, drawer(case, subject, seed), make_clock=make_clock)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001  The case boundary: importing and building a subject runs its code.
        failed = replace(record, outcome=Outcome.ERROR, message=reason_of(error), traceback=traceback.format_exc())
        return replace(failed, duration_s=time.perf_counter() - start)
    return replace(_filled(record, result), duration_s=time.perf_counter() - start)


def _ceilings(devices: Sequence[str], make_clock: Callable[[str], Clock]) -> tuple[Ceilings, ...]:
    """Measure the devices that are here; one that is not has a skipped timing with the reason."""
    found: list[Ceilings] = []
    for device in devices:
        # A device that cannot do this much (RuntimeError: its memory is taken, say) may still time small subjects.
        with suppress(NoClockError, RuntimeError):
            found += measure_ceilings(make_clock(device))
    return tuple(found)


def options_of(case: Case, model: BenchmarkModel, *, seed: int, device: str, quick: bool) -> BenchmarkOptions:
    """Read a case's `benchmark` as options.

    Raises:
        UsageError: it sweeps a size that the case does not declare.
    """
    plan = sweeps(case.sizes, model.sweep)
    return BenchmarkOptions(
        sweeps=tuple(sweep.thinned(QUICK_SIZES) for sweep in plan) if quick else plan,
        passes=tuple(dict.fromkeys(model.passes)),
        against=tuple(dict.fromkeys(model.against)),
        devices=("cpu", "cuda" if device == "cpu" else device),
        dtype=getattr(torch, model.dtype),
        optimizer=model.optimizer,
        seed=seed,
        quick=quick,
    )


def drawer(case: Case, subject: Subject, seed: int) -> Callable[[Mapping[str, int]], Tensors]:
    """Make a function that draws the subject's inputs at given sizes, the same ones whenever the sizes are the same."""

    def draw(sizes: Mapping[str, int]) -> Tensors:
        label = " ".join(f"{name}={size}" for name, size in sizes.items())
        return subject_values(subject, sizes, seed=seed, purpose=(case.id, "benchmark", label))

    return draw


def _empty(case: Case, seed: int) -> BenchmarkRecord:
    return BenchmarkRecord(
        job=f"benchmark {case.id}",
        case=case.id,
        title=case.title,
        source=case.model.source,
        path=str(case.path),
        tags=tuple(case.model.tags),
        outcome=Outcome.PASS,
        message="",
        command=repeat_command(case.path, case.id, seed, "benchmark"),
    )


def _filled(record: BenchmarkRecord, result: Benchmark) -> BenchmarkRecord:
    return replace(
        record,
        outcome=worst(tuple(timing.outcome for timing in result.timings)),
        message=summary(result),
        timings=result.timings,
        scalings=result.scalings,
        agreements=result.agreements,
        crossovers=result.crossovers,
        gradient_to_value_ratio=result.gradient_to_value_ratio,
        traceback=result.traceback,
    )


def summary(result: Benchmark) -> str:
    """Say a benchmark in a line: how many timings there are of each outcome, and what the gradient costs."""
    counts = {outcome: sum(timing.outcome is outcome for timing in result.timings) for outcome in Outcome}
    parts = [f"{counts.pop(Outcome.PASS)} timed", *(f"{count} {outcome}" for outcome, count in counts.items() if count)]
    text = ", ".join(parts)
    if result.gradient_to_value_ratio is None:
        return text
    ratio, elements = result.gradient_to_value_ratio, result.ratio_elements
    return f"{text}; value and gradient together cost {ratio:.3g} × the value alone at {elements:,} elements"
