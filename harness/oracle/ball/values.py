"""Arrays of balls: NumPy object arrays of Arb's numbers or power series in t, and how they are made and read.

An entry that does not depend on t is a plain `arb` (`acb` where the array is complex); one that does is an `arb_series`
(`acb_series`). Nothing here knows an operator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from flint import acb, acb_series, arb, arb_series, ctx, fmpz
from torch import Tensor

from harness.oracle.ball.errors import LostTermError

Entry = Any
"""One of arb, acb, arb_series, acb_series: python-flint's types are untyped."""
Array = np.ndarray[Any, Any]

SERIES = (arb_series, acb_series)
COMPLEX = (acb, acb_series)
ZERO, ONE = arb(0), arb(1)
SMALLEST = 5e-324
MANTISSA = 53


class Balls:
    """A tensor of balls.

    `active` marks the entries that may differ from the constant evaluation (None: not one does); `complex` says which
    of Arb's types the entries have.
    """

    __slots__ = ("active", "complex", "data")

    def __init__(self, data: Array, *, active: Array | None = None, complex: bool = False) -> None:
        self.data, self.complex = data, complex
        self.active = active if active is not None and bool(active.any()) else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return tuple(self.data.shape)

    @property
    def size(self) -> int:
        """Number of entries."""
        return int(self.data.size)

    def flat(self) -> list[Entry]:
        """All entries, row by row."""
        entries: list[Entry] = self.data.reshape(-1).tolist()
        return entries

    def reshape(self, shape: Sequence[int]) -> Balls:
        """The same entries in another shape."""
        active = None if self.active is None else self.active.reshape(shape)
        return Balls(self.data.reshape(shape), active=active, complex=self.complex)

    def broadcast(self, shape: Sequence[int]) -> Balls:
        """The same entries repeated along new or singleton axes."""
        active = None if self.active is None else np.broadcast_to(self.active, shape)
        return Balls(np.broadcast_to(self.data, shape), active=active, complex=self.complex)

    def moveaxis(self, source: int | Sequence[int], target: int | Sequence[int]) -> Balls:
        """The same entries with axes moved, as `numpy.moveaxis`."""
        active = None if self.active is None else np.moveaxis(self.active, source, target)
        return Balls(np.moveaxis(self.data, source, target), active=active, complex=self.complex)

    def to_complex(self) -> Balls:
        """The same numbers as complex ones."""
        if self.complex:
            return self
        return Balls(make((as_complex(entry) for entry in self.flat()), self.shape), active=self.active, complex=True)


def make(entries: Iterable[Entry], shape: Sequence[int]) -> Array:
    """Put entries into an object array (a plain assignment would unpack series, which are sequences)."""
    return np.fromiter(entries, dtype=object, count=math.prod(shape)).reshape(tuple(shape))


def number(value: Any) -> Entry:
    """A Python number, exactly: integers of any size, floats as the double they are."""
    if isinstance(value, complex):
        return acb(arb(value.real), arb(value.imag))
    return arb(fmpz(int(value))) if isinstance(value, int) else arb(value)


def from_tensor(tensor: Tensor) -> Balls:
    """Every entry of a tensor, exactly."""
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor._is_zerotensor():  # autograd's zeros without storage
        tensor = torch.zeros(tensor.shape, dtype=tensor.dtype)
    entries = tensor.reshape(-1).tolist()
    return Balls(make((number(entry) for entry in entries), tensor.shape), complex=tensor.is_complex())


def constants(value: complex, shape: Sequence[int] = ()) -> Balls:
    """A tensor of one number."""
    entry = number(value)
    return Balls(make((entry for _ in range(math.prod(shape))), shape), complex=isinstance(entry, acb))


def is_complex(entry: Entry) -> bool:
    """Whether an entry is of one of the complex types."""
    return isinstance(entry, COMPLEX)


def as_complex(entry: Entry) -> Entry:
    """An entry as a complex one."""
    if isinstance(entry, COMPLEX):
        return entry
    return acb_series(entry) if isinstance(entry, arb_series) else acb(entry)


def terms(entry: Entry) -> list[Entry]:
    """All known coefficients of an entry: one for a constant, `prec` of them for a series (trailing zeros included)."""
    if isinstance(entry, SERIES):
        return [entry[k] for k in range(entry.prec)]
    return [entry]


def series(coefficients: Sequence[Entry], length: int) -> Entry:
    """A power series known to O(t^length)."""
    complex_ = any(isinstance(c, acb) for c in coefficients)
    return (acb_series if complex_ else arb_series)(list(coefficients[:length]), prec=length)


def real_part(entry: Entry) -> Entry:
    """Real part of an entry."""
    return _part(entry, "real")


def imaginary_part(entry: Entry) -> Entry:
    """Imaginary part of an entry."""
    return _part(entry, "imag")


def _part(entry: Entry, which: str) -> Entry:
    if isinstance(entry, acb_series):
        return arb_series([getattr(c, which) for c in terms(entry)], prec=entry.prec)
    if isinstance(entry, acb):
        return getattr(entry, which)
    return entry if which == "real" else ZERO


