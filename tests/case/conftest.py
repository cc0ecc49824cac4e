"""Two good case files, and the faults of a text as a case file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.case.load import load_cases
from harness.errors import CaseFileError


@pytest.fixture
def faults(tmp_path) -> Callable[[str | bytes], list[str]]:
    """A function that returns the faults of one file, as ``line:column: message``."""

    def of(text: str | bytes) -> list[str]:
        path = tmp_path / "a.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(CaseFileError) as caught:
            load_cases([path])
        return [f"{fault.line}:{fault.column}: {fault.message}" for fault in caught.value.faults]

    return of


@pytest.fixture
def good() -> str:
    """A case with sizes, a `let` and a gradient."""
    return """\
case: rss
title: Residual sum of squares
dims: {n: [1, 7], d: 3}
inputs:
  X: {shape: [n, d], grad: false}
  y: {shape: [n], grad: false}
  w: {shape: [d]}
let: {r: y - X @ w}
function: (r @ r) / n
gradient: {w: -2/n * X.T @ r}
"""


@pytest.fixture
def small() -> str:
    """The least that a case can say."""
    return """\
case: square
title: A square
inputs:
  x: {}
function: x**2
"""
