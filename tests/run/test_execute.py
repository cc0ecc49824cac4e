"""One job that misbehaves never takes the others down, and becomes a record that says what it did."""

import threading

import pytest

from harness.case.load import load_cases
from harness.records import Outcome
from harness.run.execute import WORKER, execute
from harness.run.options import RunOptions
from harness.run.plan import plan
from harness.run.work import blank_record

BAD = ("chatter", "crash", "eat", "fail", "hang", "leave", "stop")
TIMEOUT_S = 6.0


@pytest.fixture(scope="module")
def ended(tmp_path_factory, write_cases):
    """One run of everything that misbehaves with a good case last: records by case, the order, and what was printed."""
    folder = write_cases(tmp_path_factory.mktemp("bad") / "cases", *BAD, "good")
    options = RunOptions(trust=(str(folder),), timeout_s=TIMEOUT_S, memory_gib=0.5, jobs=2)
    files = [*(folder / f"{name}.yaml" for name in BAD), folder / "good.yaml"]
    output = folder / "output.txt"
    found = {}
    for records in execute(plan(load_cases(files), options), options, output=output):
        found.update({record.case: record for record in records})
    return found, output.read_text()


def test_every_job_has_its_record(ended):
    """Nothing is lost, whatever the others did."""
    assert sorted(ended[0]) == sorted([*BAD, "square"])


def test_a_good_case_is_not_touched(ended):
    """The evidence of a case is whole although its neighbours crashed."""
    record = ended[0]["square"]
    assert record.outcome is Outcome.PASS
    assert record.findings


def test_a_hang_ends_at_the_time_limit(ended):
    """An endless loop is stopped, and the message names the limit and its option."""
    record = ended[0]["hang"]
    assert (record.outcome, record.message) == (
        Outcome.TIMEOUT,
        "Did not finish within 6 s and was stopped (--timeout).",
    )


def test_a_hang_lasts_as_long_as_the_limit(ended):
    """The duration on record is the time it took, which is at least its limit."""
    assert ended[0]["hang"].duration_s >= TIMEOUT_S


def test_leaving_with_status_zero_is_a_crash(ended):
    """os._exit(0) must not pass for an orderly end, nor wait for the time limit."""
    record = ended[0]["leave"]
    assert record.outcome is Outcome.CRASHED
    assert "status 0" in record.message


def test_a_signal_is_named(ended):
    """A segmentation fault or a kill says which it was."""
    record = ended[0]["crash"]
    assert record.outcome is Outcome.CRASHED
    assert "SIGKILL" in record.message


def test_eating_memory_ends_at_the_cap(ended):
    """Allocating without end is a crash that names the cap and its option."""
    record = ended[0]["eat"]
    assert record.outcome is Outcome.CRASHED
    assert "0.5 GiB (--memory)" in record.message


@pytest.mark.parametrize(("case", "said"), [("fail", "no such luck"), ("stop", "SystemExit")])
def test_an_exception_is_an_error_with_its_reason(ended, case, said):
    """What a subject raises, sys.exit included, is in its record."""
    record = ended[0][case]
    assert record.outcome is Outcome.ERROR
    assert said in record.message


def test_every_record_can_be_repeated(ended):
    """Even a record without evidence carries its command."""
    assert all(f"-k {record.case} --seed 0" in record.command for record in ended[0].values())


def test_what_subjects_print_is_kept_aside(ended):
    """Prints of a subject land in the output file."""
    assert "printed by a subject" in ended[1]


def test_no_worker_is_left(ended):
    """When the records are all there, so are the ends of the workers."""
    assert WORKER not in {thread.name for thread in threading.enumerate()}


def outcome_of_verification(outcome):
    """Stand-in for the work: verification ends as told, all else passes."""

    def work(job, options):
        told = outcome if job.kind == "verify" else Outcome.PASS
        return (blank_record(job, options, outcome=told, message="done"),)

    return work


def benchmark_after(outcome, cases, kinds=("benchmark",)):
    """The benchmark's record when the verification before it ends as told."""
    options = RunOptions(kinds=kinds, inline=True)
    jobs = plan(load_cases([cases("good")]), options)
    done = [record for records in execute(jobs, options, work=outcome_of_verification(outcome)) for record in records]
    return done[-1]


def test_what_passed_is_timed(cases):
    """A case whose verification passed reaches its benchmark."""
    record = benchmark_after(Outcome.PASS, cases)
    assert (record.kind, record.outcome) == ("benchmark", Outcome.PASS)


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.PASS])
def test_nothing_else_is_timed(cases, outcome):
    """Whatever is not green is skipped, with its reason."""
    record = benchmark_after(outcome, cases)
    assert (record.kind, record.outcome, record.message[:9]) == ("benchmark", Outcome.SKIPPED, "Not timed")


def test_the_first_benchmark_that_runs_measures_the_ceilings(cases):
    """Once in a run, and never by a benchmark that is skipped: the mark is set when it is known what will be timed."""
    (check, benchmark) = plan(load_cases([cases("good")]), RunOptions(kinds=("benchmark",)))
    jobs = [benchmark, check, benchmark, benchmark]
    marks = []

    def work(job, options):
        marks.append((job.kind, job.ceilings))
        return (blank_record(job, options, outcome=Outcome.PASS, message="done"),)

    list(execute(jobs, RunOptions(kinds=("benchmark",), inline=True), work=work))
    assert marks == [("verify", False), ("benchmark", True), ("benchmark", False), ("benchmark", False)]
    assert not benchmark.ceilings


def test_stopping_to_listen_stops_the_workers(cases):
    """A caller that leaves the loop leaves no process behind."""
    folder = cases("good", "hang")
    options = RunOptions(trust=(str(folder),), jobs=2)
    done = execute(plan(load_cases([folder]), options), options)
    next(done)
    done.close()
    assert WORKER not in {thread.name for thread in threading.enumerate()}


def test_running_jobs_are_told(cases):
    """The progress display hears which job is at work."""
    heard = []
    options = RunOptions(kinds=("converge",), inline=True)
    jobs = plan(load_cases([cases("good")]), options)
    list(execute(jobs, options, work=outcome_of_verification(Outcome.PASS), on_running=heard.append))
    assert heard == [("converge square[0]",)]
