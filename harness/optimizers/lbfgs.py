"""LBFGS, whose steps depend on the loss as well: its two-loop recursion, its line search, and its limits.

Two-loop recursion: J. Nocedal, Updating Quasi-Newton Matrices with Limited Storage (1980), as algorithm 7.4 of J.
Nocedal, S. Wright, Numerical Optimization (2nd ed.), with H₀ = sᵀy/yᵀy; pairs without positive curvature are left
out; the first step is scaled by min(1, 1/‖g‖₁), as minFunc does it. With a fixed rate each step is predicted from the
gradients the optimizer was given and the points it went through, so that errors do not pile up over steps. With a
line search, each accepted step must satisfy the strong Wolfe conditions with minFunc's c₁ = 1e-4 and c₂ = 0.9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from harness.optimizers.bounded import FLOAT64_UNIT, Bounded, UndecidedError, bounded
from harness.optimizers.findings import Entry, Numbers, compared, equal, finding, holds
from harness.optimizers.pieces import quadratic
from harness.optimizers.under_test import UnderTest
from harness.optimizers.walk import Make, Options
from harness.records import Finding, Outcome

SIZE = 6
STEPS = 12
SEARCHES = 25
ROUNDINGS = 1024
"""Units of rounding per step that a rate held otherwise may make of a difference."""
EVALUATIONS = 50
"""Enough for any line search: one that runs out of evaluations returns the best point it has."""
ARMIJO, CURVATURE = 1e-4, 0.9
LEAST_CURVATURE = 1e-10
"""Smallest sᵀy of a pair that is kept, as in minFunc."""


@dataclass(slots=True)
class Descent:
    """An LBFGS over one vector, with every point and gradient its closure saw."""

    make: Make
    options: Options
    loss: Callable[[Numbers], tuple[float, Numbers]]
    start: Numbers
    seen: list[tuple[Numbers, float, Numbers]] = field(default_factory=list)
    parameter: Any = None
    optimizer: Any = None

    def __post_init__(self) -> None:
        self.parameter = torch.tensor(self.start, requires_grad=True)
        self.optimizer = self.make([self.parameter], **self.options)

    def step(self) -> Numbers:
        """Take a step and return where it ended."""
        self.optimizer.step(self._closure)
        end: Numbers = self.parameter.detach().numpy().copy()
        return end

    def _closure(self) -> torch.Tensor:
        at: Numbers = self.parameter.detach().numpy().copy()
        loss, gradient = self.loss(at)
        self.seen.append((at, loss, gradient))
        self.parameter.grad = torch.tensor(gradient)
        return torch.tensor(loss, dtype=torch.float64)


def lbfgs_findings(tested: UnderTest) -> Iterator[Finding]:
    """Yield the checks of an LBFGS with PyTorch's options."""
    for options in ({}, {"lr": 0.3}, {"lr": 0.2, "history_size": 2}, {"lr": 0.05, "history_size": 3}):
        yield _two_loop(tested, {**options, "max_iter": 1})
    yield _iterations(tested, {"lr": 0.3, "history_size": 4, "max_eval": EVALUATIONS})
    searching = {"line_search_fn": "strong_wolfe", "max_iter": 1, "max_eval": EVALUATIONS}
    yield _wolfe(tested, searching)
    yield _wolfe(tested, {**searching, "lr": 0.1, "history_size": 3})
    yield _tensor_rate(tested, {"max_iter": 1})
    yield from _limits(tested)


def _problem(seed: int) -> tuple[Numbers, Callable[[Numbers], tuple[float, Numbers]]]:
    """Return the start and the loss with gradient of a rotated quadratic."""
    piece = quadratic(np.random.default_rng((seed, 8)), (SIZE,))
    return piece.start, lambda at: (piece.loss(0, at), piece.gradient(0, at))


def rosenbrock(at: Numbers) -> tuple[float, Numbers]:
    """Return the loss and gradient of Rosenbrock's function, 100(y − x²)² + (1 − x)²."""
    x, y = at
    bend = y - x**2
    gradient = np.asarray([-400 * x * bend - 2 * (1 - x), 200 * bend])
    return float(100 * bend**2 + (1 - x) ** 2), gradient


def _two_loop(tested: UnderTest, options: dict[str, Any]) -> Finding:
    """Predict every step with a fixed rate from the points and gradients before it."""
    start, loss = _problem(tested.seed)
    descent = Descent(tested.make, options, loss, start)
    points = [start, *(descent.step() for _ in range(STEPS))]
    gradients = [loss(point)[1] for point in points]
    entries = []
    for step in range(STEPS):
        history = range(max(1, step - options.get("history_size", 100) + 1), step + 1)
        pairs = [
            (
                Bounded(points[k] - points[k - 1], 2 * FLOAT64_UNIT * np.abs(points[k])),
                bounded(gradients[k]) - gradients[k - 1],
            )
            for k in history
        ]
        try:
            moved = -options.get("lr", 1.0) * two_loop(bounded(gradients[step]), pairs)
        except UndecidedError as reason:
            return finding(tested.labels(options), "two-loop recursion", Outcome.INCONCLUSIVE, str(reason))
        if step == 0:
            moved = moved * min(1.0, 1 / float(np.abs(gradients[0]).sum()))
        expected = points[step] + moved
        value = expected.value.astype(np.float64)
        scale = float(np.max(np.abs(moved.value)))
        entries.append(
            Entry(name="x", actual=points[step + 1], expected=value, bar=expected.bar, step=step + 1, scale=scale)
        )
    return compared(
        tested.labels(options), "two-loop recursion", entries, oracle="the two-loop recursion",
        bar_origin="running error analysis of one recursion, times 4", independent=True,
    )  # fmt: skip


