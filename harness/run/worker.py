"""The inside of a worker process: how it is set up before its one job.

Each job has a process of its own, forked from a server process that imported everything once (`preload`), so that a
fork costs hundredths of a second and no job meets what another left behind. Starting, timing and reaping the processes
is `execute`'s job.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.records import CaseRecord, Outcome
from harness.run.options import RunOptions
from harness.run.plan import Job

Work = Callable[[Job, RunOptions], tuple[CaseRecord, ...]]
"""Does a job: `harness.run.work.run_job`, or a stand-in that can be pickled by name."""

GIB = 1024**3

_NO_MEMORY = ("MemoryError", "can't allocate memory", "CUDA out of memory", "std::bad_alloc", "Cannot allocate memory")
"""How Python, torch's allocators, C++ and the system say that there is no more memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a worker process gives its job.

    `single_thread`: torch computes in one thread, as it must where workers share the cores.
    `output`: file that takes over standard output and error, so that subjects that print disturb no one; None sends
    both to standard error.
    """

    single_thread: bool
    output: Path | None = None


def in_worker(work: Work, job: Job, options: RunOptions, surroundings: Surroundings) -> tuple[CaseRecord, ...]:
    """Do a job in this process, which is a worker's and does nothing else.

    Returns:
        The job's records; an error for want of memory is a crash, as it would have been without the cap.
    """
    redirect(surroundings.output)
    if surroundings.single_thread:
        import torch

        torch.set_num_threads(1)
    if options.memory_gib is not None:
        cap_memory(round(options.memory_gib * GIB))
    return tuple(_named_crash(record, options) for record in work(job, options))


def redirect(output: Path | None) -> None:
    """Take standard output, which may carry a JSON document, away from the subject.

    Args:
        output: file that takes over standard output and error; None sends both to standard error.
    """
    sys.stdout.flush()
    if output is None:
        os.dup2(2, 1)
        return
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def cap_memory(extra_bytes: int) -> None:
    """Limit private writable memory to what is in use now plus `extra_bytes`, where the system can (Linux).

    RLIMIT_DATA rather than RLIMIT_AS: CUDA and the allocators' arenas reserve address space far beyond what they use.
    """
    try:
        import resource

        status = Path("/proc/self/status").read_text()
    except (ImportError, OSError):
        return
    in_use = next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:")), None)
    if in_use is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = in_use + extra_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _named_crash(record: CaseRecord, options: RunOptions) -> CaseRecord:
    """Turn an error for want of memory into a crash that says so."""
    text = f"{record.message}\n{record.traceback or ''}"
    if record.outcome is not Outcome.ERROR or not any(sign in text for sign in _NO_MEMORY):
        return record
    cap = "" if options.memory_gib is None else f"; the cap is {options.memory_gib:g} GiB (--memory)"
    return replace(record, outcome=Outcome.CRASHED, message=f"Ran out of memory{cap}. {record.message}")
