"""What happens inside a job: the part that does the work is called, and whatever goes wrong becomes a record.

This is the outermost case boundary. The parts are imported here, when the first job of their kind runs, so that
planning and reading results need no torch. Processes, time limits and memory caps are `execute`'s job.
"""

from __future__ import annotations

import time
import traceback as tracebacks
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.case.operators import Operator
from harness.commands import optimizers_command, rates_command, repeat_command, sweep_command, with_trust
from harness.optimizers.catalogue import NamedOptimizer
from harness.optimizers.user import UserOptimizer
from harness.records import BenchmarkRecord, CaseRecord, ConvergeRecord, Outcome, SweepRecord, VerifyRecord
from harness.run.options import Kind, RunOptions
from harness.run.plan import Job

if TYPE_CHECKING:
    from harness.case.trust import Trust
    from harness.verify.options import Faults

PARTS: dict[Kind, str] = {
    "verify": "harness.verify.check",
    "converge": "harness.converge.run",
    "sweep": "harness.converge.sweep",
    "power": "harness.verify.check",
    "benchmark": "harness.bench.run",
}
"""The module that does each kind of job; the server that workers are forked from imports those a run needs."""
OPERATOR_PART = "harness.verify.operators"
"""The module that verifies PyTorch's operators."""
OPTIMIZER_PART = "harness.optimizers.verify"
"""The module that verifies optimizers."""


def modules_of(jobs: Iterable[Job]) -> tuple[str, ...]:
    """Return the modules that some jobs need, for the server that workers are forked from."""
    wanted: dict[str, None] = {}
    for job in jobs:
        if isinstance(job.case, Operator):
            wanted |= {OPERATOR_PART: None, job.case.database.partition(":")[0]: None}
        elif isinstance(job.case, NamedOptimizer | UserOptimizer):
            wanted[OPTIMIZER_PART] = None
        else:
            wanted[PARTS[job.kind]] = None
    return tuple(wanted)


def run_job(job: Job, options: RunOptions) -> tuple[CaseRecord, ...]:
    """Do a job in this process.

    Returns:
        Its records, each bearing the job's name; at least one, whatever the job does short of ending the process.
    """
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            # Where the caller turns warnings into errors (as test suites do), those of libraries would end the job.
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", DeprecationWarning)
            records = _device_missing(job, options) or _do(job, options)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the outermost case boundary: all of it goes on record
        records = (
            blank_record(
                job,
                options,
                outcome=Outcome.ERROR,
                message=_describe(error),
                duration_s=time.perf_counter() - start,
                traceback="".join(tracebacks.format_exception(error)),
            ),
        )
    return tuple(_repeatable(replace(record, job=job.name), _command(job, options)) for record in records)


def blank_record(
    job: Job,
    options: RunOptions,
    *,
    outcome: Outcome,
    message: str,
    duration_s: float = 0.0,
    traceback: str | None = None,
) -> CaseRecord:
    """Return a record of the job's kind without evidence, for work that gave none."""
    case = job.case
    command = _command(job, options)
    if job.kind in ("verify", "power"):
        kind: type[VerifyRecord | BenchmarkRecord] = VerifyRecord
    elif job.kind == "benchmark":
        kind = BenchmarkRecord
    elif isinstance(case, Operator | NamedOptimizer | UserOptimizer):
        raise ValueError(f"Cannot make a record: operators and optimizers have no {job.kind} jobs. Plan verification.")
    else:
        entry = case.model.converge[job.entry or 0]
        if job.kind == "sweep":
            return SweepRecord(
                job=job.name, case=case.id, title=case.title, source=case.source, path=str(case.path),
                tags=case.tags, outcome=outcome, message=message, duration_s=duration_s, traceback=traceback,
                command=command, run=entry.optimizer_name, optimizer=entry.optimizer_name, device=job.device,
                dtype=entry.dtype, entry=job.entry or 0,
            )  # fmt: skip
        return ConvergeRecord(
            job=job.name, case=case.id, title=case.title, source=case.source, path=str(case.path),
            tags=case.tags, outcome=outcome, message=message, duration_s=duration_s, traceback=traceback,
            command=command, run=entry.optimizer_name, optimizer=entry.optimizer_name, gradient_source=entry.gradient,
            device=job.device, dtype=entry.dtype, seed=options.seed, status="error", entry=job.entry,
        )  # fmt: skip
    return kind(
        job=job.name, case=case.id, title=case.title, source=case.source, path=str(case.path),
        tags=case.tags, outcome=outcome, message=message, duration_s=duration_s, traceback=traceback,
        command=command,
    )  # fmt: skip


