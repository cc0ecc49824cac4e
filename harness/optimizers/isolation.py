"""What must not touch what: parameters each other, groups each other, and steps parameters that have no gradient.

LBFGS and others that need a closure treat all parameters as one vector, for which none of this holds; they are skipped.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from harness.optimizers.findings import Numbers, equal, finding
from harness.optimizers.pieces import generic_pieces
from harness.optimizers.under_test import UnderTest
from harness.optimizers.variants import STEPS, drive
from harness.optimizers.walk import Options, Piece, Walk
from harness.records import Finding, Outcome

AT_CONSTRUCTION = {"Adagrad": ("initial_accumulator_value",)}
"""Options that act when the optimizer is made, which groups are checked for one by one."""
Named = Mapping[str, Numbers]
ALONE = "each parameter alone"


def isolation_findings(tested: UnderTest, options: Options) -> Iterator[Finding]:
    """Yield that parameters, groups and steps without a gradient are independent."""
    if tested.needs.closure:
        message = "It needs a closure and treats all parameters as one vector."
        yield finding(tested.labels(options), "parameters are independent", Outcome.SKIPPED, message)
        return
    yield _independent(tested, options)
    yield from _absent(tested, options)
    yield _frozen(tested, options)
    if tested.needs.one_group:
        yield finding(tested.labels(options), "groups", Outcome.SKIPPED, "It refuses a second parameter group.")
        return
    yield _groups(tested, options)
    yield from (_group_option(tested, options, option) for option in AT_CONSTRUCTION.get(tested.name, ()))
    yield _maximize_by_group(tested, options)
    yield _added_group(tested, options)


def _independent(tested: UnderTest, options: Options) -> Finding:
    """Three parameters of one optimizer walk as three optimizers do with one each."""
    pieces = generic_pieces(tested.needs, tested.seed)
    together = tested.walk(options, pieces).advance(STEPS).everything()
    apart: dict[str, Numbers] = {}
    for piece in pieces:
        apart |= tested.walk(options, [piece]).advance(STEPS).everything()
    return _same(tested, options, "parameters are independent", together, apart, ALONE)


def _absent(tested: UnderTest, options: Options) -> Iterator[Finding]:
    """A parameter without a gradient keeps its value and state, at the first step and later."""
    pieces = generic_pieces(tested.needs, tested.seed)
    for when in (0, 3):
        walk = tested.walk(options, pieces).advance(when)
        before = _of(walk, pieces[1])
        walk.step(frozenset({1}))
        after = {name: value for name, value in _of(walk, pieces[1]).items() if name in before or when}
        check = f"no gradient, no step ({'first step' if when == 0 else 'later'})"
        yield _same(tested, options, check, after, before, "the parameter before the step")


def _frozen(tested: UnderTest, options: Options) -> Finding:
    """Where a gradient was missing, the parameter walks on as if those steps had not been."""
    pieces = generic_pieces(tested.needs, tested.seed)
    walk = tested.walk(options, pieces)
    drive(walk)
    actual = walk.everything()
    expected: dict[str, Numbers] = {}
    for piece, left_out in zip(pieces, ((), (1,), (2, 3)), strict=True):
        kept = [step for step in range(STEPS) if step not in left_out]
        present = None if piece.present is None else piece.present[kept]
        alone = replace(piece, tilts=piece.tilts[kept], present=present)
        expected |= tested.walk(options, [alone]).advance(len(kept)).everything()
    return _same(tested, options, "frozen and thawed", actual, expected, "a walk without the steps left out")


def _groups(tested: UnderTest, options: Options) -> Finding:
    """Two groups with options of their own walk as two optimizers."""
    pieces = generic_pieces(tested.needs, tested.seed)
    second = dict(tested.sets[-1])
    if second == dict(options):
        second = dict(tested.sets[len(tested.sets) // 2])
    common, groups = _grouped(tested, options, second)
    together = tested.walk(common, pieces, groups=groups).advance(STEPS).everything()
    apart = tested.walk({**common, **groups[0]}, [pieces[0], pieces[2]]).advance(STEPS).everything()
    apart |= tested.walk({**common, **groups[1]}, [pieces[1]]).advance(STEPS).everything()
    return _same(tested, options, "groups keep their options", together, apart, "an optimizer for each group")


def _group_option(tested: UnderTest, options: Options, option: str) -> Finding:
    """An option that acts when the optimizer is made is a group's own, too."""
    pieces = generic_pieces(tested.needs, tested.seed)[:2]
    value = 2.0 * float(options.get(option, tested.defaults[option])) + 0.25
    groups = [dict(options), {**options, option: value}]
    together = tested.walk({}, pieces, groups=groups).advance(STEPS).everything()
    apart = tested.walk(groups[0], pieces[:1]).advance(STEPS).everything()
    apart |= tested.walk(groups[1], pieces[1:]).advance(STEPS).everything()
    return _same(tested, options, f"{option} by group", together, apart, "an optimizer for each group")


