"""Residuals: a case may say what is squared and summed instead of the sum."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.case.build import build_subject
from harness.case.load import load_cases
from harness.case.shapes import shape_faults
from harness.case.subject import Subject
from harness.case.trust import Trust
from harness.errors import CaseFileError

HEAD = "case: c\ntitle: t\ndims: {n: 3}\ninputs: {t: {shape: [n], grad: false}, a: {}, b: {}}\n"
CODE = "def line(t, a, b):\n    return a * t + b - 1\n"
T, A, B = torch.tensor([1.0, 2.0, 4.0]), torch.tensor(2.0), torch.tensor(-1.0)


def subject_of(folder: Path, text: str) -> Subject:
    (folder / "c.yaml").write_text(HEAD + text)
    (folder / "line.py").write_text(CODE)
    (case,) = load_cases([folder / "c.yaml"])
    return build_subject(case, trust=Trust(folders=(folder,)))


def faults_of(folder: Path, text: str) -> str:
    (folder / "c.yaml").write_text(HEAD + text)
    with pytest.raises(CaseFileError) as caught:
        load_cases([folder / "c.yaml"])
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("a*t + b - 1", 1),
        ("['a*t[0] + b - 1', 'a*t[1] + b - 1', 'a*t[2] + b - 1']", 3),
        ("['a*t[:2] + b - 1', 'a*t[2] + b - 1']", 2),
        ("{python: './line.py:line'}", 1),
    ],
)
def test_the_function_is_the_sum_of_squares(tmp_path: Path, written: str, parts: int) -> None:
    """However residuals are written, the function is the sum of their squares, and they can be had apart."""
    subject = subject_of(tmp_path, f"residuals: {written}\n")
    values = {"t": T, "a": A, "b": B}
    wanted = A * T + B - 1
    assert subject.residuals is not None
    residuals = subject.residuals(values)
    assert len(residuals) == parts
    assert torch.equal(torch.cat([residual.reshape(-1) for residual in residuals]), wanted)
    (value,) = subject.function(values)
    assert float(value) == float(wanted @ wanted)


def test_a_function_has_no_residuals(tmp_path: Path) -> None:
    """Residuals are not guessed from a function."""
    assert subject_of(tmp_path, "function: a*sum(t) + b\n").residuals is None


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("function: a + b\nresiduals: a - b\n", "6:1", "not both"),
        ("residuals: [a - b, a - q]\n", "5:24", "unknown name 'q'"),
        ("residuals: []\n", "5:12", "empty list"),
        ("residuals: {python: './line.py:line', loss: sum(output)}\n", "5:39", "`loss` belongs to function"),
        ("residuals: {file: x}\n", "5:13", "file"),
        ("title2: x\n", "1:1", "'function'"),
    ],
)
def test_wrong_residuals_are_faults_at_their_place(tmp_path: Path, text: str, place: str, words: str) -> None:
    """A fault of residuals is told once, where it stands in the file."""
    told = faults_of(tmp_path, text)
    assert f"c.yaml:{place}: " in told
    assert words in told


def test_residuals_that_do_not_fit_are_told_where_they_stand(tmp_path: Path) -> None:
    """A residual that cannot be computed is a fault of that residual, not of the sum of squares behind it."""
    (tmp_path / "c.yaml").write_text(HEAD + "residuals: ['a - b', 't - stack([a, b])']\n")
    (fault,) = shape_faults(load_cases([tmp_path / "c.yaml"]))
    assert (fault.line, fault.column) == (5, 23)