def join(real: Entry, imaginary: Entry) -> Entry:
    """The complex entry real + i·imaginary."""
    if not isinstance(real, arb_series) and not isinstance(imaginary, arb_series):
        return acb(real, imaginary)
    return as_complex(real) + as_complex(imaginary) * acb(0, 1)


def constant_term(entry: Entry) -> Entry:
    """The value at t = 0."""
    return entry[0] if isinstance(entry, SERIES) else entry


def coefficient(entry: Entry, order: int) -> Entry:
    """The coefficient of t^order; NaN where the value itself is not finite.

    Raises:
        LostTermError: when the series is not known that far.
    """
    if isinstance(entry, SERIES):
        if entry.prec <= order:
            raise LostTermError
        return entry[order] if entry[0].is_finite() else not_a_number(entry)
    if order == 0:
        return entry
    zero = acb(0) if isinstance(entry, acb) else ZERO
    return zero if entry.is_finite() else not_a_number(entry)


def not_a_number(like: Entry) -> Entry:
    """The ball that says nothing, of an entry's kind."""
    return acb(arb.nan(), arb.nan()) if is_complex(like) else arb.nan()


def to_double(ball: Entry) -> tuple[float, float]:
    """A real ball as a double and a bar: |true − double| ≤ bar, rounded up.

    (NaN, inf) for a ball that says nothing; (±inf, 0) where every number of the ball rounds to that infinity.
    """
    if not ball.is_finite():
        if ball == arb.pos_inf() or ball == arb.neg_inf():
            return (math.inf if ball > 0 else -math.inf), 0.0
        return math.nan, math.inf
    value = float(ball.mid())
    if math.isinf(value):
        largest = arb(float(np.finfo(np.float64).max))
        beyond = ball > largest if value > 0 else ball < -largest
        return (value, 0.0) if beyond else (math.nan, math.inf)
    gap = ball - arb(value)
    return value, 0.0 if gap.is_zero() else max(math.nextafter(float(abs(gap).upper()), math.inf), SMALLEST)


def spanning_double(first: Entry, second: Entry) -> tuple[float, float]:
    """A double and a bar that span two balls (which may be one); where one of them says nothing, they say nothing."""
    if first is second or not (first.is_finite() and second.is_finite()):
        return to_double(first if not first.is_finite() or first is second else second)
    value = float(((first + second) / 2).mid())
    if math.isinf(value):
        return math.nan, math.inf
    gaps = [ball - arb(value) for ball in (first, second)]
    if all(gap.is_zero() for gap in gaps):
        return value, 0.0
    return value, max(math.nextafter(max(float(abs(gap).upper()) for gap in gaps), math.inf), SMALLEST)


def tail_of(ball: Entry, value: float) -> float:
    """What is left of a ball's midpoint without a double, as a double; 0 where one of them is not finite."""
    return float((ball - arb(value)).mid()) if ball.is_finite() and math.isfinite(value) else 0.0


def radius_bits(balls: Iterable[Entry], most: int) -> int | None:
    """The largest b ≤ `most` such that the radius of each finite ball is below 2⁻ᵇ of its magnitude.

    A ball with zero in it is held against the largest magnitude; None where no ball is known not to be zero.
    """
    finite = [ball for ball in balls if ball.is_finite()]
    sizes = [arb(0) if ball.contains(0) else abs(ball.mid()) for ball in finite]
    largest = arb(0)
    for size in sizes:
        largest = size if size > largest else largest
    if largest.is_zero():
        return None
    found = most
    for ball, size in zip(finite, sizes, strict=True):
        if not ball.rad().is_zero():
            ratio = (largest if size.is_zero() else size) / ball.rad()
            found = min(found, math.floor(float((ratio.log() / arb(2).log()).lower())))
    return max(0, found)


def is_tight(ball: Entry, bits: int, floor: Entry) -> bool:
    """Whether a ball's radius is below 2^-bits of its magnitude, or below `floor`."""
    if not ball.is_finite():
        return bool(ball == arb.pos_inf() or ball == arb.neg_inf())
    radius = ball.rad()
    return bool(radius <= floor) or bool(radius * (arb(2) ** bits) <= abs(ball.mid()))


@contextmanager
def working_precision(bits: int, length: int) -> Iterator[None]:
    """Compute balls to some bits and series to some length; Arb keeps both in one global context."""
    saved = ctx.prec, ctx.cap
    ctx.prec, ctx.cap = bits, length
    try:
        yield
    finally:
        ctx.prec, ctx.cap = saved


def is_integral(tensor: Tensor) -> bool:
    """Whether a tensor holds integers or truth values."""
    return not (tensor.is_floating_point() or tensor.is_complex())


def dtype_is_integral(dtype: torch.dtype) -> bool:
    """Whether a dtype holds integers or truth values."""
    return not (dtype.is_floating_point or dtype.is_complex)
