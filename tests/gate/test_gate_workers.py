"""Real timing processes on two small trees: structure is asserted, time never is."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bench.comparison import Decision, Margin
from harness.case.load import load_cases
from harness.gate.engine import time_sides
from harness.gate.options import TimingOptions
from harness.gate.process import LostError, TimingProcess, ended
from harness.gate.protocol import PROTOCOL, Sample
from harness.gate.records import Side
from harness.gate.start import start_pair
from harness.gate.workloads import candidates

CASES = """\
case: squares
title: Sum of squares, by the tree's own package
dims: {n: [4]}
inputs: {x: {shape: [n]}}
function: {python: "own.ops:squares"}
benchmark: {sweep: {n: [4, 16]}, passes: [value, backward, step]}
---
case: beside
title: Sum of squares, by a file beside the case
inputs: {x: {shape: [3]}}
function: {python: "./beside.py:squares"}
benchmark: {passes: [forward]}
---
case: text
title: Sum of squares, as an expression
inputs: {x: {shape: [3]}}
function: sum(x*x)
benchmark: {passes: [value]}
---
case: crash
title: A subject that ends its process
inputs: {x: {shape: [3]}}
function: {python: "./beside.py:crash"}
benchmark: {passes: [value]}
---
case: raise
title: A subject that raises
inputs: {x: {shape: [3]}}
function: {python: "./beside.py:fails"}
benchmark: {passes: [value]}
"""
OPS = '''\
"""The tree's package."""


def squares(x):
    print("not an answer")
    return (x * x).sum()
'''
BESIDE = '''\
"""Subjects beside the case file."""

import os


def squares(x):
    return (x * x).sum()


def crash(x):
    os._exit(3)


def fails(x):
    raise ValueError("not today")
