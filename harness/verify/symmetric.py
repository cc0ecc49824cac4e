"""Inputs declared symmetric: with respect to one, a gradient is defined along symmetric directions alone.

Of an `spd` or `symmetric` input a function may read one triangle (Cholesky's), both, or their mean, and its backward
may hand out the gradient of all entries or its symmetric part: on symmetric matrices all of these say the same. So a
subject that fails is asked again as x ↦ f((x + xᵀ)/2). Cannot see what is wrong only off the symmetric matrices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from harness.case.subject import Subject, Tensors

DECLARED = ("spd", "symmetric")
"""Draws whose matrices are symmetric."""


def symmetric_inputs(subject: Subject) -> tuple[str, ...]:
    """Names of the differentiable inputs that are declared symmetric."""
    return tuple(name for name in subject.differentiable if subject.inputs[name].draw in DECLARED)


def along_symmetric_directions(subject: Subject) -> Subject:
    """Make the subject that symmetrises its symmetric inputs first; its expressions are left out, as they do not."""
    names = symmetric_inputs(subject)

    def symmetrised(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: (x + x.mT) / 2 if name in names else x for name, x in tensors.items()}

    def function(tensors: Tensors) -> tuple[Tensor, ...]:
        return subject.function(symmetrised(tensors))

    def reference(tensors: Tensors) -> tuple[Tensor, ...]:
        return function(tensors) if subject.reference is None else subject.reference(symmetrised(tensors))

    def gradient(tensors: Tensors, cotangents: tuple[Tensor, ...]) -> Mapping[str, Tensor]:
        return {} if subject.gradient is None else symmetrised(subject.gradient(tensors, cotangents))

    return replace(
        subject,
        function=function,
        reference=None if subject.reference is None else reference,
        gradient=None if subject.gradient is None else gradient,
        intermediates=None,
        expressions=(),
        let={},
        gradient_expressions={},
        module=None,
    )
