"""Blessed step counts: what descents took when somebody last looked, and the corridor later ones must stay in.

Step counts are deterministic in float64 on a CPU, so a count that left its corridor, in either direction, means that
something changed: the optimizer, the gradient, the problem. Nothing is run here, and whether a change is for the better
is for a person to say. What it cannot see are changes within the corridor.

A count is kept twice: of the descent itself and of one whose start was moved by a few roundings. Where the two differ,
the count hangs on rounding (a line search at a tight tolerance does), and the corridor spans both.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from harness.errors import UsageError
from harness.records import BlessedCount, ConvergeRecord

VERSION = 1
SHARE = 0.25
"""A count may be this share above or below the blessed one …"""
AT_LEAST = 2.0
"""… and at least this many."""

Count = float | None
"""None: not within the steps there were."""
Pair = tuple[Count, Count]
"""The count of a descent, and of the one that started a few roundings beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The counts of one descent; of a stochastic entry, medians over its seeds, of which `seed` is the first."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    case: str
    entry: int
    seed: int
    dtype: str
    seeds: Annotated[int, Field(ge=1)] = 1
    """Seeds that the counts are medians over."""
    run: str
    """Optimizer with options and gradient source."""
    file: str
    """The case file, relative to the project."""
    steps: Pair
    """To the tolerance."""
    evaluations: Pair
    """Gradient evaluations to the tolerance."""
    targets: dict[str, Pair]
    """Steps to each target, by τ."""
    ran: int
    """Steps the descent had."""
    spent: int
    """Gradient evaluations it had."""

    @property
    def key(self) -> tuple[str, int, int, str]:
        """What no two lines of a baseline share: case, entry, seed, dtype."""
        return (self.case, self.entry, self.seed, self.dtype)

    @property
    def all(self) -> Mapping[str, tuple[Pair, int]]:
        """Every count by name, with what the descent had to reach it in; evaluations where they are not the steps."""
        named = {"steps": (self.steps, self.ran)}
        named |= {} if self.evaluations == self.steps else {"evaluations": (self.evaluations, self.spent)}
        return named | {f"target {tau}": (pair, self.ran) for tau, pair in self.targets.items()}

    @property
    def reached(self) -> bool:
        """Whether anything was reached that could be counted."""
        return any(pair[0] is not None for pair, _ in self.all.values())


_ADAPTER: TypeAdapter[Counts] = TypeAdapter(Counts)


def comparable(record: ConvergeRecord) -> bool:
    """Return whether a record has counts that repeat: a descent in float64 on a CPU that ran to its end."""
    ran = record.status != "error" and record.outcome.ran
    return ran and record.device == "cpu" and record.dtype == "float64" and record.entry is not None


def counts_of(records: Sequence[ConvergeRecord], *, file: str) -> Counts:
    """Return the counts of a descent, or the medians of a stochastic entry's seeds, without a nudged twin.

    Args:
        records: one record, or all seeds of a stochastic entry, the first seed first.
        file: the case file as a baseline names it.
    """
    first = records[0]
    taus = [f"{target.tau:g}" for target in first.targets]
    by_tau = [{f"{target.tau:g}": target.step for target in record.targets} for record in records]
    return Counts(
        case=first.case,
        entry=first.entry or 0,
        seed=first.seed,
        dtype=first.dtype,
        seeds=len(records),
        run=first.run,
        file=file,
        steps=_twice(median(record.steps_to_tolerance for record in records)),
        evaluations=_twice(median(record.evaluations_to_tolerance for record in records)),
        targets={tau: _twice(median(steps.get(tau) for steps in by_tau)) for tau in taus},
        ran=max(record.steps for record in records),
        spent=max(record.gradient_evaluations for record in records),
    )


def with_twin(counts: Counts, twin: Counts | None) -> Counts:
    """Return the counts with those of the nudged descent beside them."""
    if twin is None:
        return counts
    return Counts(
        case=counts.case, entry=counts.entry, seed=counts.seed, dtype=counts.dtype, seeds=counts.seeds, run=counts.run,
        file=counts.file, ran=counts.ran, spent=counts.spent, steps=(counts.steps[0], twin.steps[0]),
        evaluations=(counts.evaluations[0], twin.evaluations[0]),
        targets={tau: (pair[0], twin.targets.get(tau, pair)[0]) for tau, pair in counts.targets.items()},
    )  # fmt: skip


def compare(now: Counts, blessed: Counts) -> tuple[BlessedCount, ...]:
    """Set every count that both have beside the blessed one."""
    earlier = blessed.all
    return tuple(
        BlessedCount(
            what=what,
            actual=actual,
            blessed=earlier[what][0][0],
            within=inside(actual, ran, *earlier[what]),
        )
        for what, ((actual, _), ran) in now.all.items()
        if what in earlier
    )