'''
TRUST = ("own", "cases")


def plant(root, *, package: bool = True):
    """Make a tree with cases and, where wanted, the package they name."""
    (root / "cases").mkdir(parents=True)
    (root / "cases" / "a.yaml").write_text(CASES)
    (root / "cases" / "beside.py").write_text(BESIDE)
    if package:
        (root / "src" / "own").mkdir(parents=True)
        (root / "src" / "own" / "__init__.py").write_text("")
        (root / "src" / "own" / "ops.py").write_text(OPS)
    return root


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Two trees of the same content."""
    folder = tmp_path_factory.mktemp("trees")
    sides = {name: plant(folder / name) for name in ("base", "head")}
    return tuple(Side(name=name, root=str(root), trust=TRUST) for name, root in sides.items())


@pytest.fixture(scope="module")
def chosen(trees):
    """What is timed of them, by case."""
    root = trees[1].root
    found, _ = candidates(load_cases([f"{root}/cases"]), Path(root), TimingOptions())
    return {each.case: each for each in found}


# The margin is so wide that nothing is left to confirm, however the machine jumps about.
OPTIONS = TimingOptions(sample_s=2e-5, pairs=20, limit_s=60.0, margin=Margin(relative=30.0))
HELLO = f'{{"kind":"hello","protocol":{PROTOCOL},"python":"3","torch":"2"}}'


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A folder that both sides can import a copy of the package from, as if it were installed."""
    folder = tmp_path_factory.mktemp("environment") / "site-packages"
    (folder / "own").mkdir(parents=True)
    (folder / "own" / "__init__.py").write_text("")
    (folder / "own" / "ops.py").write_text(OPS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield folder


@pytest.fixture(scope="module")
def rows(trees, chosen, library):
    """One timing of everything, with a copy of the package installed besides; rows by case."""
    found: dict[str, list[object]] = {}
    for row in time_sides(*trees, list(chosen.values()), OPTIONS):
        found.setdefault(row.workload.case, []).append(row)
    return found


def test_every_pass_is_timed_at_the_smallest_and_the_largest_size(rows):
    """Two sizes, the declared passes, without the optimizer's step."""
    assert [(row.workload.what, row.workload.sizes, row.workload.elements) for row in rows["squares"]] == [
        ("value", (("n", 4),), 4),
        ("backward", (("n", 4),), 4),
        ("value", (("n", 16),), 16),
        ("backward", (("n", 16),), 16),
    ]


@pytest.mark.parametrize("case", ["squares", "beside", "text"])
def test_samples_are_pairs_of_positive_times(rows, case):
    """As many of one side as of the other, and what was printed is none of them."""
    for row in rows[case]:
        assert len(row.screened.base) == len(row.screened.head) == 20
        assert min(row.screened.base + row.screened.head) > 0
        assert row.inner >= 1
        assert row.screening is not None


def test_each_side_runs_the_code_of_its_own_tree(rows, trees):
    """Packages under src/ come from the side's tree, whatever is installed, and so do files beside the case."""
    for case in ("squares", "beside"):
        row = rows[case][0]
        assert row.base_code[0].startswith(trees[0].root)
        assert row.head_code[0].startswith(trees[1].root)
    assert rows["text"][0].base_code == ()


def test_counts_of_the_same_code_are_the_same(rows):
    """Exact counts come from both sides."""
    row = rows["squares"][0]
    assert row.base_counts is not None
    assert row.base_counts == row.head_counts


def test_what_cannot_run_says_why(rows):
    """An exception and a process that ends are reasons of their rows."""
    assert "ValueError: not today" in rows["raise"][0].message
    assert "status 3" in rows["crash"][0].message
    assert {rows[case][0].decision for case in ("raise", "crash")} == {Decision.INCONCLUSIVE}


def test_code_from_outside_the_trees_is_inconclusive(tmp_path, chosen, library):
    """Both sides ran one installed copy: never the same, always its reason; expressions are judged."""
    sides = [Side(name=name, root=str(plant(tmp_path / name, package=False)), trust=TRUST) for name in ("base", "head")]
    found = time_sides(*sides, [chosen["squares"], chosen["text"]], OPTIONS)
    outside = [row for row in found if row.workload.case == "squares"]
    assert {row.decision for row in outside} == {Decision.INCONCLUSIVE}
    assert all("outside its tree" in row.message and str(library / "own") in row.message for row in outside)
    assert found[-1].workload.case == "text"
    assert found[-1].screening is not None


def test_a_process_that_does_not_come_up_is_lost(tmp_path):
    """What ends before it greets says how."""
    process = TimingProcess([sys.executable, "-c", "raise SystemExit(7)"], str(tmp_path), limit_s=5.0)
    try:
        with pytest.raises(LostError, match="status 7"):
            process.greet()
        with pytest.raises(LostError, match="status 7"):
            process.ask(Sample(calls=1))
    finally:
        process.close()


def test_a_worker_that_fails_at_import_shows_why(trees, tmp_path, monkeypatch):
    """The side is named, and the end of what its process said is shown, be it short or long."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for text in ("", "import sys\nsys.stderr.write('chatter ' * 100_000)\n"):
        (tmp_path / "torch.py").write_text(text + "raise ImportError('libtorch.so is not there')\n")
        with pytest.raises(LostError) as caught:
            start_pair(*trees, OPTIONS, 1)
        message = str(caught.value)
        assert message.startswith(f"Cannot time the base ({trees[0].root}): the process ended itself with status 1. Is")
        assert message.endswith("ImportError: libtorch.so is not there")
        assert len(message) < 3000


def test_an_interpreter_that_is_not_there_is_lost(trees, tmp_path):
    """A program that cannot be started is named with its side."""
    head = replace(trees[1], python=str(tmp_path / "nowhere"))
    with pytest.raises(LostError, match=r"Cannot time the head .*python='.*nowhere' cannot be started"):
        start_pair(trees[0], head, OPTIONS, 1)


def test_a_hang_is_stopped(tmp_path):
    """A process that does not answer in time is killed, and stays lost."""
    code = f"import time; print({HELLO!r}, flush=True); time.sleep(600)"
    process = TimingProcess([sys.executable, "-c", code], str(tmp_path), limit_s=0.5)
    try:
        process.greet()
        for _ in range(2):
            with pytest.raises(LostError, match=r"did not answer within 0.5 s and was stopped"):
                process.ask(Sample(calls=1))
    finally:
        process.close()


def test_another_version_is_refused(tmp_path):
    """Both interpreters have to hold the same protocol."""
    code = f"print({HELLO.replace(str(PROTOCOL), '0', 1)!r}, flush=True); input()"
    process = TimingProcess([sys.executable, "-c", code], str(tmp_path), limit_s=5.0)
    with pytest.raises(LostError, match="another version"):
        process.greet()


@pytest.mark.parametrize(
    ("status", "words"),
    [(3, "status 3"), (-9, "SIGKILL, perhaps because memory"), (-11, "SIGSEGV"), (-99, "signal 99")],
)
def test_how_a_process_ended(status, words):
    """Signals are named, and the one the system kills hungry processes with is explained."""
    assert words in ended(status)
