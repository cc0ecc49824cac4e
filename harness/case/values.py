"""Declared values before they are tensors: their shape, and how exactly a printed figure is meant. No torch."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal

from harness.case.expression import ExpressionError, parse
from harness.case.scalars import fold
from harness.case.schema import Value
from harness.errors import UsageError

WORDS = ("zeros", "ones")
"""Words that stand for a whole tensor where a value is asked for."""

_DECIMAL = re.compile(r"^[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d{1,3})?$")


def half_width(text: str) -> float | None:
    """Half a unit of a decimal's last printed digit: 0.00005 for ``0.9894``; None when `text` is not a decimal."""
    if not _DECIMAL.match(text.strip()):
        return None
    exponent = Decimal(text.strip()).as_tuple().exponent
    return float(Decimal(5).scaleb(int(exponent) - 1))


def constant(text: str) -> float | None:
    """The real number a declared text stands for, if it is made of constants alone; "zeros" and "ones" count."""
    if text in WORDS:
        return float(WORDS.index(text))
    try:
        number = fold(parse(text, names=()).tree)
    except ExpressionError:
        return None
    return float(number) if isinstance(number, int | float) else None


def shape_of(value: Value, *, names: Collection[str]) -> tuple[int, ...] | None:
    """The shape of a declared value, or None where only running it would tell.

    Args:
        value: a number, an expression of constants, or nested lists of them.
        names: named sizes its expressions may use.

    Raises:
        ExpressionError: an expression in it is not allowed.
        UsageError: the lists are ragged.
    """
    if isinstance(value, str):
        if value in WORDS:
            return None
        return None if "(" in value and parse(value, names=names) else _scalar(value, names)
    if not isinstance(value, list):
        return ()
    shapes = {shape_of(part, names=names) for part in value}
    if len(shapes) > 1 and None not in shapes:
        raise UsageError("the lists are ragged: every row must have the same shape")
    inner = next(iter(shapes), ())
    return None if inner is None or len(shapes) > 1 else (len(value), *inner)


def _scalar(text: str, names: Collection[str]) -> tuple[int, ...]:
    parse(text, names=names)
    return ()
