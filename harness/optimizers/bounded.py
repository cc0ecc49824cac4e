"""Arrays that carry a bound of their own rounding error: what an update rule is run with.

A value is held in extended precision (`numpy.longdouble`) next to a bound of how far a computation of the same formula
in the dtype under test may be from it. Every operation adds the unit roundoff of its result to what its operands bring
along: running error analysis (J. H. Wilkinson; N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
section 3.3), to first order. The bound follows the formula as written; that another order of operations may round a
few times more is `SLACK`'s matter.

A branch that rounding could take the other way cannot be bounded: it raises `UndecidedError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = Any
Parts = tuple[Array, Array]

SLACK = 4.0
"""Factor on the bound, for implementations that round up to four times where the formula rounds once."""
FLOAT64_UNIT = 2.0**-53


class UndecidedError(ArithmeticError):
    """A branch of a rule depends on rounding."""


class UnknownRoundingError(TypeError):
    """A rule uses a function of NumPy whose rounding is not modelled."""


class Bounded(np.lib.mixins.NDArrayOperatorsMixin):
    """An array with a bound of its error. `unit` is the unit roundoff of the dtype it would be computed in.

    Args:
        value: the number or array, as exact as it is known.
        error: bound of the absolute error of the same number in the dtype under test.
        unit: unit roundoff, 2⁻⁵³ for float64; the result of two operands has the larger one.
    """

    __slots__ = ("error", "unit", "value")
    __hash__ = None  # type: ignore[assignment]  # as arrays

    def __init__(self, value: Any, error: Any = 0.0, unit: float = FLOAT64_UNIT) -> None:
        self.value = np.asarray(value, dtype=np.longdouble)
        self.error = np.asarray(error, dtype=np.longdouble)
        self.unit = unit

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.value.shape)

    @property
    def size(self) -> int:
        """Number of entries."""
        return int(self.value.size)

    @property
    def T(self) -> Bounded:  # noqa: N802  NumPy's name
        """The transpose."""
        return Bounded(self.value.T, np.broadcast_to(self.error, self.shape).T, self.unit)

    @property
    def bar(self) -> Array:
        """What a correct implementation may be off by, in float64: `SLACK` times the bound, infinite where unknown."""
        bars = np.broadcast_to(SLACK * self.error, self.shape).astype(np.float64)
        return np.where(np.isnan(bars), np.inf, bars)

    def __float__(self) -> float:
        return float(self.value)

    def __bool__(self) -> bool:
        return bool(_compare(np.not_equal, (self.value, self.error), (np.longdouble(0), np.longdouble(0))))

    def __getitem__(self, key: Any) -> Bounded:
        return Bounded(self.value[key], np.broadcast_to(self.error, self.shape)[key], self.unit)

    def reshape(self, *shape: int) -> Bounded:
        """Return the same numbers in another shape."""
        return Bounded(self.value.reshape(*shape), np.broadcast_to(self.error, self.shape).reshape(*shape), self.unit)

    def sum(self, axis: int | None = None, *, keepdims: bool = False) -> Bounded:
        """Add up entries, in an order that is not known: n·u·Σ|x| is added to their errors."""
        count = self.size if axis is None else self.shape[axis]
        error = np.broadcast_to(self.error, self.shape) + count * self.unit * np.abs(self.value)
        total = self.value.sum(axis=axis, keepdims=keepdims)
        return Bounded(total, error.sum(axis=axis, keepdims=keepdims), self.unit)

    def mean(self, axis: int | None = None, *, keepdims: bool = False) -> Bounded:
        """Average entries."""
        count = self.size if axis is None else self.shape[axis]
        total: Bounded = self.sum(axis, keepdims=keepdims) / count
        return total

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            raise UnknownRoundingError(f"np.{ufunc.__name__}.{method} with {sorted(kwargs)} has no rounding rule")
        parts = [(one.value, one.error) if isinstance(one, Bounded) else (one, 0.0) for one in inputs]
        if ufunc in COMPARISONS:
            return _compare(ufunc, *parts)
        rule = EXACT.get(ufunc) or ROUNDED.get(ufunc)
        if rule is None:
            raise UnknownRoundingError(f"np.{ufunc.__name__} has no rounding rule")
        unit = max(one.unit for one in inputs if isinstance(one, Bounded))
        value, error = rule(*parts)
        if ufunc in ROUNDED:
            error = error + unit * np.abs(value)
        return Bounded(value, error, unit)

    def __array_function__(self, func: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        rule = FUNCTIONS.get(func)
        if rule is None:
            raise UnknownRoundingError(f"np.{func.__name__} has no rounding rule")
        return rule(*args, **kwargs)


def bounded(value: Any, unit: float = FLOAT64_UNIT) -> Bounded:
    """Return a number or array as an exact `Bounded`; one that is bounded already stays as it is."""
    return value if isinstance(value, Bounded) else Bounded(value, 0.0, unit)


def _compare(ufunc: np.ufunc, left: Parts, right: Parts) -> Any:
    """Compare values.

    Raises:
        UndecidedError: rounding could make the comparison come out otherwise.
    """
    margin = left[1] + right[1]
    if np.any((np.abs(left[0] - right[0]) <= margin) & (margin > 0)):
        raise UndecidedError("a comparison of the rule depends on rounding")
    return ufunc(left[0], right[0])


def _multiply(a: Parts, b: Parts) -> Parts:
    return a[0] * b[0], np.abs(a[0]) * b[1] + np.abs(b[0]) * a[1]


def _divide(a: Parts, b: Parts) -> Parts:
    # To first order; where the divisor is known to less than a tenth, the bound is meaningless and says so.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = a[0] / b[0]
        error = (a[1] + np.abs(value) * b[1]) / np.abs(b[0])
    return value, np.where(b[1] > 0.1 * np.abs(b[0]), np.longdouble(np.inf), error) if np.any(b[1]) else error


def _sqrt(a: Parts) -> Parts:
    # |√x − √y| ≤ √|x − y| holds everywhere, and is what counts where the radicand is known poorly or is zero.
    if np.any(a[0] + a[1] < 0):
        return np.sqrt(a[0]), a[1] * np.nan
    root = np.sqrt(np.maximum(a[0], 0))
    if not np.any(a[1]):
        return root, np.zeros_like(root)
    with np.errstate(divide="ignore", invalid="ignore"):
        smooth = 1.06 * a[1] / (2 * root)
    return root, np.where(a[1] > 0.1 * np.abs(a[0]), np.sqrt(a[1]), np.where(a[1] == 0, 0, smooth))


def _power(a: Parts, b: Parts) -> Parts:
    value = np.power(a[0], b[0])
    if np.any(b[1]):
        raise UnknownRoundingError("a power with an inexact exponent has no rounding rule")
    if not np.any(a[1]):
        return value, np.zeros_like(value)
    return value, np.abs(b[0] * np.power(a[0], b[0] - 1)) * a[1]


def _matmul(a: Parts, b: Parts) -> Parts:
    left, right = np.abs(a[0]), np.abs(b[0])
    errors = (np.broadcast_to(a[1], a[0].shape), np.broadcast_to(b[1], b[0].shape))
    rounding = np.longdouble(a[0].shape[-1] * FLOAT64_UNIT) * (left @ right)
    return a[0] @ b[0], left @ errors[1] + errors[0] @ right + rounding


def _sign(a: Parts) -> Parts:
    if np.any((np.abs(a[0]) <= a[1]) & (np.asarray(a[1]) > 0)):
        raise UndecidedError("a sign in the rule depends on rounding")
    return np.sign(a[0]), np.zeros_like(a[0])


def _smooth(function: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Callable[[Parts], Parts]:
    """Return the propagation of a smooth function with its derivative."""
    return lambda a: (function(a[0]), np.abs(slope(a[0])) * a[1])


COMPARISONS = frozenset({np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal})
EXACT: Mapping[Any, Callable[..., Parts]] = {
    np.negative: lambda a: (-a[0], a[1]),
    np.positive: lambda a: a,
    np.absolute: lambda a: (np.abs(a[0]), a[1]),
    np.maximum: lambda a, b: (np.maximum(a[0], b[0]), np.maximum(a[1], b[1])),
    np.minimum: lambda a, b: (np.minimum(a[0], b[0]), np.maximum(a[1], b[1])),
    np.sign: _sign,
}
"""Operations that do not round."""
ROUNDED: Mapping[Any, Callable[..., Parts]] = {
    np.add: lambda a, b: (a[0] + b[0], a[1] + b[1]),
    np.subtract: lambda a, b: (a[0] - b[0], a[1] + b[1]),
    np.multiply: _multiply,
    np.true_divide: _divide,
    np.sqrt: _sqrt,
    np.square: lambda a: _multiply(a, a),
    np.power: _power,
    np.matmul: _matmul,
    np.exp: _smooth(np.exp, np.exp),
    np.log: _smooth(np.log, lambda x: 1 / x),
    np.tanh: _smooth(np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    np.sin: _smooth(np.sin, np.cos),
    np.cos: _smooth(np.cos, np.sin),
}
"""Operations that round their result once (or a few times), with how errors of operands go through them."""


def _where(condition: Any, a: Any, b: Any) -> Bounded:
    a, b = bounded(a), bounded(b)
    return Bounded(np.where(condition, a.value, b.value), np.where(condition, a.error, b.error), max(a.unit, b.unit))


def _norm(a: Any) -> Any:
    return np.sqrt((bounded(a) ** 2).sum())


def _zeros_like(a: Any) -> Bounded:
    return Bounded(np.zeros(a.shape), 0.0, a.unit)


FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.where: _where,
    np.sum: lambda a, axis=None, keepdims=False: a.sum(axis, keepdims=keepdims),
    np.mean: lambda a, axis=None, keepdims=False: a.mean(axis, keepdims=keepdims),
    np.dot: lambda a, b: bounded(a) @ bounded(b),
    np.outer: lambda a, b: bounded(a).reshape(-1, 1) * bounded(b).reshape(1, -1),
    np.clip: lambda a, low, high: np.minimum(np.maximum(a, low), high),
    np.zeros_like: _zeros_like,
    np.linalg.norm: _norm,
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
}
"""Functions of NumPy that are no ufuncs."""
