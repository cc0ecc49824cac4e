"""Blessing: writing down the counts of a run's descents, and saying what that changes.

What counts and corridors are is `harness.converge.blessed`'s, which line is whose `harness.run.blessed`'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.case.load import read_cases
from harness.converge.blessed import Counts, baseline_text, counts_of, read_baseline, with_twin
from harness.errors import UsageError
from harness.records import ConvergeRecord, Outcome, Run
from harness.run.blessed import baseline_path, groups, matches, project_root, relative
from harness.run.execute import OnRunning, untold
from harness.run.options import RunOptions
from harness.run.run import OnPlan, OnRecord, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Blessing:
    """One line of the difference that blessing makes; `old` or `new` is None where there was or is none."""

    case: str
    entry: int
    seed: int
    run: str
    what: str
    """new · gone · not blessed · steps · evaluations · target 0.1 …"""
    old: float | None = None
    new: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blessed:
    """What blessing did: the file it wrote, what differs, and how many lines are as they were."""

    path: Path
    changes: tuple[Blessing, ...]
    same: int


def bless_run(
    paths: Sequence[str | Path],
    options: RunOptions,
    *,
    on_plan: OnPlan = untold,
    on_record: OnRecord = untold,
    on_running: OnRunning = untold,
) -> tuple[Run, Blessed | None]:
    """Run the descents of case files twice, the second time beside their starts, and bless their counts.

    Args:
        paths: case files and folders of them.
        options: as for every run; the second run writes no journal.
        on_plan: told the jobs of either run before the first starts.
        on_record: told each record.
        on_running: told which jobs are running.

    Returns:
        The run, and what blessing changed; None where it was interrupted, and nothing is written.

    Raises:
        CaseFileError: some case file cannot be used.
        UsageError: a path or an option is wrong, or the baseline cannot be read or written.
        NothingToRunError: the paths and options leave nothing to do.
    """
    path = baseline_path(options.baseline, Path.cwd())
    read_baseline(path)  # what cannot be read is known before anything runs
    made = run(paths, options, on_plan=on_plan, on_record=on_record, on_running=on_running)
    nudged = replace(options, nudge=True, out=None, kinds=("converge",))
    if made.footer is None or made.footer.interrupted:
        return made, None
    beside = run(paths, nudged, on_plan=on_plan, on_record=on_record, on_running=on_running)
    if beside.footer is None or beside.footer.interrupted:
        return made, None
    return made, bless(paths, made, beside, path)


def bless(paths: Sequence[str | Path], made: Run, nudged: Run, path: Path) -> Blessed:
    """Write the counts of a run into a baseline, and return what that changes.

    Only lines of what was run are written, and lines of cases and entries that are gone are taken out.

    Args:
        paths: the case files and folders of the run.
        made: the run.
        nudged: the same run, each descent started a few roundings beside.
        path: the baseline.

    Raises:
        UsageError: the baseline cannot be read or written.
    """
    earlier = {line.key: line for line in read_baseline(path) or ()}
    root = project_root(path)
    passed = [counts for group, counts in _all_counts(made, root) if _passed(group) and counts.reached]
    twins = {counts.key: counts for _, counts in _all_counts(nudged, root)}
    fresh = {counts.key: with_twin(counts, twins[counts.key]) for counts in passed if counts.key in twins}
    gone = [line for line in earlier.values() if line.key not in fresh and _is_gone(line, paths, root)]
    lines = {key: line for key, line in {**earlier, **fresh}.items() if line not in gone}
    _write(path, baseline_text(lines.values()))
    before = dict(matches(earlier.values(), read_cases(paths)[0], root))
    changes = [
        change
        for line in fresh.values()
        for change in _differences(before.get((line.case, line.entry, line.seed)), line)
    ]
    changes += [_row(line, "gone", note="the case file has no such entry any more") for line in gone]
    alone = (counts for counts in passed if counts.key not in twins)
    changes += [_row(counts, "not blessed", note="the descent beside its start came to no end") for counts in alone]
    changes += _not_blessed(made)
    changed = {(change.case, change.entry, change.seed) for change in changes}
    same = sum((line.case, line.entry, line.seed) not in changed for line in fresh.values())
    return Blessed(path=path, changes=tuple(changes), same=same)


def _all_counts(run: Run, root: Path) -> Iterator[tuple[tuple[ConvergeRecord, ...], Counts]]:
    """Yield the descents of a run that came to an end, with their counts."""
    for group in groups(run.records):
        yield group, counts_of(group, file=relative(group[0].path, root))


def _passed(group: tuple[ConvergeRecord, ...]) -> bool:
    return all(record.outcome is Outcome.PASS for record in group)


def _is_gone(line: Counts, paths: Sequence[str | Path], root: Path) -> bool:
    """Return whether a line's case file is gone, or was read by the run and has no such entry."""
    file = root / line.file
    if not file.exists():
        return True
    folders = [Path(path).resolve() for path in paths]
    if not any(file.resolve() == folder or folder in file.resolve().parents for folder in folders):
        return False
    cases, _ = read_cases([file])
    case = next((case for case in cases if case.id == line.case), None)
    return case is None or line.entry >= len(case.model.converge)


def _differences(old: Counts | None, new: Counts) -> Iterator[Blessing]:
    """Yield what differs between a line and the one before it."""
    if old is None:
        yield _row(new, "new", new=new.steps[0])
        return
    earlier = old.all
    for what, (pair, _) in new.all.items():
        before = earlier[what][0] if what in earlier else (None, None)
        if before != pair:
            note = "" if before[0] != pair[0] else f"beside: {before[1]} → {pair[1]}"
            yield _row(new, what, old=before[0], new=pair[0], note=note)


def _not_blessed(run: Run) -> list[Blessing]:
    """Return a row for every descent on a CPU in float64 that is not as it should be: its counts stay as they were."""
    return [
        Blessing(
            case=record.case, entry=record.entry or 0, seed=record.seed, run=record.run, what="not blessed",
            note=f"{record.outcome.value}: {record.message}",
        )
        for record in run.records
        if isinstance(record, ConvergeRecord) and record.outcome not in (Outcome.PASS, Outcome.SKIPPED)
    ]  # fmt: skip


def _row(line: Counts, what: str, *, old: float | None = None, new: float | None = None, note: str = "") -> Blessing:
    return Blessing(
        case=line.case, entry=line.entry, seed=line.seed, run=line.run, what=what, old=old, new=new, note=note
    )


def _write(path: Path, text: str) -> None:
    """Write the baseline, or say why that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UsageError(
            f"Cannot bless: baseline={str(path)!r} cannot be written ({error.strerror or error}). Name another file."
        ) from error
