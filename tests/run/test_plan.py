"""Which jobs a run consists of, and in which order."""

import pytest

from harness.case.load import load_cases
from harness.run.options import RunOptions
from harness.run.plan import plan


@pytest.fixture
def loaded(cases):
    """Two cases: one with everything, and one that declares no convergence."""
    return load_cases([cases("good", "wrong")])


def names(jobs):
    """The jobs' names, in order."""
    return [job.name for job in jobs]


def test_verification_is_one_job_per_case(loaded):
    """Verifying plans each case once."""
    assert names(plan(loaded, RunOptions(kinds=("verify",)))) == ["verify square", "verify cube"]


def test_convergence_is_one_job_per_entry(loaded):
    """A case without entries has no descent to run."""
    assert names(plan(loaded, RunOptions(kinds=("converge",)))) == ["converge square[0]"]


def test_benchmarks_come_last_and_bring_their_verification(loaded):
    """Timing alone still verifies, for nothing wrong is ever timed."""
    assert names(plan(loaded, RunOptions(kinds=("benchmark",)))) == [
        "verify square", "verify cube", "benchmark square", "benchmark cube",
    ]  # fmt: skip


def test_verification_is_planned_once(loaded):
    """Asking for verification and timing does not verify twice."""
    jobs = names(plan(loaded, RunOptions(kinds=("verify", "converge", "benchmark"))))
    assert len(jobs) == len(set(jobs)) == 5


def test_all_devices_tell_their_jobs_apart(loaded):
    """A job's name is unique in its run, or its records could not be matched to the plan."""
    jobs = plan(loaded[:1], RunOptions(kinds=("verify", "converge", "benchmark"), device="all"))
    assert names(jobs) == [
        "verify square", "converge square[0]", "verify square on cuda", "converge square[0] on cuda",
        "benchmark square",
    ]  # fmt: skip


def test_one_device_keeps_the_plain_names(loaded):
    """A run on CUDA alone can be compared job by job with one on the CPU."""
    jobs = plan(loaded[:1], RunOptions(device="cuda"))
    assert [(job.name, job.device) for job in jobs] == [("verify square", "cuda")]
