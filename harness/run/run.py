"""A whole run: load, plan, execute, journal. The one pipeline behind the command line and `harness.run`.

What a job does is `work`'s; how results are shown is the report's and the command line's.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType

from harness.case.load import choose_cases, read_cases
from harness.case.trust import Trust
from harness.errors import CaseFileError, NothingToRunError, UsageError
from harness.records import CaseRecord, ExitCode, Outcome, Run, RunFooter, RunHeader
from harness.run.blessed import baseline_for
from harness.run.environment import environment
from harness.run.execute import OnRunning, execute, untold, warm_up
from harness.run.journal import FILE_NAME, Journal
from harness.run.options import RunOptions
from harness.run.plan import Job, plan
from harness.run.work import modules_of

OnRecord = Callable[[CaseRecord], None]
OnPlan = Callable[[tuple[Job, ...]], None]
Judge = Callable[[tuple[CaseRecord, ...]], tuple[CaseRecord, ...]]

WORKER_OUTPUT = "output.txt"
"""What subjects printed, in the run directory."""

_BAD = frozenset({Outcome.FAIL, Outcome.TIMEOUT, Outcome.CRASHED})
_UNDECIDED = frozenset({Outcome.INCONCLUSIVE, Outcome.VACUOUS, Outcome.ERROR})


def exit_code(run: Run, *, strict: bool) -> int:
    """Return what the command line ends with after a run.

    Timeouts and crashes count as failures. What is undecided is 3, and 1 if `strict`; planned jobs without a record are
    undecided, unless the run was interrupted. A run in which everything was skipped ran nothing.
    """
    if run.footer is not None and run.footer.interrupted:
        return ExitCode.INTERRUPTED
    outcomes = {record.outcome for record in run.records}
    if outcomes & _BAD:
        return ExitCode.FAILED
    if not outcomes - {Outcome.SKIPPED}:
        return ExitCode.NOTHING_RAN
    if outcomes & _UNDECIDED or run.not_run:
        return ExitCode.FAILED if strict else ExitCode.UNDECIDED
    return ExitCode.PASSED


def run(
    paths: Sequence[str | Path],
    options: RunOptions,
    *,
    on_plan: OnPlan = untold,
    on_record: OnRecord = untold,
    on_running: OnRunning = untold,
) -> Run:
    """Do what `options` ask with the cases of `paths`.

    An interrupt (Ctrl-C, SIGTERM) stops the workers and ends the run early; what was done by then is returned and in
    the journal, closed by a footer that says so.

    Args:
        paths: case files and folders of them.
        options: what to do and how.
        on_plan: told the jobs before the first starts.
        on_record: told each record once it is in the journal.
        on_running: told which jobs are running, whenever that changes.

    Raises:
        CaseFileError: some case file cannot be used.
        UsageError: a path or an option is wrong.
        NothingToRunError: the paths and options leave nothing to do.
    """
    started = time.perf_counter()
    check_options(options)
    jobs = _planned(paths, options)
    return carry_out(
        jobs,
        options,
        cases=Path(paths[0]),
        judge=_judge(jobs, options),
        started=started,
        on_plan=on_plan,
        on_record=on_record,
        on_running=on_running,
    )


def carry_out(
    jobs: tuple[Job, ...],
    options: RunOptions,
    *,
    cases: Path | None = None,
    judge: Judge | None = None,
    started: float,
    on_plan: OnPlan = untold,
    on_record: OnRecord = untold,
    on_running: OnRunning = untold,
    decide: Callable[[Run], int] | None = None,
) -> Run:
    """Do planned jobs, with a journal: what every way in ends with.

    Args:
        jobs: what to do.
        options: how; an interrupt ends it early, as `run` says.
        cases: a case file or folder, whose repository's commit is recorded.
        judge: compares each job's records with what is known of earlier ones, before they are written down.
        started: when the run began, by `time.perf_counter`.
        on_plan: told the jobs before the first starts.
        on_record: told each record once it is in the journal.
        on_running: told which jobs are running, whenever that changes.
        decide: chooses the exit code of a run that was not interrupted; None is `exit_code`.
    """
    header = _header(jobs, options, cases)
    on_plan(jobs)
    output = None if options.out is None else options.out / WORKER_OUTPUT
    records: list[CaseRecord] = []
    with _journal(options, header) as journal:
        interrupted = False
        try:
            with terminable(), closing(_execute(jobs, options, output, on_running)) as done:
                for record in (one for records in done for one in (records if judge is None else judge(records))):
                    _keep(record, records, journal)
                    on_record(record)
        except KeyboardInterrupt:
            interrupted = True
        finished = _finish(
            Run(header=header, records=tuple(records), footer=None),
            started,
            decide or partial(exit_code, strict=options.strict),
            interrupted=interrupted,
        )
        if journal is not None and finished.footer is not None:
            journal.write(finished.footer)
    _remove_empty(output)
    return finished


def default_directory(command: str, root: Path = Path("reports")) -> Path:
    """Return a new run directory's path, by the time in UTC: reports/20260131-235959-verify, or that with -2."""
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{command}"
    candidates = (root / (name if number == 1 else f"{name}-{number}") for number in range(1, 1000))
    return next(path for path in candidates if not path.exists())