def two_loop(gradient: Any, pairs: list[tuple[Any, Any]]) -> Any:
    """Return H·gradient of the limited-memory inverse Hessian H of some pairs (s, y), the oldest first."""
    kept = [(s, y) for s, y in pairs if (s * y).sum() > LEAST_CURVATURE]
    direction, weights = gradient, []
    for s, y in reversed(kept):
        weight = (s * direction).sum() / (s * y).sum()
        direction = direction - weight * y
        weights.append(weight)
    if kept:
        s, y = kept[-1]
        direction = direction * ((s * y).sum() / (y * y).sum())
    for (s, y), weight in zip(kept, reversed(weights), strict=True):
        direction = direction + s * (weight - (y * direction).sum() / (s * y).sum())
    return direction


def _iterations(tested: UnderTest, options: dict[str, Any]) -> Finding:
    """Three iterations in one step are three steps of one iteration."""
    start, loss = _problem(tested.seed)
    one = Descent(tested.make, {**options, "max_iter": 1}, loss, start)
    three = Descent(tested.make, {**options, "max_iter": 3}, loss, start)
    pairs = []
    for step in range(1, 4):
        for _ in range(2):
            one.step()
        pairs.append((f"x after step {step}", three.step(), one.step()))
    return equal(tested.labels(options), "iterations per step", pairs, oracle="single iterations")


def _wolfe(tested: UnderTest, options: dict[str, Any]) -> Finding:
    """Check the strong Wolfe conditions at every step accepted on Rosenbrock's function."""
    check, labels = "strong Wolfe conditions", tested.labels(options)
    start = np.asarray([-1.2, 1.0])
    descent = Descent(tested.make, options, rosenbrock, start)
    before, checked = start, 0
    for step in range(1, SEARCHES + 1):
        after = descent.step()
        moved = after - before
        (f0, g0), (f1, g1) = rosenbrock(before), rosenbrock(after)
        slope0, slope1 = float(g0 @ moved), float(g1 @ moved)
        if float(np.max(np.abs(moved))) < 1e-9 or f0 < 1e-16:
            break
        checked += 1
        noise = 64 * FLOAT64_UNIT * (abs(f0) + float(np.abs(g0) @ np.abs(moved)))
        if slope0 >= 0:
            return holds(labels, check, f"Step {step} goes uphill: its slope is {slope0:.3g}.", "")
        if not f1 <= f0 + ARMIJO * slope0 + noise:
            return holds(labels, check, f"Step {step} decreases too little: from {f0:.6g} to {f1:.6g}.", "")
        if not abs(slope1) <= CURVATURE * abs(slope0) + noise:
            return holds(
                labels, check, f"Step {step} ends with slope {slope1:.3g}, having begun with {slope0:.3g}.", ""
            )
        before = after
    enough = None if checked >= 5 else f"Only {checked} steps were taken on Rosenbrock's function."
    return holds(labels, check, enough, f"They hold at all {checked} steps accepted on Rosenbrock's function.")


def _tensor_rate(tested: UnderTest, options: dict[str, Any]) -> Finding:
    """A tensor rate that is halved in place after every step is the same as a number that is."""
    start, loss = _problem(tested.seed)
    rate = torch.tensor(0.4, dtype=torch.float64)
    with_number = Descent(tested.make, {**options, "lr": 0.4}, loss, start)
    with_tensor = Descent(tested.make, {**options, "lr": rate}, loss, start)
    entries = []
    for step in range(1, 5):
        expected, actual = with_number.step(), with_tensor.step()
        bar = ROUNDINGS * step * FLOAT64_UNIT * float(np.max(np.abs(expected)))
        entries.append(Entry(name="x", actual=actual, expected=expected, bar=bar, step=step))
        with_number.optimizer.param_groups[0]["lr"] /= 2
        rate.mul_(0.5)
    return compared(
        tested.labels(options), "lr as a tensor, halved in place", entries, oracle="the same rate as a number",
        bar_origin=f"{ROUNDINGS} units of rounding per step",
    )  # fmt: skip


def _limits(tested: UnderTest) -> Iterator[Finding]:
    """The limits on iterations, evaluations, gradient and change stop it, and the history is as long as asked for."""
    start, loss = _problem(tested.seed)
    limits: tuple[tuple[dict[str, Any], int], ...] = (
        ({"max_iter": 4}, 4), ({"max_iter": 50, "max_eval": 7}, 7), ({"max_iter": 8}, 10)
    )  # fmt: skip
    for options, most in limits:
        descent = Descent(tested.make, {"lr": 0.1, **options}, loss, start)
        descent.step()
        fault = f"One step evaluated the loss {len(descent.seen)} times." if len(descent.seen) > most else None
        yield holds(tested.labels(options), "evaluations are limited", fault, f"{len(descent.seen)} evaluations.")
    norm = float(np.max(np.abs(loss(start)[1])))
    for factor, moves in ((1.01, False), (0.99, True)):
        options = {"lr": 0.1, "max_iter": 1, "tolerance_grad": factor * norm}
        moved = not np.array_equal(Descent(tested.make, options, loss, start).step(), start)
        fault = None if moved is moves else f"With max |g| = {norm:.4g} it {'moved' if moved else 'did not move'}."
        yield holds(tested.labels(options), "tolerance_grad", fault, "It stops at the tolerance, and not above.")
    tight, loose = ({"lr": 0.1, "max_iter": 30, "tolerance_change": one} for one in (1e-12, 1e-1))
    counts = []
    for options in (tight, loose):
        descent = Descent(tested.make, options, loss, start)
        descent.step()
        counts.append(len(descent.seen))
    fault = None if counts[1] < counts[0] else f"It evaluated {counts[1]} times with either tolerance."
    yield holds(tested.labels(loose), "tolerance_change", fault, "A large tolerance stops it early.")
