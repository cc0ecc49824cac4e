"""Every learning-rate scheduler of `torch.optim.lr_scheduler`: against its closed form, stored and resumed, on groups.

A scheduler is stepped beside an SGD without gradients, and the rate in its group is read after each step. Most of
PyTorch's schedulers multiply the last rate by a ratio, so their error grows with each step; how much a rate may be off
follows from that many roundings.
"""

from __future__ import annotations

import copy
import inspect
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler

from harness.optimizers.findings import Entry, Labels, compared, equal, finding
from harness.optimizers.schedule_formulas import RATE, SCHEDULES, Schedule, constant
from harness.records import Finding, Outcome

STEPS = 24
BEFORE = 9
ROUNDINGS = 16
ORIGIN = f"{ROUNDINGS} units of rounding per step of a recurrence"
COSINE_PERIODS = {"CosineAnnealingLR": 40}
"""Longest period among the schedules whose recurrence divides by 1 + cos, which is as small as (π/T)²/2."""
METRICS = (1.0, 0.9, 0.95, 0.92, 0.91, 0.905, 0.5, 0.5, 0.5, 0.5, 0.49999, 0.6, 0.6, 0.4, *([0.4] * 12))
"""What a plateau is looked for in."""

Factory = Callable[[Any], Any]


def scheduler_classes() -> Mapping[str, type]:
    """Return every scheduler that `torch.optim.lr_scheduler` exports, by name in alphabetical order."""
    base = lr_scheduler.LRScheduler
    found = {
        name: value
        for name, value in vars(lr_scheduler).items()
        if inspect.isclass(value) and issubclass(value, base) and value is not base and not name.startswith("_")
    }
    return dict(sorted(found.items()))


def scheduler_findings(
    name: str, labels: Labels, *, make: Callable[..., Any] | None = None, steps: int = STEPS
) -> Iterator[Finding]:
    """Yield what is known of a scheduler.

    Args:
        name: its class's name, by which formulas are found.
        labels: what findings carry.
        make: what to make it with instead: `make(optimizer, **arguments)`.
        steps: how many steps to compare.
    """
    made = make or scheduler_classes()[name]
    schedules = SCHEDULES.get(name) or composed(name)
    if not schedules:
        message = "no closed form is known; whatever needs none is checked"
        yield finding(labels, "closed form", Outcome.INCONCLUSIVE, message)
        yield from _unknown(made, labels)
        return
    for schedule in schedules:
        told = Labels(
            seed=labels.seed, command=labels.command, options=_text(schedule), device=labels.device
        )  # fmt: skip
        yield _closed_form(name, made, schedule, told, steps)
        yield from _resumed(made, schedule, told)
        yield _groups(name, made, schedule, told)


def composed(name: str) -> tuple[Schedule, ...]:
    """Return the schedules of schedulers that are made of others, or follow a metric."""
    if name == "ChainedScheduler":
        return (Schedule(arguments={"schedulers": _pair(3)}, rate=lambda k: constant(0.5, 3)(k) * 0.9**k),)
    if name == "SequentialLR":
        arguments = {"schedulers": _pair(99), "milestones": [6]}
        return (Schedule(arguments=arguments, rate=lambda k: RATE * (0.5 if k < 6 else 0.9 ** (k - 6))),)
    if name == "ReduceLROnPlateau":
        return (
            Schedule(arguments={"factor": 0.5, "patience": 2}, rate=_plateau(0.5, 2, 1e-4, 0, 0.0)),
            Schedule(
                arguments={"factor": 0.5, "patience": 1, "cooldown": 2, "min_lr": 0.06, "threshold": 0.01},
                rate=_plateau(0.5, 1, 0.01, 2, 0.06),
            ),
        )
    return ()


def _unknown(make: Callable[..., Any], labels: Labels) -> Iterator[Finding]:
    """Yield what needs no closed form, of a scheduler that can be made without arguments."""
    schedule = Schedule(arguments={}, rate=lambda _: RATE)
    try:
        _started(make, schedule)
    except TypeError as reason:
        yield finding(labels, "state_dict round trip", Outcome.SKIPPED, f"It wants arguments: {reason}")
        return
    yield from _resumed(make, schedule, labels)


def _pair(steps: int) -> Callable[[Any], list[Any]]:
    """Return what makes the two schedulers that others are made of here: half the rate for some steps, and 0.9ᵏ."""
    return lambda optimizer: [
        lr_scheduler.ConstantLR(optimizer, 0.5, steps), lr_scheduler.ExponentialLR(optimizer, 0.9)
    ]  # fmt: skip


def _plateau(factor: float, patience: int, threshold: float, cooldown: int, least: float) -> Callable[[int], float]:
    """Return the rate after k looks at `METRICS`: reduced once more than `patience` looks were no better.

    Better is below (1 − threshold) times the best; looks during the cooldown after a reduction are not counted.
    """

    def rate(k: int) -> float:
        best, bad, wait, now = float("inf"), 0, 0, RATE
        for metric in METRICS[:k]:
            if metric < best * (1 - threshold):
                best, bad = metric, 0
            else:
                bad += 1
            if wait > 0:
                wait, bad = wait - 1, 0
            if bad > patience:
                now, wait, bad = max(now * factor, least), cooldown, 0
        return now

    return rate


