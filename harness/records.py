"""What every part of the harness speaks: outcomes, findings and the records a run is made of.

Records are frozen values of numbers, strings, enums, tuples and records. They hold no tensors; unknown is None,
and failed is an outcome with a reason. This module imports nothing of ours and neither torch nor numpy, so that
reading results needs none of them. How records are written to disk is `harness.run.journal`'s job.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

RECORD_VERSION = 1


class Outcome(StrEnum):
    """How a finding or a case ended; the members' order is from best to worst."""

    PASS = "pass"
    SKIPPED = "skipped"
    VACUOUS = "vacuous"
    INCONCLUSIVE = "inconclusive"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    ERROR = "error"
    FAIL = "fail"

    @property
    def severity(self) -> int:
        """Rank among the outcomes, 0 for PASS; a case is as bad as its worst unexcused finding."""
        return list(Outcome).index(self)

    @property
    def ran(self) -> bool:
        """Whether there is evidence behind the outcome (skipped, crashed and timed-out work has none)."""
        return self in (Outcome.PASS, Outcome.FAIL, Outcome.VACUOUS, Outcome.INCONCLUSIVE)


class ExitCode:
    """What the command line ends with."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    UNDECIDED = 3
    NOTHING_RAN = 5
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What kind of mistake a wrong gradient looks like: one word for it, the evidence, and what it is likely to be."""

    pattern: str
    """factor · sign · zero · transpose · swapped · missing part · tail · ties · threshold · NaN · low precision …"""
    sentence: str
    guesses: tuple[str, ...] = ()
    """Likely causes, each a question; several when one point cannot tell them apart (2 and n = 2)."""

    @property
    def text(self) -> str:
        """The sentence with its guesses: "It is 0.5 × the true gradient at 40/40 entries: a missing factor 2?"."""
        if self.guesses:
            return f"{self.sentence}: {' Or '.join(self.guesses)}"
        return self.sentence if self.sentence.endswith((".", "?")) else f"{self.sentence}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How good a low-precision gradient is: against the truth, an eager implementation in its dtype, and rounding.

    Numbers that are not finite, or have nothing to be divided by, are None.
    """

    relative_l2: float | None = None
    """‖actual − truth‖ / ‖truth‖."""
    max_abs: float | None = None
    max_index: tuple[int, ...] = ()
    """Where |actual − truth| is largest."""
    cosine: float | None = None
    bias: float | None = None
    """Σ (actual − truth)·sign(truth) / Σ |truth|: below zero where the gradient is too small."""
    floors: float | None = None
    """The largest error in units of its rounding floor; above 8 it is outside the bar."""
    eager_relative_l2: float | None = None
    eager_floors: float | None = None
    ratio_to_eager: float | None = None
    """Relative L2 error over that of the eager implementation."""
    policy: str | None = None
    """The named policy that decided instead of the bar."""
    accepts: tuple[str, ...] = ()
    """Grossly wrong gradients that policy would accept here: zero, doubled, sign-flipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison, with its outcome and the evidence for it.

    `check` names what was compared with what ("reverse ~ ladder"); `index` is the worst entry of `input`, the one
    whose `error` is largest in units of its `bar`. `actual` is the subject's number there, `expected` the oracle's.
    `error` = |actual − expected|; PASS needs error ≤ bar. `resolution` is the smallest relative error of that input's
    gradient that this comparison could have noticed (largest bar / largest entry). `digits` is the agreement in decimal
    digits, norm-wise: −log₁₀(‖actual − expected‖ / ‖expected‖), capped at 17.
    `excused` is the reason a case file gives for a failure it declares; an excused finding does not turn a case red.
    """

    check: str
    outcome: Outcome
    message: str
    question: str = ""
    """What is decided, apart from who answers: findings with one question back each other up."""
    input: str | None = None
    index: tuple[int, ...] | None = None
    actual: float | None = None
    expected: float | None = None
    error: float | None = None
    bar: float | None = None
    bar_origin: str | None = None
    resolution: float | None = None
    digits: float | None = None
    ulps: float | None = None
    """Largest |actual − truth| over the entries whose truth is enclosed (or, in fewer bits than float64, known in
    float64), in units in the last place of the truth at `dtype`; at zero the unit is the smallest subnormal number."""
    radius_bits: int | None = None
    """b of the enclosure value·(1 ± 2⁻ᵇ) the truth was known to before it was rounded to float64."""
    detection_limit: float | None = None
    """Smallest ε of 10⁻¹, 10⁻², … at which (1+ε) times the subject's gradient was seen to fail this comparison."""
    independent: bool = False
    """Whether the oracle evaluates only the function, and so cannot share autograd's or the author's mistake."""
    route: str | None = None
    oracle: str | None = None
    order: int = 1
    dtype: str = "float64"
    device: str = "cpu"
    point: str = ""
    dims: str = ""
    seed: int | None = None
    excused: str | None = None
    command: str | None = None
    """The exact command that repeats the finding."""
    diagnosis: Diagnosis | None = None
    """What the failure looks like, where it follows a pattern; its text also ends `message`."""
    precision: Precision | None = None
    """Of a low-precision gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Error of a finite-difference estimate against its step, for one derivative."""

    label: str
    steps: tuple[float, ...]
    errors: tuple[float, ...]
    extrapolated_errors: tuple[float | None, ...]
    """Error of the twice-extrapolated (Richardson) estimate at the same steps; None where there is none."""
    chosen: int | None
    """Position of the step the ladder chose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """One value of a computation graph: an input, a constant, or the result of an operator."""

    id: str
    label: str
    kind: Literal["input", "constant", "operator", "output"]
    value: str
    """Short text: the number of a scalar, or shape and range of a larger tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEdge:
    """`target` was computed from `source`; `partial` is ∂target/∂source (short text; None where it is not defined)."""

    source: str
    target: str
    partial: str | None
    number: float | None = None
    """The partial unrounded, where both ends are single numbers: what products along paths are made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A computation graph at a point: values on the nodes, local partial derivatives on the edges."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    omitted: int = 0
    """How many further nodes the drawing leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch:
    """A fault put into a subject's backward on purpose, and the checks that noticed it."""

    fault: str
    label: str
    """The fault's name, with the input it sat in where it was put into each."""
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A fault put into a subject's backward on purpose that no check noticed."""

    fault: str
    label: str
    sentence: str
    """What such a backward does."""
    seen_by: str
    """What would notice it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionPower:
    """How many of the faults injected into a case's backward its checks noticed.

    `equivalent` are the labels of faults that change nothing for this subject; they count neither way.
    """

    injected: int
    caught: int
    equivalent: tuple[str, ...] = ()
    survivors: tuple[Survivor, ...] = ()
    catches: tuple[Catch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRecord:
    """The verdict on one case: is the gradient right?"""

    kind: Literal["verify"] = "verify"
    job: str
    """Name of the planned job this record came from."""
    case: str
    title: str
    source: str
    path: str
    tags: tuple[str, ...] = ()
    outcome: Outcome
    message: str
    findings: tuple[Finding, ...] = ()
    detection_limit: float | None = None
    """Smallest relative fault (1+ε) that an independent float64 check was seen to catch, for the case's worst input."""
    power: DetectionPower | None = None
    """None where no faults were injected: the case failed, has no gradient, or was checked quickly."""
    formula: str | None = None
    """The case's function as Python expression text (one line per output), or the name of its Python subject."""
    let: tuple[tuple[str, str], ...] = ()
    gradient: tuple[tuple[str, str], ...] = ()
    """(input, expression text) of the analytic gradient."""
    is_expression: bool = False
    graph: Graph | None = None
    curves: tuple[Curve, ...] = ()
    duration_s: float = 0.0
    traceback: str | None = None
    command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryPoint:
    """One kept step of a descent. `error` is the distance to the minimum (max-norm), None when none is known."""

    step: int
    loss: float
    error: float | None
    gradient_norm: float
    parameters: tuple[float, ...] | None
    """All parameters, flattened; None when there are more than a handful."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contour:
    """A loss over a rectangle around a 2-D path: `values[i][j]` is the loss at (`x[j]`, `y[i]`)."""

    labels: tuple[str, str]
    x: tuple[float, ...]
    y: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Data and the fitted curve at some steps of a regression; all tuples run along `x`, which is sorted."""

    x_label: str
    y_label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    steps: tuple[int, ...]
    predictions: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A loss to come down to, f* + τ(f₀ − f*) (Moré and Wild), and when the best loss so far first did.

    Both counts are None where it never did: it would have taken more steps and evaluations than the descent had.
    """

    tau: float
    loss: float
    step: int | None = None
    evaluations: int | None = None
    """Gradient evaluations spent before the point that reached it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlessedCount:
    """A count of a descent beside the blessed one; None stands for "not within the steps there were"."""

    what: str
    """steps · evaluations · target 0.1 …"""
    actual: float | None
    blessed: float | None
    within: bool
    """Whether it lies in the corridor around the blessed count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvergeRecord:
    """One convergence run: does descent on it arrive? One declaration gives a record per seed."""

    kind: Literal["converge"] = "converge"
    job: str
    """Name of the planned job this record came from."""
    case: str
    title: str
    source: str
    path: str
    tags: tuple[str, ...] = ()
    outcome: Outcome
    message: str
    run: str
    """Optimizer with options and gradient source, as shown to people: "SGD(lr=0.1), analytic gradient"."""
    optimizer: str
    options: tuple[tuple[str, str], ...] = ()
    gradient_source: str = "autograd"
    device: str = "cpu"
    dtype: str = "float64"
    seed: int = 0
    status: str = "budget"
    """hit · stalled · diverged · budget · error"""
    steps: int = 0
    gradient_evaluations: int = 0
    steps_to_tolerance: int | None = None
    tolerance: float | None = None
    final_loss: float | None = None
    final_error: float | None = None
    best_error: float | None = None
    minimum_source: str | None = None
    minimum: tuple[tuple[str, tuple[float, ...]], ...] = ()
    final: tuple[tuple[str, tuple[float, ...]], ...] = ()
    observed_rate: float | None = None
    theoretical_rate: float | None = None
    learning_rate_bound: float | None = None
    """2/λ_max of the Hessian at the minimum (gradient descent on a quadratic diverges above it)."""
    entry: int | None = None
    """Position under the case's `converge`."""
    first_loss: float | None = None
    best_loss: float | None = None
    """Smallest loss of any step."""
    minimum_loss: float | None = None
    """Loss at the minimum reached, f*."""
    minimum_index: int | None = None
    """Which of the acceptable minima was reached, or is nearest to where the descent ended."""
    minima: int = 0
    """How many minima are acceptable."""
    evaluations_to_tolerance: int | None = None
    targets: tuple[Target, ...] = ()
    """Largest τ first; empty where the minimum's loss is not known."""
    observed_rate_low: float | None = None
    """Ends of a 95 % interval of the observed rate."""
    observed_rate_high: float | None = None
    iteration_bound: int | None = None
    """Steps to the tolerance by theory: log(ε/e₀)/log ρ."""
    exact_steps: int | None = None
    """Steps to the tolerance of the exact recurrence on the same quadratic."""
    stochastic: bool = False
    """Whether a step sees other data than the step before."""
    blessed: tuple[BlessedCount, ...] = ()
    """The counts that were compared with blessed ones; of a stochastic entry, medians over its seeds."""
    metric: tuple[tuple[str, float], ...] = ()
    """Further numbers of the run, such as a classifier's accuracy."""
    trajectory: tuple[TrajectoryPoint, ...] = ()
    contour: Contour | None = None
    fit: Fit | None = None
    findings: tuple[Finding, ...] = ()
    """What was checked of its training loop, once per entry."""
    duration_s: float = 0.0
    traceback: str | None = None
    excused: str | None = None
    expect: str = "arrives"
    """How the case file says it ends: arrives · misses · diverges."""
    reason: str | None = None
    """Why the case file does not expect it to arrive."""
    command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptRate:
    """What one learning rate did, seed by seed."""

    rate: float
    status: Literal["works", "diverges", "censored"]
    """works: every seed arrived · diverges: some seed diverged · censored: some seed would have needed more steps."""
    steps: tuple[int | None, ...]
    """Steps to arrival, by seed; None where it did not arrive: more than were tried, if ever."""
    losses: tuple[float | None, ...]
    """Loss where it ended, by seed; None where it is not finite."""
    diverged: int = 0
    """Seeds that diverged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basin:
    """The largest unbroken run of rates at which every seed arrived, with the best rate in it.

    `decades` is log₁₀(high/low), 0 for a single rate. An open end is an end of the grid: the basin may go on.
    """

    low: float
    high: float
    decades: float
    count: int
    """Rates in it."""
    open_low: bool
    open_high: bool
    best_rate: float
    """The rate with the fewest steps to arrival, by the median over seeds."""
    best_steps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecord:
    """One convergence entry at every learning rate of a grid: which work, and how wide is their basin?"""

    kind: Literal["sweep"] = "sweep"
    job: str
    """Name of the planned job this record came from."""
    case: str
    title: str
    source: str
    path: str
    tags: tuple[str, ...] = ()
    outcome: Outcome
    message: str
    run: str
    """Optimizer with options and gradient source, without the rate that is swept."""
    optimizer: str
    device: str = "cpu"
    dtype: str = "float64"
    entry: int = 0
    """Position under the case's `converge`."""
    seeds: tuple[int, ...] = ()
    budget: int = 0
    """Most steps of a descent."""
    goal: str = ""
    """What arriving means."""
    rates: tuple[SweptRate, ...] = ()
    """Ascending."""
    basin: Basin | None = None
    declared_rate: float | None = None
    """The entry's own rate, or its optimizer's default."""
    apart: str | None = None
    """Why descents ran one by one; None: they ran as one computation."""
    duration_s: float = 0.0
    traceback: str | None = None
    command: str | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a run happened: what has to be alike before two runs' timings may be compared."""

    python: str
    platform: str
    cpu: str
    cpu_count: int
    memory_bytes: int | None
    torch: str
    torch_threads: int
    numpy: str
    cuda: str | None
    """CUDA version and device name, or None."""
    cuda_missing: str | None
    """Why there is no CUDA, when there is none."""
    harness: str
    git_commit: str | None
    packages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """First line of a journal."""

    kind: Literal["run"] = "run"
    version: int = RECORD_VERSION
    run: str
    started: str
    """ISO 8601, UTC."""
    command: str
    seed: int
    planned: tuple[str, ...]
    """Names of the planned jobs, so that what never ran is visible."""
    environment: Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFooter:
    """Last line of a journal; a journal without one belongs to a run that was interrupted."""

    kind: Literal["end"] = "end"
    finished: str
    duration_s: float
    interrupted: bool
    exit_code: int


CaseRecord = VerifyRecord | ConvergeRecord | SweepRecord | BenchmarkRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A whole run, read back or just made."""

    header: RunHeader
    records: tuple[CaseRecord, ...]
    footer: RunFooter | None

    @property
    def not_run(self) -> tuple[str, ...]:
        """Names of planned jobs without a record."""
        done = {record.job for record in self.records}
        return tuple(name for name in self.header.planned if name not in done)


def worst(outcomes: tuple[Outcome, ...]) -> Outcome:
    """The worst of some outcomes; SKIPPED when there are none or all were skipped, otherwise skips do not count."""
    ran = [outcome for outcome in outcomes if outcome is not Outcome.SKIPPED]
    return max(ran, key=lambda outcome: outcome.severity) if ran else Outcome.SKIPPED
