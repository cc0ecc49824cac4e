"""Rows of small real data sets that an optional package ships: scikit-learn's digits. Nothing is ever downloaded.

Inputs drawn from one data set belong together: each has its first n rows, whatever the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from harness.errors import MissingPackageError, UsageError

BRIGHTEST = 16.0
"""Largest value of a pixel."""


def digits_images(size: Sequence[int]) -> Tensor:
    """Return the first images (n, 64) or (n, 8, 8) of handwritten digits, pixels between 0 and 1, float64.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), as scikit-learn ships it.

    Raises:
        MissingPackageError: scikit-learn is not installed.
        UsageError: the shape is another one, or there are fewer images.
    """
    images, _ = _digits()
    if math.prod(size[1:]) != images.shape[1]:
        raise UsageError(f"Cannot draw 'digits_images': shape={list(size)} has no 64 pixels a row. Use [n, 64].")
    return _first(images, size[0]).reshape(tuple(size)) / BRIGHTEST


def digits_labels(size: Sequence[int]) -> Tensor:
    """Return which digits (n,) the first images show, int64.

    Raises:
        MissingPackageError: scikit-learn is not installed.
        UsageError: the shape is another one, or there are fewer images.
    """
    if len(size) != 1:
        raise UsageError(f"Cannot draw 'digits_labels': shape={list(size)} is no vector. Use [n].")
    return _first(_digits()[1], size[0])


def _first(rows: Tensor, count: int) -> Tensor:
    if count > len(rows):
        raise UsageError(f"Cannot draw {count} digits: the data set has {len(rows)}. Use a smaller size.")
    return rows[:count].clone()


@cache
def _digits() -> tuple[Tensor, Tensor]:
    """Return all images (1797, 64) and labels (1797,)."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "Cannot draw digits: scikit-learn is not installed, which ships them. Install it: pip install scikit-learn"
        ) from error
    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(images).double(), torch.from_numpy(labels).long()
