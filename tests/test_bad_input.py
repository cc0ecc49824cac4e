"""Whatever a new user gets wrong on the command line: clear messages with places, the right exit code, no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.cli import app as cli
from harness.errors import Fault
from harness.records import ExitCode
from harness.run.journal import read_run

GOOD = """\
case: a
title: t
dims: {n: [1, 7], d: 3}
inputs:
  X: {shape: [n, d]}
  w: {shape: [d]}
function: sum(X @ w)
"""
LAUGH = "\n".join(["a0: &a0 [lol, lol]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)])


@pytest.fixture
def harness(tmp_path, monkeypatch, capsys):
    """A function that runs a command line in an empty folder and returns (exit code, lines on standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        lines = capsys.readouterr().err.splitlines()
        assert not any("Traceback" in line for line in lines)
        return ended.value.code or 0, lines

    return call


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  X:", "\tX:", "a.yaml:5:1: a tab indents this line"),
        ("title", "titel", "a.yaml:2:1: unknown key 'titel'; did you mean 'title'?"),
        ("d: 3", "d: three", "a.yaml:3:22: dims.d must be a whole number, a list or a mapping, not the text 'three'"),
        ("sum(X", "smu(X", "a.yaml:7:11: unknown function 'smu'; did you mean 'sum'?"),
        ("sum(X @ w)", "__import__('os')", "a.yaml:7:11: unknown function '__import__'"),
        ("  w: {shape: [d]}\n", "", "a.yaml:6:19: unknown name 'w'"),
        ("w: {shape: [d]}", "w: {shape: [n]}", "a.yaml:7:15: `X @ w` cannot be computed: `X` has shape [7, 3] and `w`"),
        (
            "w: {shape: [d]}",
            "w: {shape: [d], draw: nromal}",
            "a.yaml:6:25: unknown draw 'nromal'; did you mean 'normal'?",
        ),
        ("sum(X @ w)", "sum(X @ w)\nconverge: [{optimizer: Sdg}]", "a.yaml:8:24: Cannot descend: optimizer='Sdg'"),
        ("sum(X @ w)", "sum(X @ w)\nconverge: [{options: {lrr: 1}}]", "a.yaml:8:23: Cannot use SGD: option lrr=1"),
        ("sum(X @ w)", "sum(X @ w)\npoints: [{at: {w: [[1, 2]]}}]", "a.yaml:8:19: the value has shape [1, 2]"),
        (GOOD, "", "a.yaml:1:1: the file holds no case"),
        (GOOD, "- a\n- b\n", "a.yaml:1:1: a case must be a mapping"),
        (GOOD, LAUGH, "a.yaml:1:1: the file expands to more than"),
    ],
)
def test_a_wrong_case_file_is_one_line_with_its_place(harness, old, new, message):
    """Each mistake is exactly one line with file, line and column; the code is 2, and nothing is written."""
    Path("a.yaml").write_text(GOOD.replace(old, new, 1))
    code, lines = harness("verify", "a.yaml", "--out", "out")
    assert (code, len(lines)) == (ExitCode.USAGE, 1), lines
    assert lines[0].startswith(message)
    assert not Path("out").exists()


def test_a_huge_expression_is_refused_by_its_size(harness):
    """An expression of 10 MB is refused without being read."""
    Path("a.yaml").write_text(GOOD.replace("sum(X @ w)", "X + " * 2_500_000 + "X"))
    code, lines = harness("verify", "a.yaml")
    assert (code, len(lines)) == (ExitCode.USAGE, 1)
    assert lines[0].startswith("a.yaml:1:1: the file has 10,")


def test_binary_named_yaml_has_a_place(harness):
    """Bytes that are no text are one line at the first of them."""
    Path("a.yaml").write_bytes(b"\x7fELF\n\xff\xfe")
    assert harness("verify", "a.yaml") == (ExitCode.USAGE, ["a.yaml:2:1: the file is not UTF-8 text; save it as UTF-8"])


def test_an_unreadable_file_is_one_line(harness, monkeypatch):
    """A file that the system does not let us read is a fault of that file."""
    Path("a.yaml").write_text(GOOD)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert harness("verify", "a.yaml") == (ExitCode.USAGE, ["a.yaml:1:1: the file cannot be read: Permission denied"])


