"""What kind of mistake a wrong gradient looks like; silence where it looks like none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.verify.diagnose import diagnose


def said(actual: Tensor, expected: Tensor, shape: tuple[int, ...] | None = None) -> str:
    """The diagnosis with a narrow bar, "" when there is none."""
    bar = torch.full_like(expected, 1e-12)
    return diagnose(actual[None], expected[None], bar[None], shape or tuple(expected.shape)) or ""


TRUE = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (2.0, "factor 2 too many"),
        (0.5, "missing factor 2"),
        (-1.0, "wrong sign"),
        (0.0, "zero everywhere"),
        (3.5, "3.5 ×"),
    ],
)
def test_a_factor_is_named(factor: float, words: str) -> None:
    """Constant factors are told."""
    assert words in said(factor * TRUE, TRUE)


def test_a_factor_near_one_is_shown_as_its_excess() -> None:
    """1 + 1e-8 is not printed as 1."""
    assert "1 +1e-08" in said(TRUE * (1 + 1e-8), TRUE)


def test_a_transpose_is_named() -> None:
    """A transposed square gradient is told."""
    square = torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    bar = torch.full((1, 9), 1e-12, dtype=torch.float64)
    words = diagnose(square.T.reshape(1, 9), square.reshape(1, 9), bar, (3, 3))
    assert words is not None
    assert "transpose" in words


def test_nan_is_counted() -> None:
    """NaN entries are counted."""
    actual = TRUE.clone()
    actual[3] = torch.nan
    assert "NaN at 1 of 12" in said(actual, TRUE)


def test_a_single_wrong_entry() -> None:
    """One wrong entry among many right ones is told."""
    actual = TRUE.clone()
    actual[3] += 1
    assert "Every other entry is right" in said(actual, TRUE)


def test_no_pattern_no_words() -> None:
    """Unrelated numbers get no diagnosis."""
    assert said(TRUE.flip(0), TRUE) == ""


def test_right_numbers_get_no_words() -> None:
    """There is nothing to say about agreement."""
    assert said(TRUE, TRUE) == ""
