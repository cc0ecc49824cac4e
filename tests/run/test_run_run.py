"""A whole run: exit codes, the run directory, and the Python entry."""

import importlib

import pytest

import harness
from harness.errors import NothingToRunError, UsageError
from harness.records import ExitCode, Outcome, Run, RunFooter
from harness.run.journal import read_run
from harness.run.options import RunOptions
from harness.run.run import default_directory, exit_code, point_latest, run

PASS, FAIL, SKIPPED = Outcome.PASS, Outcome.FAIL, Outcome.SKIPPED
UNDECIDED = [Outcome.INCONCLUSIVE, Outcome.VACUOUS, Outcome.ERROR]


@pytest.fixture
def run_of(header, record):
    """A function that makes a run of records with the given outcomes."""
    return lambda *outcomes: Run(header=header, records=tuple(record(o) for o in outcomes), footer=None)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((PASS,), ExitCode.PASSED),
        ((PASS, SKIPPED), ExitCode.PASSED),
        ((PASS, FAIL), ExitCode.FAILED),
        ((PASS, Outcome.TIMEOUT), ExitCode.FAILED),
        ((PASS, Outcome.CRASHED), ExitCode.FAILED),
        ((FAIL, Outcome.INCONCLUSIVE), ExitCode.FAILED),
        ((SKIPPED,), ExitCode.NOTHING_RAN),
        ((), ExitCode.NOTHING_RAN),
    ],
)
def test_exit_codes_that_strictness_does_not_change(run_of, outcomes, expected, strict):
    """Green is 0, a failure, timeout or crash is 1, and nothing but skips is 5."""
    assert exit_code(run_of(*outcomes), strict=strict) == expected


@pytest.mark.parametrize("outcome", UNDECIDED)
@pytest.mark.parametrize(("strict", "expected"), [(False, ExitCode.UNDECIDED), (True, ExitCode.FAILED)])
def test_exit_codes_of_the_undecided(run_of, outcome, strict, expected):
    """What is undecided is 3, and fails a strict run."""
    assert exit_code(run_of(PASS, outcome), strict=strict) == expected


def test_a_job_without_a_record_is_undecided(run_of, header, record):
    """Green with a planned job missing is not green."""
    made = Run(header=header, records=(record(job="verify b"),), footer=None)
    assert exit_code(made, strict=False) == ExitCode.UNDECIDED


def test_an_interrupted_run_ends_as_interrupted(header, record):
    """Whatever was found before the interrupt, the code says that the run is not whole."""
    footer = RunFooter(finished="", duration_s=1.0, interrupted=True, exit_code=130)
    assert exit_code(Run(header=header, records=(record(FAIL),), footer=footer), strict=True) == ExitCode.INTERRUPTED


def test_the_journal_holds_the_run(cases, tmp_path):
    """What `run` returns is what its journal reads back as."""
    made = run([cases("good", "wrong")], RunOptions(inline=True, out=tmp_path / "out", kinds=("verify", "converge")))
    assert repr(read_run(tmp_path / "out")) == repr(made)


def test_a_wrong_gradient_fails_the_run(cases):
    """Right and wrong cases end as such, and the footer has the exit code."""
    made = run([cases("good", "wrong")], RunOptions(inline=True))
    assert {r.case: r.outcome for r in made.records} == {"square": PASS, "cube": FAIL}
    assert made.footer.exit_code == ExitCode.FAILED


@pytest.mark.parametrize(
    ("selection", "expected"), [({"keyword": "not cube"}, {"square"}), ({"tags": ("easy",)}, {"square"})]
)
def test_cases_are_selected(cases, selection, expected):
    """Keyword and tag narrow the plan."""
    made = run([cases("good", "wrong")], RunOptions(inline=True, **selection))
    assert {record.case for record in made.records} == expected


def test_an_interrupt_keeps_what_is_done(cases, tmp_path):
    """The journal of an interrupted run has the records so far and a footer that says so."""

    def interrupt(record):
        raise KeyboardInterrupt

    run([cases("good", "wrong")], RunOptions(inline=True, out=tmp_path / "out"), on_record=interrupt)
    kept = read_run(tmp_path / "out")
    assert (len(kept.records), kept.footer.interrupted, kept.footer.exit_code) == (1, True, ExitCode.INTERRUPTED)


def test_nothing_declared_is_nothing_to_run(cases):
    """Cases without a convergence entry leave `converge` nothing to do."""
    with pytest.raises(NothingToRunError, match="converge"):
        run([cases("wrong")], RunOptions(kinds=("converge",), inline=True))


@pytest.mark.parametrize("wrong", [{"jobs": 0}, {"timeout_s": 0.0}, {"memory_gib": float("nan")}])
def test_impossible_options_are_refused(cases, wrong):
    """A limit that nothing can keep is a mistake of the caller."""
    with pytest.raises(UsageError, match="not above zero"):
        run([cases("good")], RunOptions(inline=True, **wrong))


def test_an_unusable_directory_is_named(cases, tmp_path):
    """A file in the way of the run directory is a message, not a traceback of ours."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        run([cases("good")], RunOptions(inline=True, out=tmp_path / "file"))


def test_default_directories_never_collide(tmp_path):
    """Two runs within one second get a directory each."""
    first = default_directory("verify", tmp_path)
    first.mkdir()
    second = default_directory("verify", tmp_path)
    assert second != first
    assert second.name.endswith(("-verify", "-verify-2"))


def test_latest_leads_to_the_newest_run(tmp_path):
    """The link moves from run to run."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        point_latest(tmp_path / name)
    assert (tmp_path / "latest").resolve() == (tmp_path / "two").resolve()


def test_latest_leaves_a_real_folder_alone(tmp_path):
    """A folder that someone named `latest` is neither removed nor an error."""
    (tmp_path / "latest").mkdir()
    (tmp_path / "one").mkdir()
    point_latest(tmp_path / "one")
    assert not (tmp_path / "latest").is_symlink()


def test_the_python_entry(cases):
    """`harness.run` is callable although it is also a package with modules of that name."""
    importlib.import_module("harness.run.run")
    made = harness.run(cases("good"), kinds=("verify", "converge"), keyword="square")
    assert [record.outcome for record in made.records] == [PASS, PASS]


@pytest.mark.parametrize("name", harness.__all__)
def test_public_names_are_there(name):
    """Every public name can be had, and is listed."""
    assert getattr(harness, name) is not None
    assert name in dir(harness)


def test_an_unknown_name_is_refused():
    """A misspelt name is an AttributeError that lists the names there are."""
    with pytest.raises(AttributeError, match="load_cases"):
        harness.chek  # noqa: B018
