"""Faults that only torch can tell are faults of the case file like all others, known before anything runs."""

from __future__ import annotations

import pytest

import harness
from harness.case.load import read_cases
from harness.errors import CaseFileError
from harness.run.preflight import late_faults

CASE = """\
case: square
title: A square
inputs: {x: {}}
function: x**2
"""


def _faults(folder, rest):
    path = folder / "a.yaml"
    path.write_text(CASE + rest)
    cases, faults = read_cases([path])
    assert not faults
    return [f"{fault.line}:{fault.column}: {fault.message}" for fault in late_faults(cases)]


@pytest.mark.parametrize(
    ("rest", "fault"),
    [
        (
            "converge: [{optimizer: Sdg}]",
            "5:24: Cannot descend: optimizer='Sdg' is not a class of torch.optim. Did you",
        ),
        (
            "converge: [{optimizer: SGD, options: {learning_rate: 1}}]",
            "5:39: Cannot use SGD: option learning_rate=1 (type",
        ),
        (
            "converge: [{optimizer: Adam, options: {beta: 1}}]",
            "5:40: Cannot use Adam: option beta=1 (type int) is not one",
        ),
        ("converge: [{optimizer: SGD, options: {lr: -1}}]", "5:38: Cannot use SGD(lr=-1): Invalid learning rate: -1"),
        ("converge: [{optimizer: GD}]", "5:12: Cannot use GD: option lr is missing"),
        (
            "benchmark: {optimizer: Adma}",
            "5:24: Cannot descend: optimizer='Adma' is not a class of torch.optim. Did you",
        ),
    ],
)
def test_a_wrong_optimizer_is_one_fault_at_its_place(tmp_path, rest, fault):
    """A misspelt optimizer or option, or a value it refuses, is reported where it stands, naming the nearest."""
    (found,) = _faults(tmp_path, rest + "\n")
    assert found.startswith(fault)


def test_every_wrong_option_is_reported(tmp_path):
    """All unknown options come at once."""
    assert len(_faults(tmp_path, "converge: [{options: {lrr: 1, momentun: 1}}, {optimizer: Adamm}]\n")) == 3


def test_right_optimizers_are_no_faults(tmp_path):
    """Options that an optimizer takes are left alone, tuples and words among them."""
    entries = (
        "{optimizer: Adam, options: {betas: [0.8, 0.9]}}, {optimizer: LBFGS, options: {line_search_fn: strong_wolfe}}"
    )
    assert _faults(tmp_path, f"converge: [{entries}]\n") == []


@pytest.mark.parametrize("inline", [True, False])
def test_a_run_reports_all_faults_of_all_files_and_runs_nothing(tmp_path, inline):
    """Faults of form, of shape and of optimizers are raised together, in the files' order, before any job or output."""
    (tmp_path / "a.yaml").write_text(CASE.replace("x**2", "sum(ones(2) @ ones(3)*x)"))
    (tmp_path / "b.yaml").write_text(CASE.replace("title", "titel"))
    (tmp_path / "c.yaml").write_text(CASE.replace("case: square", "case: other") + "converge: [{optimizer: Sdg}]\n")
    with pytest.raises(CaseFileError) as caught:
        harness.run(tmp_path, out=tmp_path / "out", inline=inline)
    assert [(fault.path.name, fault.line) for fault in caught.value.faults] == [
        ("a.yaml", 4),
        ("b.yaml", 2),
        ("c.yaml", 5),
    ]
    assert not (tmp_path / "out").exists()


def test_faults_of_cases_that_are_not_selected_count(tmp_path):
    """A selection does not hide that a file is wrong, be it of form or of shape."""
    (tmp_path / "a.yaml").write_text(
        CASE + "---\n" + CASE.replace("square", "other").replace("x**2", "ones(2) @ ones(3)*x")
    )
    with pytest.raises(CaseFileError):
        harness.run(tmp_path, keyword="square")
