"""The model of half precision: it covers torch's kernels, is not blind, and rounds as storing does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from harness.oracle.half import half_bars
from harness.oracle.rounding import rounding_operator
from harness.oracle.storage import HalfStorage, watch

HALVES = [torch.float16, torch.bfloat16]


def seeded(seed: int = 0) -> torch.Generator:
    """A generator."""
    return torch.Generator().manual_seed(seed)


KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda x: x.sum()[None],
    "mean": lambda x: x.mean()[None],
    "softmax": lambda x: (2 * x).softmax(0),
    "logsumexp": lambda x: x.logsumexp(0)[None],
    "layer norm": lambda x: F.layer_norm(x, x.shape),
    "RMS norm": lambda x: F.rms_norm(x, x.shape),
    "GELU": F.gelu,
    "tanh": torch.tanh,
    "matmul": lambda x: (x.reshape(-1, 4).T @ x.reshape(-1, 4)).reshape(-1),
    "cumsum": lambda x: x.abs().cumsum(0),
    "batch norm": lambda x: F.batch_norm(x.reshape(-1, 4), None, None, training=True).reshape(-1),
    "attention": lambda x: F.scaled_dot_product_attention(*x.reshape(1, 1, -1, 4)[None].expand(3, -1, -1, -1, -1)),
}


@pytest.mark.parametrize("size", [8, 4096])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", KERNELS)
def test_bars_cover_kernels_and_are_near(name: str, dtype: torch.dtype, size: int) -> None:
    """What a kernel is off lies within its bar, and the bar is not fifty times as wide as that."""
    kernel = KERNELS[name]
    x = torch.randn(min(size, 512) if name == "attention" else size, generator=seeded(), dtype=torch.float64).to(dtype)

    def compute(x: Tensor) -> Tensor:
        return kernel(x).reshape(-1)

    wide = x.to(torch.float64)
    found = half_bars(compute, wide, dtype=dtype, generator=seeded(1), real=lambda: compute(x))
    share = float(((compute(x).to(torch.float64) - compute(wide)).abs() / found.bars).max())
    assert share <= 1
    assert share > (1 / 50 if size > 8 and name not in ("sum", "mean", "logsumexp") else -1)


def test_rounding_depends_on_the_number_alone() -> None:
    """Equal numbers are off alike, the sign and powers of two change nothing, and held numbers are exact."""
    storage = HalfStorage(torch.bfloat16, (), seeded())
    x = torch.tensor([0.3, 0.3, -0.3, 0.6, 1.0, 0.0], dtype=torch.float64)
    error = storage.error(x, torch.bfloat16)
    assert float(error[0]) != 0
    assert error.tolist() == [float(error[0]), float(error[0]), -float(error[0]), 2 * float(error[0]), 0, 0]


def test_small_numbers_of_float16_round_coarsely() -> None:
    """Below the normal range what is off is absolute."""
    error = HalfStorage(torch.float16, (), seeded()).error(torch.full((1,), 1.1e-8, dtype=torch.float64), torch.float16)
    assert 1e-11 < float(error.abs()) <= 2.0**-25


def test_overflow_is_noticed() -> None:
    """A number beyond float16's range on the way is said, one within is not."""
    for factor, overflowed in ((1e5, True), (10.0, False)):
        x = torch.ones(1, dtype=torch.float64)
        assert half_bars(lambda x: x * factor / 3, x, dtype=torch.float16, generator=seeded()).overflowed is overflowed  # noqa: B023


def test_what_is_stored_is_seen() -> None:
    """A result kept in float32 counts as that, one that is cast back as the half dtype it ends in."""
    x = torch.ones(3, dtype=torch.bfloat16)
    steps = watch(lambda: x.float().sin().cos().view(3).to(x.dtype), rounding_operator)
    assert [(step.name, step.stored) for step in steps] == [("sin", (torch.float32,)), ("cos", (torch.bfloat16,))]


def test_a_widening_computation_has_narrower_bars() -> None:
    """Steps taken in float32 add nothing to the one rounding at the end."""

    def chain(x: Tensor) -> Tensor:
        wide = x if x.dtype == torch.float64 else x.float()
        return (((wide + 100) - 100) * 3).to(x.dtype)

    x = torch.rand(20, generator=seeded(), dtype=torch.float64).to(torch.bfloat16)
    given = {"dtype": torch.bfloat16, "generator": seeded(1)}
    with_real = half_bars(chain, x.double(), real=lambda: chain(x), **given).bars  # type: ignore[arg-type]
    without = half_bars(chain, x.double(), **given).bars  # type: ignore[arg-type]
    assert float(without.max()) > 10 * float(with_real.max())
