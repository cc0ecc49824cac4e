"""A run's timings as pytest-benchmark writes its own, so that its `compare` and what is built on it read them.

Only timings that passed are in it; the samples are per call, as pytest-benchmark's data are. Intervals, counts and
devices' own times have no place there, and are in `results.parquet`.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.records import BenchmarkRecord, Environment, Outcome, Run, Timing

FILE_NAME = "benchmark.json"
VERSION = "5.3.1"
"""The version of pytest-benchmark whose format this is."""


def render_pytest_benchmark(run: Run) -> str | None:
    """Return the document as JSON text, None where a run has no timing that passed."""
    timed = [
        (record, timing)
        for record in run.records
        if isinstance(record, BenchmarkRecord)
        for timing in record.timings
        if timing.outcome is Outcome.PASS and timing.samples
    ]
    if not timed:
        return None
    document = {
        "machine_info": _machine(run.header.environment),
        "commit_info": _commit(run),
        "benchmarks": [_benchmark(record, timing) for record, timing in timed],
        "datetime": run.header.started,
        "version": VERSION,
    }
    return json.dumps(document, ensure_ascii=True, allow_nan=False, indent=1)


def statistics_of(samples: Sequence[float]) -> dict[str, Any]:
    """Return pytest-benchmark's statistics of some samples, each as it defines it.

    Its quartiles are medians of the halves, and between two conventions for an odd number of samples: Hazen's quantile.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    count = len(ordered)
    q1, q3 = (float(end) for end in np.quantile(ordered, (0.25, 0.75), method="hazen"))
    mean, spread = float(ordered.mean()), float(ordered.std(ddof=1)) if count > 1 else 0.0
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    outside = int(((ordered < low) | (ordered > high)).sum())
    beyond = int((np.abs(ordered - mean) > spread).sum())
    inside = ordered[(ordered >= low) & (ordered <= high)]
    return {
        "min": float(ordered[0]),
        "max": float(ordered[-1]),
        "mean": mean,
        "stddev": spread,
        "rounds": count,
        "median": float(np.median(ordered)),
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": outside,
        "stddev_outliers": beyond,
        "outliers": f"{beyond};{outside}",
        "ld15iqr": float(inside[0]),
        "hd15iqr": float(inside[-1]),
        "ops": 1 / mean if mean > 0 else 0.0,
        "total": math.fsum(samples),
        "data": [float(sample) for sample in samples],
    }


def _benchmark(record: BenchmarkRecord, timing: Timing) -> dict[str, Any]:
    sizes = ",".join(f"{name}={size}" for name, size in timing.sizes)
    params = {"what": timing.what, "sizes": sizes, "variant": timing.variant, "device": timing.device}
    params |= {"dtype": timing.dtype}
    param = "-".join(value for value in params.values() if value)
    return {
        "group": record.case,
        "name": f"{record.case}[{param}]",
        "fullname": f"{record.path}::{record.case}[{param}]",
        "params": params,
        "param": param,
        "extra_info": {
            "interval_s": [timing.low_s, timing.high_s],
            "confidence": timing.confidence,
            "first_call_s": timing.first_call_s,
            "peak_memory_bytes": timing.peak_memory_bytes,
            "steady": timing.steady,
            "threads": timing.threads,
        },
        "options": {
            "disable_gc": True,
            "timer": "perf_counter" if timing.device == "cpu" else "cuda events",
            "warmup": True,
        },
        "stats": statistics_of(timing.samples) | {"iterations": timing.inner or 1},
    }


def _machine(environment: Environment) -> dict[str, Any]:
    implementation, _, version = environment.python.partition(" ")
    return {
        "node": "",  # its name says nothing about its speed, and may be nobody's business
        "processor": environment.cpu,
        "machine": platform.machine(),
        "python_implementation": implementation,
        "python_version": version,
        "system": environment.platform.partition("-")[0],
        "release": environment.platform,
        "cpu": {"brand_raw": environment.cpu, "count": environment.cpu_count},
        "torch": environment.torch,
        "torch_threads": environment.torch_threads,
        "cuda": environment.cuda,
    }


def _commit(run: Run) -> dict[str, Any]:
    commit, mark, _ = (run.header.environment.git_commit or "").partition("+")
    return {
        "id": commit or "unversioned",
        "time": None,
        "author_time": None,
        "dirty": bool(mark),
        "project": "harness",
        "branch": "(unknown)",
    }
