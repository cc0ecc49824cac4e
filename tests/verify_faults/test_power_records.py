"""Detection power on its way: from a case to its record, the journal, the frames, the page and the terminal."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import harness
from harness.cli import app as cli
from harness.records import Catch, DetectionPower, Outcome, Run, Survivor, VerifyRecord
from harness.report.html import render_html
from harness.report.power import power_frame, power_summary
from harness.run.journal import read_run
from harness.terminal.power import print_power

SQUARE = """\
case: square
title: Sum of squares
inputs: {x: {shape: [3]}}
function: sum(x*x)
"""
CUBE = """\
case: cube
title: Sum of cubes, with a wrong gradient
inputs: {x: {shape: [3]}}
function: sum(x**3)
gradient: {x: 2*x**2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run's cases and results are."""
    return tmp_path_factory.mktemp("power")


@pytest.fixture(scope="module")
def powered(folder: Path) -> Run:
    """A run of harness power over one right and one wrong case."""
    (folder / "cases.yaml").write_text(f"{SQUARE}---\n{CUBE}")
    return harness.run(folder / "cases.yaml", kinds=("power",), out=folder / "out")


def test_a_run_of_power(powered: Run, folder: Path) -> None:
    """A right case gets its detection power, a failing one none, and the journal gives both back as they were."""
    square, cube = (record for record in powered.records if isinstance(record, VerifyRecord))
    assert square.outcome is Outcome.PASS
    assert square.power is not None
    assert square.power.caught == square.power.injected >= 20
    assert square.message.startswith(f"{square.power.caught} of {square.power.injected} faults caught")
    assert square.command is not None
    assert square.command.startswith("harness power")
    assert (cube.outcome, cube.power) == (Outcome.FAIL, None)
    assert [record.job for record in powered.records] == ["power square", "power cube"]
    assert read_run(folder / "out").records == powered.records


def test_effort_decides_what_a_verification_injects(tmp_path: Path) -> None:
    """An ordinary verification reports power, a quick one injects nothing."""
    (tmp_path / "square.yaml").write_text(SQUARE)
    ordinary, quick = (
        harness.run(tmp_path / "square.yaml", effort=effort).records[0] for effort in ("standard", "quick")
    )
    assert isinstance(ordinary, VerifyRecord)
    assert isinstance(quick, VerifyRecord)
    assert ordinary.power is not None
    assert ordinary.power.survivors == ()
    assert quick.power is None


@pytest.fixture(scope="module")
def made(powered: Run) -> Run:
    """A run with invented counts: two cases, a survivor with a hostile name, an equivalent fault."""
    first, second = (record for record in powered.records if isinstance(record, VerifyRecord))
    survivor = Survivor(fault="zero", label="zero (<b>x</b>)", sentence="It is zero.", seen_by="the probe 'values'")
    power = DetectionPower(
        injected=2, caught=1, equivalent=("transposed",), survivors=(survivor,),
        catches=(Catch(fault="zero", label="zero (y)", checks=("autograd ~ analytic", "probe layouts")),),
    )  # fmt: skip
    return replace(powered, records=(replace(first, power=power), replace(second, power=power)))


def test_the_summary_counts_each_fault_once(made: Run) -> None:
    """A fault that two checks noticed is one catch; equivalents count neither way."""
    summary = power_summary(made)
    assert summary is not None
    assert (summary.cases, summary.injected, summary.caught, summary.equivalent, summary.share) == (2, 4, 2, 2, 0.5)
    zero = next(row for row in summary.faults if row.fault == "zero")
    assert (zero.injected, zero.caught, zero.checks) == (4, 2, "autograd ~ analytic 2, probe layouts 2")
    assert len(power_frame(made)) == 8


def test_no_faults_no_summary(made: Run) -> None:
    """A run in which nothing was injected has no detection power, and the terminal says so."""
    bare = replace(made, records=tuple(replace(r, power=None) for r in made.records if isinstance(r, VerifyRecord)))
    assert power_summary(bare) is None
    printed = io.StringIO()
    print_power(bare, Console(file=printed, width=140))
    assert "No faults were injected" in printed.getvalue()


def test_the_terminal_shows_matrix_and_survivors(made: Run) -> None:
    """Faults, counts, checks, survivors and the total stand in the terminal's text."""
    printed = io.StringIO()
    print_power(made, Console(file=printed, width=140, highlight=False))
    text = printed.getvalue()
    assert "autograd ~ analytic 2" in text
    assert "not noticed square: zero (<b>x</b>); it takes the probe 'values'" in text
    assert "Detection power 50.0%: 2 of 4 faults caught in 2 cases" in text


def test_the_page_shows_the_matrix(made: Run) -> None:
    """The page has the share, the figure's place and the survivors, escaped."""
    page = render_html(made)
    assert "<strong>50.0%</strong>" in page
    assert "run-power" in page
    assert "zero (&lt;b&gt;x&lt;/b&gt;)" in page
    assert "<b>x</b>" not in page


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`harness power PATH -k NAME` runs the case in a worker, prints the matrix, writes the report and ends with 0."""
    (tmp_path / "cases.yaml").write_text(f"{SQUARE}---\n{CUBE}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["harness", "power", "cases.yaml", "-k", "square", "-j", "1", "--out", "out"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr().out
    assert (ended.value.code or 0) == 0
    assert "power square" in printed
    assert "Detection power 100.0%" in printed
    assert "probe values" in printed
    assert "Injected faults" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
