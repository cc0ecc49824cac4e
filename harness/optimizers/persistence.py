"""Whether an optimizer can be stopped, stored and resumed: the walk afterwards must be the same bit by bit.

Four steps are taken, then the optimizer is carried over, then three more steps are taken by both. What comes from a
`state_dict` is loaded into an optimizer made with other options that has already walked, so that whatever it fails to
load shows.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from harness.optimizers.findings import Entry, compared, equal, finding
from harness.optimizers.pieces import generic_pieces
from harness.optimizers.under_test import UnderTest
from harness.optimizers.walk import Options, Walk
from harness.records import Finding, Outcome

BEFORE, AFTER = 4, 3


def persistence_findings(tested: UnderTest, options: Options) -> Iterator[Finding]:
    """Yield the round trips through state_dict, torch.save, deepcopy and pickle."""
    for check, carry in (
        ("state_dict round trip", lambda walk: copy.deepcopy(walk.optimizer.state_dict())),
        ("torch.save and load", lambda walk: _stored(walk.optimizer.state_dict())),
    ):
        for dtype in (torch.float64, torch.bfloat16):
            yield _resumed(tested, options, check, carry, dtype)
    yield _copied(tested, options, "deepcopy", copy.deepcopy)
    yield _copied(tested, options, "pickle", lambda pair: pickle.loads(pickle.dumps(pair)))
    yield _left_alone(tested, options)


def _resumed(
    tested: UnderTest, options: Options, check: str, carry: Callable[[Walk], Any], dtype: torch.dtype
) -> Finding:
    """Load a state into an optimizer that has walked elsewhere, and walk on with both."""
    labels, pieces = tested.labels(options), generic_pieces(tested.needs, tested.seed, dtype=dtype)
    walk = tested.walk(options, pieces).advance(BEFORE)
    try:
        state = carry(walk)
    except (pickle.PicklingError, AttributeError, TypeError) as reason:
        return finding(labels, check, Outcome.FAIL, f"Its state cannot be stored: {reason}")
    other = tested.walk(_other(options), pieces, sign=-1.0).advance(2)
    other.optimizer.load_state_dict(state)
    with torch.no_grad():
        for mine, theirs in zip(other.parameters, walk.parameters, strict=True):
            mine.copy_(theirs)
    other.count, other.sign = walk.count, 1.0
    found = _walk_on(tested, options, check, walk, other)
    if found.outcome is Outcome.FAIL and not state.get("state"):
        found = replace(found, message=f"{found.message} Its state_dict holds no state of any parameter.")
    return replace(found, dtype=str(dtype).removeprefix("torch."))


def _copied(tested: UnderTest, options: Options, check: str, carry: Callable[[Any], Any]) -> Finding:
    """Copy an optimizer together with its parameters, and walk on with both."""
    labels, pieces = tested.labels(options), generic_pieces(tested.needs, tested.seed)
    walk = tested.walk(options, pieces).advance(BEFORE)
    for parameter in walk.parameters:
        parameter.grad = None  # sparse gradients cannot be copied everywhere, and none is needed
    try:
        optimizer, parameters = carry((walk.optimizer, walk.parameters))
    except (pickle.PicklingError, AttributeError, TypeError) as reason:
        if "local object" in str(reason) or "not the same object" in str(reason) or "Can't" in str(reason):
            return finding(labels, check, Outcome.SKIPPED, f"Its class cannot be found by name: {reason}")
        return finding(labels, check, Outcome.FAIL, f"It cannot be copied: {reason}")
    other = tested.walk(options, pieces, parameters=parameters, optimizer=optimizer, count=walk.count)
    try:
        return _walk_on(tested, options, check, walk, other)
    except Exception as reason:  # noqa: BLE001  a copy may fail in any way
        message = f"The copy cannot take a step: {type(reason).__name__}: {reason}"
        return finding(labels, check, Outcome.FAIL, message)


def _walk_on(tested: UnderTest, options: Options, check: str, walk: Walk, other: Walk) -> Finding:
    """Take further steps with both and compare everything bit by bit."""
    walk.advance(AFTER)
    other.advance(AFTER)
    expected, actual = walk.everything(), other.everything()
    odd = sorted(set(expected) ^ set(actual))
    if odd:
        which = "lost" if odd[0] in expected else "has gained"
        return finding(tested.labels(options), check, Outcome.FAIL, f"What was carried over {which} {odd[0]}.")
    pairs = [(name, actual[name], expected[name]) for name in expected]
    return equal(tested.labels(options), check, pairs, oracle="the optimizer that was not stopped")


def _left_alone(tested: UnderTest, options: Options) -> Finding:
    """Taking a state_dict must not change the optimizer it is taken of."""
    pieces = generic_pieces(tested.needs, tested.seed)
    walk, watched = (tested.walk(options, pieces).advance(BEFORE) for _ in range(2))
    watched.optimizer.state_dict()
    walk.advance(AFTER)
    watched.advance(AFTER)
    entries = [
        Entry(name=piece.name, actual=mine, expected=theirs)
        for piece, mine, theirs in zip(pieces, watched.read(), walk.read(), strict=True)
    ]
    return compared(tested.labels(options), "state_dict changes nothing", entries, oracle="the optimizer left alone")


def _other(options: Options) -> dict[str, Any]:
    """Return options with another learning rate, which loading a state must replace."""
    rate = options.get("lr")
    return {**options, "lr": rate * 1.5} if isinstance(rate, float) else dict(options)


def _stored(state: Any) -> Any:
    """Return a state written to memory by torch.save and read back as torch.load does by default."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer)
