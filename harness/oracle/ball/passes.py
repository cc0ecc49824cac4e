"""Passes of one lowered graph at a point: the values in balls, and their Taylor coefficients along directions.

Which precision, which directions, and what to make of the balls is `oracle`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from flint import acb, acb_series, arb, arb_series
from torch import Tensor

from harness.case.subject import Point
from harness.oracle.ball.budget import Work
from harness.oracle.ball.errors import LostTermError, NotCertifiedError
from harness.oracle.ball.interpret import Interpreter
from harness.oracle.ball.lowering import lower
from harness.oracle.ball.values import (
    Balls,
    Entry,
    coefficient,
    from_tensor,
    imaginary_part,
    is_integral,
    not_a_number,
    real_part,
    working_precision,
)
from harness.oracle.ball.walk import Walk
from harness.oracle.flat import FlatSubject

Direction = Mapping[int, Any]
"""Steps of the flat inputs that move, by place: floats or exact balls, none of them zero."""
MOST_EXTRA_TERMS = 4
"""Terms a series may be longer than asked for, where divisions and roots at zero lose some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taylor:
    """Coefficients of t¹ … tᵏ of the outputs along one direction.

    `terms[k − 1][j]` is that of tᵏ in output j, NaN where the function jumps; outputs that are absent do not change.
    `tied` says that the terms hold for t → 0⁺ only.
    """

    terms: tuple[Mapping[int, Entry], ...]
    tied: bool


_KNOWN: WeakKeyDictionary[FlatSubject, tuple[Interpreter, tuple[str, ...], int]] = WeakKeyDictionary()
"""Graphs of subjects at points that are still looked at: tracing one costs more than most passes through it."""


def _interpreter(flat: FlatSubject) -> tuple[Interpreter, tuple[str, ...], int]:
    """A subject's graph at a point, ready to be interpreted, with its inputs' names and the number of its outputs."""
    if flat not in _KNOWN:
        subject = replace(flat.subject, function=flat.call, intermediates=None)
        module, names, outputs = lower(subject, Point(name="ball", values=flat.values, sizes={}, seed=None))
        _KNOWN[flat] = (Interpreter(module), names, outputs)
    return _KNOWN[flat]


class Passes:
    """A subject's graph in ball arithmetic at one point.

    Args:
        flat: the subject at the point: N real inputs, M real outputs.
        work: counter of what the passes cost.

    Raises:
        NotCertifiedError: when there is no graph.
    """

    def __init__(self, flat: FlatSubject, work: Work) -> None:
        self._interpreter, self._names, self._outputs = _interpreter(flat)
        self._flat, self._work = flat, work
        self._inputs = {
            name: value if is_integral(value) else from_tensor(value) for name, value in flat.values.items()
        }
        self.bits = 0
        self._base: Walk | None = None
        self._values: list[Entry] = []

    def values(self, bits: int) -> list[Entry]:
        """Enclose the outputs (M) at a precision; later passes build on it."""
        with working_precision(bits, 1):
            self.bits, self._base = bits, Walk(self._work)
            inputs = tuple(self._inputs[name] for name in self._names)
            self._values = self._flatten(self._interpreter.walk(self._base, inputs, frozenset()))
        return self._values

    def along(self, direction: Direction, order: int) -> Taylor:
        """Enclose the Taylor coefficients along a direction up to an order."""
        for extra in range(0, MOST_EXTRA_TERMS + 1, 2):
            try:
                with working_precision(self.bits, order + 1 + extra):
                    return self._along(direction, order, order + 1 + extra)
            except LostTermError:
                continue
        nothing = {place: not_a_number(value) for place, value in enumerate(self._values)}
        return Taylor(terms=(nothing,) * order, tied=True)

    def _along(self, direction: Direction, order: int, length: int) -> Taylor:
        inputs, changed = self._seeded(direction, length)
        walk = Walk(self._work, self._base, needed=order + 1)
        found = self._interpreter.walk(walk, inputs, changed)
        if walk.tied:
            walk = Walk(self._work, self._base, dense=True, needed=order + 1)
            found = self._interpreter.walk(walk, inputs, changed)
        moved = self._moved_outputs(found, all_of_them=walk.tied)
        self._work.charge(len(moved))
        terms: tuple[dict[int, Entry], ...] = tuple({} for _ in range(order))
        for place, entry in moved:
            jump = walk.tied and _jumps(entry, self._values[place])
            for k in range(order):
                terms[k][place] = arb.nan() if jump else coefficient(entry, k + 1)
        return Taylor(terms=terms, tied=walk.tied)

    def _seeded(self, direction: Direction, length: int) -> tuple[tuple[Any, ...], frozenset[int]]:
        """Inputs x + t·direction, and which of them move."""
        seeded = dict(self._inputs)
        moving = set()
        for block in self._flat.blocks:
            part = {place - block.start: step for place, step in direction.items() if block.start <= place < block.stop}
            if part:
                value = Walk(self._work).ball(self._inputs[block.name])
                seeded[block.name] = _moved(value, part, length, pairs=block.complex)
                moving.add(self._names.index(block.name))
        return tuple(seeded[name] for name in self._names), frozenset(moving)

    def _moved_outputs(self, returned: list[Any], *, all_of_them: bool) -> list[tuple[int, Entry]]:
        """Places and entries of the outputs that may have changed (see `_flatten` for the places)."""
        found: list[tuple[int, Entry]] = []
        start = 0
        for value in returned[: self._outputs]:
            if not isinstance(value, Balls):
                continue
            width = 2 if value.complex else 1
            entries = value.data.reshape(-1)
            nowhere = np.zeros(0, dtype=np.int64) if value.active is None else np.flatnonzero(value.active)
            places = list(range(value.size)) if all_of_them else nowhere.tolist()
            for place in places:
                entry = entries[place]
                parts = (real_part(entry), imaginary_part(entry)) if value.complex else (entry,)
                found.extend((start + width * place + k, part) for k, part in enumerate(parts))
            start += width * value.size
        return found

    def _flatten(self, returned: list[Any]) -> list[Entry]:
        """Outputs as one list of real entries: complex ones are pairs, integers are left out."""
        entries: list[Entry] = []
        for value in returned[: self._outputs]:
            if isinstance(value, Balls):
                for entry in value.flat():
                    entries.extend((real_part(entry), imaginary_part(entry)) if value.complex else (entry,))
            elif not isinstance(value, Tensor):
                raise NotCertifiedError("an output is not a tensor of numbers")
        return entries


def _moved(value: Balls, part: Mapping[int, Any], length: int, *, pairs: bool) -> Balls:
    """Entries x + t·step; the places of a complex tensor count real and imaginary parts."""
    data, active = value.data.reshape(-1).copy(), np.zeros(value.size, dtype=bool)
    steps: dict[int, Any] = {}
    for place, step in part.items():
        exact: Any = arb(step)
        if pairs:
            where, exact = place // 2, acb(0, exact) if place % 2 else acb(exact)
        else:
            where = place
        steps[where] = steps[where] + exact if where in steps else exact
    kind = acb_series if pairs else arb_series
    for where, step in steps.items():
        data[where] = kind([data[where], step], prec=length)
        active[where] = True
    return Balls(data.reshape(value.shape), active=active.reshape(value.shape), complex=pairs)


def _jumps(entry: Entry, value: Entry) -> bool:
    """Whether an output's limit for t → 0⁺ is certainly not its value at 0."""
    limit = coefficient(entry, 0)
    return bool(limit.is_finite() and value.is_finite() and not limit.overlaps(value))
