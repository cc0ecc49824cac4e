"""Runs as history sees them: made of nothing but what is recorded. All figures are invented."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from harness.records import (
    BenchmarkRecord,
    ConvergeRecord,
    Counts,
    DetectionPower,
    Environment,
    Finding,
    Outcome,
    Run,
    RunFooter,
    RunHeader,
    Timing,
    VerifyRecord,
)

ENVIRONMENT = Environment(
    python="CPython 3.12.3",
    platform="Linux-6.8.0-41-generic-x86_64-with-glibc2.39",
    cpu="Imaginary CPU @ 3.00 GHz",
    cpu_count=8,
    memory_bytes=int(15.5 * 2**30),
    torch="2.13.0+cpu",
    torch_threads=8,
    numpy="2.4.6",
    cuda=None,
    cuda_missing="no CUDA",
    harness="0.1.0",
    git_commit="0123456789abcdef0123456789abcdef01234567",
)
START = datetime(2026, 1, 1, tzinfo=UTC)


def timing(median_s=1e-5, **changes):
    """A timing that passed, changed as asked."""
    base = Timing(
        outcome=Outcome.PASS,
        message="median of 5 samples",
        what="backward",
        variant="autograd",
        device="cpu",
        dtype="float32",
        sizes=(("n", 100),),
        elements=100,
        median_s=median_s,
        low_s=0.99 * median_s,
        high_s=1.01 * median_s,
        confidence=0.95,
        inner=10,
        samples=tuple(median_s * factor for factor in (0.98, 0.99, 1.0, 1.01, 1.02)),
        steady=True,
        threads=1,
        counts=Counts(operators=(("aten::mul", 3), ("aten::sum", 1)), flops=200, saved_bytes=800),
    )
    return replace(base, **changes)


def record(kind, case="rss", **fields):
    """A record of a kind with what every record has."""
    names = {VerifyRecord: "verify", ConvergeRecord: "converge", BenchmarkRecord: "benchmark"}
    common = {"job": f"{names[kind]} {case}", "case": case, "title": case, "source": "", "path": f"cases/{case}.yaml"}
    return kind(**{**common, "outcome": Outcome.PASS, "message": "fine", **fields})


@pytest.fixture
def make_run():
    """A function that makes a run: when (in days), of which commit, where, with which timings and digits."""

    def make(day=0, *timings, commit=None, digits=12.0, case="rss", interrupted=False, **environment):
        finding = Finding(
            check="reverse ~ ladder", outcome=Outcome.PASS, message="", input="w", digits=digits, independent=True
        )
        records = (
            record(
                VerifyRecord,
                case,
                findings=(replace(finding, route="autograd", oracle="ladder"),),
                detection_limit=1e-9,
                power=DetectionPower(injected=20, caught=19),
            ),
            record(
                ConvergeRecord, case, run="SGD(lr=0.1)", optimizer="SGD", status="hit", steps=40, steps_to_tolerance=31
            ),
            record(BenchmarkRecord, case, timings=timings or (timing(),)),
        )
        started = (START + timedelta(days=day)).isoformat()
        where = replace(ENVIRONMENT, **{"git_commit": commit or f"{day:09x}" + 31 * "0", **environment})
        header = RunHeader(
            run=f"run-{day}",
            started=started,
            command="harness run",
            seed=3,
            planned=tuple(made.job for made in records),
            environment=where,
        )
        footer = RunFooter(finished=started, duration_s=1.0, interrupted=interrupted, exit_code=0)
        return Run(header=header, records=records, footer=footer)

    make.timing = timing
    return make


@pytest.fixture
def memory_url(request):
    """A history in memory of its own, empty."""
    import fsspec

    system = fsspec.filesystem("memory")
    folder = f"/{request.node.name}"
    yield f"memory:/{folder}"
    for path in [path for path in system.store if path.startswith(f"{folder}/")]:
        system.rm_file(path)
