"""The loss of a subject as a function of one flat float64 vector, with its gradient and Hessian by autograd.

This is what minima, rates and contours are computed from. It always differentiates the function itself, never the
analytic gradient a descent may use, so that a wrong analytic gradient cannot move the minimum it is judged against.
It cannot see a wrong backward inside the function; that is verification's job.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.case.subject import Subject, Tensors
from harness.errors import UsageError

HESSIAN_LIMIT = 300
"""Parameters up to which the whole Hessian is formed (one backward pass each)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The scalar loss of `subject` over its parameters, other inputs held at `data` (float64)."""

    subject: Subject
    shapes: Mapping[str, tuple[int, ...]]
    """Shape of each parameter, in the order they are flattened."""
    data: Tensors

    @property
    def size(self) -> int:
        """Number of parameters n."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the named parameters that the vector `flat` (n,) holds."""
        parts = torch.split(flat, [math.prod(shape) for shape in self.shapes.values()])
        return {name: part.reshape(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def __call__(self, flat: Tensor) -> Tensor:
        """Return the loss (0-d) at `flat` (n,)."""
        return scalar_loss(self.subject, self.data, self.split(flat))

    def gradient(self, flat: Tensor, *, keep_graph: bool = False) -> tuple[Tensor, Tensor]:
        """Return (variable, ∇f), both (n,); with `keep_graph` the gradient can be differentiated again."""
        variable = flat.detach().clone().requires_grad_(True)
        loss = self(variable)
        if not loss.requires_grad:
            raise UsageError(
                "Cannot differentiate the loss: autograd finds no path from it to the parameters. "
                "Check that the function does not leave PyTorch (detach, item, numpy)."
            )
        (gradient,) = torch.autograd.grad(loss, variable, create_graph=keep_graph, materialize_grads=True)
        return variable, gradient

    def residuals(self, flat: Tensor) -> Tensor:
        """Return all residuals (m,) at `flat` (n,), one after another.

        Raises:
            UsageError: the case gives no residuals.
        """
        if self.subject.residuals is None:
            raise UsageError(
                f"Cannot solve least squares on {self.subject.name}: the case gives a function, not its residuals. "
                "Write `residuals` in the place of `function`, or choose another optimizer."
            )
        parameters = self.split(flat)
        values = {name: parameters[name] if name in parameters else self.data[name] for name in self.subject.inputs}
        return torch.cat([part.reshape(-1) for part in self.subject.residuals(values)])

    def jacobian(self, flat: Tensor) -> Tensor:
        """Return the residuals' Jacobian (m, n) at `flat` (n,): forward mode, or reverse where there is none."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, where it first loads forward mode
                forward: Tensor = torch.func.jacfwd(self.residuals)(flat)
        except (RuntimeError, NotImplementedError):
            reverse: Tensor = torch.autograd.functional.jacobian(self.residuals, flat)
            return reverse
        return forward

    def hessian(self, flat: Tensor) -> Tensor:
        """Return the Hessian (n, n) at `flat`, symmetrised.

        By double backward; where the function has none, by central differences of the gradient, good to about 1e-8
        (and exact to rounding for a quadratic).
        """
        try:
            variable, gradient = self.gradient(flat, keep_graph=True)
            rows = [torch.autograd.grad(entry, variable, retain_graph=True)[0] for entry in gradient]
        except RuntimeError:
            rows = self._differences(flat)
        hessian = torch.stack(rows)
        return (hessian + hessian.T) / 2

    def _differences(self, flat: Tensor) -> list[Tensor]:
        """Return the Hessian's rows by central differences of the gradient, with steps 1e-4 of each entry's size."""
        rows = []
        for place in range(len(flat)):
            step = torch.zeros_like(flat)
            step[place] = 1e-4 * (1.0 + float(flat[place].abs()))
            above, below = self.gradient(flat + step)[1], self.gradient(flat - step)[1]
            rows.append((above - below) / (2 * step[place]))
        return rows

    def largest_curvature(self, flat: Tensor, *, iterations: int = 200) -> float | None:
        """Return the Hessian's eigenvalue of largest size at `flat`; None where it is not finite or cannot be had.

        From the whole matrix while it is small, otherwise by power iteration on Hessian-vector products, started at a
        fixed seeded vector and ended at a relative change of 1e-6 (an estimate from below).
        """
        if self.size <= HESSIAN_LIMIT:
            hessian = self.hessian(flat)
            if not bool(torch.isfinite(hessian).all()):
                return None
            values = torch.linalg.eigvalsh(hessian)
            return float(values[values.abs().argmax()])
        try:
            return self._power_iteration(flat, iterations)
        except RuntimeError:  # the function cannot be differentiated twice
            return None

    def _power_iteration(self, flat: Tensor, iterations: int) -> float | None:
        variable, gradient = self.gradient(flat, keep_graph=True)
        vector = torch.randn(self.size, dtype=flat.dtype, generator=torch.Generator().manual_seed(0))
        vector /= vector.norm()
        estimate = 0.0
        for _ in range(iterations):
            (product,) = torch.autograd.grad(gradient, variable, vector, retain_graph=True)
            previous, estimate = estimate, float(vector @ product)
            norm = float(product.norm())
            if not math.isfinite(norm):
                return None
            if norm == 0.0 or abs(estimate - previous) <= 1e-6 * abs(estimate):
                return estimate
            vector = product / norm
        return estimate


def scalar_loss(subject: Subject, data: Tensors, parameters: Tensors) -> Tensor:
    """Evaluate the subject as a loss.

    Args:
        subject: its function must return one real number.
        data: the inputs that are not optimised, by name.
        parameters: those that are.

    Returns:
        The loss, 0-d, with autograd history.

    Raises:
        UsageError: the subject has several outputs, or one that is not a single real number.
    """
    values = {name: parameters[name] if name in parameters else data[name] for name in subject.inputs}
    outputs = subject.function(values)
    if len(outputs) != 1 or outputs[0].numel() != 1 or outputs[0].is_complex():
        shapes = ", ".join(f"{tuple(output.shape)}" for output in outputs)
        raise UsageError(
            f"Cannot descend on {subject.name}: its output of shape {shapes} is not one real number. "
            "Reduce it (mean, sum) to a loss."
        )
    return outputs[0].reshape(())
