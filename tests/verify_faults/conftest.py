"""Subjects to inject faults into, verified at one point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.case.subject import Input, Point, Subject
from harness.verify.faults.injection import Fault, Injection
from harness.verify.faults.trial import Site
from harness.verify.first import first_order
from harness.verify.options import VerifyOptions
from harness.verify.scene import Labels, Scene
from harness.verify.second import second_order


def make_subject(function: Callable[..., Tensor], **values: Tensor) -> tuple[Subject, Point]:
    """A function of named tensors, at those tensors."""
    inputs = {
        name: Input(
            shape=tuple(value.shape), grad=value.is_floating_point() or value.is_complex(), complex=value.is_complex()
        )
        for name, value in values.items()
    }
    subject = Subject(name="f", inputs=inputs, function=lambda named: (function(**named),))
    return subject, Point(name="p", values=values, sizes={}, seed=0)


@pytest.fixture(scope="session")
def site_of() -> Callable[..., Site]:
    """Verify a function of named tensors at those tensors."""

    def make(function: Callable[..., Tensor], **values: Tensor) -> Site:
        scene = Scene(*make_subject(function, **values), Labels(case="f", seed=0, device="cpu"))
        first = first_order(scene, None, VerifyOptions(certify=False))
        return Site(scene=scene, first=first, second=second_order(scene, first).evidence)

    return make


@pytest.fixture
def inject() -> Callable[..., Injection]:
    """Put a fault into a function of named tensors; its target is the first of them unless named."""

    def make(fault: Fault, function: Callable[..., Tensor], target: str | None = None, **values: Any) -> Injection:
        subject, _ = make_subject(function, **values)
        return Injection(subject=subject, fault=fault, target=target or next(iter(values)), limits={})

    return make


@pytest.fixture(scope="session")
def matrix() -> Tensor:
    """A 4 × 4 matrix without symmetry, with entries of both signs."""
    return torch.randn(4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