def _do(job: Job, options: RunOptions) -> tuple[CaseRecord, ...]:
    """Call the part that does this kind of job."""
    if isinstance(job.case, Operator):
        from harness.verify.operators import verify_operator

        return (verify_operator(job.case, seed=options.seed, device=job.device),)
    thorough = options.effort == "thorough"
    if isinstance(job.case, NamedOptimizer):
        from harness.optimizers.verify import verify_named

        return (verify_named(job.case, seed=options.seed, thorough=thorough, device=job.device),)
    trust = _trust(options)
    if isinstance(job.case, UserOptimizer):
        from harness.optimizers.verify import verify_user

        return (verify_user(job.case, trust=trust, seed=options.seed, thorough=thorough, device=job.device),)
    if job.kind in ("verify", "power"):
        from harness.verify.check import verify_case

        faults: Faults | None = "all" if job.kind == "power" else None
        return (
            verify_case(
                job.case, trust=trust, seed=options.seed, effort=options.effort, device=job.device, faults=faults
            ),
        )
    if job.kind == "converge":
        from harness.converge.run import converge_case

        return converge_case(
            job.case, job.entry or 0, trust=trust, seed=options.seed, device=job.device, nudge=options.nudge
        )
    if job.kind == "sweep":
        from harness.converge.sweep import sweep_case

        return (
            sweep_case(
                job.case, job.entry or 0, trust=trust, seed=options.seed, device=job.device, grid=options.grid,
                seeds=options.seeds,
            ),
        )  # fmt: skip
    from harness.bench.run import benchmark_case

    return (
        benchmark_case(
            job.case,
            trust=trust,
            seed=options.seed,
            device=job.device,
            quick=options.quick,
            ceilings=job.ceilings,
        ),
    )


def _repeatable(record: CaseRecord, command: str) -> CaseRecord:
    """Return a record, and its findings, with the command that repeats it: only the run knows all that is in it."""
    if isinstance(record, VerifyRecord | ConvergeRecord):
        findings = tuple(replace(one, command=one.command and command) for one in record.findings)
        return replace(record, command=command, findings=findings)
    return replace(record, command=command)


def _command(job: Job, options: RunOptions) -> str:
    """Return the command that repeats a job."""
    one = job.case
    if isinstance(one, Operator):
        return sweep_command(one.id, options.seed, dtype=one.dtype, samples=one.samples, device=job.device)
    if isinstance(one, NamedOptimizer):
        return optimizers_command(one.id, options.seed, device=job.device, thorough=options.effort == "thorough")
    if isinstance(one, UserOptimizer):
        command = repeat_command(one.path, one.case.id, options.seed, "converge")
        command += " --effort thorough" if options.effort == "thorough" else ""
    elif job.kind == "sweep":
        grid = None if options.grid is None else str(options.grid)
        command = rates_command(one.path, one.id, options.seed, grid=grid, seeds=options.seeds, device=job.device)
    else:
        command = repeat_command(one.path, one.id, options.seed, job.kind)
    return with_trust(command, options.trust)


def _trust(options: RunOptions) -> Trust:
    """Return what the caller trusts: configured where the caller stands, never where a case file happens to lie."""
    from harness.case.trust import Trust

    return Trust.from_config(Path.cwd(), options.trust)


def _device_missing(job: Job, options: RunOptions) -> tuple[CaseRecord, ...]:
    """Return a skipped record when the job's device is not here; a benchmark says so itself, row by row."""
    if job.device != "cuda" or job.kind == "benchmark":
        return ()
    import torch

    if torch.cuda.is_available():
        return ()
    return (blank_record(job, options, outcome=Outcome.SKIPPED, message="CUDA is not available"),)


def _describe(error: BaseException) -> str:
    """Say an exception in one line."""
    if isinstance(error, SystemExit):
        return f"The subject tried to end the process: SystemExit({error.code!r})."
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