def test_duplicate_ids_name_the_other_file(harness):
    """Two files with one case id are a fault of the second, which names the first."""
    for name in ("a.yaml", "b.yaml"):
        Path(name).write_text(GOOD)
    assert harness("verify", ".") == (ExitCode.USAGE, ["b.yaml:1:1: duplicate case id 'a'; a.yaml:1 has it already"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["empty"], ExitCode.NOTHING_RAN, "empty"),
        (["nowhere"], ExitCode.USAGE, "'nowhere' does not exist"),
        (["x" * 5000], ExitCode.USAGE, "cannot be opened"),
        (["/dev/null"], ExitCode.USAGE, "neither a file nor a folder"),
        (["a.yaml", "-k", "a and"], ExitCode.USAGE, "lacks a word"),
        (["a.yaml", "--device", "gpu"], ExitCode.USAGE, "--device"),
        (["a.yaml", "--seed", "-1"], ExitCode.USAGE, "--seed"),
        (["a.yaml", "--trust", "./nothere"], ExitCode.USAGE, "Cannot trust './nothere' (in --trust): there"),
        (["a.yaml", "--trust", "a.yaml"], ExitCode.USAGE, "it is a file"),
    ],
)  # fmt: skip
def test_a_wrong_command_says_what_is_wrong(harness, arguments, code, said):
    """A wrong path or option is named, and nothing is written."""
    Path("empty").mkdir()
    Path("a.yaml").write_text(GOOD)
    found, lines = harness("verify", *arguments, "--out", "out")
    assert (found, said in "\n".join(lines), Path("out").exists()) == (code, True, False)


def test_a_wrong_configuration_names_its_file(harness):
    """A configured folder that does not exist is refused with the file that names it."""
    Path("a.yaml").write_text(GOOD)
    Path("pyproject.toml").write_text('[tool.harness]\ntrust = ["./nothere"]\n')
    code, lines = harness("verify", "a.yaml")
    assert (code, len(lines), str(Path("pyproject.toml").resolve()) in lines[0]) == (ExitCode.USAGE, 1, True)


def test_an_untrusted_subject_says_how_to_trust_it(harness):
    """Code that is not trusted does not run; the case is an error whose message has the option and the setting."""
    Path("k.py").write_text("raise SystemExit('ran')\n")
    inputs = GOOD.partition("function")[0]
    Path("a.yaml").write_text(inputs + 'function: {python: "./k.py:f"}\n')
    code, _ = harness("verify", "a.yaml", "--out", "out", "--jobs", 1)
    (record,) = read_run("out").records
    assert (code, f"--trust {Path.cwd()}" in record.message) == (ExitCode.UNDECIDED, True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"", "no run header"),
        (b"\x00\xff\xfe", "no run header"),
        (b'{"kind":"run","version":1,', "no run header"),
        (b'{"kind":"run","version":99}\n', "version=99 is not 1"),
        (b'{"kind":"run","version":1}\n{"kind":"verify"\n', "results.jsonl:1: Field required"),
    ],
)
def test_a_report_of_no_run_is_a_message(harness, content, said):
    """A folder without results, or with something else in their place, is one line and code 2."""
    Path("run").mkdir()
    if content is not None:
        Path("run", "results.jsonl").write_bytes(content)
    code, lines = harness("report", "run")
    assert (code, len(lines), said in lines[0]) == (ExitCode.USAGE, 1, True), lines


def test_a_report_that_cannot_be_written_is_a_message(harness):
    """Something in the way of the report is one line with what to do."""
    Path("a.yaml").write_text(GOOD)
    Path("out", "report.html").mkdir(parents=True)
    code, lines = harness("verify", "a.yaml", "--out", "out", "--jobs", 1)
    assert (code, lines[-1].startswith("Cannot write the report: directory='out'")) == (ExitCode.USAGE, True)


def test_faults_are_sorted_by_place():
    """Faults come file by file, from top to bottom."""
    assert Fault(Path("a"), 2, 1, "x") < Fault(Path("a"), 10, 1, "x") < Fault(Path("b"), 1, 1, "x")
