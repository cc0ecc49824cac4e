"""SGD on ½·Σλx²: what is known of its steps in closed form.

Positions are powers of the step's matrix, and sums of powers of its eigenvalues, which say how fast a descent is: with
μ as momentum the rate is √μ exactly where (1−√μ)² ≤ ηλ ≤ (1+√μ)², and slower outside; without, η = 2/(λ_min+λ_max) is
best, with rate (κ−1)/(κ+1) (B. T. Polyak, 1964; L. Lessard, B. Recht, A. Packard, 2016). No rule's recurrence is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from harness.optimizers.closed_forms import START, STEPS, entry, found, long
from harness.optimizers.findings import holds
from harness.optimizers.under_test import UnderTest
from harness.optimizers.walk import Options, Piece
from harness.records import Finding

CURVATURE = 2.0
QUADRATICS: tuple[tuple[dict[str, Any], float], ...] = (
    ({"lr": 0.3}, 2.0),
    ({"lr": 0.3, "momentum": 0.6}, 2 * 1.6),
    ({"lr": 0.3, "momentum": 0.6, "nesterov": True}, 2 * 1.6 / (1 + 2 * 0.6)),
)
"""Options, and the bound of ηλ below which the descent on ½·λx² is stable.

Plain: |1 − ηλ| < 1. With momentum the roots of z² − (1+μ−ηλ)z + μ lie inside the unit circle, with Nesterov's those of
z² − (1+μ)(1−ηλ)z + μ(1−ηλ).
"""
EXTREMES = (0.5, 4.0)
"""λ_min and λ_max of the quadratic on which the best rate is taken."""
MOMENTUM, RATE = 0.6, 0.3
SCALED = (0.02, 0.3, 1.5, 3.1, 3.18)
"""ηλ below, within and above the interval where the rate is √μ, from 0.0508 to 3.149 for μ = 0.6."""


def quadratic_findings(tested: UnderTest) -> Iterator[Finding]:
    """Yield what must hold of SGD; nothing of other optimizers."""
    if tested.name != "SGD":
        return
    for options, factor in QUADRATICS:
        yield _quadratic(tested, options)
        yield _stability(tested, options, factor)
    yield _best_rate(tested)
    yield _momentum_rate(tested)


def _best_rate(tested: UnderTest) -> Finding:
    """With η = 2/(λ_min+λ_max) both ends shrink by (κ−1)/(κ+1) at every step, one of them in turns of sign."""
    least, most = EXTREMES
    rate = (most / long(least) - 1) / (most / long(least) + 1)
    options = {"lr": 2 / (least + most)}
    walk, entries = tested.walk(options, [_parabola(*EXTREMES)]), []
    for step in range(1, STEPS + 1):
        expected = START * np.asarray([rate, -rate]) ** step
        entries.append(entry(walk.advance(1).read()[0], expected, step, long(START)))
    return found(tested, options, "closed form: best rate", entries)


def _momentum_rate(tested: UnderTest) -> Finding:
    """Compare positions with powers of both roots of z² − (1+μ−ηλ)z + μ, which have size √μ inside the interval."""
    options = {"lr": RATE, "momentum": MOMENTUM}
    curvatures = tuple(one / RATE for one in SCALED)
    scaled = long(RATE) * np.asarray(curvatures, np.longdouble)
    half = ((1 + long(MOMENTUM) - scaled) / 2).astype(np.clongdouble)
    turn = np.sqrt(half**2 - long(MOMENTUM))
    first, second = half + turn, half - turn
    # x_0 = START and x_1 = (1 − ηλ)·START, since the velocity starts as the first gradient.
    share = START * (1 - scaled - second) / (first - second)
    walk, entries = tested.walk(options, [_parabola(*curvatures)]), []
    for step in range(1, STEPS + 1):
        expected = (share * first**step + (START - share) * second**step).real
        entries.append(entry(walk.advance(1).read()[0], expected, step, 4 * long(START) * step))
    return found(tested, options, "closed form: rate with momentum", entries)


def _quadratic(tested: UnderTest, options: Options) -> Finding:
    """Compare positions on ½·λx² with powers of the step's matrix."""
    walk = tested.walk(options, [_parabola(CURVATURE)])
    matrix, power = _matrix(options), np.eye(2, dtype=np.longdouble)
    # A velocity that starts as the first gradient was at rest: x_{−1} = x_0, in Nesterov's form x_0/(1−ηλ).
    rest = 1 - long(options["lr"]) * CURVATURE if options.get("nesterov") else long(1)
    state = np.asarray([START, START / rest], dtype=np.longdouble)
    entries = []
    for step in range(1, STEPS + 1):
        walk.step()
        power = matrix @ power
        # Errors made in one step are carried on by all later ones, whose powers grow at most linearly here.
        entries.append(entry(walk.read()[0], (power @ state)[0], step, long(START) * step))
    return found(tested, options, "closed form: quadratic", entries)


def _matrix(options: Options) -> Any:
    """Return the matrix that takes (x_k, x_{k−1}) to (x_{k+1}, x_k)."""
    rate = long(options["lr"]) * CURVATURE
    momentum = long(options.get("momentum", 0.0))
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
        walk = tested.walk({**options, "lr": rate}, [_parabola(CURVATURE)]).advance(steps)
        ends.append(float(abs(walk.read()[0][0])))
    fault = None
    if not ends[0] < START / 10:
        fault = (
            f"With ηλ 2 % below {bound:.4g} the descent should shrink, but |x| is {ends[0]:.3g} after {steps} steps."
        )
    elif not ends[1] > START * 10:
        fault = f"With ηλ 2 % above {bound:.4g} it should grow, but |x| is {ends[1]:.3g} after {steps} steps."
    return holds(tested.labels(options), "closed form: stability", fault, f"Stable exactly below ηλ = {bound:.4g}.")


def _parabola(*curvatures: float) -> Piece:
    size = len(curvatures)
    return Piece(name="x", start=np.full(size, START), tilts=np.zeros((1, size)), curvature=np.asarray(curvatures))