def _maximize_by_group(tested: UnderTest, options: Options) -> Finding:
    """`maximize` holds for the group that sets it alone."""
    check = "maximize by group"
    if not tested.has("maximize"):
        return finding(tested.labels(options), check, Outcome.SKIPPED, "It has no option maximize.")
    pieces = generic_pieces(tested.needs, tested.seed)
    common, groups = _grouped(tested, {**options, "maximize": False}, {**options, "maximize": True})
    together = tested.walk(common, pieces, groups=groups).advance(STEPS).everything()
    apart = tested.walk({**common, **groups[0]}, [pieces[0], pieces[2]]).advance(STEPS).everything()
    apart |= tested.walk({**common, **groups[1]}, [pieces[1]]).advance(STEPS).everything()
    return _same(tested, options, check, together, apart, "an optimizer for each group")


def _added_group(tested: UnderTest, options: Options) -> Finding:
    """A group added on the way walks as with an optimizer of its own."""
    pieces = generic_pieces(tested.needs, tested.seed)
    walk = tested.walk(options, pieces[:1]).advance(2)
    late = tested.walk(options, pieces[1:2])
    walk.optimizer.add_param_group({"params": late.parameters})
    walk.parameters += late.parameters
    walk.pieces = pieces[:2]
    walk.advance(STEPS - 2)
    expected = tested.walk(options, pieces[:1]).advance(STEPS).everything()
    moved = replace(
        pieces[1],
        tilts=np.roll(pieces[1].tilts, -2, axis=0),
        present=None if pieces[1].present is None else np.roll(pieces[1].present, -2, axis=0),
    )
    expected |= tested.walk(options, [moved]).advance(STEPS - 2).everything()
    return _same(tested, options, "a group added later", walk.everything(), expected, "an optimizer of its own")


def _grouped(tested: UnderTest, first: Options, second: Options) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what all groups share (options that have no default), and two groups' own options.

    A group that leaves an option out gets the optimizer's default for it, which is the constructor's argument.
    """
    required, making = inspect.Parameter.empty, AT_CONSTRUCTION.get(tested.name, ())
    shared = {
        key: value for key, value in first.items() if tested.defaults.get(key, required) is required or key in making
    }
    second = {**second, **{key: first.get(key, tested.defaults[key]) for key in making}}
    return shared, [dict(first), dict(second)]


def _of(walk: Walk, piece: Piece) -> dict[str, Numbers]:
    """Return one parameter of a walk with its state."""
    return {name: value for name, value in walk.everything().items() if name in (piece.name, f"state of {piece.name}")
            or name.startswith(f"state of {piece.name}[")}  # fmt: skip


def _same(
    tested: UnderTest,
    options: Options,
    check: str,
    actual: dict[str, Numbers],
    expected: dict[str, Numbers],
    oracle: str,
) -> Finding:
    """Compare two sets of named arrays bit by bit, names included."""
    odd = sorted(set(actual) ^ set(expected))
    if odd:
        who = "the optimizer" if odd[0] in actual else oracle
        return finding(tested.labels(options), check, Outcome.FAIL, f"Only {who} has {odd[0]}.")
    pairs = [(name, actual[name], expected[name]) for name in expected]
    return equal(tested.labels(options), check, pairs, oracle=oracle)
