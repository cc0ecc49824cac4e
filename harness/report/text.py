"""Numbers, times and sizes as people read them; the only place a report turns a number into text.

Plain text only: nothing here escapes or makes markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = "–"
"""Shown where there is no number."""
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BYTES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def number(value: float | None, digits: int = 4) -> str:
    """Return a number to some significant digits: ``1.235e-9``, ``0.8312``, ``nan``."""
    if value is None:
        return MISSING
    text = f"{value:.{digits}g}"
    mantissa, mark, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else text


def pair(actual: float | None, expected: float | None) -> tuple[str, str]:
    """Return two numbers to as few digits, from 6 up, as show where they differ."""
    if actual is None or expected is None:
        return number(actual, 9), number(expected, 9)
    for digits in range(6, 18):
        texts = number(actual, digits), number(expected, digits)
        if texts[0] != texts[1]:
            shown = digits if digits == 6 else min(digits + 1, 17)
            return number(actual, shown), number(expected, shown)
    return number(actual, 9), number(expected, 9)


def entry(name: str | None, index: Sequence[int] | None) -> str:
    """Return an entry of an input as code would name it: ``w[3, 1]``, ``x`` for a scalar."""
    place = f"[{', '.join(str(position) for position in index)}]" if index else ""
    return f"{name}{place}" if name else (place or MISSING)


def seconds(value: float | None) -> str:
    """Return a time with the unit that suits it: ``12.3 µs``."""
    if value is None:
        return MISSING
    if value >= 60:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} min {rest} s"
    factor, unit = next((pair for pair in _SECONDS if value >= pair[0]), _SECONDS[-1])
    return f"{value / factor:.3g} {unit}" if math.isfinite(value) else str(value)


def interval_s(low: float | None, high: float | None) -> str:
    """Return an interval of times: ``11.8 µs to 12.9 µs``."""
    return f"{seconds(low)} to {seconds(high)}" if low is not None and high is not None else MISSING


def memory(value: int | None) -> str:
    """Return a number of bytes with the binary unit that suits it: ``1.5 MiB``."""
    if value is None:
        return MISSING
    factor, unit = next((pair for pair in _BYTES if value >= pair[0]), _BYTES[-1])
    return f"{value / factor:.3g} {unit}"


def ratio(value: float | None) -> str:
    """Return a factor: ``3.1×``."""
    return MISSING if value is None else f"{value:.3g}×" if value < 100 else f"{value:.0f}×"


def amount(value: float | None) -> str:
    """Return a large number with the SI prefix that suits it: ``12.3 k``, ``4 G``."""
    if value is None:
        return MISSING
    factor, prefix = next((pair for pair in _PREFIXES if abs(value) >= pair[0]), (1, ""))
    return f"{value / factor:.3g} {prefix}".rstrip()


def percent(value: float | None) -> str:
    """Return a share as per cent: ``4.2 %``, ``0.31 %``, ``120 %``."""
    return MISSING if value is None else f"{100 * value:.2g} %" if abs(value) < 1 else f"{100 * value:.0f} %"


def digits(value: float | None) -> str:
    """Return a number of decimal digits: ``15.4``."""
    return MISSING if value is None else f"{value:.1f}"


def units(value: float | None) -> str:
    """Return a number of units in the last place: ``0.5``, ``28.5``, ``130,000``, ``3.2e9``."""
    if value is None:
        return MISSING
    if value >= 1e6 or not math.isfinite(value):
        return "∞" if value == math.inf else number(value, 2)
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def count(amount: int, noun: str, plural: str | None = None) -> str:
    """Return an amount with its noun: ``1 case``, ``3 cases``."""
    return f"{amount:,} {noun if amount == 1 else plural or noun + 's'}"
