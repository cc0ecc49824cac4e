"""Steps that are known in closed form, on a constant gradient (`harness.optimizers.quadratics` has those on ½·λx²).

They share nothing with the rules: no recurrence is run that an implementation could have in common with them. Each is
computed in extended precision; an optimizer's own rounding is bounded by `ROUNDINGS` units per step of the largest
number met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from harness.optimizers.findings import Entry, Numbers, compared, finding
from harness.optimizers.pieces import constant_piece
from harness.optimizers.under_test import UnderTest
from harness.optimizers.update_rule import default_dtype
from harness.optimizers.walk import Options
from harness.records import Finding, Outcome

ROUNDINGS = 64
UNIT = 2.0**-53
GRADIENT = 0.7
START = 1.25
STEPS = 12
ORIGIN = f"{ROUNDINGS} units of rounding per step"

Moves = Callable[[int], Any]
"""step (from 1) → how far the parameter moves against the gradient in that step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A closed form: the optimizer's options, and the move of each step on the constant gradient 0.7."""

    check: str
    options: Options
    move: Moves


def long(number: float) -> Any:
    """Return a number in extended precision."""
    return np.longdouble(number)


def _radam_move(step: int) -> Any:
    """Unadapted for five steps; at the sixth rectified, by ρ₆ with β₂ = .999 (L. Liu et al., 2020)."""
    if step <= 5:
        return long(0.01) * GRADIENT
    second = long(0.999)
    most = 2 / (1 - second) - 1
    length = most - 2 * step * second**step / (1 - second**step)
    rectified = np.sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length))
    root = np.sqrt(1 - second**step)
    return long(0.01) * rectified * GRADIENT * root / (root * GRADIENT + long(1e-8))


FORMS: Mapping[str, tuple[Form, ...]] = {
    "SGD": (
        Form(check="constant gradient", options={"lr": 0.1}, move=lambda k: long(0.1) * GRADIENT),
        Form(
            check="constant gradient, momentum", options={"lr": 0.1, "momentum": 0.9},
            move=lambda k: long(0.1) * GRADIENT * (1 - long(0.9) ** k) / (1 - long(0.9)),
        ),
    ),
    "Adam": (
        Form(
            check="constant gradient", options={"lr": 0.01},
            move=lambda k: long(0.01) * GRADIENT / (GRADIENT + long(1e-8)),
        ),
    ),
    "Adamax": (
        Form(
            check="constant gradient", options={"lr": 0.01},
            move=lambda k: long(0.01) * GRADIENT / (GRADIENT + long(1e-8)),
        ),
    ),
    "RMSprop": (
        Form(
            check="constant gradient", options={"lr": 0.01},
            move=lambda k: long(0.01) * GRADIENT / (np.sqrt(1 - long(0.99) ** k) * GRADIENT + long(1e-8)),
        ),
    ),
    "Adagrad": (
        Form(
            check="constant gradient", options={"lr": 0.1},
            move=lambda k: long(0.1) * GRADIENT / (np.sqrt(long(k)) * GRADIENT + long(1e-10)),
        ),
    ),
    "Adadelta": (
        Form(
            check="first step", options={},
            move=lambda k: np.sqrt(long(1e-6)) / np.sqrt((1 - long(0.9)) * GRADIENT**2 + long(1e-6)) * GRADIENT,
        ),
    ),
    "RAdam": (Form(check="unadapted, then rectified", options={"lr": 0.01}, move=_radam_move),),
    "Rprop": (
        Form(
            check="constant gradient", options={"lr": 0.01},
            move=lambda k: long(0.01) * long(1.2) ** (k - 1),
        ),
    ),
}  # fmt: skip
"""By optimizer. The moves are those of algorithm and defaults as published; see PyTorch's documentation for both."""


def closed_form_findings(tested: UnderTest) -> Iterator[Finding]:
    """Yield every closed form that is known of the optimizer."""
    for form in FORMS.get(tested.name, ()):
        yield _constant(tested, form)
    if tested.name == "AdamW":
        yield _decay(tested)
    if tested.name == "ASGD":
        yield from (_averaged(tested, t0) for t0 in (0.0, 3.0))


def _constant(tested: UnderTest, form: Form) -> Finding:
    """Compare positions under a constant gradient."""
    steps = 1 if form.check == "first step" else STEPS
    walk = tested.walk(form.options, [constant_piece(GRADIENT, START)])
    entries, position, largest = [], long(START), long(START)
    for step in range(1, steps + 1):
        walk.step()
        position = position - form.move(step)
        largest = max(largest, abs(position))
        entries.append(entry(walk.read()[0], position, step, largest))
    return found(tested, form.options, f"closed form: {form.check}", entries)


def _decay(tested: UnderTest) -> Finding:
    """AdamW without a gradient shrinks by 1 − ηλ at every step."""
    options = {"lr": 0.1, "weight_decay": 0.3}
    walk = tested.walk(options, [constant_piece(0.0, START)])
    entries = []
    for step in range(1, STEPS + 1):
        walk.step()
        position = START * (1 - long(0.1) * long(0.3)) ** step
        entries.append(entry(walk.read()[0], position, step, long(START)))
    return found(tested, options, "closed form: decay without gradient", entries)


def _averaged(tested: UnderTest, t0: float) -> Finding:
    """ASGD's state holds the mean of its iterates from step t₀ + 2 on, and until then the last one.

    No step depends on it, so that no rule of the steps sees it. μ_t = 1/max(1, t − t₀) is used one step later, as η is;
    both are held in PyTorch's default dtype.
    """
    options = {"lr": 0.1, "lambd": 0.1, "t0": t0}
    check, name = "closed form: averaged iterates", "state of constant['ax']"
    walk, entries = tested.walk(options, [constant_piece(GRADIENT, START)]), []
    iterates: list[Numbers] = []
    for step in range(1, STEPS + 1):
        with default_dtype(torch.float64):
            iterates.append(walk.advance(1).read()[0])
        actual = walk.states().get(name)
        if actual is None:
            return finding(tested.labels(options), check, Outcome.FAIL, f"There is no {name}.")
        expected = np.mean(np.asarray(iterates[min(int(t0) + 1, step - 1) :], np.longdouble), axis=0)
        entries.append(replace(entry(actual, expected, step, START), name="the average"))
    return found(tested, options, check, entries)


def entry(actual: Numbers, expected: Any, step: int, largest: Any) -> Entry:
    """Compare positions after a step, of which `largest` is the largest number met."""
    bar = float(ROUNDINGS * step * UNIT * largest)
    return Entry(name="x", actual=actual, expected=np.atleast_1d(np.asarray(expected, np.float64)), bar=bar, step=step)


def found(tested: UnderTest, options: Options, check: str, entries: list[Entry]) -> Finding:
    """Compare positions with a closed form."""
    return compared(
        tested.labels(options), check, entries, oracle="the closed form", bar_origin=ORIGIN, independent=True
    )
