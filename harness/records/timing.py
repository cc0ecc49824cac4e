"""Records of timings: what was measured, of what, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.records.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """What an accelerator said of itself while a sample was taken; what it does not say is None."""

    clock_mhz: int | None = None
    """Of the multiprocessors."""
    memory_clock_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    throttling: tuple[str, ...] | None = None
    """Why its clocks were held down: power cap, heat, a brake …; reasons that leave them as set are not in it."""
    missing: str | None = None
    """Why nothing is known, when nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The median of some samples with its interval, in seconds per call; no ends where the samples are too few."""

    median_s: float
    low_s: float | None = None
    high_s: float | None = None
    samples: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTimes:
    """What a timing on an accelerator holds beside its device time, whose samples find the L2 cache as calls leave it.

    A figure that could not be had is None, and `notes` say why.
    """

    cold: Measured | None = None
    """Device time of calls that each find an L2 cache full of something else."""
    host: Measured | None = None
    """Host time until a call has returned, its work being queued."""
    end_to_end: Measured | None = None
    """Host time from the start of a call until the device has finished it."""
    launch_exposed: int = 0
    """Samples that began before all their calls were queued: the host's launch latency may be in their time."""
    states: tuple[DeviceState, ...] = ()
    """One per sample of the timing, in its order."""
    throttled: int = 0
    """Samples that were taken while the device was throttled."""
    precision: str | None = None
    """What float32 products may be rounded to, as torch was set: "matmul ieee, cudnn tf32"."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one call of a pass does, counted in calls that are not timed. None: cannot be counted for this pass.

    Functions of code and sizes alone: equal code has equal counts, so two of them may be compared exactly.
    """

    operators: tuple[tuple[str, int], ...] | None = None
    """By name: how often an operator of torch's dispatcher ran, views among them."""
    flops: int | None = None
    """Floating-point operations of matrix products, convolutions and attention."""
    saved_bytes: int | None = None
    """What autograd saves for the backward pass in storages made for it, each counted once."""
    saved_input_bytes: int | None = None
    """Inputs that autograd keeps alive for the backward pass."""
    bytes_moved: int | None = None
    """Least traffic with memory: what is read of tensors that were there before the call, and what is written that
    outlives it."""

    @property
    def operator_calls(self) -> int | None:
        """How many operators ran."""
        return None if self.operators is None else sum(count for _, count in self.operators)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One timed pass: the median of `samples` with a distribution-free interval of it. Times in seconds per call."""

    outcome: Outcome
    message: str
    what: str
    """value · forward · backward · forward_backward · jacobian · step"""
    variant: str
    """autograd · analytic · compile · reference · jacrev · jacfwd · SGD …"""
    device: str
    dtype: str
    sizes: tuple[tuple[str, int], ...] = ()
    elements: int | None = None
    """Number of elements in the inputs together, the size scaling fits run over."""
    median_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    confidence: float | None = None
    inner: int | None = None
    """Calls per sample."""
    samples: tuple[float, ...] = ()
    first_call_s: float | None = None
    peak_memory_bytes: int | None = None
    steady: bool | None = None
    """Whether the warm-up ended because two windows of samples agreed, rather than at its bound."""
    threads: int | None = None
    """Threads torch used on the CPU."""
    on_device: DeviceTimes | None = None
    """Of a timing on an accelerator; `samples` are device time then."""
    compile_s: float | None = None
    """What the compiler took for the code that the pass runs; None where nothing was compiled."""
    counts: Counts | None = None
    """What one call does, counted exactly."""

    @property
    def throttled(self) -> bool:
        """Whether a sample was taken while the device was throttled: such a timing is shown and decides nothing."""
        return self.on_device is not None and self.on_device.throttled > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What a device was seen to do at its best on the day of the run: rates that no timing should exceed."""

    device: str
    dtype: str
    bytes_per_s: float
    """Of a copy far larger than the caches, bytes read and bytes written added up."""
    flops_per_s: float
    """Of a product of two square matrices, 2·n³ operations each."""
    copy_bytes: int
    """Bytes of the tensor that was copied."""
    matrix_rows: int
    """n of the matrices."""
    threads: int | None = None
    """Threads torch used on the CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Fit of time ∝ sizeᵖ over a sweep: the exponent p with its confidence interval."""

    what: str
    variant: str
    device: str
    exponent: float
    low: float
    high: float
    points: int
    over: tuple[str, ...] = ()
    """Names of the dims that changed along the sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far results on the CPU and on an accelerator are from the truth: relative L2 errors, largest over outputs.

    The truth is computed on the CPU in float64, from the very inputs both are given.
    """

    of: str
    """value, or the input whose gradient it is."""
    device: str
    dtype: str
    sizes: tuple[tuple[str, int], ...] = ()
    elements: int | None = None
    cpu_error: float | None = None
    device_error: float | None = None
    precision: str | None = None
    """What float32 products may be rounded to on the device, as torch was set."""
    message: str = ""
    """Why an error is missing, or what to know of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """The size from which an accelerator is faster than the CPU, along a sweep.

    `status` is crosses, always, never, mixed (it is faster at some sizes and slower again at larger ones) or
    inconclusive; all are about the sizes measured, and say nothing beyond them. `elements` is the size, interpolated
    between two that were measured, with its interval; an end that lies outside of the sizes measured is None.
    """

    what: str
    variant: str
    device: str
    by: str
    """The accelerator's time compared with the CPU's: device, or end to end."""
    status: str
    elements: float | None = None
    low: float | None = None
    high: float | None = None
    smallest: int | None = None
    largest: int | None = None
    """Elements of the smallest and the largest input measured on both."""
    over: tuple[str, ...] = ()
    """Names of the dims that changed along the sweep."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRecord:
    """The timings of one case. Made only for cases whose verification passed."""

    kind: Literal["benchmark"] = "benchmark"
    job: str
    """Name of the planned job this record came from."""
    case: str
    title: str
    source: str
    path: str
    tags: tuple[str, ...] = ()
    outcome: Outcome
    message: str
    timings: tuple[Timing, ...] = ()
    scalings: tuple[Scaling, ...] = ()
    ceilings: tuple[Ceilings, ...] = ()
    """Of the devices timed; measured once in a run, by its first benchmark."""
    agreements: tuple[Agreement, ...] = ()
    crossovers: tuple[Crossover, ...] = ()
    gradient_to_value_ratio: float | None = None
    """Time of forward+backward over time of the value alone, at the largest size on the CPU."""
    duration_s: float = 0.0
    traceback: str | None = None
    command: str | None = None
