"""A NIST StRD data file: the observations, both starts and the certified parameters of a nonlinear regression.

The format is NIST's: the header says in which lines the starting values, the certified values and the data stand
("Starting Values (lines 41 to 42)"), and the data's first line names their columns. Nothing is fitted here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError

MAX_BYTES = 4 * 1024 * 1024

_LINES = re.compile(r"^\s*(Starting Values|Certified Values|Data)\s*\(lines\s+(\d+)\s+to\s+(\d+)\)", re.MULTILINE)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?"
_PARAMETER = re.compile(rf"^\s*(\w+)\s*=\s*({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s*$")
_SUM = re.compile(rf"^\s*Residual Sum of Squares:\s*({_NUMBER})\s*$", re.MULTILINE)
_OBSERVATIONS = re.compile(r"^\s*Number of Observations:\s*(\d+)\s*$", re.MULTILINE)
_NAMES = re.compile(r"^Data:\s+(\w+(?:\s+\w+)*)\s*$", re.MULTILINE)


_EXPONENT = str.maketrans("dD", "eE")
"""Fortran's exponent of a double, as in 1.5D+02."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NistData:
    """What a data file says; numbers are kept as they are written, so that published digits can be counted.

    Only the letter of Fortran's double exponent is changed: 1.5D+02 is kept as 1.5E+02.
    """

    columns: dict[str, tuple[str, ...]]
    """By name, in the file's order: the response first, then the predictors; all of the same length."""
    parameters: tuple[str, ...]
    starts: tuple[dict[str, str], dict[str, str]]
    certified: dict[str, str]
    residual_sum_of_squares: str

    @property
    def response(self) -> str:
        """Name of the response's column."""
        return next(iter(self.columns))

    @property
    def rows(self) -> int:
        """Number of observations."""
        return len(self.columns[self.response])


def read_nist(path: Path) -> NistData:
    """Read a data file.

    Raises:
        UsageError: there is no such file, or it is not of NIST's form; the message names the file and the line.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"Cannot read {path}: it has more than {MAX_BYTES:,} bytes. Name a file of NIST's form.")
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror or error}. Name a data file that is there.") from error
    lines = text.splitlines()
    spans = _spans(path, text, len(lines))
    sums = _SUM.search(text)
    if sums is None:
        raise _malformed(path, spans["Certified Values"][1], 'no "Residual Sum of Squares"')
    starts, certified = _parameters(path, lines, spans["Starting Values"])
    columns = _columns(path, lines, spans["Data"])
    _check(path, text, columns, certified)
    return NistData(
        columns=columns,
        parameters=tuple(certified),
        starts=starts,
        certified=certified,
        residual_sum_of_squares=sums[1].translate(_EXPONENT),
    )


def _spans(path: Path, text: str, length: int) -> dict[str, tuple[int, int]]:
    """Return the first and last line of every part, as the header says them."""
    spans = {what: (int(first), int(last)) for what, first, last in _LINES.findall(text)}
    for what in ("Starting Values", "Certified Values", "Data"):
        first, last = spans.get(what, (0, 0))
        if not 1 <= first <= last:
            raise _malformed(path, 1, f'no header that says "{what} (lines a to b)"')
        if last > length:
            line = text[: text.index(f"{what} ")].count("\n") + 1
            raise _malformed(path, line, f"{what} should end in line {last}, but the file ends in line {length}")
    return spans


def _check(path: Path, text: str, columns: dict[str, tuple[str, ...]], certified: dict[str, str]) -> None:
    """Hold the parts against each other: as many observations as stated, and no name that means two things."""
    stated, rows = _OBSERVATIONS.search(text), len(next(iter(columns.values())))
    if stated is not None and int(stated[1]) != rows:
        line = text[: stated.start(1)].count("\n") + 1
        raise _malformed(path, line, f"{stated[1]} observations are stated, but the data have {rows}")
    for name in columns.keys() & certified.keys():
        raise _malformed(path, 1, f"{name} is a parameter as well as a column")


def _parameters(
    path: Path, lines: list[str], span: tuple[int, int]
) -> tuple[tuple[dict[str, str], dict[str, str]], dict[str, str]]:
    """Return both starts and the certified values, by parameter."""
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    certified: dict[str, str] = {}
    for number in range(span[0], span[1] + 1):
        row = _PARAMETER.match(lines[number - 1])
        if row is None:
            raise _malformed(path, number, "no parameter with two starting values, a certified value and its deviation")
        if row[1] in certified:
            raise _malformed(path, number, f"a second parameter called {row[1]}")
        if not all(_finite(text) for text in row.groups()[1:]):
            raise _malformed(path, number, "a number beyond float64's range")
        values = (text.translate(_EXPONENT) for text in row.groups()[1:4])
        first[row[1]], second[row[1]], certified[row[1]] = values
    return (first, second), certified


def _columns(path: Path, lines: list[str], span: tuple[int, int]) -> dict[str, tuple[str, ...]]:
    """Return the observations by column, from the line that names them on."""
    named = [match[1].split() for line in lines[: span[0]] if (match := _NAMES.match(line))]
    if not named:
        raise _malformed(path, span[0], 'no line "Data: y x" that names the columns above it')
    names, rows = named[-1], []
    if len(set(names)) < len(names):
        raise _malformed(path, span[0] - 1, f"two columns of one name ({', '.join(names)})")
    for number in range(span[0], span[1] + 1):
        cells = lines[number - 1].split()
        if len(cells) != len(names) or not all(re.fullmatch(_NUMBER, cell) and _finite(cell) for cell in cells):
            raise _malformed(path, number, f"not {len(names)} finite numbers ({', '.join(names)})")
        rows.append([cell.translate(_EXPONENT) for cell in cells])
    return {name: tuple(row[place] for row in rows) for place, name in enumerate(names)}


def _finite(text: str) -> bool:
    return math.isfinite(float(text.translate(_EXPONENT)))


def _malformed(path: Path, line: int, what: str) -> UsageError:
    return UsageError(f"Cannot read {path}:{line}: {what}. Use a data file of NIST's StRD, as it is.")