def point_latest(directory: Path) -> None:
    """Let the link `latest` beside a run directory lead to it, where links can be made."""
    link = directory.parent / "latest"
    with suppress(OSError):
        if link.is_symlink():
            link.unlink()
        link.symlink_to(directory.name)


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C would; signals belong to the main thread, elsewhere nothing changes."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_options(options: RunOptions) -> None:
    """Refuse what no run can do."""
    for name, value in (("jobs", options.jobs), ("timeout", options.timeout_s), ("memory", options.memory_gib)):
        if value is not None and not value > 0:
            raise UsageError(f"Cannot run: {name}={value!r} is not above zero. Leave it out for the default.")
    Trust.from_config(Path.cwd(), options.trust)  # a wrong entry is the caller's mistake, and no job's


def _planned(paths: Sequence[str | Path], options: RunOptions) -> tuple[Job, ...]:
    """Load and plan; every fault of every file is known before anything runs."""
    cases, faults = read_cases(paths)
    jobs: tuple[Job, ...] = ()
    if not faults:
        chosen = choose_cases(cases, paths, keyword=options.keyword, tags=options.tags)
        jobs = plan(chosen, options)
        if not jobs:
            kinds = ", ".join(options.kinds)
            raise NothingToRunError(
                f"Cannot run: none of {len(chosen)} cases declares what is asked for (kinds={kinds}). Name other cases."
            )
        if not options.inline:
            warm_up(modules_of(jobs))  # workers import torch while this process does
    from harness.run.preflight import late_faults  # imports torch

    faults = (*faults, *late_faults(cases))
    if faults:
        raise CaseFileError(faults)
    return jobs


def _judge(jobs: tuple[Job, ...], options: RunOptions) -> Judge | None:
    """Return what compares descents with their blessed counts, None where there is none to compare."""
    if options.bless or options.nudge or not any(job.kind == "converge" for job in jobs):
        return None
    return baseline_for(options.baseline, jobs, start=Path.cwd()).judged


def _header(jobs: tuple[Job, ...], options: RunOptions, cases: Path | None) -> RunHeader:
    now = datetime.now(UTC)
    return RunHeader(
        run=f"{now:%Y%m%d-%H%M%S}" if options.out is None else options.out.name,
        started=now.isoformat(timespec="seconds"),
        command=options.command,
        seed=options.seed,
        planned=tuple(job.name for job in jobs),
        environment=environment(cases),
    )


@contextmanager
def _journal(options: RunOptions, header: RunHeader) -> Iterator[Journal | None]:
    """Start the run directory's journal, if the run has one."""
    if options.out is None:
        yield None
        return
    try:
        journal = Journal(options.out / FILE_NAME)
    except OSError as error:
        raise UsageError(
            f"Cannot write results: out={str(options.out)!r} cannot be used ({error.strerror}). Name another directory."
        ) from error
    with journal:
        journal.write(header)
        yield journal


def _execute(
    jobs: tuple[Job, ...], options: RunOptions, output: Path | None, on_running: OnRunning
) -> Generator[tuple[CaseRecord, ...], None, None]:
    with closing(execute(jobs, options, output=output, on_running=on_running)) as done:
        yield from done


def _keep(record: CaseRecord, records: list[CaseRecord], journal: Journal | None) -> None:
    records.append(record)
    if journal is not None:
        journal.write(record)


def _finish(run: Run, started: float, decide: Callable[[Run], int], *, interrupted: bool) -> Run:
    """Return the run with its footer."""
    footer = RunFooter(
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        duration_s=time.perf_counter() - started,
        interrupted=interrupted,
        exit_code=ExitCode.INTERRUPTED if interrupted else decide(run),
    )
    return Run(header=run.header, records=run.records, footer=footer)


def _remove_empty(output: Path | None) -> None:
    with suppress(OSError):
        if output is not None and output.stat().st_size == 0:
            output.unlink()
