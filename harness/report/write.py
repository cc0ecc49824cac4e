"""Writes a run's report: a few files, each of them whole or not there at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from harness.records import Run
from harness.report import columns
from harness.report.frames import results_frame
from harness.report.html import render_html
from harness.report.junit import render_junit
from harness.report.markdown import render_markdown
from harness.report.pytest_benchmark import FILE_NAME as BENCHMARK_FILE
from harness.report.pytest_benchmark import render_pytest_benchmark
from harness.report.summary import environment_text

FILES = ("report.html", "summary.md", "junit.xml", "results.parquet")
"""What a report consists of; a run with timings has benchmark.json besides."""


def write_report(run: Run, directory: str | Path) -> None:
    """Write report.html, summary.md, junit.xml and results.parquet into a directory, which is made if need be.

    A run with timings gets benchmark.json besides, for pytest-benchmark. A file that is there already is replaced in
    one step; a reader never sees half of one.

    Raises:
        OSError: when the directory cannot be made or written to.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # The small files go first, so that CI has its summary even where the page cannot be made.
    replace(directory / "junit.xml", render_junit(run).encode(errors="replace"))
    replace(directory / "summary.md", render_markdown(run).encode(errors="replace"))
    timings = render_pytest_benchmark(run)
    if timings is not None:
        replace(directory / BENCHMARK_FILE, timings.encode())
    replace(directory / "results.parquet", results_bytes(run))
    replace(directory / "report.html", render_html(run).encode(errors="replace"))


def results_bytes(run: Run) -> bytes:
    """Return the results as a Parquet file: columns carry their meanings, and the file carries the environment."""
    schema = columns.RESULTS.with_metadata({"environment": environment_text(run)})
    table = pa.Table.from_pandas(results_frame(run), schema=columns.RESULTS, preserve_index=False).cast(schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def replace(path: Path, content: bytes) -> None:
    """Put content into a file in one step, through a temporary file beside it.

    Raises:
        OSError: when it cannot be written; nothing of it is left behind then.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
