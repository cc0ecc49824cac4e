"""Closed forms of learning-rate schedules: the rate after k steps, from the documented formulas.

Sources are the formulas in the documentation of `torch.optim.lr_scheduler`, and I. Loshchilov, F. Hutter, SGDR
(ICLR 2017), for the cosine, L. N. Smith, Cyclical Learning Rates (WACV 2017), for the triangles, L. N. Smith, N. Topin,
Super-Convergence (2018), for the single cycle. None is recursive, while PyTorch's schedulers mostly are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

RATE = 0.4
"""The optimizer's own rate that schedules start from."""

Formula = Callable[[int], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Arguments of a scheduler, and the rate its documentation promises after k steps."""

    arguments: Mapping[str, Any]
    rate: Formula
    momentum: Formula | None = None
    """The momentum (or β₁) it sets, where it sets one."""


def _cosine(low: float, high: float, part: float) -> float:
    """Return the cosine from `high` (part 0) to `low` (part 1)."""
    return low + (high - low) * (1 + math.cos(math.pi * part)) / 2


def _restarts(first: int, factor: int, low: float) -> Formula:
    def rate(k: int) -> float:
        length = first
        while k >= length:
            k, length = k - length, length * factor
        return _cosine(low, RATE, k / length)

    return rate


def _triangle(up: int, down: int, low: float, high: float, scale: Callable[[int, int], float]) -> Formula:
    """Return Smith's triangle: up in `up` steps, down in `down`, its height scaled by cycle (from 1) and step."""

    def rate(k: int) -> float:
        cycle, place = divmod(k, up + down)
        height = place / up if place <= up else 1 - (place - up) / down
        return low + (high - low) * height * scale(cycle + 1, k)

    return rate


def _one_cycle(start: float, top: float, end: float, total: int, warm: float, *, linear: bool, three: bool) -> Formula:
    """Return the single cycle: from start to top, then (via start, with three phases) to end."""
    first = warm * total - 1
    ends = [first, 2 * first, total - 1] if three else [first, total - 1]
    levels = [start, top, start, end] if three else [start, top, end]

    def rate(k: int) -> float:
        begin = 0.0
        for index, stop in enumerate(ends):
            if k <= stop or index == len(ends) - 1:
                part = (k - begin) / (stop - begin)
                low, high = levels[index + 1], levels[index]
                return high + (low - high) * part if linear else _cosine(low, high, part)
            begin = stop
        return end

    return rate


def constant(factor: float, total: int) -> Formula:
    """Return a rate scaled by `factor` for `total` steps."""
    return lambda k: RATE * (factor if k < total else 1.0)


def _linear(first: float, last: float, total: int) -> Formula:
    return lambda k: RATE * (first + (last - first) * min(k, total) / total)


def _milestones(gamma: float, *at: int) -> Formula:
    return lambda k: RATE * gamma ** sum(k >= one for one in at)


SCHEDULES: Mapping[str, tuple[Schedule, ...]] = {
    "ConstantLR": (Schedule(arguments={"factor": 0.3, "total_iters": 4}, rate=constant(0.3, 4)),
                   Schedule(arguments={}, rate=constant(1 / 3, 5))),
    "CosineAnnealingLR": (
        Schedule(arguments={"T_max": 10, "eta_min": 0.05}, rate=lambda k: _cosine(0.05, RATE, k / 10)),
        Schedule(arguments={"T_max": 40}, rate=lambda k: _cosine(0.0, RATE, k / 40)),
    ),
    "CosineAnnealingWarmRestarts": (
        Schedule(arguments={"T_0": 5, "T_mult": 2, "eta_min": 0.02}, rate=_restarts(5, 2, 0.02)),
        Schedule(arguments={"T_0": 7}, rate=_restarts(7, 1, 0.0)),
    ),
    "CyclicLR": (
        Schedule(
            arguments={"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 4, "step_size_down": 6, "base_momentum": 0.6,
                       "max_momentum": 0.9},
            rate=_triangle(4, 6, 0.1, 0.7, lambda cycle, k: 1.0),
            momentum=_triangle(4, 6, 0.9, 0.6, lambda cycle, k: 1.0),
        ),
        Schedule(arguments={"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 5, "mode": "triangular2"},
                 rate=_triangle(5, 5, 0.1, 0.7, lambda cycle, k: 0.5 ** (cycle - 1))),
        Schedule(arguments={"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 5, "mode": "exp_range", "gamma": 0.95,
                            "cycle_momentum": False},
                 rate=_triangle(5, 5, 0.1, 0.7, lambda cycle, k: 0.95**k)),
    ),
    "ExponentialLR": (Schedule(arguments={"gamma": 0.9}, rate=lambda k: RATE * 0.9**k),),
    "LambdaLR": (Schedule(arguments={"lr_lambda": lambda k: 1 / (1 + k)}, rate=lambda k: RATE / (1 + k)),),
    "LinearLR": (
        Schedule(arguments={"start_factor": 0.25, "end_factor": 0.9, "total_iters": 8}, rate=_linear(0.25, 0.9, 8)),
        Schedule(arguments={}, rate=_linear(1 / 3, 1.0, 5)),
    ),
    "MultiStepLR": (Schedule(arguments={"milestones": [3, 7, 7, 12], "gamma": 0.5}, rate=_milestones(0.5, 3, 7, 7, 12)),
                    Schedule(arguments={"milestones": [4]}, rate=_milestones(0.1, 4))),
    "MultiplicativeLR": (
        Schedule(arguments={"lr_lambda": lambda k: 1 - 0.5 / (k + 1)},
                 rate=lambda k: RATE * math.prod(1 - 0.5 / (j + 1) for j in range(1, k + 1))),
    ),
    "OneCycleLR": (
        Schedule(arguments={"max_lr": 0.8, "total_steps": 25, "base_momentum": 0.6, "max_momentum": 0.9},
                 rate=_one_cycle(0.8 / 25, 0.8, 0.8 / 25 / 1e4, 25, 0.3, linear=False, three=False),
                 momentum=_one_cycle(0.9, 0.6, 0.9, 25, 0.3, linear=False, three=False)),
        Schedule(arguments={"max_lr": 0.8, "epochs": 5, "steps_per_epoch": 5, "pct_start": 0.4, "div_factor": 10.0,
                            "final_div_factor": 100.0, "anneal_strategy": "linear", "three_phase": True},
                 rate=_one_cycle(0.08, 0.8, 0.0008, 25, 0.4, linear=True, three=True)),
    ),
    "PolynomialLR": (
        Schedule(arguments={"total_iters": 9, "power": 2.0}, rate=lambda k: RATE * (1 - min(k, 9) / 9) ** 2),
        Schedule(arguments={}, rate=lambda k: RATE * (1 - min(k, 5) / 5)),
    ),
    "StepLR": (Schedule(arguments={"step_size": 4, "gamma": 0.5}, rate=lambda k: RATE * 0.5 ** (k // 4)),
               Schedule(arguments={"step_size": 3}, rate=lambda k: RATE * 0.1 ** (k // 3))),
}  # fmt: skip
"""By scheduler. Those made of others, and the one that follows a metric, are `harness.optimizers.schedulers`' own."""
