"""The descent: evaluate, look, step, until it arrived, blew up, stood still or spent its budget.

It measures and stops; whether what happened is a pass is `harness.converge.verdict`'s to say. Step k means the
parameters after k steps of the optimizer, so step 0 is the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.case.schema import Stop
from harness.converge.least_squares import LeastSquares
from harness.converge.minimum import scales
from harness.converge.optimizers import Stepper
from harness.converge.problem import Problem
from harness.converge.stepping import needs_closure, take_step
from harness.converge.targets import Progress
from harness.records import TrajectoryPoint

GROWTH = 1e3
"""A loss this many times the first one …"""
STREAK = 10
"""… for this many evaluations in a row, up to the end, is a divergence: what comes back from there was a transient."""
HOPELESS = 1e16
"""A loss that has been up there and is this many times the first one ends the descent. Momentum at its best values for
condition κ grows a loss by some κ/7 before it shrinks (along the steepest direction the recurrence has a double root),
and beyond κ = 10¹⁶ float64 has no digit left of the flattest direction."""
TINY_LOSS = 1e-8
"""Least size the first loss is taken to have, so that a start at the minimum is not a divergence by rounding."""
STANDSTILL = 10
"""Steps in a row that change no parameter after which a descent stands still; once it has arrived, it ends there."""
PATIENCE = 1000
"""Such steps before one that has not arrived is ended: Adam's may grow again as its second moment decays."""
FEW_PARAMETERS = 8
"""Parameters up to which a kept step lists them all."""
SNAPSHOT_LIMIT = 10_000
"""Parameters up to which every kept step's parameters are held for fits and contours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a descent has arrived and when it ends.

    `minima` (m, n) are the acceptable minimisers, None when none is known. A descent arrives at the first step whose
    max-norm distance to one of them is at most `within`, and whose loss is at most `loss_below`, as far as each is
    declared.
    """

    steps: int
    within: float = 1e-6
    minima: Tensor | None = None
    relative: bool = False
    """Whether distances are relative to the minimiser's own entries, zeros excepted."""
    loss_below: float | None = None
    stop: Stop = field(default_factory=Stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """What happened. `errors` holds the distance to the nearest minimum at every step (empty when none is known)."""

    status: str
    """hit · stalled · diverged · budget"""
    reason: str
    """Why it ended, as a sentence without subject: "spent its 500 steps"."""
    steps: int
    evaluations: int
    hit: int | None
    diverged_at: int | None
    errors: tuple[float, ...]
    first_loss: float
    final_loss: float
    trajectory: tuple[TrajectoryPoint, ...]
    snapshots: tuple[tuple[int, Tensor], ...]
    """(step, parameters (n,) in float64) at the kept steps."""
    start: Tensor
    final: Tensor
    progress: Progress
    """The best loss so far, on the whole data."""
    hit_evaluations: int | None = None
    """Gradient evaluations spent before the point it arrived at."""
    arrived: Tensor | None = None
    """Parameters (n,) at the hit."""
    moved: float = 0.0
    """How far the last step moved a parameter (max-norm)."""
    grew: float | None = None
    """How many times the first loss it rose to, where it was far above it for a while."""

    @property
    def final_error(self) -> float | None:
        """Distance at the last step, None where unknown or not finite."""
        return self.errors[-1] if self.errors and math.isfinite(self.errors[-1]) else None

    @property
    def best_error(self) -> float | None:
        """Smallest finite distance of any step, None where unknown."""
        return min((error for error in self.errors if math.isfinite(error)), default=None)

    @property
    def worst_after(self) -> tuple[int, float] | None:
        """(step, distance) where it was furthest off after its hit; None without a hit or a known minimum."""
        if self.hit is None or not self.errors:
            return None
        step = max(range(self.hit, len(self.errors)), key=self.errors.__getitem__)
        return step, self.errors[step]


def kept_steps(total: int, *, dense: int = 80, sparse: int = 110) -> frozenset[int]:
    """Return the steps of 0 … `total` worth keeping: all of the first, then geometrically spaced, always the last."""
    if total <= dense + sparse:
        return frozenset(range(total + 1))
    ratio = total / dense
    later = (round(dense * ratio ** (count / sparse)) for count in range(1, sparse + 1))
    return frozenset({*range(dense + 1), *later, total})


def descend(problem: Problem, stepper: Stepper, rules: Rules) -> Descent:
    """Run a descent from the problem's current parameters, which it changes in place.

    The loss and gradient at each step are evaluated once and used both for looking and for the step; an optimizer that
    wants a closure (LBFGS) is handed that evaluation first, so that it is not paid for twice.

    Args:
        problem: loss, gradient and parameters.
        stepper: the optimizer over the same parameters.
        rules: budget, tolerance and stop rules.
    """
    watch = _Watch(problem, rules)
    if isinstance(stepper, LeastSquares):
        return _solve(problem, stepper, watch)
    closure_needed = needs_closure(stepper)
    for step in range(rules.steps + 1):
        spent = problem.evaluations
        loss = problem.advance()
        if watch.see(step, loss, spent) or step == rules.steps:
            break
        take_step(problem, stepper, loss, closure_needed=closure_needed, tried=watch.tried)
    return watch.result(step, spent)


def _solve(problem: Problem, solver: LeastSquares, watch: _Watch) -> Descent:
    """Let a least-squares solver descend; a step is a point it accepts."""
    step = -1

    def seen(flat: Tensor) -> bool:
        nonlocal step
        step += 1
        problem.place(flat)
        spent = problem.evaluations
        return watch.see(step, problem.advance(), spent)

    reason = solver.solve(problem.objective(), problem.flat().double().cpu(), seen, most=watch.rules.steps)
    if reason and not watch.reason:
        watch.reason = f"stopped: {reason.rstrip('.')}"
    return watch.result(step, problem.evaluations)


class _Watch:
    """Looks at every step of a descent and remembers what is worth it."""

    def __init__(self, problem: Problem, rules: Rules) -> None:
        self.problem, self.rules = problem, rules
        self.kept = kept_steps(rules.steps)
        self.minima = None if rules.minima is None else rules.minima.to(problem.flat().device)
        self.scales = scales(self.minima) if rules.relative and self.minima is not None else None
        self.errors: list[float] = []
        self.points: dict[int, TrajectoryPoint] = {}
        self.snapshots: dict[int, Tensor] = {}
        self.hit: int | None = None
        self.reason = ""
        self.diverged_at: int | None = None
        self.losses_above = self.unchanged = 0
        self.grew: float | None = None
        self.first = self.previous = self.last = math.nan
        self.start = self.flat = self.before = problem.flat().double()
        self.progress = Progress()
        self.hit_evaluations: int | None = None
        self.arrived: Tensor | None = None
        self.step = 0

    def tried(self, loss: Tensor, spent: int) -> None:
        """Take note of a point an optimizer tries within its next step, where losses are those of the whole data."""
        if not self.problem.stochastic:
            self.progress.note(self.step + 1, spent, float(loss))

    def see(self, step: int, loss: Tensor, spent: int) -> bool:
        """Look at one step, `spent` gradient evaluations after the start; return whether the descent ends here."""
        flat = self.problem.flat().double()
        self.unchanged = (
            self.unchanged + 1 if step and not self.problem.stochastic and torch.equal(flat, self.flat) else 0
        )
        self.step, self.before = step, self.flat
        self.flat, self.previous, self.last = flat, self.last, float(loss)
        if step == 0:
            self.first = self.last
        if self.minima is not None:
            self.errors.append(self._distance(flat))
        keep = step in self.kept
        level = self._level(step, keep=keep)
        if level is not None:
            self.progress.note(step, spent, level)
        if self.hit is None and level is not None and self._arrived(level):
            self.hit, self.hit_evaluations, self.arrived, keep = step, spent, flat, True
        ended = self._diverged(step) or self._stopped()
        if keep or ended:
            self._keep(step, self.last if level is None else level)
        return ended

    def result(self, step: int, evaluations: int) -> Descent:
        """Return the record of the descent that ended at `step`."""
        if self.diverged_at is None and not bool(torch.isfinite(self.flat).all()):
            self.diverged_at, self.reason = step, f"reached parameters that are not finite at step {step}"
        if not self.reason and self.unchanged >= STANDSTILL:
            self.reason = self._stood_still()
        if self.diverged_at is None and self.losses_above >= STREAK:
            self.diverged_at = step - self.losses_above + 1
            ended = self.reason or f"spent its {self.rules.steps} steps"
            self.reason = (
                f"{ended}, with a loss above {GROWTH:g} times the first in the last {self.losses_above} evaluations"
            )
        if step not in self.points:
            self._keep(step, self.last)
        last = self.points.get(step)
        return Descent(
            status=self._status(),
            reason=self.reason or f"spent its {self.rules.steps} steps",
            steps=step,
            evaluations=evaluations,
            hit=self.hit,
            diverged_at=self.diverged_at,
            errors=tuple(self.errors),
            first_loss=self.first,
            final_loss=self.last if last is None else last.loss,
            trajectory=tuple(self.points[key] for key in sorted(self.points)),
            snapshots=tuple((key, self.snapshots[key].cpu()) for key in sorted(self.snapshots)),
            start=self.start.cpu(),
            final=self.flat.cpu(),
            progress=self.progress,
            hit_evaluations=self.hit_evaluations,
            arrived=None if self.arrived is None else self.arrived.cpu(),
            moved=float(torch.dist(self.flat, self.before, math.inf)),
            grew=self.grew,
        )

    def _status(self) -> str:
        if self.diverged_at is not None:
            return "diverged"
        if self.hit is not None:
            return "hit"
        return "stalled" if self.reason else "budget"

    def _distance(self, flat: Tensor) -> float:
        """Return the max-norm distance to the nearest minimum, relative to its entries where the rules say so."""
        if self.minima is not None and self.scales is not None:
            return float(((self.minima - flat) / self.scales).abs().amax(dim=1).min())
        if self.minima is None or len(self.minima) == 1:
            return float(torch.dist(flat, self.minima[0], math.inf)) if self.minima is not None else math.nan
        return float((self.minima - flat).abs().amax(dim=1).min())

    def _level(self, step: int, *, keep: bool) -> float | None:
        """Return the loss that arrival is judged by, None where this step is not one to judge it at.

        With mini-batches or fresh data a step's own loss is noise; the loss on the whole data (a held-out draw) is
        evaluated at the kept steps and at the end of each epoch.
        """
        if not self.problem.stochastic:
            return self.last
        epoch_ends = self.rules.loss_below is not None and self.problem.epoch and step % self.problem.epoch == 0
        if keep or epoch_ends:
            return self.problem.loss()
        return math.nan if self.rules.loss_below is None else None

    def _arrived(self, level: float) -> bool:
        """Return whether every declared criterion holds; never true where none is declared or a number is NaN."""
        near = not self.errors or self.errors[-1] <= self.rules.within
        low = self.rules.loss_below is None or level <= self.rules.loss_below
        return near and low and (bool(self.errors) or self.rules.loss_below is not None)

    def _diverged(self, step: int) -> bool:
        """Return whether the loss is not finite, or has grown beyond hope; note since when."""
        finite = math.isfinite(self.last) and (not self.errors or math.isfinite(self.errors[-1]))
        if not finite:
            self.diverged_at = step - self.losses_above
            self.reason = f"reached a loss or parameters that are not finite at step {step}"
            return True
        growth = self.last / max(abs(self.first), TINY_LOSS)
        self.losses_above = self.losses_above + 1 if growth > GROWTH else 0
        if self.losses_above >= STREAK:
            self.grew = max(self.grew or 0.0, growth)
        if self.losses_above < STREAK or growth <= HOPELESS:
            return False
        self.diverged_at = step - self.losses_above + 1
        self.reason = f"had a loss above {GROWTH:g} times the first from then on, {growth:.3g} times it at step {step}"
        return True

    def _stopped(self) -> bool:
        """Return whether a stop rule holds or nothing moves any more; note which."""
        stop = self.rules.stop
        if stop.loss is not None and self.last <= stop.loss:
            self.reason = f"stopped at loss {self.last:.3g} ≤ {stop.loss:g}"
        elif stop.loss_change is not None and abs(self.last - self.previous) <= stop.loss_change:
            self.reason = (
                f"stopped when the loss changed by {abs(self.last - self.previous):.3g} ≤ {stop.loss_change:g}"
            )
        elif stop.gradient_norm is not None and self._gradient_norm() <= stop.gradient_norm:
            self.reason = f"stopped at gradient norm {self._gradient_norm():.3g} ≤ {stop.gradient_norm:g}"
        elif self.unchanged >= (PATIENCE if self.hit is None else STANDSTILL):
            self.reason = self._stood_still()
        return bool(self.reason)

    def _stood_still(self) -> str:
        """Say since when no step has changed a parameter."""
        return f"stood still: the last {self.unchanged} steps changed no parameter"

    def _gradient_norm(self) -> float:
        """Return the 2-norm of the current gradient."""
        return float(torch.linalg.vector_norm(self.problem.flat_gradient().double()))

    def _keep(self, step: int, loss: float) -> None:
        """Keep this step in the trajectory, unless a number of it is not finite: records hold no NaN."""
        norm, error = self._gradient_norm(), self.errors[-1] if self.errors else None
        if not all(math.isfinite(number) for number in (loss, norm, error or 0.0)):
            return
        few = len(self.flat) <= FEW_PARAMETERS
        self.points[step] = TrajectoryPoint(
            step=step,
            loss=loss,
            error=error,
            gradient_norm=norm,
            parameters=tuple(self.flat.tolist()) if few else None,
        )
        if len(self.flat) <= SNAPSHOT_LIMIT:
            self.snapshots[step] = self.flat
