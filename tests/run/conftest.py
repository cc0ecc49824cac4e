"""Case files for the tests of runs: one that is right, one that is wrong, and code that does what no case should."""

from dataclasses import replace

import pytest

from harness.records import Environment, Finding, Outcome, RunHeader, VerifyRecord

GOOD = """\
case: square
title: Sum of squares
tags: [easy]
inputs: {x: {shape: [3]}}
function: sum(x*x)
gradient: {x: 2*x}
converge: [{optimizer: SGD, options: {lr: 0.1}, start: {x: ones}, minimum: {x: [0, 0, 0]}}]
benchmark: {passes: [value]}
"""

WRONG = """\
case: cube
title: Sum of cubes, with a wrong gradient
inputs: {x: {shape: [3]}}
function: sum(x**3)
gradient: {x: 2*x**2}
benchmark: {passes: [value]}
"""

PYTHON = """\
case: {name}
title: A subject that misbehaves
inputs: {{x: {{shape: [3]}}}}
function: {{python: "./subjects.py:{name}"}}
"""

SUBJECTS = '''\
"""Subjects that do what no subject should."""

import os
import signal
import sys
from pathlib import Path

import torch


def hang(x):
    Path(__file__).with_name("hang.pid").write_text(str(os.getpid()))
    while True:
        pass


def leave(x):
    os._exit(0)


def crash(x):
    os.kill(os.getpid(), signal.SIGKILL)


def eat(x):
    kept = []
    while True:
        kept.append(torch.ones(10_000_000))


def stop(x):
    sys.exit("enough")


def chatter(x):
    print("printed by a subject")
    return (x * x).sum()


def fail(x):
    raise RuntimeError("no such luck")
'''


@pytest.fixture(scope="session")
def write_cases():
    """A function that writes case files of the given names into a folder; `good` and `wrong` are expressions."""

    def write(folder, *names):
        folder.mkdir(exist_ok=True)
        (folder / "subjects.py").write_text(SUBJECTS)
        for name in names:
            text = {"good": GOOD, "wrong": WRONG}.get(name) or PYTHON.format(name=name)
            (folder / f"{name}.yaml").write_text(text)
        return folder

    return write


@pytest.fixture
def cases(tmp_path, write_cases):
    """A function that writes case files of the given names into a new folder and returns it."""
    return lambda *names: write_cases(tmp_path / "cases", *names)


@pytest.fixture
def header():
    """A run's header, with one planned job."""
    environment = Environment(
        python="CPython 3.11", platform="Linux", cpu="some", cpu_count=2, memory_bytes=None, torch="2", torch_threads=1,
        numpy="2", cuda=None, cuda_missing="none here", harness="0", git_commit=None,
    )  # fmt: skip
    return RunHeader(
        run="r", started="2026-01-01T00:00:00+00:00", command="harness verify", seed=0, planned=("verify a",),
        environment=environment,
    )  # fmt: skip


@pytest.fixture
def record():
    """A function that makes a verification record of the given outcome."""

    def make(outcome=Outcome.PASS, **changes):
        made = VerifyRecord(
            job="verify a", case="a", title="A", source="", path="a.yaml", outcome=outcome, message="said so",
            findings=(Finding(check="reverse ~ ladder", outcome=outcome, message="it was so", error=float("inf")),),
        )  # fmt: skip
        return replace(made, **changes)

    return make
