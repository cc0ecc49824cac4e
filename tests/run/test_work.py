"""Inside a job: the parts are called, and whatever they do becomes records."""

import warnings
from dataclasses import replace

import pytest
import torch

from harness.case.load import load_cases
from harness.records import Ceilings, Outcome
from harness.run.options import RunOptions
from harness.run.plan import plan
from harness.run.work import blank_record, run_job

ALL = ("verify", "converge", "benchmark")
CEILINGS = Ceilings(device="cpu", dtype="float32", bytes_per_s=1e10, flops_per_s=1e11, copy_bytes=1, matrix_rows=1)


@pytest.fixture
def jobs(cases):
    """The jobs of the good case, one of each kind."""
    return plan(load_cases([cases("good")]), RunOptions(kinds=ALL))


@pytest.mark.parametrize("kind", ALL)
def test_each_kind_of_job_makes_its_record(jobs, kind):
    """Every part is reached, its record bears the job's name, and the good case is green."""
    job = next(job for job in jobs if job.kind == kind)
    (record,) = run_job(job, RunOptions(quick=True))
    assert (record.kind, record.job, record.outcome) == (kind, job.name, Outcome.PASS)


@pytest.mark.parametrize("marked", [False, True])
def test_a_marked_benchmark_measures_the_ceilings(jobs, monkeypatch, marked):
    """The mark of the plan reaches the part that measures."""
    monkeypatch.setattr("harness.bench.run.measure_ceilings", lambda clock: (CEILINGS,))
    job = next(job for job in jobs if job.kind == "benchmark")
    (record,) = run_job(replace(job, ceilings=marked), RunOptions(quick=True))
    assert record.ceilings == ((CEILINGS,) if marked else ())


@pytest.mark.parametrize("kind", ALL)
def test_each_kind_of_job_has_a_blank_record(jobs, kind):
    """A job that gave no record still gets one of its own kind, that says which case it was."""
    job = next(job for job in jobs if job.kind == kind)
    record = blank_record(job, RunOptions(), outcome=Outcome.CRASHED, message="gone")
    assert (record.kind, record.job, record.case, record.outcome) == (kind, job.name, "square", Outcome.CRASHED)


def test_what_a_part_raises_becomes_a_record(jobs, monkeypatch):
    """A fault of our own is on record with its traceback, and does not end the run."""

    def broken(*arguments, **options):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("harness.verify.check.verify_case", broken)
    (record,) = run_job(jobs[0], RunOptions())
    assert (record.outcome, record.message) == (Outcome.ERROR, "ZeroDivisionError: oh")
    assert "in broken" in record.traceback


def test_a_warning_is_no_error(jobs, monkeypatch):
    """Where the caller's warnings are errors, a library's warning still does not end a job; it is printed."""

    def warn(*arguments, **options):
        warnings.warn("odd", stacklevel=1)
        return blank_record(jobs[0], RunOptions(), outcome=Outcome.PASS, message="")

    monkeypatch.setattr("harness.verify.check.verify_case", warn)
    shown = []
    monkeypatch.setattr("warnings.showwarning", lambda message, *rest: shown.append(str(message)))
    (record,) = run_job(jobs[0], RunOptions())
    assert (record.outcome, shown) == (Outcome.PASS, ["odd"])


def test_an_interrupt_is_not_swallowed(jobs, monkeypatch):
    """Ctrl-C during an inline run ends the run, not only the job."""

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.verify.check.verify_case", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_job(jobs[0], RunOptions())


def test_a_missing_device_is_a_skip_with_its_reason(jobs, monkeypatch):
    """Without CUDA, a job on CUDA says so."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (record,) = run_job(replace(jobs[0], device="cuda"), RunOptions())
    assert (record.outcome, record.message) == (Outcome.SKIPPED, "CUDA is not available")


def test_the_command_trusts_what_the_run_trusted(cases):
    """Commands can be typed as they are: without its --trust the case's code would not run."""
    folder = cases("chatter")
    other = folder.parent / "my code"
    other.mkdir()
    options = RunOptions(trust=(str(folder), str(other)), effort="quick")
    (record,) = run_job(plan(load_cases([folder]), options)[0], options)
    assert record.command.endswith(f"--seed 0 --trust {folder} --trust '{other}'")
    assert {finding.command for finding in record.findings} == {record.command}


def test_untrusted_code_is_not_run(cases):
    """A case's Python code does not run unless the caller trusts it."""
    folder = cases("leave")  # would end this very process
    (job,) = plan(load_cases([folder]), RunOptions())
    (record,) = run_job(job, RunOptions())
    assert record.outcome is Outcome.ERROR
    assert "trust" in record.message
