"""Real data as draws: scikit-learn's digits, and a case that is skipped where the package is missing."""

from __future__ import annotations

import sys

import pytest
import torch

from harness.case import digits
from harness.case.domains import draw_tensor, generator_for
from harness.case.subject import Input
from harness.errors import MissingPackageError, UsageError


def _draw(draw: str, *shape: int) -> torch.Tensor:
    return draw_tensor(Input(shape=shape, draw=draw, grad=False), shape, generator_for(0, "test"))


def test_images_and_labels_belong_together():
    """The rows are those the package has, in its order, pixels from 0 to 1 and labels from 0 to 9."""
    sklearn = pytest.importorskip("sklearn.datasets")
    images, labels = sklearn.load_digits(return_X_y=True)
    drawn = _draw("digits_images", 300, 64)
    assert torch.equal(drawn * 16, torch.from_numpy(images[:300]))
    assert (float(drawn.min()), float(drawn.max())) == (0.0, 1.0)
    assert torch.equal(_draw("digits_labels", 300), torch.from_numpy(labels[:300]).long())


@pytest.mark.parametrize(
    ("draw", "shape"), [("digits_images", (5, 63)), ("digits_labels", (5, 2)), ("digits_labels", (2000,))]
)
def test_shapes_there_are_no_digits_for_are_refused(draw, shape):
    """Another number of pixels, labels that are no vector, and more rows than there are, are misuse."""
    pytest.importorskip("sklearn.datasets")
    with pytest.raises(UsageError, match="Cannot draw"):
        _draw(draw, *shape)


def test_a_missing_package_is_named(monkeypatch):
    """Without scikit-learn the error says what to install."""
    digits._digits.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingPackageError, match="pip install scikit-learn"):
        _draw("digits_images", 5, 64)
