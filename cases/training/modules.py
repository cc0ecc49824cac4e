"""Small networks the training cases use, written as modules usually are."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RingClassifier(nn.Module):
    """Scores for two classes of points in the plane: ring 0 has radius 1, ring 1 has radius 2."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, angle: Tensor, noise: Tensor, labels: Tensor) -> Tensor:
        """Place points on their rings and score them.

        Args:
            angle: where on its ring each point lies, in radians, (n,).
            noise: how far off its ring, (n,).
            labels: its ring, 0 or 1, (n,); it decides where the point lies and is not shown to the layers.

        Returns:
            Scores (n, 2).
        """
        radius = 1 + labels + noise
        points = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
        scores: Tensor = self.out(torch.tanh(self.hidden(points)))
        return scores


class SineNetwork(nn.Module):
    """One hidden layer of tanh units from a number to a number."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Predict a number for every entry of `x` (n,)."""
        predictions: Tensor = self.layers(x.unsqueeze(1)).squeeze(1)
        return predictions


class DigitClassifier(nn.Module):
    """Scores for the ten digits of images of 64 pixels: one hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 32)
        self.out = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Score `images` (n, 64); returns (n, 10)."""
        scores: Tensor = self.out(torch.relu(self.hidden(images)))
        return scores


class LinearModel(nn.Module):
    """A linear model of several features, as torch.nn has it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1, bias=False)

    def forward(self, X: Tensor) -> Tensor:  # noqa: N803 - the case's name for its features
        """Predict a number for every row of `X` (n, 3)."""
        predictions: Tensor = self.linear(X).squeeze(1)
        return predictions


class Parabola(nn.Module):
    """A parabola's three coefficients as a linear layer on (x², x, 1), all drawn as torch.nn draws them."""

    def __init__(self) -> None:
        super().__init__()
        self.coefficients = nn.Linear(3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Predict a number for every entry of `x` (n,)."""
        features = torch.stack([x * x, x, torch.ones_like(x)], dim=1)
        predictions: Tensor = self.coefficients(features).squeeze(1)
        return predictions


class Line(nn.Module):
    """y = w·x + b as a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Predict y for every entry of `x` (n,)."""
        predictions: Tensor = self.linear(x.unsqueeze(1)).squeeze(1)
        return predictions
