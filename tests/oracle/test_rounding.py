"""Rounding bars: they cover what rounding does at each dtype, and stay narrow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from harness.oracle.rounding import UNIT_ROUNDOFF, PerturbEveryOperation, rounding_bars

F64, F32, BF16 = torch.float64, torch.float32, torch.bfloat16


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Seeded normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def bars(compute: Callable[[Tensor], Tensor], x: Tensor, dtype: torch.dtype) -> Tensor:
    """Rounding bars at one dtype."""
    return rounding_bars(compute, x, dtypes=(dtype,), generator=torch.Generator().manual_seed(1))[dtype]


COMPUTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda x: x.sum()[None],
    "matrix product": lambda x: (x.reshape(8, 8) @ x.reshape(8, 8).T).reshape(-1),
    "softmax": lambda x: (3 * x).softmax(0),
    "cancellation": lambda x: (x + 100) - 100,
    "norm": lambda x: x / x.norm(),
    "long chain": lambda x: x.sin().exp().tanh().add(2).log(),
    "inverse": lambda x: torch.linalg.inv(x.reshape(8, 8)).reshape(-1),
    "matrix exponential": lambda x: torch.linalg.matrix_exp(x.reshape(8, 8)).reshape(-1),
    "layer norm": lambda x: torch.nn.functional.layer_norm(x.reshape(8, 8), (8,)).reshape(-1),
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", COMPUTATIONS)
def test_bars_cover_float32(name: str, seed: int) -> None:
    """What float32 gives lies within float32's bar of what float64 gives at the same numbers."""
    compute = COMPUTATIONS[name]
    x = normal(64, seed=seed).to(F32)
    error = (compute(x).to(F64) - compute(x.to(F64))).abs()
    assert bool((error <= bars(compute, x.to(F64), F32)).all())


@pytest.mark.parametrize("name", ["sum", "matrix product", "softmax", "norm"])
def test_bars_are_not_blind(name: str) -> None:
    """Bars of well-conditioned computations are far below one part in a thousand."""
    compute = COMPUTATIONS[name]
    x = normal(64)
    assert float(bars(compute, x, F32).max() / compute(x).abs().max()) < 1e-3


def test_bars_grow_with_the_unit() -> None:
    """A coarser dtype has wider bars."""
    widths = [float(bars(torch.sin, normal(5), dtype).max()) for dtype in (F64, F32, BF16)]
    assert widths == sorted(widths)


def test_cancellation_widens_the_bar() -> None:
    """Digits lost inside the computation are in the bar."""
    lost = bars(lambda x: (x + 1e6) - 1e6, normal(4), F64)
    kept = bars(lambda x: x * 1.0, normal(4), F64)
    assert float(lost.min()) > 1e3 * float(kept.max())


def test_moving_data_costs_nothing_beyond_the_least_bar() -> None:
    """Permuting and selecting are exact: the bar is four roundings of the result."""
    x = normal(6)
    expected = 4 * UNIT_ROUNDOFF[F64] * x.flip(0).abs()
    assert torch.allclose(bars(lambda x: x.flip(0), x, F64), expected, rtol=1e-9)


SELECTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "largest norm": lambda x: torch.linalg.vector_norm(x, float("inf"))[None],
    "aminmax": lambda x: torch.stack(list(torch.aminmax(x))),
    "scatter amax": lambda x: x.scatter_reduce(0, torch.tensor([0, 0, 2]), 2 * x[:3], "amax"),
    "quantile": lambda x: torch.quantile(x, 0.3)[None],
    "distances to itself": lambda x: torch.cdist(x.reshape(3, 2), x.reshape(3, 2)).reshape(-1),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_gradients_of_selections_have_narrow_bars(name: str) -> None:
    """Perturbing never changes which entry was selected."""
    x = normal(6)

    def gradient(x: Tensor) -> Tensor:
        leaf = x.detach().clone().requires_grad_(True)
        return torch.autograd.grad(SELECTIONS[name](leaf).sum(), leaf)[0]

    assert float(bars(gradient, x, F64).max()) < 1e-12


def test_lazy_conjugates_are_kept() -> None:
    """A perturbed product with a conjugate is near the product with the conjugate."""
    z = torch.complex(normal(3, 3), normal(3, 3, seed=1))
    with PerturbEveryOperation(2.0**-40, torch.Generator().manual_seed(0)):
        product = z @ z.conj().T
    assert torch.allclose(product, z @ z.conj().T, rtol=1e-9)


def test_complex_factors_turn() -> None:
    """Complex results may be off in the part that is small, by a rounding of the whole."""
    z = torch.complex(torch.ones(50, dtype=F64), torch.zeros(50, dtype=F64))
    with PerturbEveryOperation(2.0**-20, torch.Generator().manual_seed(0)):
        turned = z * z
    assert float(turned.imag.abs().max()) > 2.0**-24


def test_the_largest_perturbation_is_the_unit() -> None:
    """One elementary operation is off by at most the unit, relatively."""
    x = normal(1000)
    with PerturbEveryOperation(2.0**-10, torch.Generator().manual_seed(0)):
        product = x * x
    assert 2.0**-12 < float((product / (x * x) - 1).abs().max()) <= 2.0**-10 * (1 + 1e-9)


def test_the_same_seed_gives_the_same_bars() -> None:
    """Bars depend on nothing but the computation, the point and the generator."""
    assert torch.equal(bars(torch.sin, normal(4), F32), bars(torch.sin, normal(4), F32))


def test_code_outside_torch_gets_its_inputs_perturbed() -> None:
    """When torch sees no operation, the conditioning of the whole stands in."""

    def outside(x: Tensor) -> Tensor:
        return torch.tensor([float(v) ** 2 for v in x], dtype=F64)

    assert float(bars(outside, normal(3), F32).min()) > 0


def test_results_that_are_not_finite_have_a_bar() -> None:
    """An infinite result leaves a finite bar, so that it can be told wrong."""
    assert bool(bars(lambda x: x / 0.0, normal(2), F64).isfinite().all())


def test_whole_numbers_are_exact() -> None:
    """Counting up from a rounded-down number rounds nothing, so that it can pick an entry as it does unperturbed."""
    x = torch.tensor([0.5, 1.5, 2.5], dtype=torch.float64)
    table = torch.tensor([1.0, 10.0, 100.0, 1000.0, 10000.0], dtype=torch.float64)
    bars = rounding_bars(
        lambda x: table[(x.floor() + 1).long()], x, dtypes=(torch.float64,), generator=torch.Generator().manual_seed(0)
    )
    assert bool((bars[torch.float64] < 1e-11).all())


def test_a_whole_number_made_of_others_is_rounded() -> None:
    """The product of 10⁶ and the float64 nearest 2·10⁻⁶ comes out as 2 by rounding: what is left of 2 has a bar."""
    x = torch.tensor([1e6, 2e-6], dtype=torch.float64)
    bars = rounding_bars(
        lambda x: (x[0] * x[1] - 2)[None], x, dtypes=(torch.float64,), generator=torch.Generator().manual_seed(0)
    )
    assert float(bars[torch.float64]) > 1e-16
