"""A subject in relative parameters θ, with parameter = start·θ: what makes parameters of very different sizes alike.

The map is linear and diagonal, so minima stay minima and every correct digit of θ is one of the parameter. A parameter
that starts at zero keeps its own unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from harness.case.subject import Subject, Tensors
from harness.errors import UsageError


def unit(start: Tensor) -> Tensor:
    """Return what one unit of θ is worth at a start: the start itself, and 1 where it is zero."""
    return torch.where(start == 0, torch.ones_like(start), start)


def in_units(subject: Subject, units: Tensors) -> Subject:
    """Return the subject as a function of θ, its analytic gradient and residuals along with it.

    Args:
        subject: the subject in its own parameters; no module, whose parameters are the module's own.
        units: by parameter, what one unit of θ is worth; of the parameter's shape.

    Raises:
        UsageError: the subject is a module.
    """
    if subject.module is not None:
        raise UsageError(
            f"Cannot descend on {subject.name} in relative parameters: they are a module's own. Leave out `relative`."
        )

    def widened(tensors: Tensors) -> dict[str, Tensor]:
        return {name: value * units[name].to(value) if name in units else value for name, value in tensors.items()}

    def gradient(tensors: Tensors, cotangents: tuple[Tensor, ...]) -> Mapping[str, Tensor]:
        if subject.gradient is None:
            return {}
        found = subject.gradient(widened(tensors), cotangents)
        return {name: part * units[name].to(part) if name in units else part for name, part in found.items()}

    residuals = subject.residuals
    return replace(
        subject,
        function=lambda tensors: subject.function(widened(tensors)),
        gradient=None if subject.gradient is None else gradient,
        residuals=None if residuals is None else lambda tensors: residuals(widened(tensors)),
        reference=None,
        intermediates=None,
        expressions=(),
    )
