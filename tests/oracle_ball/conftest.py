"""Makes subjects at points for the ball oracle's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from harness.case.subject import Input, Point, Subject
from harness.oracle.flat import FlatSubject


def _flat_of(function: Callable[..., Tensor | tuple[Tensor, ...]], **values: Tensor) -> FlatSubject:
    """A function of named tensors at a point; inputs that are numbers are differentiable."""

    def outputs(named):
        found = function(**named)
        return found if isinstance(found, tuple) else (found,)

    inputs = {
        name: Input(grad=value.is_floating_point() or value.is_complex(), complex=value.is_complex())
        for name, value in values.items()
    }
    subject = Subject(name="test", inputs=inputs, function=outputs)
    return FlatSubject(subject, Point(name="point 1", values=values, sizes={}, seed=0))


@pytest.fixture
def flat_of() -> Callable[..., FlatSubject]:
    """Make a flat subject of a function and named tensors."""
    return _flat_of


@pytest.fixture
def vector() -> Callable[..., Tensor]:
    """Make a float64 tensor."""
    return lambda *entries: torch.tensor(entries, dtype=torch.float64)
