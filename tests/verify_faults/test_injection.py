"""A spoilt subject: its forward is its own, its backward the true one with the fault in it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from harness.verify.faults.catalogue import fault_named
from harness.verify.faults.injection import Injection
from harness.verify.faults.trial import NONE

Inject = Callable[..., Injection]


def product(x: Tensor, y: Tensor) -> Tensor:
    """An output that depends on both inputs, differently."""
    return (x * y).sin() + x


def test_without_a_fault_everything_is_as_it_was(inject: Inject, matrix: Tensor) -> None:
    """Values, gradients and second derivatives of a subject injected with nothing are its own."""
    injection = inject(NONE, product, x=matrix, y=matrix.T.contiguous())
    spoilt = injection.spoilt.function

    def value(x: Tensor) -> Tensor:
        return spoilt({"x": x, "y": matrix.T.contiguous()})[0]

    torch.testing.assert_close(value(matrix), product(matrix, matrix.T), rtol=0, atol=0)
    leaf = matrix.clone().requires_grad_()
    assert torch.autograd.gradcheck(value, leaf)
    assert torch.autograd.gradgradcheck(value, leaf)
    assert not injection.changed


def test_a_fault_changes_the_gradient_and_not_the_value(inject: Inject, matrix: Tensor) -> None:
    """The forward of a spoilt subject is its own; its gradient is what the fault makes of the true one."""
    injection = inject(fault_named("sign flipped"), product, x=matrix, y=matrix)
    x, y = matrix.clone().requires_grad_(), matrix.clone().requires_grad_()
    (output,) = injection.spoilt.function({"x": x, "y": y})
    assert torch.equal(output, product(matrix, matrix))
    found = torch.autograd.grad(output.sum(), (x, y))
    torch.testing.assert_close(found[0], -(matrix * (matrix * matrix).cos() + 1))
    torch.testing.assert_close(found[1], matrix * (matrix * matrix).cos())
    assert injection.changed


def test_only_wanted_gradients_are_asked_for(inject: Inject, matrix: Tensor) -> None:
    """Inputs that need no gradient take no part, so that faults of subsets can be told."""
    injection = inject(fault_named("only with the first input"), product, x=matrix, y=matrix)
    y = matrix.clone().requires_grad_()
    (output,) = injection.spoilt.function({"x": matrix, "y": y})
    assert not bool(torch.autograd.grad(output.sum(), y)[0].any())


def test_outputs_may_be_integers_or_inputs(inject: Inject, matrix: Tensor) -> None:
    """An integer output stays without a gradient, and an input handed through stays a right output."""
    injection = inject(NONE, lambda x: x, x=matrix)
    subject = injection.subject
    object.__setattr__(subject, "function", lambda named: (named["x"], named["x"].argmax(), named["x"].T))
    leaf = matrix.clone().requires_grad_()
    same, place, turned = injection.spoilt.function({"x": leaf})
    assert (same.requires_grad, place.requires_grad, turned.requires_grad) == (True, False, True)
    assert torch.equal(torch.autograd.grad((same * turned).sum(), leaf)[0], 2 * matrix.T)


def test_rounding_is_no_change(inject: Inject, matrix: Tensor) -> None:
    """A gradient that float32 holds exactly is left as it was by passing through it."""
    injection = inject(fault_named("through float32"), lambda x: (2 * x).sum(), x=matrix)
    leaf = matrix.clone().requires_grad_()
    injection.spoilt.function({"x": leaf})[0].backward()
    assert not injection.changed
