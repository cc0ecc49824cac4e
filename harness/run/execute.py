"""Plan → records: every job in a process of its own, with a time limit and a memory cap.

A job that hangs, crashes or eats memory becomes a record and never takes the others down. Benchmarks run last, one at a
time with nothing beside them, and only for cases whose verification passed. What a job does is `work`'s, what happens
to its records is `run`'s.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from functools import partial
from multiprocessing.context import BaseContext
from pathlib import Path

from pebble import ProcessExpired, concurrent

from harness.records import CaseRecord, Outcome
from harness.run.options import RunOptions
from harness.run.plan import Job
from harness.run.work import blank_record, modules_of, run_job
from harness.run.worker import Surroundings, Work, in_worker

Records = tuple[CaseRecord, ...]
OnRunning = Callable[[tuple[str, ...]], None]
"""Told the names of the jobs now running, whenever they change."""


def untold(_: object) -> None:
    """Hear of something and do nothing: the default of every callback."""


WORKER = "harness-worker"
_STOP_S = 10.0
"""Longest to wait for stopped workers; they are killed after three seconds (pebble)."""


def execute(
    jobs: Sequence[Job],
    options: RunOptions,
    *,
    work: Work = run_job,
    output: Path | None = None,
    on_running: OnRunning = untold,
) -> Generator[Records, None, None]:
    """Do jobs, and yield each job's records as it ends.

    Args:
        jobs: what to do, in this order as far as workers are free; benchmarks wait for everything else.
        options: how; with `inline`, in this process and without limits.
        work: what does a job.
        output: file that collects what workers print.
        on_running: told which jobs are running.

    Yields:
        The records of one job, at least one.
    """
    verified: dict[str, list[Outcome]] = {}
    for job in jobs:
        if job.skip is not None:
            yield (blank_record(job, options, outcome=Outcome.SKIPPED, message=job.skip),)
    checks = [job for job in jobs if job.kind != "benchmark" and job.skip is None]
    for records in _run(checks, options, work, output, on_running, alone=False):
        for record in records:
            if record.kind == "verify":
                verified.setdefault(record.case, []).append(record.outcome)
        yield records
    timed = []
    for job in jobs:
        if job.kind != "benchmark":
            continue
        reason = _why_not_timed(verified.get(job.case.id, []))
        if reason is None:
            timed.append(job)
        else:
            yield (blank_record(job, options, outcome=Outcome.SKIPPED, message=reason),)
    # Known only now: a benchmark that is not run measures nothing for the others.
    timed[:1] = [replace(job, ceilings=True) for job in timed[:1]]
    yield from _run(timed, options, work, output, on_running, alone=True)


def warm_up(modules: Sequence[str] = ()) -> None:
    """Start the server process that workers are forked from; it imports these modules meanwhile."""
    context = _context()
    if context.get_start_method() == "forkserver":
        from multiprocessing import forkserver

        context.set_forkserver_preload(["__main__", *modules, "harness.run.preload"])
        # The server is in our process group: without the mask, a Ctrl-C while it imports would end it with a traceback.
        old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)


def default_jobs() -> int:
    """Return the number of CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _why_not_timed(outcomes: list[Outcome]) -> str | None:
    """Say why a case is not timed, or None when its verification passed everywhere it ran."""
    ran = [outcome for outcome in outcomes if outcome is not Outcome.SKIPPED]
    bad = sorted({outcome.value for outcome in ran if outcome is not Outcome.PASS})
    if not ran:
        return "Not timed: its gradient was not verified in this run."
    return f"Not timed: its verification ended as {', '.join(bad)}." if bad else None


def _run(
    jobs: Sequence[Job], options: RunOptions, work: Work, output: Path | None, on_running: OnRunning, *, alone: bool
) -> Generator[Records, None, None]:
    """Do jobs of one phase, here or in workers; `alone` is one at a time with all threads."""
    if options.inline:
        for job in jobs:
            on_running((job.name,))
            yield work(job, options)
    elif jobs:
        workers = 1 if alone else max(1, options.jobs or default_jobs())
        surroundings = Surroundings(single_thread=not alone, output=output)
        yield from _Workers(partial(in_worker, work), options, surroundings, on_running).run(jobs, workers)


class _Workers:
    """The worker processes of one phase."""

    def __init__(
        self, target: Callable[..., Records], options: RunOptions, surroundings: Surroundings, on_running: OnRunning
    ) -> None:
        self._target = target
        self._options = options
        self._surroundings = surroundings
        self._on_running = on_running
        self._running: dict[Future[Records], tuple[Job, float]] = {}

    def run(self, jobs: Sequence[Job], workers: int) -> Generator[Records, None, None]:
        """Do jobs in at most `workers` processes at a time; stops those running if the caller stops listening."""
        warm_up(modules_of(jobs))
        waiting = deque(jobs)
        try:
            while waiting or self._running:
                while waiting and len(self._running) < workers:
                    self._start(waiting.popleft())
                self._on_running(tuple(job.name for job, _ in self._running.values()))
                done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield self._collect(future)
        finally:
            self._stop()

    def _start(self, job: Job) -> None:
        limit_s = self._options.limit_s(job.kind)
        # pebble's annotations call the last argument mp_context, but "context" is the one it reads.
        start = concurrent.process(name=WORKER, daemon=False, timeout=limit_s, context=_context())  # type: ignore[call-overload]
        call = partial(self._target, job, self._options, self._surroundings)
        self._running[start(call)()] = (job, time.perf_counter())

    def _collect(self, future: Future[Records]) -> Records:
        """Return what a finished job left: its records, or one that says how it ended without any."""
        job, started = self._running.pop(future)
        error = future.exception()
        if error is None:
            return future.result()
        outcome, message = _explain(error, self._options.limit_s(job.kind), self._options.memory_gib)
        duration_s = time.perf_counter() - started
        return (blank_record(job, self._options, outcome=outcome, message=message, duration_s=duration_s),)

    def _stop(self) -> None:
        """Stop what still runs and wait until it is gone."""
        for future in self._running:
            future.cancel()
        self._running.clear()
        deadline = time.monotonic() + _STOP_S
        for thread in threading.enumerate():
            if thread.name == WORKER:  # pebble's keeper of one worker process; ends when the process has
                thread.join(max(0.0, deadline - time.monotonic()))


def _explain(error: BaseException, limit_s: float, memory_gib: float | None) -> tuple[Outcome, str]:
    """Say how a job ended that sent no records."""
    if isinstance(error, TimeoutError):
        return Outcome.TIMEOUT, f"Did not finish within {limit_s:g} s and was stopped (--timeout)."
    if not isinstance(error, ProcessExpired):
        return Outcome.CRASHED, f"The worker process failed: {type(error).__name__}: {error}"
    status = error.exitcode
    if status is None or status >= 0:
        return Outcome.CRASHED, f"The process ended itself with status {status} before the case was done."
    name = _signal_name(-status)
    cap = "" if memory_gib is None else f" or its cap of {memory_gib:g} GiB"
    hint = f" The machine's memory{cap} may have been exhausted." if name in ("SIGKILL", "SIGABRT") else ""
    return Outcome.CRASHED, f"The process was killed by {name} before the case was done.{hint}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _context() -> BaseContext:
    """Return the way processes are started: forked from a clean server where the system can, spawned elsewhere.

    Forking this process itself would copy its threads' locks in whatever state they are.
    """
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    return multiprocessing.get_context("forkserver")
