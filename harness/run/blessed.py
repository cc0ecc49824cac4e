"""Descents beside their blessed counts: where the baseline lies, which line is whose, and what a run's are judged.

Counts and corridors are `harness.converge.blessed`'s; this module knows of jobs, records, files and projects. What
writes a baseline is `harness.run.bless`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from harness.case.case import Case
from harness.case.trust import project_file, settings
from harness.converge.blessed import (
    Counts,
    comparable,
    compare,
    counts_of,
    difference_words,
    read_baseline,
)
from harness.errors import UsageError
from harness.records import CaseRecord, ConvergeRecord, Outcome, Run

if TYPE_CHECKING:
    from harness.run.plan import Job

DEFAULT = "reports/baselines/converge.json"
"""Relative to the project's pyproject.toml, or to the working directory where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Blessed counts, by the descents of a run that they belong to.

    Args:
        lines: by case, entry and seed.
        option: the file, where the caller named one.
    """

    option: Path | None = None
    lines: Mapping[tuple[str, int, int], Counts]

    def judged(self, records: tuple[CaseRecord, ...]) -> tuple[CaseRecord, ...]:
        """Return the records of one job, those failed whose counts left their corridors."""
        changed = {id(group[0]): self._judge(group) for group in groups(records)}
        return tuple(changed.get(id(record), record) for record in records)

    def _judge(self, group: tuple[ConvergeRecord, ...]) -> ConvergeRecord:
        """Return a group's first record, compared."""
        first = group[0]
        blessed = self.lines.get((first.case, first.entry or 0, first.seed))
        if blessed is None or blessed.seeds != len(group):
            return first
        found = compare(counts_of(group, file=blessed.file), blessed)
        words = difference_words(found, seeds=len(group))
        if not words:
            return replace(first, blessed=found)
        named = "" if self.option is None else f" --baseline {shlex.quote(str(self.option))}"
        command = f"{first.command}{named}"
        other = "" if blessed.run == first.run else f" (of {blessed.run})"
        message = f"{words}{other}: better or worse, have a look, then `{command} --bless`; {first.message}"
        outcome = Outcome.FAIL if first.outcome.severity < Outcome.FAIL.severity else first.outcome
        return replace(first, outcome=outcome, message=message, blessed=found, command=command)


def baseline_path(option: Path | None, start: Path) -> Path:
    """Return the file of blessed counts: the one named, the project's, or the default.

    Raises:
        UsageError: the project's configuration cannot be read.
    """
    if option is not None:
        return option
    config = project_file(start.resolve())
    if config is None:
        return start / DEFAULT
    named = settings(config, "blessed").get("blessed", DEFAULT)
    if not isinstance(named, str) or not named.strip():
        raise UsageError(
            f"Cannot read blessed: file={str(config)!r} has a [tool.harness] blessed that is no text. "
            f'Write a file, such as "{DEFAULT}".'
        )
    return config.parent / named.strip()


def baseline_for(option: Path | None, jobs: Sequence[Job], *, start: Path) -> Baseline:
    """Read the blessed counts that a run's descents are compared with.

    Args:
        option: a file named by the caller, which must exist; None is the project's.
        jobs: the run's jobs.
        start: the folder it runs in.

    Raises:
        UsageError: the file named does not exist, or the file cannot be read.
    """
    path = baseline_path(option, start)
    lines = read_baseline(path)
    if lines is None and option is not None:
        raise UsageError(
            f"Cannot compare: baseline={str(option)!r} does not exist. Name a file that harness converge --bless made."
        )
    cases = {job.case.id: job.case for job in jobs if job.kind == "converge" and isinstance(job.case, Case)}
    return Baseline(option=option, lines=dict(matches(lines or (), cases.values(), project_root(path))))


def comparison_words(run: Run, path: Path) -> str | None:
    """Say in one line how many descents were compared with blessed counts; None where there was none to compare.

    Args:
        run: the run.
        path: the baseline it was compared with.
    """
    found = list(groups(run.records))
    if not found:
        return None
    if not path.exists():
        return f"Step counts: compared with nothing, {_shown(path)} does not exist. Make it: harness converge --bless"
    known = [group[0] for group in found if group[0].blessed]
    others = [counts_of(group, file=group[0].path) for group in found if not group[0].blessed]
    uncounted = sum(not counts.reached for counts in others)
    outside = sum(not all(count.within for count in record.blessed) for record in known)
    parts = [f"{len(known) - outside} within the corridors of {_shown(path)}"]
    parts += [f"{outside} outside"] if outside else []
    parts += [f"{len(others) - uncounted} not in it"] if len(others) > uncounted else []
    parts += [f"{uncounted} reached nothing that is counted"] if uncounted else []
    return f"Step counts: {', '.join(parts)}"


def project_root(path: Path) -> Path:
    """Return the folder a baseline's case files are relative to: that of the pyproject.toml above it, else its own."""
    config = project_file(path.resolve().parent)
    return path.resolve().parent if config is None else config.parent


def groups(records: Iterable[CaseRecord]) -> Iterator[tuple[ConvergeRecord, ...]]:
    """Yield what is counted together: a descent alone, or all seeds of a stochastic entry."""
    descents = [record for record in records if isinstance(record, ConvergeRecord)]
    for _, members in groupby(
        descents, key=lambda record: (record.job, record.seed if not record.stochastic else None)
    ):
        group = tuple(members)
        if all(comparable(record) for record in group):
            yield group


def matches(
    lines: Iterable[Counts], cases: Iterable[Case], root: Path
) -> Iterator[tuple[tuple[str, int, int], Counts]]:
    """Yield (case, entry, seed) with the line that is about it, wherever that entry stood when it was blessed.

    First lines whose entry stands where it stood, then those of an entry that moved within its case, then those whose
    entry has other options than it had: what was blessed was the optimizer there.
    """
    from harness.converge.record import run_words  # imports torch

    by_case: dict[str, list[Counts]] = {}
    for line in lines:
        by_case.setdefault(line.case, []).append(line)
    for case in cases:
        mine = [line for line in by_case.get(case.id, []) if _same_file(line, case.path, root)]
        texts = [run_words(entry) for entry in case.model.converge]
        for seed_dtype in sorted({(line.seed, line.dtype) for line in mine}):
            places = {line.entry: line for line in mine if (line.seed, line.dtype) == seed_dtype}
            for entry, line in _match_entries(texts, places).items():
                yield (case.id, entry, seed_dtype[0]), line


def _match_entries(texts: Sequence[str], places: dict[int, Counts]) -> dict[int, Counts]:
    """Match a case's entries, by what they run, with the lines of one seed."""
    found = {place: places[place] for place, text in enumerate(texts) if place in places and places[place].run == text}
    free = {place: line for place, line in places.items() if place not in found}
    for place, text in enumerate(texts):
        moved = next((old for old, line in free.items() if place not in found and line.run == text), None)
        if moved is not None:
            found[place] = free.pop(moved)
    for place, text in enumerate(texts):
        same = place not in found and place in free
        if same and free[place].run.partition("(")[0] == text.partition("(")[0]:
            found[place] = free.pop(place)
    return found


def _same_file(line: Counts, path: Path, root: Path) -> bool:
    """Return whether a line is about a case of this file, or of one that has moved."""
    return line.file == relative(path, root) or not (root / line.file).exists()


def relative(path: str | Path, root: Path) -> str:
    """Return a case file as a baseline names it."""
    return Path(os.path.relpath(Path(path).resolve(), root)).as_posix()


def _shown(path: Path) -> str:
    """Return a path as short as it can be said from here."""
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)
