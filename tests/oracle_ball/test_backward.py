"""The backward pass in balls: what a formula gives when nothing rounds, and which operator is off."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.oracle.ball.backward import formula_gradient, gradient_view, operator_errors
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.oracle import ball_estimates
from harness.verify.routes import reverse


def made(backward):
    """Make x ↦ x² with a backward of (cotangent, x)."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, cotangent):
            return backward(cotangent, *ctx.saved_tensors)

    return Square.apply


def cotangents(flat, *rows):
    """Cotangents, one row each; a row of ones when there is none."""
    count = flat.outputs(flat.x).numel()
    return torch.tensor(rows or [[1.0] * count], dtype=torch.float64)


SMOOTH = {
    "softmax": lambda x: torch.softmax(x, 0),
    "norm": lambda x: x / x.norm(),
    "gelu": torch.nn.functional.gelu,
    "solve": lambda x: torch.linalg.inv(torch.outer(x, x) + torch.eye(3, dtype=x.dtype)).sum(0),
    "writes in place": lambda x: x.clone().mul_(2).add_(x).exp(),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_right_formulas_give_the_truth(name, flat_of, vector):
    """For several cotangents, the formula's gradient must lie within a few roundings of the certified one."""
    flat = flat_of(SMOOTH[name], x=vector(0.3, -1.2, 2.0))
    rows = cotangents(flat, [1.0, 0.5, -2.0], [0.25, -1.0, 3.0])
    truth, formula = ball_estimates(flat, rows)[1], formula_gradient(flat, rows)
    assert formula.value.shape == (2, 3)
    assert torch.allclose(formula.value, truth.value, rtol=1e-15, atol=1e-15)
    assert float((formula.bar / formula.value.abs()).max()) < 1e-15


def test_a_complex_input_has_pairs(flat_of):
    """The gradient of a complex input must be laid out as pairs, as everywhere."""
    z = torch.tensor([0.3 + 1j, -2.0 + 0.5j], dtype=torch.complex128)
    flat = flat_of(lambda z: (z * z.conj()).real.sum() + (z * z).imag.sum(), z=z)
    rows = cotangents(flat)
    assert torch.allclose(formula_gradient(flat, rows).value, reverse(flat, rows).value, rtol=1e-14)


def test_a_wrong_formula_stays_wrong(flat_of, vector):
    """What a custom backward gets wrong must show in its enclosure, to the last bit."""
    flat = flat_of(made(lambda cotangent, x: 2 * cotangent * x * (1 + 2.0**-30)), x=vector(3.0))
    assert formula_gradient(flat, cotangents(flat)).value.item() == 6 * (1 + 2.0**-30)


def test_a_coarse_constant_is_the_formula(flat_of, vector):
    """A float32 constant must count as the number it is."""
    third = torch.tensor(2 / 3, dtype=torch.float32)
    flat = flat_of(made(lambda cotangent, x: cotangent * x * third * 3), x=vector(1.0))
    assert formula_gradient(flat, cotangents(flat)).value.item() == 3 * third.double().item()


def test_cancellation_is_not_the_formula(flat_of, vector):
    """A backward that cancels must give the true gradient when nothing rounds."""
    flat = flat_of(made(lambda cotangent, x: cotangent * ((x + 1e17) - 1e17) * 2), x=vector(3.0))
    assert reverse(flat, cotangents(flat)).value.item() != 6
    assert formula_gradient(flat, cotangents(flat)).value.item() == 6


def test_an_input_without_a_path_has_a_zero(flat_of, vector):
    """An input that autograd does not reach must have the gradient zero."""
    flat = flat_of(lambda x, y: x * 2 + y.detach(), x=vector(1.0), y=vector(2.0))
    assert formula_gradient(flat, cotangents(flat)).value.tolist() == [[2.0, 0.0]]


REFUSED = {
    "branches": lambda cotangent, x: cotangent * x * (2 if float(x.sum()) > 0 else 3),
    "leaves torch": lambda cotangent, x: torch.from_numpy(2 * cotangent.numpy() * x.numpy()),
    "is random": lambda cotangent, x: cotangent * x * 2 + torch.rand_like(x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_recorded_is_refused(name, flat_of, vector):
    """A backward whose graph would not be the backward must have no answer."""
    flat = flat_of(made(REFUSED[name]), x=vector(3.0))
    with pytest.raises(NotCertifiedError):
        formula_gradient(flat, cotangents(flat))


def off(flat) -> dict[str, tuple[float, float | None]]:
    """Errors of the operators of a backward, by name, of those that are off by more than rounding."""
    found = operator_errors(gradient_view(flat, cotangents(flat)))
    assert not found.blocked
    return {e.operator: (e.relative, e.decomposed) for e in found.errors if e.relative > 1e-14}


def test_good_operators_are_right(flat_of, vector):
    """No operator of a good backward may be found off."""
    assert off(flat_of(lambda x: torch.softmax(x, 0) @ x.exp() + x.norm(), x=vector(0.3, -1.2, 2.0))) == {}


def test_a_coarse_kernel_is_named(flat_of, vector):
    """The backward of hardsigmoid has a float32 constant in its kernel, and torch's decomposition of it does not."""
    found = off(flat_of(lambda x: torch.nn.functional.hardsigmoid(x), x=vector(0.3)))
    ((relative, decomposed),) = found.values()
    assert list(found) == ["aten.hardsigmoid_backward"]
    assert relative == pytest.approx(2.98e-8, rel=0.01)
    assert decomposed is not None
    assert decomposed < 1e-15


def test_a_downcast_is_named(flat_of, vector):
    """A cast to fewer bits inside a backward must be the operator that is off."""
    flat = flat_of(made(lambda cotangent, x: (2 * cotangent * x.float()).double()), x=vector(0.3))
    found: dict[str, tuple[float, float | None]] = off(flat)
    assert list(found) == ["aten._to_copy"]
    assert 1e-9 < found["aten._to_copy"][0] < 6e-8


def test_the_view_is_autograd(flat_of, vector):
    """The view's outputs in float64 must be what autograd computes."""
    flat = flat_of(lambda x, y: torch.outer(x, y).tanh(), x=vector(0.3, 1.0), y=vector(2.0, 0.1))
    rows: Tensor = cotangents(flat, [1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, -1.0])
    view = gradient_view(flat, rows)
    flattened = torch.cat([part.reshape(-1) for part in view.call(view.values)])
    assert torch.equal(flattened, reverse(flat, rows).value.reshape(-1))
