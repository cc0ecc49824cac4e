"""Cases, or PyTorch's operators → plan: which jobs a run consists of, and in which order. Nothing runs here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.run.options import Kind, RunOptions

if TYPE_CHECKING:
    from harness.case.case import Case
    from harness.case.operators import Operator
    from harness.optimizers.catalogue import NamedOptimizer
    from harness.optimizers.user import UserOptimizer

OneDevice = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work that stands or falls alone: it can hang or crash without touching another.

    `entry` is the position under the case's `converge`, None for other kinds. A benchmark on "cpu" sets the CPU against
    the CUDA device by itself, where there is one. `skip` is the reason of a job that is not done, None for all others.
    `ceilings` marks the benchmark that measures what the devices can do, for all.
    """

    name: str
    kind: Kind
    case: Case | Operator | NamedOptimizer | UserOptimizer
    entry: int | None = None
    device: OneDevice = "cpu"
    skip: str | None = None
    ceilings: bool = False


def plan(cases: Sequence[Case], options: RunOptions) -> tuple[Job, ...]:
    """Return the jobs of a run: case by case its verification, then its descents; all benchmarks at the end.

    A benchmark needs its case verified in the same run, so asking for benchmarks alone plans the verification of the
    cases that declare one.
    """
    devices: tuple[OneDevice, ...] = ("cpu", "cuda") if options.device == "all" else (options.device,)
    early = list(_user_optimizers(cases, devices, options))
    early += [job for case in cases for device in devices for job in _checks(case, device, options)]
    return (*early, *(job for case in cases for job in _benchmarks(case, options)))


def plan_operators(operators: Sequence[Operator], options: RunOptions) -> tuple[Job, ...]:
    """Return the jobs of a sweep: each operator is verified on each device."""
    devices: tuple[OneDevice, ...] = ("cpu", "cuda") if options.device == "all" else (options.device,)
    return tuple(
        Job(name=f"verify {one.id}{_on(device, options)}", kind="verify", case=one, device=device, skip=one.excluded)
        for one in operators
        for device in devices
    )


def plan_optimizers(optimizers: Sequence[NamedOptimizer], options: RunOptions) -> tuple[Job, ...]:
    """Return the jobs of verifying optimizers: each on each device."""
    devices: tuple[OneDevice, ...] = ("cpu", "cuda") if options.device == "all" else (options.device,)
    return tuple(
        Job(name=f"optimizer {one.id}{_on(device, options)}", kind="verify", case=one, device=device)
        for one in optimizers
        for device in devices
    )


def _user_optimizers(cases: Sequence[Case], devices: tuple[OneDevice, ...], options: RunOptions) -> Iterator[Job]:
    """Yield the verification of every optimizer that descents name by Python path, once each."""
    if not {"verify", "converge"} & set(options.kinds):
        return
    from harness.optimizers.user import user_optimizers

    for one in user_optimizers(cases):
        for device in devices:
            yield Job(name=f"optimizer {one.id}{_on(device, options)}", kind="verify", case=one, device=device)


def _checks(case: Case, device: OneDevice, options: RunOptions) -> list[Job]:
    """Return the jobs of one case on one device that take no part in timing."""
    jobs = []
    if "verify" in options.kinds or _benchmarks(case, options):
        jobs.append(Job(name=f"verify {case.id}{_on(device, options)}", kind="verify", case=case, device=device))
    if "power" in options.kinds:
        jobs.append(Job(name=f"power {case.id}{_on(device, options)}", kind="power", case=case, device=device))
    descents: tuple[Kind, ...] = ("converge", "sweep")
    for kind in descents:
        if kind not in options.kinds:
            continue
        jobs += [
            Job(
                name=f"{kind} {case.id}[{entry}]{_on(device, options)}",
                kind=kind,
                case=case,
                entry=entry,
                device=device,
            )
            for entry in range(len(case.model.converge))
        ]
    return jobs


def _benchmarks(case: Case, options: RunOptions) -> list[Job]:
    if "benchmark" not in options.kinds or case.model.benchmark is None:
        return []
    device: OneDevice = "cuda" if options.device == "cuda" else "cpu"
    return [Job(name=f"benchmark {case.id}", kind="benchmark", case=case, device=device)]


def _on(device: OneDevice, options: RunOptions) -> str:
    """Tell the jobs of one case on two devices apart."""
    return f" on {device}" if options.device == "all" and device != "cpu" else ""