def _closed_form(name: str, make: Callable[..., Any], schedule: Schedule, labels: Labels, steps: int) -> Finding:
    """Compare the rate, and the momentum where one is set, after every step."""
    optimizer, scheduler = _started(make, schedule)
    period = COSINE_PERIODS.get(name, 0)
    entries: list[Entry] = []
    for k in range(steps):
        units = ROUNDINGS * (k + 1) * (1 + period**2 / 5) * 2.0**-53
        group = optimizer.param_groups[0]
        entries.append(_entry("lr", group["lr"], schedule.rate(k), k, units))
        if schedule.momentum is not None:
            entries.append(_entry("momentum", group["momentum"], schedule.momentum(k), k, units))
        _step(scheduler, k)
    return compared(labels, "closed form", entries, oracle="the closed form", bar_origin=ORIGIN, independent=True)


def _resumed(make: Callable[..., Any], schedule: Schedule, labels: Labels) -> Iterator[Finding]:
    """A scheduler whose state was stored and loaded goes on bit by bit, together with its optimizer."""
    for check, carry in (("state_dict round trip", copy.deepcopy), ("torch.save and load", _stored)):
        optimizer, scheduler = _started(make, schedule)
        for k in range(BEFORE):
            _step(scheduler, k)
        state = carry((optimizer.state_dict(), scheduler.state_dict()))
        other_optimizer, other = _started(make, schedule)
        other_optimizer.load_state_dict(state[0])
        other.load_state_dict(state[1])
        rates: list[list[float]] = [[], []]
        for k in range(BEFORE, STEPS - 1):
            for list_, one, at in ((rates[0], scheduler, optimizer), (rates[1], other, other_optimizer)):
                _step(one, k)
                list_.append(float(at.param_groups[0]["lr"]))
        pair = ("lr", np.asarray(rates[1]), np.asarray(rates[0]))
        yield equal(labels, check, [pair], oracle="the scheduler that was not stopped")


def _groups(name: str, make: Callable[..., Any], schedule: Schedule, labels: Labels) -> Finding:
    """Groups keep the ratio of their rates, where the scheduler scales what it finds."""
    check = "groups are scaled alike"
    if name in ("CyclicLR", "OneCycleLR") or "eta_min" in schedule.arguments or "min_lr" in schedule.arguments:
        return finding(labels, check, Outcome.SKIPPED, "It sets rates of its own.")
    optimizer, scheduler = _started(make, schedule, factor=0.5)
    entries = []
    for k in range(STEPS):
        first, second = (float(group["lr"]) for group in optimizer.param_groups)
        entries.append(_entry("lr of the second group", second, 0.5 * first, k, 64 * (k + 1) * 2.0**-53))
        _step(scheduler, k)
    return compared(labels, check, entries, oracle="half the first group's", bar_origin=ORIGIN)


def _started(make: Callable[..., Any], schedule: Schedule, factor: float = 1.0) -> tuple[Any, Any]:
    """Return an SGD with two groups, the second's rate scaled by `factor`, and its scheduler."""
    parameters = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    groups = [{"params": [parameters[0]], "lr": RATE}, {"params": [parameters[1]], "lr": factor * RATE}]
    optimizer = torch.optim.SGD(groups, lr=RATE, momentum=0.9)
    arguments = dict(schedule.arguments)
    if callable(arguments.get("schedulers")):
        arguments["schedulers"] = arguments["schedulers"](optimizer)
        chained = "milestones" not in arguments
        scheduler = make(arguments["schedulers"], optimizer=optimizer) if chained else make(optimizer, **arguments)
    else:
        scheduler = make(optimizer, **arguments)
    optimizer.step()  # a scheduler warns if it is stepped before its optimizer
    return optimizer, scheduler


def _step(scheduler: Any, k: int) -> None:
    """Step a scheduler, with the metric it looks at where it wants one."""
    if "metrics" in inspect.signature(scheduler.step).parameters:
        scheduler.step(METRICS[k])
    else:
        scheduler.step()


def _stored(state: Any) -> Any:
    """Return a state written by torch.save and read back; functions in it are not data, so all is loaded."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


def _entry(name: str, actual: Any, expected: float, step: int, units: float) -> Entry:
    bar = units * max(RATE, abs(expected))
    return Entry(
        name=name, actual=np.asarray(float(actual)), expected=np.asarray(expected), bar=bar, step=step, scale=RATE
    )


def _text(schedule: Schedule) -> str:
    shown = {key: value for key, value in schedule.arguments.items() if not callable(value)}
    return ", ".join(f"{key}={value}" for key, value in shown.items()) or "defaults"
