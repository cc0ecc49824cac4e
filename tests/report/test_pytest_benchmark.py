"""What we write, pytest-benchmark itself reads: its own statistics, and its own command line."""

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_benchmark.stats import Stats

from harness.records import BenchmarkRecord, Outcome
from harness.report.pytest_benchmark import FILE_NAME, render_pytest_benchmark, statistics_of
from harness.report.write import write_report


def timed_run(factory, *, slower=1.0):
    """A run with timings, all of them slower by a factor."""
    run = factory.full_run()
    records = []
    for record in run.records:
        if isinstance(record, BenchmarkRecord):
            passed = [t for t in record.timings if t.outcome is Outcome.PASS]
            rng = random.Random(record.case)
            samples = [tuple(slower * t.median_s * rng.uniform(0.9, 1.1) for _ in range(21)) for t in passed]
            timings = tuple(replace(t, samples=s) for t, s in zip(passed, samples, strict=True))
            records.append(replace(record, timings=timings))
    return replace(run, records=tuple(records))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 40, 41, 42, 43])
def test_statistics_are_those_of_pytest_benchmark(count):
    """Every figure of its summary, for every kind of number of samples, with and without outliers."""
    rng = random.Random(count)
    samples = [rng.lognormvariate(-10, 0.5) for _ in range(count)]
    theirs = Stats()
    for sample in samples:
        theirs.update(sample)
    ours = statistics_of(samples)
    expected = theirs.as_dict()
    assert set(expected) < set(ours)
    assert {name: ours[name] for name in expected} == {
        name: value if isinstance(value, str) else pytest.approx(value, rel=1e-9, abs=1e-18)
        for name, value in expected.items()
    }


def test_its_command_line_compares_our_runs(factory, tmp_path):
    """`pytest-benchmark compare` takes the files of two runs and prints both sides of every timing."""
    files = []
    for name, slower in (("before", 1.0), ("after", 1.5)):
        write_report(timed_run(factory, slower=slower), tmp_path / name)
        files.append(str(tmp_path / name / FILE_NAME))
    command = "import sys; from pytest_benchmark.cli import main; sys.exit(main())"
    arguments = ["compare", *files, "--group-by=fullname", "--columns=median,iqr,rounds,iterations", "--csv=out.csv"]
    done = subprocess.run(
        [sys.executable, "-c", command, *arguments],
        cwd=tmp_path, env=os.environ | {"COLUMNS": "200"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    names = [benchmark["fullname"] for benchmark in json.loads(Path(files[0]).read_text())["benchmarks"]]
    assert done.returncode == 0, done.stderr
    assert len(names) > 3
    assert all(f"benchmark '{name}': 2 tests" in done.stdout for name in names)
    assert "(1.50)" in done.stdout
    assert "Failed to load" not in done.stdout + done.stderr


def test_what_was_not_timed_is_not_in_it(factory, tmp_path):
    """Skipped timings, and runs without any, have no place in the file."""
    run = factory.full_run()
    timings = [t for r in run.records if isinstance(r, BenchmarkRecord) for t in r.timings]
    passed = [t for t in timings if t.outcome is Outcome.PASS and t.samples]
    assert len(json.loads(render_pytest_benchmark(run))["benchmarks"]) == len(passed) < len(timings)
    assert render_pytest_benchmark(factory.small_run()) is None
    write_report(factory.small_run(), tmp_path)
    assert not (tmp_path / FILE_NAME).exists()
