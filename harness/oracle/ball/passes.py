"""Passes of one lowered graph at a point: the values in balls, and their Taylor coefficients along directions.

Which precision, which directions, and what to make of the balls is `oracle`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

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
    as_complex,
    coefficient,
    from_tensor,
    imaginary_part,
    is_integral,
    make,
    not_a_number,
    real_part,
    working_precision,
)
from harness.oracle.ball.walk import Walk
from harness.oracle.flat import FlatSubject

MOST_EXTRA_TERMS = 4
"""Terms a series may be longer than asked for, where divisions and roots at zero lose some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taylor:
    """Coefficients of t¹ … tᵏ of every output along one direction.

    `terms[k − 1][j]` is that of tᵏ in output j, NaN where the function jumps; `tied` says that they hold for t → 0⁺ only.
    """

    terms: tuple[tuple[Entry, ...], ...]
    tied: bool


class Passes:
    """A subject's graph in ball arithmetic at one point.

    Args:
        flat: the subject at the point: N real inputs, M real outputs.
        work: counter of what the passes cost.

    Raises:
        NotCertifiedError: when there is no graph.
    """

    def __init__(self, flat: FlatSubject, work: Work) -> None:
        subject = replace(flat.subject, function=flat.call, intermediates=None)
        point = Point(name="ball", values=flat.values, sizes={}, seed=None)
        module, self._names, self._outputs = lower(subject, point)
        self._interpreter = Interpreter(module)
        self._flat, self._work = flat, work
        self._inputs = {name: value if is_integral(value) else from_tensor(value) for name, value in flat.values.items()}
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

    def along(self, direction: Sequence[Any], order: int) -> Taylor:
        """Enclose the Taylor coefficients along a direction (N exact numbers) up to an order."""
        for extra in range(0, MOST_EXTRA_TERMS + 1, 2):
            try:
                with working_precision(self.bits, order + 1 + extra):
                    return self._along(direction, order, order + 1 + extra)
            except LostTermError:
                continue
        nothing = tuple(not_a_number(value) for value in self._values)
        return Taylor(terms=(nothing,) * order, tied=True)

    def _along(self, direction: Sequence[Any], order: int, length: int) -> Taylor:
        inputs, changed = self._seeded(direction, length)
        walk = Walk(self._work, self._base)
        found = self._interpreter.walk(walk, inputs, changed)
        if walk.tied:
            walk = Walk(self._work, self._base, dense=True)
            found = self._interpreter.walk(walk, inputs, changed)
        entries = self._flatten(found)
        jumps = [walk.tied and _jumps(entry, value) for entry, value in zip(entries, self._values, strict=True)]
        rows = tuple(
            tuple(arb.nan() if jump else coefficient(entry, k) for entry, jump in zip(entries, jumps, strict=True))
            for k in range(1, order + 1)
        )
        return Taylor(terms=rows, tied=walk.tied)

    def _seeded(self, direction: Sequence[Any], length: int) -> tuple[tuple[Any, ...], frozenset[int]]:
        """Inputs x + t·direction, and which of them move."""
        seeded = dict(self._inputs)
        moving = set()
        for block in self._flat.blocks:
            part = direction[block.start : block.stop]
            if any(part):
                seeded[block.name] = _moved(self._inputs[block.name], part, length, pairs=block.complex)
                moving.add(self._names.index(block.name))
        return tuple(seeded[name] for name in self._names), frozenset(moving)

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


def _moved(value: Balls, part: Sequence[Any], length: int, *, pairs: bool) -> Balls:
    steps = [acb(arb(re), arb(im)) for re, im in zip(part[::2], part[1::2], strict=True)] if pairs else [arb(v) for v in part]
    kind = acb_series if pairs else arb_series
    entries, active = [], []
    for entry, step in zip(value.flat(), steps, strict=True):
        moves = not step == 0
        active.append(moves)
        start = as_complex(entry) if pairs else entry
        entries.append(kind([start, step], prec=length) if moves else entry)
    return Balls(make(entries, value.shape), active=np.array(active).reshape(value.shape), complex=pairs)


def _jumps(entry: Entry, value: Entry) -> bool:
    """Whether an output's limit for t → 0⁺ is certainly not its value at 0."""
    limit = coefficient(entry, 0)
    return bool(limit.is_finite() and value.is_finite() and not limit.overlaps(value))
