"""A NIST data file named by a case: the case written out, and faults told where its author wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.documents import Problem
from harness.case.load import faults_at, load_cases
from harness.case.points import case_points
from harness.case.shapes import shape_faults
from harness.case.trust import Trust
from harness.errors import CaseFileError

DATA = """\
               Starting Values   (lines 5 to 6)
               Certified Values  (lines 5 to 8)
               Data              (lines 11 to 13)

  b1 =   5   2.5   2.3894212918E+00  2.7070075241E+00
  b2 =   0   1     1.0E+00           7.2668688436E-06

Residual Sum of Squares:                    {sum}

Data:   y               x
      10.5      1
      20        2
      30        4
"""
CASE = """\
case: line
title: A line
nist: {data: line.dat, model: b1*x + b2}
"""


def load(folder: Path, text: str = CASE, total: str = "1.2455138894E+02") -> Case:
    """The only case of a file beside a data file."""
    (folder / "line.dat").write_text(DATA.format(sum=total))
    (folder / "line.yaml").write_text(text)
    (case,) = load_cases([folder / "line.yaml"])
    return case


def faults(folder: Path, text: str) -> list[str]:
    """The faults of a case file beside a data file, as ``line:column: message``."""
    (folder / "line.dat").write_text(DATA.format(sum="1.0E+00"))
    (folder / "line.yaml").write_text(text)
    with pytest.raises(CaseFileError) as caught:
        load_cases([folder / "line.yaml"])
    return [f"{fault.line}:{fault.column}: {fault.message}" for fault in caught.value.faults]


def test_three_lines_are_a_whole_case(tmp_path: Path) -> None:
    """Inputs, residuals, three points and two descents by least squares to six digits follow from the data file."""
    model = load(tmp_path).model
    assert list(model.inputs) == ["y", "x", "b1", "b2"]
    assert [name for name, spec in model.inputs.items() if spec.grad] == ["b1", "b2"]
    assert [point.name for point in model.points] == ["start 1", "start 2", "certified"]
    assert [(entry.optimizer, entry.digits) for entry in model.converge] == [("LeastSquares", 6.0)] * 2
    assert [entry.start for entry in model.converge] == [{"b1": 5.0, "b2": 0.0}, {"b1": 2.5, "b2": 1.0}]
    assert all(entry.minimum == {"b1": 2.3894212918, "b2": 1.0} for entry in model.converge)
    assert model.verify.points == 0


def test_the_function_is_the_sum_of_squares(tmp_path: Path) -> None:
    """At a start the value is Σ (y − model)², the response minus the model."""
    case = load(tmp_path)
    subject = build_subject(case, trust=Trust())
    first = case_points(case, subject, seed=0)[0]
    (value,) = subject.function(first.values)
    assert float(value) == (10.5 - 5) ** 2 + (20 - 10) ** 2 + (30 - 20) ** 2
    assert subject.residuals is not None
    assert torch.equal(subject.residuals(first.values)[0], torch.tensor([5.5, 10.0, 10.0], dtype=torch.float64))


def test_a_response_may_be_transformed(tmp_path: Path) -> None:
    """`response` stands in the place of the first column."""
    case = load(tmp_path, CASE.replace("b1*x + b2}", "b1*x + b2, response: log(y)}"))
    subject = build_subject(case, trust=Trust())
    first = case_points(case, subject, seed=0)[0]
    assert subject.residuals is not None
    expected = torch.log(first.values["y"]) - 5 * first.values["x"]
    assert torch.equal(subject.residuals(first.values)[0], expected)


@pytest.mark.parametrize(("total", "claimed"), [("1.2455138894E+02", True), ("1.0E-12", False), ("1.0E-40", False)])
def test_a_sum_beyond_eleven_digits_is_not_claimed(tmp_path: Path, total: str, claimed: bool) -> None:
    """A sum of squares that eleven digits of the parameters do not determine is not held against anything."""
    certified = load(tmp_path, total=total).model.points[-1].claims
    assert certified.stationary
    assert (certified.value is not None) is claimed


def test_an_entry_without_start_runs_from_both(tmp_path: Path) -> None:
    """What an entry says is kept: its own start, minimum, digits or within; only what is left out is filled in."""
    text = CASE + (
        "converge:\n"
        "  - {optimizer: LBFGS, relative: true, digits: 4}\n"
        "  - {optimizer: LeastSquares, start: {b1: 3, b2: 3}, within: 0.01}\n"
        "  - {optimizer: Adam, options: {lr: 0.1}, minimum: scipy}\n"
    )
    entries = load(tmp_path, text).model.converge
    assert [entry.optimizer for entry in entries] == ["LBFGS", "LBFGS", "LeastSquares", "Adam", "Adam"]
    assert [entry.digits for entry in entries] == [4, 4, None, 6.0, 6.0]
    assert entries[2].start == {"b1": 3, "b2": 3}
    assert entries[2].minimum == {"b1": 2.3894212918, "b2": 1.0}
    assert [entry.minimum for entry in entries[3:]] == ["scipy", "scipy"]


def test_points_of_the_case_come_first(tmp_path: Path) -> None:
    """Points that the case gives are kept beside those of the data file."""
    text = CASE + "points:\n  - {name: flat, at: {b1: 0, b2: 0}, claims: {value: 1410.25}}\n"
    assert [point.name for point in load(tmp_path, text).model.points] == ["flat", "start 1", "start 2", "certified"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (CASE.replace("b1*x + b2", "b1*x + b3"), "3:38", "unknown name 'b3'"),
        (CASE.replace("b1*x + b2", "b1*x + open(b2)"), "3:38", "open"),
        (CASE.replace("b1*x + b2", "b1*x + b2 + e"), "3:43", "error term"),
        (CASE.replace("b1*x + b2", "y = b1*x + b2"), "3:31", "right-hand side"),
        (CASE.replace("b1*x + b2", "'log[y] = b1*x + b2'"), "3:31", "right-hand side"),
        (CASE.replace("b1*x + b2", "b1*x + 1e-3*pi"), "3:31", "the model has no b2; the data file gives b1, b2"),
        (CASE.replace("line.dat", "missing.dat"), "3:14", "No such file"),
        (CASE.replace("line.dat", "line.yaml"), "3:14", "Starting Values"),
        (CASE.replace("nist: {data: line.dat, model: b1*x + b2}", "nist: {model: b1*x}"), "3:7", "data"),
        (CASE.replace("nist: {data: line.dat, model: b1*x + b2}", "nist: {data: line.dat}"), "3:7", "model"),
        (CASE.replace("model:", "modell:"), "3:", "modell"),
        (CASE + "inputs: {a: {}}\n", "4:1", "`nist` gives inputs"),
        (CASE + "dims: {n: 3}\n", "4:1", "`nist` gives dims"),
        (CASE + "residuals: y - b1\n", "4:1", "`nist` gives residuals"),
        (CASE + "function: b1\n", "4:1", "`nist` gives function"),
        (CASE + "points:\n  - {at: {b7: 1}}\n", "5:11", "b7"),
        (CASE + "converge:\n  - {optimizer: LeastSquares, digits: 4, within: 0.1}\n", "5:31", "keep one"),
        (CASE + "converge:\n  - {}\n  - {optimizer: LBFGS, start: {b9: 1}}\n", "6:32", "b9"),
        (CASE + "converge:\n  - {expect: misses}\n", "5:", "needs a `reason`"),
        (CASE + "converge: LBFGS\n", "4:", "converge"),
    ],
)
def test_faults_are_told_where_they_were_written(tmp_path: Path, text: str, place: str, words: str) -> None:
    """A fault of what the author wrote is told at its line and column, though the case was written out since."""
    told = faults(tmp_path, text)
    assert all(fault.startswith(place) and words in fault for fault in told), told


def test_a_fault_of_a_doubled_entry_is_told_once(tmp_path: Path) -> None:
    """An entry that runs from both starts has one place in the file, and one fault."""
    told = faults(tmp_path, CASE + "converge:\n  - {optimizer: LBFGS, expect: misses}\n")
    assert len(told) == len(set(told)) == 1


def test_a_fault_found_later_of_a_doubled_entry_is_told_once(tmp_path: Path) -> None:
    """So is one that is found when the cases are there, such as an option that the optimizer refuses."""
    case = load(tmp_path, CASE + "converge:\n  - {optimizer: LeastSquares, options: {method: ml}}\n")
    problem = [Problem(("converge", place, "options"), "no such method") for place in range(2)]
    (fault,) = faults_at((case, each) for each in problem)
    assert (fault.line, fault.message) == (5, "no such method")


def test_a_model_of_another_shape_is_told(tmp_path: Path) -> None:
    """A model that does not fit the observations is a fault of shape of this case."""
    case = load(tmp_path, CASE.replace("b1*x + b2", "'b1*x[:2] + b2'"))
    (fault,) = shape_faults([case])
    assert fault.line == 3
