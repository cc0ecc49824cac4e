"""The author's own gradient as an estimate, and cotangents folded to the outputs' shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.case.subject import Input, Point, Subject
from harness.oracle.analytic import analytic_gradient, output_cotangents
from harness.oracle.estimate import GradientShapeError
from harness.oracle.flat import FlatSubject

X = torch.tensor([0.3, -1.2], dtype=torch.float64)
W = torch.tensor([2.0, 0.5], dtype=torch.float64)


def flat_of(gradient: Callable[..., Mapping[str, Tensor]] | None) -> FlatSubject:
    """x·w with a given gradient."""
    subject = Subject(
        name="f",
        inputs={"x": Input(shape=(2,)), "w": Input(shape=(2,))},
        function=lambda t: (t["x"] * t["w"],),
        gradient=gradient,
    )
    return FlatSubject(subject, Point(name="p", values={"x": X, "w": W}, sizes={}, seed=0))


def right(t: Mapping[str, Tensor], g: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """The gradient of x·w."""
    return {"x": g[0] * t["w"], "w": g[0] * t["x"]}


def estimate(gradient: Any) -> Any:
    """The analytic estimate for two cotangents."""
    return analytic_gradient(flat_of(gradient), torch.eye(2).double(), generator=torch.Generator().manual_seed(0))


def test_no_gradient_no_estimate() -> None:
    """A case without a gradient has nothing to say."""
    assert estimate(None) is None


def test_the_gradient_is_evaluated_for_every_cotangent() -> None:
    """Rows belong to cotangents, columns to flat entries."""
    expected = torch.tensor([[2.0, 0, 0.3, 0], [0, 0.5, 0, -1.2]], dtype=torch.float64)
    assert torch.equal(estimate(right).value, expected)


def test_it_is_not_independent() -> None:
    """An author's gradient is no independent evidence."""
    assert not estimate(right).independent


def test_an_input_it_is_silent_about_is_unknown() -> None:
    """Inputs without a gradient have infinite bars."""
    found = estimate(lambda t, g: {"x": g[0] * t["w"]})
    assert bool(found.bar[:, 2:].isinf().all())
    assert bool(found.bar[:, :2].isfinite().all())


def test_another_shape_is_told_apart() -> None:
    """A gradient of another shape names the input and both shapes."""
    with pytest.raises(GradientShapeError, match=r"of x has shape \[1\].*\[2\]"):
        estimate(lambda t, g: {"x": g[0][:1]})


def test_cotangents_are_folded_to_the_outputs() -> None:
    """Complex outputs take two numbers an entry, integers none."""
    outputs = (torch.zeros(2, 1).double(), torch.zeros(3).long(), torch.zeros(1, dtype=torch.complex128))
    found = output_cotangents(flat_of(None), outputs, torch.tensor([1.0, 2, 3, 4]).double())
    assert [f.flatten().tolist() for f in found] == [[1, 2], [0, 0, 0], [3 + 4j]]
