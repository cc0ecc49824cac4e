"""Steps that are known in closed form: on a constant gradient, or on ½·λx².

They share nothing with the rules: no recurrence is run that an implementation could have in common with them. Each is
computed in extended precision; an optimizer's own rounding is bounded by `ROUNDINGS` units per step of the largest
number met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.optimizers.findings import Entry, Numbers, compared, holds
from harness.optimizers.pieces import constant_piece
from harness.optimizers.under_test import UnderTest
from harness.optimizers.walk import Options, Piece
from harness.records import Finding

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


def _long(number: float) -> Any:
    return np.longdouble(number)


def _radam_move(step: int) -> Any:
    """Unadapted for five steps; at the sixth rectified, by ρ₆ with β₂ = .999 (L. Liu et al., 2020)."""
    if step <= 5:
        return _long(0.01) * GRADIENT
    second = _long(0.999)
    most = 2 / (1 - second) - 1
    length = most - 2 * step * second**step / (1 - second**step)
    rectified = np.sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length))
    root = np.sqrt(1 - second**step)
    return _long(0.01) * rectified * GRADIENT * root / (root * GRADIENT + _long(1e-8))


FORMS: Mapping[str, tuple[Form, ...]] = {
    "SGD": (
        Form(check="constant gradient", options={"lr": 0.1}, move=lambda k: _long(0.1) * GRADIENT),
        Form(
            check="constant gradient, momentum", options={"lr": 0.1, "momentum": 0.9},
            move=lambda k: _long(0.1) * GRADIENT * (1 - _long(0.9) ** k) / (1 - _long(0.9)),
        ),
    ),
    "Adam": (
        Form(
            check="constant gradient", options={"lr": 0.01},
            move=lambda k: _long(0.01) * GRADIENT / (GRADIENT + _long(1e-8)),
        ),
    ),
    "Adamax": (
        Form(
            check="constant gradient", options={"lr": 0.01},
            move=lambda k: _long(0.01) * GRADIENT / (GRADIENT + _long(1e-8)),
        ),
    ),
    "RMSprop": (
        Form(
            check="constant gradient", options={"lr": 0.01},
            move=lambda k: _long(0.01) * GRADIENT / (np.sqrt(1 - _long(0.99) ** k) * GRADIENT + _long(1e-8)),
        ),
    ),
    "Adagrad": (
        Form(
            check="constant gradient", options={"lr": 0.1},
            move=lambda k: _long(0.1) * GRADIENT / (np.sqrt(_long(k)) * GRADIENT + _long(1e-10)),
        ),
    ),
    "Adadelta": (
        Form(
            check="first step", options={},
            move=lambda k: np.sqrt(_long(1e-6)) / np.sqrt((1 - _long(0.9)) * GRADIENT**2 + _long(1e-6)) * GRADIENT,
        ),
    ),
    "RAdam": (Form(check="unadapted, then rectified", options={"lr": 0.01}, move=_radam_move),),
    "Rprop": (
        Form(
            check="constant gradient", options={"lr": 0.01},
            move=lambda k: _long(0.01) * _long(1.2) ** (k - 1),
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
    if tested.name == "SGD":
        for options, factor in QUADRATICS:
            yield _quadratic(tested, options)
            yield _stability(tested, options, factor)


def _constant(tested: UnderTest, form: Form) -> Finding:
    """Compare positions under a constant gradient."""
    steps = 1 if form.check == "first step" else STEPS
    walk = tested.walk(form.options, [constant_piece(GRADIENT, START)])
    entries, position, largest = [], _long(START), _long(START)
    for step in range(1, steps + 1):
        walk.step()
        position = position - form.move(step)
        largest = max(largest, abs(position))
        entries.append(_entry(walk.read()[0], position, step, largest))
    return _found(tested, form.options, f"closed form: {form.check}", entries)


def _decay(tested: UnderTest) -> Finding:
    """AdamW without a gradient shrinks by 1 − ηλ at every step."""
    options = {"lr": 0.1, "weight_decay": 0.3}
    walk = tested.walk(options, [constant_piece(0.0, START)])
    entries = []
    for step in range(1, STEPS + 1):
        walk.step()
        position = START * (1 - _long(0.1) * _long(0.3)) ** step
        entries.append(_entry(walk.read()[0], position, step, _long(START)))
    return _found(tested, options, "closed form: decay without gradient", entries)


CURVATURE = 2.0
QUADRATICS: tuple[tuple[dict[str, Any], float], ...] = (
    ({"lr": 0.3}, 2.0),
    ({"lr": 0.3, "momentum": 0.6}, 2 * 1.6),
    ({"lr": 0.3, "momentum": 0.6, "nesterov": True}, 2 * 1.6 / (1 + 2 * 0.6)),
)
"""Options, and the bound of ηλ below which the descent on ½·λx² is stable.

