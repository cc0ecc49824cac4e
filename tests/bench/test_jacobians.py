"""Jacobians: all three ways give the same numbers, and say why where they cannot run."""

import pytest
import torch

from harness.bench import jacobians
from harness.bench.jacobians import MOST_PASSES, UnfitError, check_result
from harness.bench.passes import PASSES, check_derivatives, make_setting
from harness.bench.variants import setting_of
from harness.case.subject import Input, Subject

VARIANTS = ("autograd", "jacrev", "jacfwd")


def products(tensors):
    """Two outputs, one of them of whole numbers."""
    return (tensors["a"] * tensors["b"].sum(), tensors["a"].argmax())


def norm(tensors):
    """One number."""
    return ((tensors["a"] ** 2).sum() * tensors["b"].sum(),)


def setting_for(variant, function, size=3, dtype=torch.float64):
    """A variant's setting at seeded inputs."""
    generator = torch.Generator().manual_seed(0)
    values = {name: torch.randn(size, generator=generator).to(dtype) for name in "ab"}
    base = make_setting(function, values, ("a", "b"), generator=generator, optimizer="SGD")
    subject = Subject(name="subject", inputs=dict.fromkeys("ab", Input(shape=("n",))), function=function)
    return setting_of(variant, base, subject)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_jacobian_is_right(variant):
    """∂(a·Σb)/∂a is Σb on the diagonal, ∂/∂b is a in every column; whole numbers have no derivative."""
    setting = setting_for(variant, products)
    a, b = setting.values["a"], setting.values["b"]
    ((by_a, by_b),) = PASSES["jacobian"](setting).call()
    assert torch.allclose(by_a, b.sum() * torch.eye(3, dtype=torch.float64))
    assert torch.allclose(by_b, a[:, None].expand(3, 3))


@pytest.mark.parametrize("variant", ["jacrev", "jacfwd"])
def test_of_one_number_it_is_the_gradient(variant):
    """In the gradient's place, for the cotangent 1."""
    setting = setting_for(variant, norm)
    a, b = setting.values["a"], setting.values["b"]
    ((by_a, by_b),) = PASSES["forward_backward"](setting).call()
    assert torch.allclose(by_a, 2 * a * b.sum())
    assert torch.allclose(by_b, (a @ a).expand(3))


@pytest.mark.parametrize("variant", ["jacrev", "jacfwd"])
def test_a_whole_jacobian_never_stands_for_a_gradient(variant):
    """Of several outputs it does more than one gradient: the reason names the pass that times it."""
    with pytest.raises(UnfitError, match="Jacobian of all 4 outputs, not one gradient: the pass `jacobian`"):
        PASSES["forward_backward"](setting_for(variant, products))


@pytest.mark.parametrize(("variant", "size"), [("autograd", MOST_PASSES), ("jacfwd", MOST_PASSES // 2)])
def test_too_many_passes_are_refused(variant, size):
    """Rows are counted by outputs, columns by inputs; at the bound it runs, beyond it does not."""
    PASSES["jacobian"](setting_for(variant, products, size))
    with pytest.raises(UnfitError, match="derivative passes in one call"):
        PASSES["jacobian"](setting_for(variant, products, size + 1))


def test_too_little_memory_is_said(monkeypatch):
    """All tangents are there at once; where memory is short for them, that is the reason."""
    monkeypatch.setattr(jacobians, "free_bytes", lambda device: 1000)
    with pytest.raises(UnfitError, match="it needs about"):
        PASSES["jacobian"](setting_for("jacrev", products))


def test_complex_numbers_are_refused():
    """There is more than one Jacobian of complex numbers."""
    with pytest.raises(UnfitError, match="complex"):
        PASSES["jacobian"](setting_for("jacrev", lambda t: ((t["a"] * t["b"]).sum(),), dtype=torch.complex128))


class Doubled(torch.autograd.Function):
    """Twice the input, with a forward mode that forgets the two."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values):
        """Double."""
        return 2 * values

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keep nothing."""

    @staticmethod
    def backward(ctx, cotangent):
        """Twice the cotangent."""
        return 2 * cotangent

    @staticmethod
    def jvp(ctx, tangent):
        """Not twice the tangent."""
        return tangent * 1.0


def doubled(tensors):
    """A function whose forward mode is wrong."""
    return (Doubled.apply(tensors["a"]) * tensors["b"],)


@pytest.mark.parametrize(("variant", "function"), [("jacrev", products), ("jacfwd", products), ("jacrev", doubled)])
def test_a_right_jacobian_passes_the_check(variant, function):
    """Nothing is said where both agree, whatever the cotangents."""
    setting = setting_for(variant, function)
    check_derivatives(setting, PASSES["jacobian"](setting))


def test_a_wrong_jacobian_does_not():
    """A forward mode that is off by a factor is not timed as if it were the same thing."""
    setting = setting_for("jacfwd", doubled)
    with pytest.raises(UnfitError, match="does not give autograd's gradient"):
        check_derivatives(setting, PASSES["jacobian"](setting))


def test_rounding_noise_need_not_agree():
    """Of a function that is constant in exact arithmetic, gradients are noise, and no two need to be alike."""
    ones = torch.ones(3)
    noise = (torch.tensor([1e-9, 0.0, 0.0]),)
    check_result([[torch.zeros(3)]], (torch.ones(()),), (torch.ones(()),), noise, (ones,))
    with pytest.raises(UnfitError):
        check_result([[torch.zeros(3)]], (torch.ones(()),), (torch.ones(()),), (ones,), (ones,))
