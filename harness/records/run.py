"""Records of a run: where and when it happened, and all that was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.records.convergence import ConvergeRecord, SweepRecord
from harness.records.timing import BenchmarkRecord
from harness.records.verification import VerifyRecord

RECORD_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a run happened: what has to be alike before two runs' timings may be compared."""

    python: str
    platform: str
    cpu: str
    cpu_count: int
    memory_bytes: int | None
    torch: str
    torch_threads: int
    numpy: str
    cuda: str | None
    """CUDA version and device name, or None."""
    cuda_missing: str | None
    """Why there is no CUDA, when there is none."""
    harness: str
    git_commit: str | None
    packages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """First line of a journal."""

    kind: Literal["run"] = "run"
    version: int = RECORD_VERSION
    run: str
    started: str
    """ISO 8601, UTC."""
    command: str
    seed: int
    planned: tuple[str, ...]
    """Names of the planned jobs, so that what never ran is visible."""
    environment: Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFooter:
    """Last line of a journal; a journal without one belongs to a run that was interrupted."""

    kind: Literal["end"] = "end"
    finished: str
    duration_s: float
    interrupted: bool
    exit_code: int


CaseRecord = VerifyRecord | ConvergeRecord | SweepRecord | BenchmarkRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A whole run, read back or just made."""

    header: RunHeader
    records: tuple[CaseRecord, ...]
    footer: RunFooter | None

    @property
    def not_run(self) -> tuple[str, ...]:
        """Names of planned jobs without a record."""
        done = {record.job for record in self.records}
        return tuple(name for name in self.header.planned if name not in done)
