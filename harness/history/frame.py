"""A run as one tidy frame: the rows that history keeps, with everything a trend needs in each of them.

A row is one verdict, accuracy, descent, timing or count; its first columns say which run it came from and where that
happened, in full, so that what counts as one machine is decided when history is read. Findings, curves, trajectories
and tracebacks are not kept: they are in the run directory.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pandas as pd
import pyarrow as pa

from harness.records import BenchmarkRecord, ConvergeRecord, Run, Timing, VerifyRecord
from harness.report.frames import accuracy_frame, cases_frame, counts_frame
from harness.report.tables import build, rows

VERSION = 1
"""Of the columns below. A column that is added makes a new version; none changes its meaning or its type."""

TEXT, INTEGER, REAL, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()

_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "run": (TEXT, "Name of the run."),
    "started": (pa.timestamp("us", tz="UTC"), "When the run started."),
    "commit": (TEXT, "Commit of the repository the cases lie in; missing outside of one."),
    "changed": (FLAG, "Whether tracked files differed from that commit."),
    "command": (TEXT, "The command line."),
    "seed": (INTEGER, "Seed of the run."),
    "harness": (TEXT, "Version of the harness."),
    "python": (TEXT, "Version of Python."),
    "torch": (TEXT, "Version of PyTorch."),
    "numpy": (TEXT, "Version of NumPy."),
    "packages": (TEXT, "Versions of further packages a result may depend on."),
    "platform": (TEXT, "Operating system."),
    "cpu": (TEXT, "Processor."),
    "cpu_count": (INTEGER, "Cores of the machine."),
    "memory_bytes": (INTEGER, "Memory of the machine in bytes."),
    "torch_threads": (INTEGER, "Threads torch uses when it is not told otherwise."),
    "cuda": (TEXT, "CUDA version and device; missing: none."),
    "kind": (TEXT, "What the row is: verification · accuracy · descent · timing · count."),
    "case": (TEXT, "Unique id of the case; missing for counts."),
    "outcome": (TEXT, "How it ended; of a count: what was counted."),
    "message": (TEXT, "The result in words."),
    "what": (TEXT, "The timed pass; of a count: cases, findings or timings."),
    "variant": (TEXT, "Of a timing: autograd · analytic …; of a descent: the optimizer with its options."),
    "device": (TEXT, "Device."),
    "dtype": (TEXT, "Number type."),
    "sizes": (TEXT, "Sizes of the inputs."),
    "elements": (INTEGER, "Elements of all inputs together."),
    "threads": (INTEGER, "Threads torch used."),
    "descent_seed": (INTEGER, "Seed of the descent."),
    "value": (INTEGER, "The count."),
    "digits": (REAL, "Fewest digits to which a gradient agrees with its truth; of a verification: their median."),
    "ulps": (REAL, "Largest error of an entry in units in the last place."),
    "detection_limit": (REAL, "Smallest relative fault that the checks were seen to catch."),
    "faults": (INTEGER, "Faults put into the backward on purpose."),
    "faults_caught": (INTEGER, "Those that the checks noticed."),
    "status": (TEXT, "How the descent ended: hit · stalled · diverged · budget · error."),
    "steps": (INTEGER, "Steps of the descent."),
    "steps_to_tolerance": (INTEGER, "First step within tolerance of the minimum."),
    "final_error": (REAL, "Distance from the minimum after the last step."),
    "observed_rate": (REAL, "Factor the distance shrinks by per step."),
    "median_s": (REAL, "Median time per call in seconds."),
    "low_s": (REAL, "Lower end of the median's interval."),
    "high_s": (REAL, "Upper end of the median's interval."),
    "confidence": (REAL, "Confidence of that interval."),
    "samples": (pa.list_(REAL), "Seconds per call of every sample."),
    "inner": (INTEGER, "Calls per sample."),
    "steady": (FLAG, "Whether warming up ended in a steady state."),
    "throttled": (FLAG, "Whether the device was throttled during a sample."),
    "first_call_s": (REAL, "Time of the first call in seconds."),
    "compile_s": (REAL, "Time of the compiler in seconds."),
    "peak_memory_bytes": (INTEGER, "Peak memory during the pass in bytes."),
    "operators": (INTEGER, "Operators that one call runs."),
    "flops": (INTEGER, "Floating-point operations of one call."),
    "saved_bytes": (INTEGER, "What autograd saves for the backward pass, in bytes."),
    "duration_s": (REAL, "Wall-clock time in seconds."),
}

SCHEMA = pa.schema(
    [pa.field(name, kind, metadata={"description": text}) for name, (kind, text) in _COLUMNS.items()],
)
"""The columns of a history file."""

Row = dict[str, object]


def history_frame(run: Run) -> pd.DataFrame:
    """Return the rows that history keeps of a run; missing is NA."""
    head = _head(run)
    return build((head | row for row in _rows(run)), SCHEMA)


def _rows(run: Run) -> Iterator[Row]:
    digits = {row.case: row.digits for row in rows(cases_frame(run))}
    for record in run.records:
        if isinstance(record, VerifyRecord):
            yield _verification(record, digits.get(record.case))
        elif isinstance(record, ConvergeRecord):
            yield _descent(record)
        elif isinstance(record, BenchmarkRecord):
            yield from (_timing(record, timing) for timing in record.timings)
    for row in rows(accuracy_frame(run)):
        same = ("case", "dtype", "device", "digits", "ulps")
        yield {"kind": "accuracy"} | {name: getattr(row, name) for name in same}
    for count in rows(counts_frame(run)):
        for what in ("cases", "findings", "timings"):
            yield {"kind": "count", "outcome": count.outcome, "what": what, "value": getattr(count, what)}


def _head(run: Run) -> Row:
    header, environment = run.header, run.header.environment
    commit, mark, _ = (environment.git_commit or "").partition("+")
    same = ("harness", "python", "torch", "numpy", "platform", "cpu", "cpu_count", "memory_bytes", "torch_threads")
    return {name: getattr(environment, name) for name in same} | {
        "run": header.run,
        "started": datetime.fromisoformat(header.started),
        "commit": commit or None,
        "changed": bool(mark) if commit else None,
        "command": header.command,
        "seed": header.seed,
        "cuda": environment.cuda,
        "packages": ", ".join(f"{name} {version}" for name, version in environment.packages),
    }


def _verification(record: VerifyRecord, digits: float | None) -> Row:
    power = record.power
    return {
        "kind": "verification",
        "case": record.case,
        "outcome": record.outcome.value,
        "message": record.message,
        "digits": digits,
        "detection_limit": record.detection_limit,
        "faults": None if power is None else power.injected,
        "faults_caught": None if power is None else power.caught,
        "duration_s": record.duration_s,
    }


def _descent(record: ConvergeRecord) -> Row:
    same = ("status", "steps", "steps_to_tolerance", "final_error", "observed_rate", "duration_s", "message")
    return {name: getattr(record, name) for name in same} | {
        "kind": "descent",
        "case": record.case,
        "outcome": record.outcome.value,
        "variant": record.run,
        "device": record.device,
        "dtype": record.dtype,
        "descent_seed": record.seed,
    }


def _timing(record: BenchmarkRecord, timing: Timing) -> Row:
    where = ("what", "variant", "device", "dtype", "elements", "threads")
    times = ("median_s", "low_s", "high_s", "confidence", "first_call_s", "compile_s", "peak_memory_bytes")
    counts = timing.counts
    return {name: getattr(timing, name) for name in (*where, *times, "inner", "steady", "throttled", "message")} | {
        "kind": "timing",
        "case": record.case,
        "outcome": timing.outcome.value,
        "sizes": ", ".join(f"{name}={size}" for name, size in timing.sizes),
        "samples": list(timing.samples),
        "operators": None if counts is None else counts.operator_calls,
        "flops": None if counts is None else counts.flops,
        "saved_bytes": None if counts is None else counts.saved_bytes,
    }
