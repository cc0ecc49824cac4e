"""Time a subject: for every device and size, all passes of all variants together, as records.

This joins the parts: `passes` and `variants` say what is run, `clocks` and `sampling` give raw samples, and `timings`
makes records of them with `statistics`. What cannot run is a row with its reason, never a figure; what raises is an
error row, and the rest goes on.
Whether the subject's gradient is right is not asked here: callers time verified subjects only.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from random import Random

import torch

from harness.bench.accelerated import WITHOUT, bounded, transfer_rows
from harness.bench.agreement import agreements
from harness.bench.clocks import Clock, NoClockError, clock_for
from harness.bench.compiler import CompileLog, compile_log, fresh_compiler
from harness.bench.crossover import find_crossovers
from harness.bench.cuda_clock import CudaClock
from harness.bench.device import Device
from harness.bench.device_times import with_device_times
from harness.bench.jacobians import UnfitError
from harness.bench.memory import element_count, free_bytes, shortage
from harness.bench.options import BenchmarkOptions, setting_at
from harness.bench.passes import DERIVATIVE_PASSES, PASSES, Setting
from harness.bench.sampling import Work, resting_collector, sample
from harness.bench.sizes import all_sizes
from harness.bench.timings import (
    ALL,
    failure,
    fit_scalings,
    gradient_to_value,
    reason_of,
    timing_of,
    with_compile_time,
)
from harness.bench.variants import AUTOGRAD, COMPILE, missing, passes_of, setting_of
from harness.bench.weigh import Piece, weighed
from harness.case.subject import Subject, Tensors
from harness.records import Agreement, Crossover, Outcome, Scaling, Timing

Draw = Callable[[Mapping[str, int]], Tensors]
"""Draws the inputs at given sizes: on the CPU, in double precision or integers; equal for equal sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """The timings of a subject, the growth fitted to them, and the first traceback of what raised."""

    timings: tuple[Timing, ...]
    scalings: tuple[Scaling, ...]
    agreements: tuple[Agreement, ...] = ()
    """How far results on each accelerator are from float64, beside the CPU's."""
    crossovers: tuple[Crossover, ...] = ()
    """From which size each accelerator is faster than the CPU."""
    gradient_to_value_ratio: float | None
    ratio_elements: int | None
    """Elements of the inputs at the size the ratio was taken at."""
    traceback: str | None


def benchmark_subject(
    subject: Subject, options: BenchmarkOptions, draw: Draw, *, make_clock: Callable[[str], Clock] = clock_for
) -> Benchmark:
    """Time a subject on every device and at every size.

    Args:
        subject: what is timed; its verification has passed.
        options: what, where and how long.
        draw: gives the inputs at a size.
        make_clock: gives the clock of a device, or raises NoClockError with the reason there is none.

    Returns:
        Timings in the order device, size, variant, pass, with rows for what was skipped; scalings; the ratio of
        gradient to value.

    Raises:
        UsageError: a device is none of torch's.
    """
    timings: list[Timing] = []
    traces: list[str] = []
    agreed: list[Agreement] = []
    for device in options.devices:
        try:
            clock = make_clock(device)
        except NoClockError as reason:
            timings.append(_note(f"{reason}: {WITHOUT}", device=device, dtype=options.dtype))
            continue
        bench = _Bench(subject=subject, options=options, draw=draw, clock=clock)
        # Collecting what the whole program holds takes a tenth of a second; frozen, it is not walked at every size.
        with resting_collector():
            timings += bench.run()
        traces += bench.traces
        agreed += bench.agreements
    ratio, elements = gradient_to_value(timings)
    return Benchmark(
        timings=tuple(timings),
        scalings=fit_scalings(timings, options.sweeps),
        agreements=tuple(agreed),
        crossovers=find_crossovers(timings, options.sweeps),
        gradient_to_value_ratio=ratio,
        ratio_elements=elements,
        traceback=traces[0] if traces else None,
    )


