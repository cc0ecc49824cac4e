"""`harness converge` beside its blessed step counts: the line it prints, `--bless`, and its exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import app as cli
from harness.records import ExitCode
from harness.run.bless import bless_run
from harness.run.options import RunOptions

CASE = """\
case: bowl
title: A bowl
inputs: {x: {shape: []}}
function: (x - 2)**2
converge:
  - {optimizer: GD, options: {lr: 0.1}, start: {x: 0}, minimum: {x: 2}}
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """A function that runs a command line in a folder with one case, returning (exit code, output, errors)."""
    (tmp_path / "bowl.yaml").write_text(CASE, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", "converge", "bowl.yaml", "--out", "out", "-j", "1", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


@pytest.mark.slow
def test_a_change_fails_and_is_shown_when_blessed(harness: Call, tmp_path: Path) -> None:
    """A count that left its corridor fails the run; blessing shows old, new and change, and passes."""
    bless_run(["."], RunOptions(kinds=("converge",), inline=True, bless=True))
    (tmp_path / "bowl.yaml").write_text(CASE.replace("0.1", "0.2"), encoding="utf-8")
    code, out, _ = harness()
    assert code == ExitCode.FAILED
    assert "arrives in 29 steps, blessed are 66" in " ".join(out.split())
    assert "Step counts: 0 within the corridors of reports/baselines/converge.json, 1 outside" in out
    code, out, _ = harness("--bless")
    assert code == ExitCode.PASSED
    row = next(line for line in out.splitlines() if line.startswith("bowl[0]") and " steps " in line)
    assert row.split()[-3:] == ["66", "29", "-56%"]


def test_a_baseline_that_was_named_must_be_there(harness: Call) -> None:
    """A misspelt file is a usage error, before anything runs."""
    code, _, error = harness("--baseline", "none.json")
    assert code == ExitCode.USAGE
    assert "baseline='none.json' does not exist" in error
