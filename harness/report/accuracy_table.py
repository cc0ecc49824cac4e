"""The table of accuracy: cases by number types, shaded by the digits lost, the worst first.

Pure functions of the frame that `columns.ACCURACY` declares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import pandas as pd

from harness.report.accuracy import AVAILABLE, lost_digits
from harness.report.tables import rows

MOST_LISTED = 40
"""Cases listed before the reader asks for the rest."""
_LEVELS = (0.5, 1.5, 3.0, 6.0)
"""Decimal digits lost, of those a format has, from which a cell is shaded darker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One case in one number type, for the table; the levels say how dark its two numbers stand, from 0 to 4."""

    digits: float | None
    ulps: float | None
    level: int
    ulps_level: int
    worst: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One case in every number type it was verified in; None where it was not."""

    case: str
    cells: tuple[Cell | None, ...]
    radius_bits: int | None
    truth: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyTable:
    """Cases by number types, worst first: `head` names the types, `lines` are shown at once, `rest` on demand."""

    head: tuple[str, ...]
    lines: tuple[Line, ...]
    rest: tuple[Line, ...]


def accuracy_table(accuracy: pd.DataFrame) -> AccuracyTable:
    """Arrange the frame for people.

    Args:
        accuracy: as `accuracy_frame` returns it.
    """
    grouped: defaultdict[str, dict[str, SimpleNamespace]] = defaultdict(dict)
    for row in rows(accuracy):
        grouped[row.case][_kind(row)] = row
    kinds = {kind for found in grouped.values() for kind in found}
    head = sorted(kinds, key=lambda kind: (-AVAILABLE.get(kind.split(",")[0], 0), kind))
    lines = [_line(case, found, head) for case, found in grouped.items()]
    return AccuracyTable(head=tuple(head), lines=tuple(lines[:MOST_LISTED]), rest=tuple(lines[MOST_LISTED:]))


def _line(case: str, found: dict[str, SimpleNamespace], head: Sequence[str]) -> Line:
    first = found[next(kind for kind in head if kind in found)]
    return Line(
        case=case,
        cells=tuple(_cell(found[kind]) if kind in found else None for kind in head),
        radius_bits=first.radius_bits,
        truth=first.oracle,
    )


def _cell(row: SimpleNamespace) -> Cell:
    place = " · ".join(part for part in (row.input, row.point, row.dims) if part)
    return Cell(
        digits=row.digits, ulps=row.ulps, level=_level(lost_digits(row.dtype, row.digits, row.ulps)),
        ulps_level=_level(lost_digits(row.dtype, None, row.ulps)), worst=place,
    )  # fmt: skip


def _level(lost: float) -> int:
    return sum(lost > bound for bound in _LEVELS)


def _kind(row: SimpleNamespace) -> str:
    return str(row.dtype) if row.device == "cpu" else f"{row.dtype}, {row.device}"