@dataclass(slots=True)
class _Bench:
    """One subject on one device, size after size."""

    subject: Subject
    options: BenchmarkOptions
    draw: Draw
    clock: Clock
    traces: list[str] = field(default_factory=list)
    agreements: list[Agreement] = field(default_factory=list)
    peak_per_element: float = 0.0
    threads: int = field(default_factory=torch.get_num_threads)
    """Pinned: what a subject changes about it while it is built is undone before it is timed."""

    @property
    def cuda(self) -> CudaClock | None:
        """The clock, where it is an accelerator's."""
        return self.clock if isinstance(self.clock, CudaClock) else None

    @property
    def accelerator(self) -> Device | None:
        """What is timed, where it is an accelerator."""
        return self.cuda.accelerator if self.cuda is not None else None

    def run(self) -> list[Timing]:
        """Time all sizes, smallest first, so that a small one can warn of what a large one needs."""
        device, quick = self.clock.device, self.options.quick
        reasons = {name: missing(name, self.subject, device, quick=quick) for name in self.options.against}
        variants = (AUTOGRAD, *(name for name, reason in reasons.items() if reason is None))
        rows = [self._skipped(reason, variant=name) for name, reason in reasons.items() if reason is not None]
        sizes = sorted(all_sizes(self.options.sweeps), key=lambda each: element_count(self.subject.inputs, each))
        with fresh_compiler(device) if COMPILE in variants else nullcontext():
            for each in sizes:
                rows += self._size(each, variants)
        return rows

    def _size(self, sizes: Mapping[str, int], variants: tuple[str, ...]) -> list[Timing]:
        """Time all variants and passes at one size; whatever stops all of them is one row."""
        elements = element_count(self.subject.inputs, sizes)
        if self.accelerator is not None:
            self.accelerator.release()
        free = free_bytes(self.clock.device, self.accelerator)
        reason = shortage(elements, self.options.dtype.itemsize, free, peak_per_element=self.peak_per_element)
        template = replace(self._skipped("", variant=ALL), sizes=tuple(sizes.items()), elements=elements)
        if reason is not None:
            return [replace(template, message=reason)]
        with _listening(variants) as log:
            try:
                base = self._setting(sizes)
            except Exception as error:  # noqa: BLE001  The case boundary: the subject itself raised.
                self.traces.append(traceback.format_exc())
                return [failure(template, reason_of(error))]
            # Of a subject that compiles itself, nobody can tell which variant a compilation was for.
            rows = self._pieces(base, variants, template, CompileLog() if log.compilations else log)
        return rows + self._beside(sizes, base, template)

    def _beside(self, sizes: Mapping[str, int], base: Setting, template: Timing) -> list[Timing]:
        """Compare an accelerator's results with the CPU's, and time what moves between the two."""
        if self.cuda is None:
            return []
        row = Agreement(
            of="", device=template.device, dtype=template.dtype, sizes=template.sizes, elements=template.elements,
            precision=self.cuda.accelerator.precision(),
        )  # fmt: skip
        self.agreements += agreements(
            self.subject, self.draw(sizes), base.differentiable, self.options.dtype, self.cuda.accelerator, row
        )
        order = Random(f"{self.options.seed} {self.subject.name} transfers")
        return transfer_rows(base, self.cuda, self.options.chosen_effort, template, order)

    def _setting(self, sizes: Mapping[str, int]) -> Setting:
        return setting_at(self.subject, self.draw(sizes), self.options, self.clock.device)

    def _pieces(self, base: Setting, variants: tuple[str, ...], template: Timing, log: CompileLog) -> list[Timing]:
        """Build, sample and weigh every pass of every variant at one size, keeping their order in the rows."""
        rows: list[Timing] = []
        pieces: list[Piece] = []
        for variant in variants:
            setting = self._variant(variant, base, template, rows)
            if setting is None:
                continue
            for what in passes_of(variant, self.options.passes):
                label = base.optimizer if what == "step" else variant
                row = replace(template, what=what, variant=label)
                built = self._build(what, setting, row)
                rows.append(built if isinstance(built, Timing) else row)
                if isinstance(built, Work):
                    pieces.append(Piece(place=len(rows) - 1, row=row, setting=setting, work=built))
        self._sample(rows, pieces, log)
        for piece in pieces:
            row = weighed(piece, rows[piece.place], self.clock.device, self.accelerator)
            rows[piece.place] = row
            if row.peak_memory_bytes is not None and row.elements:
                self.peak_per_element = max(self.peak_per_element, row.peak_memory_bytes / row.elements)
        return rows

    def _variant(self, variant: str, base: Setting, template: Timing, rows: list[Timing]) -> Setting | None:
        try:
            return setting_of(variant, base, self.subject)
        except Exception as error:  # noqa: BLE001  A compiler that is not fit for this machine must not stop the other variants.
            self.traces.append(traceback.format_exc())
            rows.append(failure(replace(template, variant=variant), reason_of(error)))
            return None

    def _build(self, what: str, setting: Setting, row: Timing) -> Work | Timing:
        """Make the pass's work, or the row that says why there is none."""
        if what in DERIVATIVE_PASSES and not setting.differentiable:
            return replace(row, message="no input has a gradient")
        try:
            return PASSES[what](setting)
        except UnfitError as reason:
            return replace(row, message=str(reason))
        except Exception as error:  # noqa: BLE001  The case boundary: setting up a pass calls the subject.
            self.traces.append(traceback.format_exc())
            return failure(row, reason_of(error))

    def _sample(self, rows: list[Timing], pieces: list[Piece], log: CompileLog) -> None:
        """Sample all works together and put what came of each in its row."""
        order = Random(f"{self.options.seed} {self.subject.name}")
        torch.set_num_threads(self.threads)
        works = [piece.work for piece in pieces]
        works = works if self.cuda is None else bounded(works, self.cuda)
        for piece, measurement in zip(
            pieces, sample(works, self.clock, self.options.chosen_effort, order), strict=True
        ):
            timing = timing_of(measurement, rows[piece.place])
            if self.cuda is not None:
                timing = with_device_times(timing, measurement, piece.work, self.cuda, self.options.chosen_effort)
            if timing.variant == COMPILE:
                timing = with_compile_time(timing, log.seconds_for(piece.row.what))
            if measurement.error is not None and piece.setting.transform is not None:
                # The function works by autograd; that torch.func cannot take it is a limit of the two together.
                timing = replace(piece.row, message=f"{timing.variant} cannot run this function: {timing.message}")
            elif measurement.traceback is not None:
                self.traces.append(measurement.traceback)
            rows[piece.place] = timing

    def _skipped(self, reason: str, *, variant: str) -> Timing:
        row = _note(reason, device=self.clock.name, dtype=self.options.dtype)
        threads = self.threads if self.cuda is None and self.clock.device.type == "cpu" else None
        return replace(row, variant=variant, threads=threads)


def _listening(variants: tuple[str, ...]) -> AbstractContextManager[CompileLog]:
    return compile_log() if COMPILE in variants else nullcontext(CompileLog())


def _note(reason: str, *, device: str, dtype: torch.dtype) -> Timing:
    """The row of what does not run."""
    name = str(dtype).removeprefix("torch.")
    return Timing(outcome=Outcome.SKIPPED, message=reason, what=ALL, variant=ALL, device=device, dtype=name)
