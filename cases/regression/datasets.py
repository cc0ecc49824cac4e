"""Losses on data that scikit-learn ships, as functions of a classifier's parameters; features are standardised."""

from __future__ import annotations

from functools import cache

import torch
from sklearn import datasets
from torch import Tensor
from torch.nn import functional

RIDGE = 0.005


@cache
def _standardised(name: str) -> tuple[Tensor, Tensor]:
    """Return features (n, d) of mean 0 and variance 1, and labels (n,)."""
    features, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    rows = torch.as_tensor(features, dtype=torch.float64)
    return (rows - rows.mean(0)) / rows.std(0, correction=0), torch.as_tensor(labels)


def breast_cancer(w: Tensor, b: Tensor) -> Tensor:
    """Logistic loss with a ridge on 569 tumours of 30 features: w (30,), b ()."""
    features, labels = _standardised("breast_cancer")
    scores = features.to(w) @ w + b
    loss = functional.softplus(scores) - labels.to(w) * scores
    return loss.mean() + RIDGE * (w @ w + b * b)


def iris(W: Tensor, b: Tensor) -> Tensor:  # noqa: N803  a matrix
    """Cross-entropy with a ridge on 150 flowers of 4 features and 3 species: W (4, 3), b (3,)."""
    features, labels = _standardised("iris")
    scores = features.to(W) @ W + b
    return functional.cross_entropy(scores, labels.to(W.device)) + RIDGE * ((W * W).sum() + b @ b)
