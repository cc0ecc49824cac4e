"""One pass over a graph: the ways to compute entries, and the memory that lets a later pass skip what did not change.

The constant pass keeps every intermediate array. A later pass, in which some inputs are power series, recomputes only
entries that depend on them. When a tie is decided by the series (`tied`), that shortcut is not valid, as constants may
change too; the pass is then repeated with `dense` set.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from flint import arb, arb_series
from torch import Tensor

from harness.oracle.ball.budget import CHUNK, MOVES_PER_OPERATION, Work
from harness.oracle.ball.errors import LostTermError, NotCertifiedError, UndecidedError
from harness.oracle.ball.rules import Rule, find_rule
from harness.oracle.ball.values import Array, Balls, Entry, constant_term, constants, from_tensor, make, terms


class Walk:
    """State of one pass.

    Args:
        work: counter of what it costs.
        base: the constant pass, or None when this is it.
        dense: recompute everything, whether it looks changed or not.
        needed: how many terms of each series the results are asked for.
    """

    def __init__(self, work: Work, base: Walk | None = None, *, dense: bool = False, needed: int = 1) -> None:
        self.work = work
        self.base = base
        self.dense = dense
        self.needed = needed
        self.tied = False
        self.values: dict[Hashable, Any] = {}
        self.indices: dict[Hashable, Any] = {} if base is None or dense else base.indices
        self._steps: dict[Hashable, list[Any]] = {}
        self._node: Hashable = None
        self._step = 0

    def enter(self, node: Hashable) -> None:
        """Begin the operator at a node."""
        self._node, self._step = node, 0
        if self.base is None:
            self._steps[node] = []

    @property
    def node(self) -> Hashable:
        """The node whose operator is running."""
        return self._node

    def ball(self, value: Any) -> Balls:
        """Make a tensor of balls of whatever an operator may be given."""
        if isinstance(value, Balls):
            return value
        return from_tensor(value) if isinstance(value, Tensor) else constants(value)

    def rule(self, name: str, overload: str) -> Rule | None:
        """What computes an operator in this pass."""
        return find_rule(name, overload)

    def map(self, function: Callable[..., Entry], *operands: Any, complex: bool | None = None, cost: int = 1) -> Balls:
        """Apply a function of entries elementwise, with broadcasting.

        Args:
            function: of one entry per operand, to one entry.
            operands: tensors of balls or of integers, or numbers; made complex together when one of them is.
            complex: whether the result is complex; None means like the operands.
            cost: ball operations per entry.
        """
        balls = self.alike(*operands)
        out_complex = balls[0].complex if complex is None else complex
        shape = np.broadcast_shapes(*(operand.shape for operand in balls))
        known = self.recall(shape)
        active = _joint([b.active for b in balls], shape)
        if isinstance(known, Balls) and active is None:
            return known
        flats = [np.broadcast_to(operand.data, shape).reshape(-1) for operand in balls]
        if known is None or active is None:
            result = Balls(make(self._loop(function, flats, cost), shape), active=active, complex=out_complex)
            self.remember(result)
            return result if self.base is not None else Balls(result.data, complex=out_complex)
        where = np.flatnonzero(active)
        data = known.data.reshape(-1).copy()
        data[where] = make(self._loop(function, [flat[where] for flat in flats], cost), (len(where),))
        return Balls(data.reshape(shape), active=active, complex=out_complex)

    def rows(
        self,
        function: Callable[..., list[Entry]],
        operands: Sequence[Balls],
        width: int,
        *,
        cost: int,
        complex: bool | None = None,
    ) -> Balls:
        """Apply a function to each row: a list of entries per operand (R × any) to `width` entries each; R × width."""
        count = operands[0].shape[0]
        out_complex = operands[0].complex if complex is None else complex
        known = self.recall((count, width))
        touched = _touched(operands, count)
        if isinstance(known, Balls) and touched is None:
            return known
        active = None if touched is None else np.repeat(touched[:, None], width, axis=1)
        where = range(count) if known is None or touched is None else np.flatnonzero(touched).tolist()
        entries: list[Entry] = []
        for row in where:
            self.work.charge(cost)
            entries.extend(function(*(operand.data[row].reshape(-1).tolist() for operand in operands)))
        if known is None:
            result = Balls(make(entries, (count, width)), active=active, complex=out_complex)
            self.remember(result)
            return result if self.base is not None else Balls(result.data, complex=out_complex)
        data = known.data.copy()
        data[where] = make(entries, (len(where), width))
        return Balls(data, active=active, complex=out_complex)

    def decide(
        self,
        function: Callable[..., Any],
        operands: Sequence[Balls],
        width: int,
        *,
        cost: int = 1,
        dtype: Any = np.int64,
    ) -> Array:
        """Apply a function to each row as `rows` does, to `width` integers; ties it meets are kept track of."""
        count = operands[0].shape[0]
        known = self.recall((count, width))
        touched = _touched(operands, count)
        if known is not None and touched is None:
            return np.asarray(known)
        result = np.zeros((count, width), dtype=dtype) if known is None else np.array(known)
        where = range(count) if known is None or touched is None else np.flatnonzero(touched).tolist()
        for row in where:
            self.work.charge(cost)
            result[row] = function(*(operand.data[row].reshape(-1).tolist() for operand in operands))
        if known is None:
            self.remember(result)
        return result

    def alike(self, *operands: Any) -> list[Balls]:
        """Operands as balls, all complex when one of them is."""
        balls = [self.ball(operand) for operand in operands]
        return [b.to_complex() for b in balls] if any(b.complex for b in balls) else balls

    def sign(self, a: Entry, b: Entry = 0, *, pick: bool = False) -> int:
        """Sign of a − b for real entries, certified: −1, 0 or 1.

        An exact tie of the values is decided by the first term in which the two series differ, that is, for t → 0⁺.

        Args:
            a: left.
            b: right.
            pick: whether the answer only picks one of the two, so that it is of no account where all terms are equal.

        Raises:
            UndecidedError: when the balls overlap and are not exactly equal.
            LostTermError: when no known term tells series apart and the answer may matter.
        """
        if a is b:
            return 0
        value = constant_term(a)
        found = _constant_sign(value, constant_term(b))
        if found or not (isinstance(a, arb_series) or isinstance(b, arb_series)) or not arb(value).is_finite():
            return found
        known = terms(a - b)
        for term in known[1:]:
            if not term.is_zero():
                self.tied = True
                return _constant_sign(term, 0)
        if pick and len(known) >= self.needed:
            return 0
        raise LostTermError

    def _loop(self, function: Callable[..., Entry], flats: Sequence[Array], cost: int) -> list[Entry]:
        entries: list[Entry] = []
        for start in range(0, len(flats[0]), CHUNK):
            chunk = [flat[start : start + CHUNK].tolist() for flat in flats]
            self.work.charge(cost * len(chunk[0]))
            entries.extend(map(function, *chunk))
        return entries

    def recall(self, shape: tuple[int, ...]) -> Any:
        """What the constant pass found at this step, None when it has to be computed."""
        step, self._step = self._step, self._step + 1
        size = int(np.prod(shape, dtype=np.int64))
        if size > self.work.budget.entries:
            raise NotCertifiedError(f"a tensor of {size:,} entries is more than {self.work.budget.entries:,}")
        if self.base is None or self.dense:
            return None
        self.work.charge(size // MOVES_PER_OPERATION)
        return self.base._steps[self._node][step]

    def remember(self, result: Any) -> None:
        """Keep what the constant pass found at this step."""
        if self.base is None:
            self._steps[self._node].append(result)


def _constant_sign(a: Entry, b: Entry) -> int:
    if a > b:
        return 1
    if a < b:
        return -1
    if a == b:
        return 0
    raise UndecidedError


def _joint(masks: Iterable[Array | None], shape: tuple[int, ...]) -> Array | None:
    """Where any of some broadcast masks is set; None when none is."""
    joint: Array | None = None
    for mask in masks:
        if mask is not None:
            joint = np.broadcast_to(mask, shape) if joint is None else joint | mask
    return joint


def _touched(operands: Sequence[Balls], count: int) -> Array | None:
    """Which rows have an active entry; None when none has."""
    active = [b.active for b in operands if b.active is not None and count]
    return _joint((np.asarray(mask.reshape(count, -1).any(axis=1)) for mask in active), (count,))
