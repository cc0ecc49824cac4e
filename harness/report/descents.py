"""Names of descents, under which frames keep them apart and figures and tables show them."""

from __future__ import annotations

from harness.records import ConvergeRecord, Run
from harness.report.text import number

MOST_SHOWN = 3
"""Parameters up to which a start is written out."""

RELATIVE = "relative to its start"
"""How the words of a run end whose parameters are kept in units of their start."""


def descent_names(run: Run) -> dict[str, str]:
    """Return what each convergence job of a run is called: its optimizer, and where needed its start or its place.

    Entries of one case that differ in nothing but their start, as in `LeastSquares() from (−12, 10)`, would otherwise
    share a name and be drawn as one.
    """
    firsts: dict[str, ConvergeRecord] = {}
    for record in run.records:
        if isinstance(record, ConvergeRecord):
            firsts.setdefault(record.job, record)
    called: dict[tuple[str, str], list[ConvergeRecord]] = {}
    for record in firsts.values():
        called.setdefault((record.case, record.run), []).append(record)
    return {job: name for alike in called.values() for job, name in _told_apart(alike)}


def _told_apart(alike: list[ConvergeRecord]) -> list[tuple[str, str]]:
    if len(alike) == 1:
        return [(alike[0].job, alike[0].run)]
    starts = [start_text(record) for record in alike]
    if None not in starts and len(set(starts)) == len(alike):
        return [(record.job, f"{record.run}, from {start}") for record, start in zip(alike, starts, strict=True)]
    places = [record.entry if record.entry is not None else at for at, record in enumerate(alike)]
    return [(record.job, f"{record.run} [{at}]") for record, at in zip(alike, places, strict=True)]


def start_text(record: ConvergeRecord) -> str | None:
    """Return where a descent started, such as ``(−1.2, 1)``; None for many parameters, or those relative to it."""
    if record.run.endswith(RELATIVE):
        return None
    first = record.trajectory[0].parameters if record.trajectory else None
    if not first or len(first) > MOST_SHOWN:
        return None
    shown = ", ".join(number(value).replace("-", "−") for value in first)
    return f"({shown})" if len(first) > 1 else shown
