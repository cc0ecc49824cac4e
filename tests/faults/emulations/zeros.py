"""Backwards that divide by zero, or multiply zero by infinity, where the function itself is smooth."""

from __future__ import annotations

import math

import torch
from emulations.emulation import Emulation, normal
from torch.autograd import Function

from harness.case.subject import Input

BINS = 3


class RowNorm(Function):
    """Euclidean norm of every row; at the zero vector the subgradient 0."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.linalg.vector_norm(x, dim=-1)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        squared = x.square().sum(-1, keepdim=True)
        safe = torch.where(squared == 0, torch.ones_like(squared), squared)
        return g[..., None] * torch.where(squared == 0, torch.zeros_like(x), x * safe.rsqrt())


class RowNormAtZero(RowNorm):
    """pytorch #2421, keras #23075: the norm's gradient is NaN at the zero vector.

    Seen by exact zeros.
    """

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g[..., None] * x * x.square().sum(-1, keepdim=True).rsqrt()


def contact_energy(overlap):
    """Energy of elastic contact, overlap^{5/2}, and none without contact; the dead branch is guarded."""
    touching = overlap > 0
    safe = torch.where(touching, overlap, torch.ones_like(overlap))
    return torch.where(touching, safe.square() * safe.sqrt(), torch.zeros_like(overlap))


def contact_energy_leaking(overlap):
    """As in kornia #367, NaN leaks through the branch of `where` that is not taken.

    Seen by values in the dead branch.
    """
    return torch.where(overlap > 0, overlap.square() * overlap.sqrt(), torch.zeros_like(overlap))


class Power(Function):
    """base ** exponent for base ≥ 0."""

    @staticmethod
    def forward(ctx, base, exponent):
        ctx.save_for_backward(base, exponent)
        return base**exponent

    @staticmethod
    def backward(ctx, g):
        base, exponent = ctx.saved_tensors
        zero = base == 0
        logarithm = torch.where(zero, torch.ones_like(base), base).log()
        return g * exponent * base ** (exponent - 1), g * base**exponent * logarithm


class PowerAtZero(Power):
    """pytorch #98276, #27134: zero times infinity where the base is zero.

    Seen by exact zeros.
    """

    @staticmethod
    def backward(ctx, g):
        base, exponent = ctx.saved_tensors
        return g * exponent * base ** (exponent - 1), g * base**exponent * base.log()


def plain_harmonic(vector):
    """Spherical harmonic of degree 2: (x² − y²) / r²."""
    x, y, z = vector.unbind(-1)
    return (x * x - y * y) / (x * x + y * y + z * z)


class Harmonic(Function):
    """Spherical harmonic of degree 2, its gradient in Cartesian coordinates."""

    @staticmethod
    def forward(ctx, vector):
        ctx.save_for_backward(vector)
        return plain_harmonic(vector)

    @staticmethod
    def backward(ctx, g):
        (vector,) = ctx.saved_tensors
        x, y, z = vector.unbind(-1)
        squared = x * x + y * y + z * z
        value = plain_harmonic(vector)
        parts = [x * (1 - value), -y * (1 + value), -z * value]
        return torch.stack(parts, -1) * (2 * g / squared)[..., None]


class HarmonicByAngles(Harmonic):
    """e3nn #112: the gradient goes through polar angles, which are singular on an axis.

    Seen by axis-aligned vectors.
    """

    @staticmethod
    def backward(ctx, g):
        (vector,) = ctx.saved_tensors
        x, y, z = vector.unbind(-1)
        r, rho = vector.square().sum(-1).sqrt(), (x * x + y * y).sqrt()
        sin_t, cos_t, sin_p, cos_p = rho / r, z / r, y / rho, x / rho
        by_theta = 2 * sin_t * cos_t * (cos_p * cos_p - sin_p * sin_p)
        by_phi = -4 * sin_t * sin_t * sin_p * cos_p
        theta = torch.stack([cos_t * cos_p, cos_t * sin_p, -sin_t], -1) / r[..., None]
        phi = torch.stack([-sin_p, cos_p, torch.zeros_like(x)], -1) / rho[..., None]
        return g[..., None] * (by_theta[..., None] * theta + by_phi[..., None] * phi)


def plain_scatter_product(x, index):
    """Product of the entries of each bin."""
    return torch.stack([torch.where(index == bin_, x, torch.ones_like(x)).prod() for bin_ in range(BINS)])


class ScatterProduct(Function):
    """Product of the entries of each bin, its gradient the product of the others."""

    @staticmethod
    def forward(ctx, x, index):
        ctx.save_for_backward(x, index)
        return plain_scatter_product(x, index)

    @staticmethod
    def backward(ctx, g):
        x, index = ctx.saved_tensors
        others = (index[:, None] == index[None]) & ~torch.eye(len(x), dtype=torch.bool)
        return g[index] * torch.where(others, x[None], torch.ones_like(x)[None]).prod(-1), None


class ScatterProductQuotient(ScatterProduct):
    """pytorch_scatter #189, pytorch PR 169263: the gradient is the result over the entry, 0/0 at a zero.

    Seen by exact zeros.
    """

    @staticmethod
    def backward(ctx, g):
        x, index = ctx.saved_tensors
        return (g * plain_scatter_product(x, index))[index] / x, None


EMULATIONS = (
    Emulation(
        slug="norm-at-zero",
        wrong=RowNormAtZero.apply,
        right=RowNorm.apply,
        reference=lambda x: torch.linalg.vector_norm(x, dim=-1),
        inputs={"x": Input(shape=("n", "d"))},
        dims={"n": 4, "d": 3},
        sees=("probe values",),
    ),
    Emulation(
        slug="dead-branch",
        wrong=contact_energy_leaking,
        right=contact_energy,
        reference=lambda overlap: overlap.clamp(min=0) ** 2.5,
        inputs={"overlap": normal(4, 3).abs() + 0.1},
        sees=("probe values",),
    ),
    Emulation(
        slug="zero-times-infinity",
        wrong=PowerAtZero.apply,
        right=Power.apply,
        reference=torch.pow,
        inputs={
            "base": Input(shape=("n",), draw="uniform(0.2, 2)", domain=(0.0, math.inf)),
            "exponent": Input(shape=("n",), draw="uniform(2.2, 3.5)"),
        },
        dims={"n": 5},
        sees=("probe values",),
    ),
    Emulation(
        slug="axis-aligned",
        wrong=HarmonicByAngles.apply,
        right=Harmonic.apply,
        reference=plain_harmonic,
        inputs={"vector": Input(shape=("n", 3))},
        dims={"n": 4},
        sees=("probe values",),
    ),
    Emulation(
        slug="quotient-at-zero",
        wrong=ScatterProductQuotient.apply,
        right=ScatterProduct.apply,
        reference=plain_scatter_product,
        inputs={
            "x": Input(shape=("n",)),
            "index": Input(shape=("n",), draw=f"integers(0, {BINS})", grad=False),
        },
        dims={"n": 6},
        sees=("probe values",),
    ),
)
