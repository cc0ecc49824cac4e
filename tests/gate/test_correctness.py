"""Verification of both sides: each runs its own tree's code, in processes that end with the gate."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import CaseFileError, NothingToRunError, UsageError
from harness.gate.correctness import verify_sides
from harness.gate.matching import match
from harness.gate.records import Side
from harness.gate.trees import Trees
from harness.gate.verifier import CaseName, VerifyRequest
from harness.records import Outcome

CASE = """\
case: {name}
title: A function of a package
dims: {{n: 3}}
inputs: {{x: {{shape: [n]}}}}
function: {{python: "{where}"}}
verify: {{dtypes: [float64], points: 1}}
"""
SQUARE = """\
import torch

print("printed at import")


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return {factor} * x * grad


def square(x):
    return Square.apply(x)
"""
EXPRESSION = """\
case: {name}
title: An expression
inputs: {{x: {{shape: [3]}}}}
function: {function}
"""
HANG = """\
import os
from pathlib import Path


def hang(x):
    Path("pid").write_text(str(os.getpid()))
    while True:
        pass
"""
VERIFY = """\
import sys
from harness.gate.correctness import verify_sides
from harness.gate.records import Side
from harness.gate.trees import Trees
from harness.gate.verifier import CaseName, VerifyRequest

names = (CaseName(path="cases/file.yaml", case="by-file"),)
base, head = (Side(name=name, root=root, trust=("cases",)) for name, root in zip(("base", "head"), sys.argv[1:]))
verify_sides(Trees(base=base, head=head), names, names, VerifyRequest(cases=()), lambda side, record: None)
"""


def write(root, *, factor=2):
    """A project: a package, a file beside the case file, and an expression."""
    package, cases = root / "src" / "own_package", root / "cases"
    package.mkdir(parents=True)
    cases.mkdir()
    (package / "__init__.py").write_text(SQUARE.format(factor=factor))
    (cases / "square.py").write_text(SQUARE.format(factor=factor))
    (cases / "package.yaml").write_text(CASE.format(name="by-package", where="own_package:square"))
    (cases / "file.yaml").write_text(CASE.format(name="by-file", where="./square.py:square"))
    (cases / "expression.yaml").write_text(EXPRESSION.format(name="expression", function="sum(x*x)"))
    return root


def sides(base, head):
    """Two trees as they are."""
    trust = ("own_package", "cases")
    return Trees(
        base=Side(name="base", root=str(base), shown="base", trust=trust),
        head=Side(name="head", root=str(head), shown="head", trust=trust),
    )


@pytest.fixture
def both(tmp_path):
    """A right base and a head whose gradient is wrong."""
    return sides(write(tmp_path / "base"), write(tmp_path / "head", factor=3))


def test_each_side_runs_its_own_code(both, monkeypatch, tmp_path):
    """The package of the tree, in src, comes before one of its name elsewhere; and so does the file beside a case."""
    elsewhere = write(tmp_path / "elsewhere", factor=5) / "src"
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    names = (CaseName(path="cases/package.yaml", case="by-package"), CaseName(path="cases/file.yaml", case="by-file"))
    told = []
    found = verify_sides(both, names, names, VerifyRequest(cases=()), lambda side, record: told.append(side))
    assert {case: record.outcome for case, record in found.base.items()} == dict.fromkeys(
        ("by-package", "by-file"), Outcome.PASS
    )
    assert {case: record.outcome for case, record in found.head.items()} == dict.fromkeys(
        ("by-package", "by-file"), Outcome.FAIL
    )
    assert sorted(told) == ["base", "base", "head", "head"]
    assert "3" in found.head["by-package"].message or "1.5" in found.head["by-package"].message
    assert found.head["by-file"].path == "cases/file.yaml"


def test_an_interpreter_without_the_harness_is_named(both, tmp_path):
    """A side that cannot start says which interpreter and what it said."""
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no module named harness >&2\nexit 1\n")
    broken.chmod(0o755)
    base = Side(name="base", root=both.base.root, shown="main", python=str(broken))
    names = (CaseName(path="cases/package.yaml", case="by-package"),)
    with pytest.raises(UsageError, match=r"(?s)Cannot verify the base \(main\).*no module named harness"):
        verify_sides(Trees(base=base, head=both.head), names, (), VerifyRequest(cases=()), lambda side, record: None)


def test_cases_are_matched_by_id(both, tmp_path):
    """A moved file keeps its cases; new and gone cases are those of one side; expressions that are equal must agree."""
    head = tmp_path / "head" / "cases"
    (head / "moved.yaml").write_text((head / "expression.yaml").read_text())
    (head / "expression.yaml").write_text(EXPRESSION.format(name="new", function="sum(x)"))
    (head / "file.yaml").unlink()
    found = match(both, ["cases"], start=tmp_path / "head")
    assert set(found.both) == {"expression", "by-package"}
    assert (set(found.head) - set(found.base), set(found.base) - set(found.head)) == ({"new"}, {"by-file"})
    assert (found.base_places["expression"], found.head_places["expression"]) == (
        "cases/expression.yaml", "cases/moved.yaml",
    )  # fmt: skip
    assert (found.sure_to_agree("expression"), found.sure_to_agree("by-package")) == (True, False)


def test_an_expression_that_changed_is_not_sure_to_agree(both, tmp_path):
    """Only documents that are equal give one verdict."""
    path = tmp_path / "head" / "cases" / "expression.yaml"
    path.write_text(path.read_text().replace("x*x", "x**3"))
    assert not match(both, ["cases"], start=tmp_path / "head").sure_to_agree("expression")


def test_a_keyword_chooses_on_both_sides(both, tmp_path):
    """A case that either side would choose is compared; one that none chooses is an error of the command."""
    found = match(both, ["cases"], start=tmp_path / "head", keyword="by-file")
    assert (set(found.head), set(found.base)) == ({"by-file"}, {"by-file"})
    with pytest.raises(NothingToRunError, match="'nothing'"):
        match(both, ["cases"], start=tmp_path / "head", keyword="nothing")


def test_a_path_may_be_on_one_side_only(both, tmp_path):
    """A file that was deleted can still be named; one that neither side has cannot."""
    (tmp_path / "head" / "cases" / "file.yaml").unlink()
    found = match(both, ["cases/file.yaml"], start=tmp_path / "head")
    assert (set(found.base), set(found.head)) == ({"by-file"}, set())
    with pytest.raises(UsageError, match="neither here nor on the base"):
        match(both, ["cases/nowhere.yaml"], start=tmp_path / "head")


def test_faults_are_named_by_side(both, tmp_path):
    """A wrong case file of the head is an error at its place; one of the base is told as the base's, and left out."""
    path = tmp_path / "base" / "cases" / "file.yaml"
    path.write_text(path.read_text().replace("title", "titel"))
    found = match(both, ["cases"], start=tmp_path / "head")
    (told,) = found.unusable
    assert (told.case, told.direction) == ("cases/file.yaml", "other")
    assert "On base: cases/file.yaml:2:1: " in told.message
    assert "by-file" not in found.base
    path = tmp_path / "head" / "cases" / "file.yaml"
    path.write_text(path.read_text().replace("dims: {n: 3}", "dims: {m: 3}"))
    with pytest.raises(CaseFileError, match=r"file\.yaml:\d+:\d+: "):
        match(both, ["cases"], start=tmp_path / "head")


def test_an_interrupt_ends_a_side(both, interruptible):
    """Ctrl-C while a subject hangs ends every process, and the other side is not begun."""
    for side in (both.base, both.head):
        (Path(side.root) / "cases" / "square.py").write_text(HANG)
        text = CASE.format(name="by-file", where="./square.py:hang")
        (Path(side.root) / "cases" / "file.yaml").write_text(text)
    pid = Path(both.base.root) / "pid"
    command = [sys.executable, "-c", VERIFY, both.base.root, both.head.root]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(1200):
            if pid.exists() and pid.read_text():
                break
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(process.stderr.read())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert not alive(pid.read_text())
    assert not (Path(both.head.root) / "pid").exists()


def alive(pid):
    """Whether a process of that number still runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
