"""Records of descents, and of sweeps over learning rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.records.outcomes import Outcome
from harness.records.verification import Finding


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