def inside(actual: Count, ran: int, blessed: Pair, blessed_ran: int) -> bool:
    """Return whether a count lies within ±25 % (at least ±2) of the blessed one.

    A descent that did not get there would have needed more than it had: it is outside only where the whole corridor
    lies within what it had, and a count is outside one that never got there only where it is well within what that had.

    Args:
        actual: the count.
        ran: what the descent had to reach it in.
        blessed: the blessed counts; the corridor spans both.
        blessed_ran: what the blessed descent had.
    """
    low = min(blessed_ran if count is None else count for count in blessed)
    high = max(math.inf if count is None else count for count in blessed)
    if actual is None:
        return high + max(SHARE * high, AT_LEAST) > ran
    return low - max(SHARE * low, AT_LEAST) <= actual <= high + max(SHARE * high, AT_LEAST)


def difference_words(found: Iterable[BlessedCount], *, seeds: int = 1) -> str:
    """Say which counts left their corridors, "" where none did."""
    outside = [count for count in found if not count.within]
    over = "" if seeds == 1 else f" (medians over {seeds} seeds)"
    return ", ".join(_words(count) for count in outside) + over if outside else ""


def median(counts: Iterable[Count]) -> Count:
    """Return the median of some counts, None standing above all numbers; of two middle ones, the mean."""
    middle = statistics.median([math.inf if count is None else float(count) for count in counts])
    return middle if math.isfinite(middle) else None


def read_baseline(path: Path) -> tuple[Counts, ...] | None:
    """Read blessed counts; None where there is no such file.

    Raises:
        UsageError: the file cannot be read, or is no baseline of this version.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise _unreadable(path, f"it is no baseline of version {VERSION}")
    lines = document.get("counts")
    if not isinstance(lines, list):
        raise _unreadable(path, "`counts` is no list")
    try:
        return tuple(_ADAPTER.validate_python({**line, **_read_pairs(line)}) for line in lines)
    except (ValidationError, TypeError) as error:
        raise _unreadable(path, str(error).partition("\n")[0]) from error


def baseline_text(lines: Iterable[Counts]) -> str:
    """Return a baseline as it is written: sorted, one line per descent, so that a change is a changed line."""
    ordered = sorted(lines, key=lambda line: line.key)
    rows = ",\n".join("  " + json.dumps(_document(line), ensure_ascii=False) for line in ordered)
    return f'{{"version": {VERSION}, "counts": [\n{rows}\n]}}\n'


def _document(line: Counts) -> dict[str, object]:
    """Return a line as JSON: a count that did not hang on rounding is one number, any other a pair."""
    document: dict[str, object] = {"case": line.case, "entry": line.entry, "seed": line.seed, "dtype": line.dtype}
    document |= {"seeds": line.seeds} if line.seeds > 1 else {}
    document |= {"run": line.run, "file": line.file, "steps": _short(line.steps)}
    document |= {"evaluations": _short(line.evaluations)}
    targets = {tau: _short(pair) for tau, pair in line.targets.items()}
    return document | {"targets": targets, "ran": line.ran, "spent": line.spent}


def _short(pair: Pair) -> object:
    first, second = (int(count) if count is not None and count == int(count) else count for count in pair)
    return first if first == second else [first, second]


def _read_pairs(line: dict[str, object]) -> dict[str, object]:
    targets = line.get("targets")
    pairs = {tau: _long(value) for tau, value in targets.items()} if isinstance(targets, dict) else targets
    return {"steps": _long(line.get("steps")), "evaluations": _long(line.get("evaluations")), "targets": pairs}


def _long(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value, value)


def _twice(count: Count) -> Pair:
    return (count, count)


def _words(count: BlessedCount) -> str:
    """Say one count beside its blessed one."""
    now = "not" if count.actual is None else f"{count.actual:g}"
    was = "not reached" if count.blessed is None else f"{count.blessed:g}"
    if count.what == "steps":
        head = "does not arrive" if count.actual is None else f"arrives in {now} steps"
        return f"{head}, blessed are {was}"
    if count.what == "evaluations":
        took = "more gradient evaluations than it had" if count.actual is None else f"{now} gradient evaluations"
        return f"takes {took}, blessed are {was}"
    head = "misses" if count.actual is None else "reaches"
    steps = "" if count.actual is None else f" in {now} steps"
    return f"{head} {count.what}{steps}, blessed are {was}"


def _unreadable(path: Path, why: str) -> UsageError:
    return UsageError(
        f"Cannot read blessed counts: file={str(path)!r}: {why}. "
        "Repair it, or make it anew: remove it, then run harness converge --bless."
    )
