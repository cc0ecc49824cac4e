"""What a run looks like on the terminal."""

from collections import Counter

import pytest

from harness.records import ConvergeRecord, Environment, Finding, Outcome, Run, RunFooter, RunHeader, VerifyRecord
from harness.terminal.run import count_text, print_run, progress, worst_finding


def finding(outcome, error=None, **changes):
    """A finding with the given error, in units of its bar."""
    return Finding(check="reverse ~ ladder", outcome=outcome, message="they differ", error=error, bar=1.0, **changes)


def record(outcome=Outcome.PASS, *findings, **changes):
    """A verification record."""
    values = {"job": "verify a", "case": "a", "title": "A", "source": "", "path": "a.yaml", "message": "said so"}
    return VerifyRecord(outcome=outcome, findings=findings, **{**values, **changes})


def run_of(*records, planned=("verify a",), interrupted=False):
    """A run of some records."""
    environment = Environment(
        python="3", platform="", cpu="", cpu_count=1, memory_bytes=None, torch="2", torch_threads=1, numpy="2",
        cuda=None, cuda_missing="", harness="0", git_commit=None,
    )  # fmt: skip
    header = RunHeader(run="r", started="", command="", seed=0, planned=planned, environment=environment)
    footer = RunFooter(finished="", duration_s=1.5, interrupted=interrupted, exit_code=0)
    return Run(header=header, records=records, footer=footer)


@pytest.fixture
def printed(capsys):
    """A function that returns what printing a run puts on standard output."""

    def show(run):
        print_run(run, None)
        return capsys.readouterr().out

    return show


def test_a_green_case_is_one_row(printed):
    """What passed needs no further words than its row: digits, detection limit, time."""
    shown = printed(run_of(record(Outcome.PASS, finding(Outcome.PASS, 0.1, digits=15.25), detection_limit=1e-12)))
    row = next(line for line in shown.splitlines() if line.startswith("verify a"))
    assert row.split()[2:6] == ["pass", "15.2", "1e-12", "0.0"]
    assert shown.count("verify a") == 1


def test_a_red_case_is_expanded(printed):
    """A failure shows its worst finding and the command that repeats it."""
    shown = printed(
        run_of(record(Outcome.FAIL, finding(Outcome.FAIL, 5.0, point="random 1"), command="harness verify a.yaml"))
    )
    assert all(text in shown for text in ("reverse ~ ladder · random 1", "they differ", "$ harness verify a.yaml"))


def test_markup_is_text(printed):
    """Square brackets of a message are shown, not obeyed."""
    assert "[red]x[/red] [/nonsense]" in printed(run_of(record(Outcome.FAIL, message="[red]x[/red] [/nonsense]")))


def test_what_did_not_run_is_shown(printed):
    """A job without a record is counted and named."""
    assert "1 pass, 1 not run (verify b) in 1.5 s" in printed(run_of(record(), planned=("verify a", "verify b")))


def test_many_not_run_are_cut(printed):
    """A long list says how much it leaves out."""
    shown = printed(run_of(planned=tuple(f"verify {n}" for n in range(25))))
    assert "25 not run" in shown
    assert "and 5 more" in " ".join(shown.split())


def test_an_interrupted_run_says_so(printed):
    """The summary of a partial run cannot be taken for that of a whole one."""
    assert "(interrupted)" in printed(run_of(record(), interrupted=True))


def test_descents_are_told_apart_by_seed(printed):
    """Several seeds of one entry are several rows with several names."""
    descents = [
        ConvergeRecord(
            job="converge a[0]", case="a", title="", source="", path="", outcome=Outcome.PASS, message="", run="SGD",
            optimizer="SGD", seed=seed,
        )
        for seed in (0, 1)
    ]  # fmt: skip
    shown = printed(run_of(*descents))
    assert "converge a[0] seed 1" in shown
    assert "seed 0" not in shown


def test_counts_name_every_outcome_there_is():
    """Outcomes that did not occur are left out, the others come from best to worst."""
    assert count_text(Counter({Outcome.FAIL: 2, Outcome.PASS: 3})).plain == "3 pass, 2 fail"


@pytest.mark.parametrize("odd", [None, float("nan"), float("inf")])
def test_the_worst_finding_may_have_no_size(odd):
    """A failure without a finite error comes before one that is off by a number."""
    worst = worst_finding(record(Outcome.FAIL, finding(Outcome.FAIL, 7.0), finding(Outcome.FAIL, odd)))
    assert worst is not None
    assert worst.error is odd


def test_excused_findings_are_not_the_worst():
    """A declared failure does not explain an undeclared one."""
    excused = finding(Outcome.FAIL, 100.0, excused="known")
    assert worst_finding(record(Outcome.FAIL, excused, finding(Outcome.FAIL, 2.0))).error == 2.0


def test_progress_is_silent_without_a_terminal(capsys):
    """Logs and pipes get no progress display."""
    with progress() as shown:
        shown.planned(())
        shown.running(("verify a",))
        shown.recorded(record())
    assert capsys.readouterr() == ("", "")
