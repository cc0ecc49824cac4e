"""Symmetries of optimizers: what must come out alike when the problem is permuted, scaled or rotated.

Permutation holds for all. Which of the others holds is known by name; a user's optimizer is held against its rule
instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from harness.optimizers.findings import Entry, Numbers, compared, equal, finding
from harness.optimizers.pieces import constant_piece, generic_pieces, quadratic
from harness.optimizers.tolerance import reference
from harness.optimizers.under_test import UnderTest
from harness.optimizers.walk import Options, Piece, Walk
from harness.records import Finding, Outcome

STEPS = 10
SCALED = 4.0
"""A power of two, so that scaling is exact."""
NO_EPS: dict[str, dict[str, Any]] = {
    "Adam": {"eps": 0.0},
    "AdamW": {"eps": 0.0},
    "Adamax": {"eps": 0.0},
    "NAdam": {"eps": 0.0},
    "RMSprop": {"eps": 0.0},
    "Adagrad": {"eps": 0.0},
    "Rprop": {},
}
"""Optimizers whose steps do not change when the loss is scaled, and how ε is taken out."""
ROTATED = {"SGD": {"lr": 0.05, "momentum": 0.8}, "ASGD": {"lr": 0.05, "lambd": 0.1}}
"""Optimizers that do not see the choice of axes."""
STILL = frozenset(
    {"SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "Adagrad", "Adadelta", "ASGD", "Adafactor",
     "Muon", "LBFGS", "SparseAdam"}
)  # fmt: skip
"""Optimizers that do not move on a zero gradient, weight decay aside."""


def invariance_findings(tested: UnderTest) -> Iterator[Finding]:
    """Yield every symmetry that is known of the optimizer."""
    yield from (_permuted(tested, options) for options in tested.generic_sets)
    if tested.name in NO_EPS:
        yield _scaled(tested, NO_EPS[tested.name])
    if tested.name in ROTATED:
        yield _rotated(tested, ROTATED[tested.name])
    if tested.name in STILL:
        yield _still(tested)


def _permuted(tested: UnderTest, options: Options) -> Finding:
    """Parameters whose rows are in another order walk to the same numbers in that order."""
    pieces = generic_pieces(tested.needs, tested.seed)
    expected = reference(tested, options, pieces, _advance)
    walk = tested.walk(options, [_reversed(piece) for piece in pieces]).advance(STEPS)
    actual = {piece.name: value[::-1] for piece, value in zip(pieces, walk.read(), strict=True)}
    only = replace(expected, numbers={name: expected.numbers[name] for name in actual})
    return only.against(actual, tested.labels(options), "permutation", oracle="the unpermuted walk", dtype="float64")


def _reversed(piece: Piece) -> Piece:
    curvature = piece.curvature
    if curvature is not None:
        curvature = curvature.reshape(piece.start.shape)[::-1].reshape(-1)
    present = None if piece.present is None else piece.present[:, ::-1]
    return replace(
        piece, start=piece.start[::-1].copy(), tilts=piece.tilts[:, ::-1].copy(), curvature=curvature, present=present
    )


def _scaled(tested: UnderTest, options: Options) -> Finding:
    """Four times the loss gives the same walk, bit by bit, without ε."""
    noise = np.random.default_rng((tested.seed, 6))
    piece = Piece(name="p", start=noise.standard_normal(6), tilts=noise.uniform(0.5, 1.5, (STEPS, 6)))
    expected = tested.walk(options, [piece]).advance(STEPS).read()
    actual = tested.walk(options, [piece], sign=SCALED).advance(STEPS).read()
    labels = tested.labels(options)
    return equal(labels, "loss times four", [("p", actual[0], expected[0])], oracle="the loss itself")


def _rotated(tested: UnderTest, options: Options) -> Finding:
    """A rotated quadratic gives the rotated walk."""
    noise = np.random.default_rng((tested.seed, 7))
    piece = quadratic(noise, (5,))
    basis, _ = np.linalg.qr(noise.standard_normal((5, 5)))
    if piece.curvature is None:
        raise ValueError("Cannot rotate: the quadratic has no curvature. Give it one.")
    turned = replace(
        piece, start=basis @ piece.start, tilts=piece.tilts @ basis.T, curvature=basis @ piece.curvature @ basis.T
    )
    expected = reference(tested, options, [piece], _advance)
    actual = basis.T @ tested.walk(options, [turned]).advance(STEPS).read()[0]
    # Rotating mixes all entries, so the widest bar of any holds for each, once per term of the sum.
    bar = 5 * float(np.max(expected.bars[piece.name]))
    entry = Entry(name=piece.name, actual=actual, expected=expected.numbers[piece.name], bar=bar)
    return compared(
        tested.labels(options), "rotation", [entry], oracle="the unrotated walk", bar_origin="perturbed walks"
    )


def _still(tested: UnderTest) -> Finding:
    """A zero gradient is no step, where nothing decays."""
    options = {name: 0.0 for name in ("weight_decay", "lambd") if tested.has(name)}
    piece = constant_piece(0.0, start=1.5, shape=(2, 3))
    pieces = [replace(piece, present=np.ones((1, 2), dtype=bool)) if tested.needs.sparse else piece]
    walk = tested.walk(options, pieces).advance(3)
    if walk.read()[0].shape != pieces[0].start.shape:
        return finding(tested.labels(options), "zero gradient", Outcome.FAIL, "The parameter's shape has changed.")
    pair: tuple[str, Numbers, Numbers] = ("constant", walk.read()[0], pieces[0].start)
    return equal(tested.labels(options), "zero gradient", [pair], oracle="standing still")


def _advance(walk: Walk) -> None:
    walk.advance(STEPS)
