"""The gate as a user meets it: a real repository, the command line, and what it ends with.

The margin is wide, so that a busy machine does not decide these tests; what the gate finds at its own margin is
measured by `harness gate --self-test`.
"""

import json
import sys
import tempfile
from xml.etree import ElementTree as ET

import pytest

from harness.cli import app as cli
from harness.gate import git
from harness.gate.trees import PREFIX
from harness.records import ExitCode

PYPROJECT = '[tool.harness]\ntrust = ["cases"]\n'
SWISH = '''\
"""x·sigmoid(x) with a hand-written backward."""

import torch


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return grad * s * (1 + x * (1 - s))


def swish(x):
    return Swish.apply(x)
'''
SLOW = (
    "return grad * s * (1 + x * (1 - s))",
    "return torch.where(x.abs() < 1e30, grad * s * (1 + x * (1 - s)), grad * torch.sign(x).clamp(min=0))",
)
"""A guard against overflow: several more passes over the data, and the same numbers."""
WRONG = ("(1 + x * (1 - s))", "(1 - x * (1 - s))")
CASES = """\
case: swish
title: A function with a hand-written backward
dims: {n: [1, 5]}
inputs: {x: {shape: [n]}}
function: {python: "./swish.py:swish"}
verify: {dtypes: [float64], points: 1, orders: [1]}
benchmark: {sweep: {n: [100_000]}, passes: [backward]}
---
case: cubes
title: An expression that never changes
inputs: {x: {shape: [20_000]}}
function: sum(x**3)
verify: {dtypes: [float64], points: 1, orders: [1]}
benchmark: {passes: [value]}
"""
GONE = CASES.partition("---\n")[2]
MARGIN = "15%"

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with one commit, in which the command runs; temporary files go to a folder beside it."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "no-such-file"))
    monkeypatch.delenv("CI", raising=False)
    folder = tmp_path / "project"
    (folder / "cases").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "README.md").write_text("A project.\n")
    (folder / "cases" / "swish.py").write_text(SWISH)
    (folder / "cases" / "cases.yaml").write_text(CASES)
    git.git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "first")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.chdir(folder)
    yield folder
    assert list(temporary.glob(f"{PREFIX}*")) == []  # whatever happened, the worktree is gone
    assert len(git.worktrees(folder)) == 1


def commit(folder, message):
    git.git(folder, "add", ".")
    git.git(folder, "commit", "--quiet", "--message", message)


def change(folder, file, old, new):
    """Commit a change to a file."""
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    commit(folder, "second")


@pytest.fixture
def gate(monkeypatch, capsys, tmp_path):
    """A function that runs `harness gate --base HEAD~1` and returns (exit code, result, output, summary)."""

    def call(*arguments, base="HEAD~1"):
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
        out = tmp_path / "out"
        words = ["gate", "--base", base, "--margin", MARGIN, "--out", str(out), *arguments]
        monkeypatch.setattr(sys, "argv", ["harness", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        result = json.loads((out / "gate.json").read_text()) if (out / "gate.json").exists() else None
        summary = (tmp_path / "step.md").read_text() if (tmp_path / "step.md").exists() else ""
        return ended.value.code or 0, result, said.out + said.err, summary

    return call


def decisions(result):
    """The decision of each case's only workload."""
    return {row["workload"]["case"]: row["judgement"]["decision"] for row in result["compared"]}


def test_a_slow_backward_is_found_and_named(project, gate, tmp_path):
    """More passes over the data in a backward end with 1, and name that case and no other."""
    change(project, "cases/swish.py", *SLOW)
    code, result, said, summary = gate()
    assert (code, decisions(result)["swish"]) == (ExitCode.FAILED, "slower")
    assert decisions(result)["cubes"] != "slower"
    assert result["changes"] == []
    assert summary.startswith("# Gate: 1 workload slower\n")
    assert "slower swish backward n=100000" in said
    root = ET.parse(tmp_path / "out" / "junit.xml").getroot()
    failed = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]
    assert failed == ["swish backward n=100000 float32 cpu"]


def test_a_change_of_the_readme_passes(project, gate):
    """Equal code ends with 0: nothing slower, nothing worse, all verified and timed; a new case is told, no more."""
    (project / "cases" / "cases.yaml").write_text(CASES + GONE.replace("case: cubes", "---\ncase: fresh"))
    change(project, "README.md", "A project", "A better project")
    code, result, said, _ = gate()
    assert code == ExitCode.PASSED, said
    assert "slower" not in decisions(result).values()
    (new,) = result["changes"]
    assert (set(result["verified"]), new["case"], new["direction"]) == ({"swish", "cubes"}, "fresh", "other")
    assert result["untimed"] == [{"case": "fresh", "reason": "it is new: there is nothing to compare it with"}]


def test_a_wrong_gradient_is_worse(project, gate):
    """A gradient that was right and is wrong ends with 1, names the verification, and is not timed."""
    change(project, "cases/swish.py", *WRONG)
    code, result, said, summary = gate("-k", "swish")
    (worse,) = result["changes"]
    assert (code, worse["case"], worse["direction"]) == (ExitCode.FAILED, "swish", "worse")
    assert (worse["before"], worse["after"]) == ("pass", "fail")
    assert (result["compared"], result["untimed"][0]["case"]) == ([], "swish")
    assert "worse swish pass → fail" in said
    assert summary.startswith("# Gate: 1 verification worse\n")


def test_a_deleted_case_is_worse(project, gate):
    """A case that is gone ends with 1, even where it is all that changed."""
    (project / "cases" / "cases.yaml").write_text(GONE)
    commit(project, "second")
    code, result, said, _ = gate("-k", "swish")
    (worse,) = result["changes"]
    assert (code, worse["case"], worse["after"]) == (ExitCode.FAILED, "swish", "gone")
    assert "The case is gone" in said


@pytest.mark.parametrize(
    ("arguments", "base", "said"),
    [
        ((), "v9", "base='v9' is neither a commit"),
        (("--margin", "no"), "HEAD", "margin='no'"),
        (("/",), "HEAD", "outside of"),
        (("nowhere.yaml",), "HEAD", "neither here nor on the base"),
        (("--trust", "no/such"), "HEAD", "'no/such'"),
        (("--device", "tpu"), "HEAD", "device='tpu'"),
    ],
)
def test_misuse_is_a_message(project, gate, arguments, base, said):
    """A wrong base, margin, path or trust is one message and 2; nothing is left behind, not even a run directory."""
    code, result, words, _ = gate(*arguments, base=base)
    assert (code, result) == (ExitCode.USAGE, None)
    assert said in words
    assert "Traceback" not in words