Plain: |1 − ηλ| < 1. With momentum the roots of z² − (1+μ−ηλ)z + μ lie inside the unit circle, with Nesterov's those of
z² − (1+μ)(1−ηλ)z + μ(1−ηλ) (B. T. Polyak, 1964; L. Lessard, B. Recht, A. Packard, 2016).
"""


def _quadratic(tested: UnderTest, options: Options) -> Finding:
    """Compare positions on ½·λx² with powers of the step's matrix."""
    walk = tested.walk(options, [_parabola()])
    matrix, power = _matrix(options), np.eye(2, dtype=np.longdouble)
    # A velocity that starts as the first gradient was at rest: x_{−1} = x_0, in Nesterov's form x_0/(1−ηλ).
    rest = 1 - _long(options["lr"]) * CURVATURE if options.get("nesterov") else _long(1)
    state = np.asarray([START, START / rest], dtype=np.longdouble)
    entries = []
    for step in range(1, STEPS + 1):
        walk.step()
        power = matrix @ power
        # Errors made in one step are carried on by all later ones, whose powers grow at most linearly here.
        entries.append(_entry(walk.read()[0], (power @ state)[0], step, _long(START) * step))
    return _found(tested, options, "closed form: quadratic", entries)


def _matrix(options: Options) -> Any:
    """Return the matrix that takes (x_k, x_{k−1}) to (x_{k+1}, x_k)."""
    rate = _long(options["lr"]) * CURVATURE
    momentum = _long(options.get("momentum", 0.0))
    if options.get("nesterov"):
        trace, determinant = (1 + momentum) * (1 - rate), momentum * (1 - rate)
    else:
        trace, determinant = 1 + momentum - rate, momentum
    return np.asarray([[trace, -determinant], [1, 0]], dtype=np.longdouble)


def _stability(tested: UnderTest, options: Options, bound: float) -> Finding:
    """Just inside the bound the descent shrinks, just outside it grows."""
    steps, ends = 400, []
    for factor in (0.98, 1.02):
        rate = factor * bound / CURVATURE
        walk = tested.walk({**options, "lr": rate}, [_parabola()]).advance(steps)
        ends.append(float(abs(walk.read()[0][0])))
    fault = None
    if not ends[0] < START / 10:
        fault = (
            f"With ηλ 2 % below {bound:.4g} the descent should shrink, but |x| is {ends[0]:.3g} after {steps} steps."
        )
    elif not ends[1] > START * 10:
        fault = f"With ηλ 2 % above {bound:.4g} it should grow, but |x| is {ends[1]:.3g} after {steps} steps."
    return holds(tested.labels(options), "closed form: stability", fault, f"Stable exactly below ηλ = {bound:.4g}.")


def _parabola() -> Piece:
    return Piece(
        name="x", start=np.asarray([START]), tilts=np.zeros((1, 1)), curvature=np.asarray([CURVATURE])
    )  # fmt: skip


def _entry(actual: Numbers, expected: Any, step: int, largest: Any) -> Entry:
    bar = float(ROUNDINGS * step * UNIT * largest)
    return Entry(name="x", actual=actual, expected=np.asarray([float(expected)]), bar=bar, step=step)


def _found(tested: UnderTest, options: Options, check: str, entries: list[Entry]) -> Finding:
    return compared(
        tested.labels(options), check, entries, oracle="the closed form", bar_origin=ORIGIN, independent=True
    )
