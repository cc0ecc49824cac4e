"""The worst case of rounding: torch's own results lie within it at every dtype, and it bounds what it models."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.oracle.ball.budget import Budget
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.floor import rounding_floor
from harness.oracle.flat import FlatSubject
from harness.verify.routes import reverse

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
F = torch.nn.functional


def drawn(seed: int, dtype: torch.dtype, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Numbers of a dtype, as float64."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).double() for shape in shapes]


def attention(q, k, v):
    return torch.softmax(q @ k.T / 2.0, -1) @ v


FUNCTIONS = {
    "polynomial": (lambda x: ((0.1 * x - 1.3) * x + 0.7) * x, [(7,)]),
    "softmax": (lambda x: torch.softmax(3 * x, -1), [(2, 4)]),
    "log_softmax": (lambda x: torch.log_softmax(x, -1)[:, 1], [(2, 4)]),
    "logsumexp": (lambda x: torch.logsumexp(x, -1), [(2, 4)]),
    "gelu": (lambda x: F.gelu(x) + F.silu(x) * torch.sigmoid(x), [(5,)]),
    "layer": (lambda x, w, b: torch.tanh(x @ w + b), [(2, 6), (6, 2), (2,)]),
    "attention": (attention, [(2, 4), (3, 4), (3, 2)]),
    "moments": (lambda x: x.var(-1) + x.mean(-1) + x.norm(dim=-1) + x.prod(-1), [(2, 5)]),
    "selects": (lambda x: torch.where(x > 0, x.exp(), x.sin()) + F.relu(x) + x.abs().sqrt(), [(5,)]),
    "losses": (lambda x, y: F.mse_loss(x, y) + F.smooth_l1_loss(x, y) + F.softplus(x).mean(), [(5,), (5,)]),
    "gathers": (lambda x: x[[0, 2, 2, 1]].cumprod(0), [(3, 2)]),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_torch_stays_within_the_worst_case(name, dtype, flat_of):
    """Outputs and gradients that torch computes at a dtype must lie within the floor, at several draws."""
    function, shapes = FUNCTIONS[name]
    for seed in range(2):
        values = dict(zip("xyz", drawn(seed, dtype, *shapes), strict=False))
        flat = flat_of(lambda **named: function(*named.values()), **values)
        own = FlatSubject(flat.subject, _point(values), dtype=dtype)
        (row,) = drawn(seed + 100, dtype, (1, flat.outputs(flat.x).numel()))
        outputs, gradients = rounding_floor(flat, row, dtype)
        expected, actual = reverse(flat, row), reverse(own, row)
        slack = 2.0**-51 if dtype == torch.float64 else 0.0  # there the twin itself rounds
        assert bool(((actual.outputs - expected.outputs).abs() <= outputs + slack).all())
        assert bool(((actual.value - expected.value).abs() <= gradients + slack).all())
        assert bool(gradients.isfinite().all()) or dtype in (torch.float16, torch.bfloat16)


def _point(values):
    from harness.case.subject import Point

    return Point(name="p", values=values, sizes={}, seed=0)


def test_the_bound_is_the_unit_roundoff(flat_of, vector):
    """A product of two numbers must have a bar of two units roundoff, at each dtype."""
    flat = flat_of(lambda x: x * x, x=vector(3.0))
    row = torch.ones(1, 1, dtype=torch.float64)
    for dtype, bits in zip(DTYPES, (53, 24, 11, 8), strict=True):
        outputs, _ = rounding_floor(flat, row, dtype)
        assert outputs.item() == pytest.approx(9 * 2 * 2.0**-bits + torch.finfo(dtype).tiny, rel=1e-6)


def test_cancellation_is_seen(flat_of, vector):
    """What is left of a difference of large numbers must have the large numbers' bar."""
    flat = flat_of(lambda x: (x + 1024.0) - 1024.0, x=vector(1.0))
    outputs, _ = rounding_floor(flat, torch.ones(1, 1, dtype=torch.float64), torch.float32)
    assert 1024 * 2.0**-24 < outputs.item() < 8 * 1024 * 2.0**-24


def test_sums_are_bounded_in_any_order(flat_of):
    """A sum that cancels must have a bar of its terms' magnitudes times their number."""
    flat = flat_of(lambda x: x.sum(), x=torch.tensor([1.0, -1.0] * 50, dtype=torch.float64))
    outputs, _ = rounding_floor(flat, torch.ones(1, 1, dtype=torch.float64), torch.float32)
    assert 100 * 99 * 2.0**-24 < outputs.item() < 100 * 110 * 2.0**-24


def test_constants_are_stored_in_the_dtype(flat_of, vector):
    """A constant that is no number of the dtype must be taken to be rounded to it, even where the rest cancels."""
    flat = flat_of(lambda x: x + 0.1, x=vector(float(torch.tensor(-0.1, dtype=torch.float32))))
    outputs, _ = rounding_floor(flat, torch.ones(1, 1, dtype=torch.float64), torch.float32)
    assert outputs.item() >= 0.1 * 2.0**-24


def test_what_may_overflow_has_no_bar(flat_of, vector):
    """A result that may be beyond the dtype's range must have an infinite bar."""
    outputs, _ = rounding_floor(
        flat_of(lambda x: x * 1024.0, x=vector(64.0)), torch.ones(1, 1, dtype=torch.float64), torch.float16
    )
    assert outputs.item() == float("inf")


REFUSED = {
    "no model": (lambda x: torch.lgamma(x), "has no rounding model"),
    "a constant is stored": (lambda x: x.masked_fill(x > 2, 0.1), "has no rounding model"),
    "either way": (lambda x: torch.relu(x * 0.1 - x / 10), "could fall either way"),
    "fewer bits inside": (lambda x: x.to(torch.bfloat16).double() * x, "rounds to torch.bfloat16"),
    "a branch": (lambda x: x * 2 if x.sum() > 0 else x, "there is no graph"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why(name, flat_of, vector):
    """Where the model does not hold there must be no bound, but its reason."""
    function, reason = REFUSED[name]
    with pytest.raises(NotCertifiedError, match=reason):
        rounding_floor(flat_of(function, x=vector(3.0)), torch.ones(1, 1, dtype=torch.float64), torch.float32)


def test_a_budget_ends_it(flat_of):
    """A graph that costs more than the budget must have no bound."""
    flat = flat_of(lambda x: (x @ x).sum(), x=torch.eye(20, dtype=torch.float64))
    with pytest.raises(NotCertifiedError, match="ball operations"):
        rounding_floor(flat, torch.ones(1, 1, dtype=torch.float64), torch.float32, budget=Budget(operations=1000))


def test_sums_are_exact_afterwards(flat_of, vector):
    """The rounding of sums must end with the call, also when it raises."""
    from harness.oracle.ball.functions import Sums

    test_refusals_say_why("either way", flat_of, vector)
    assert Sums.per_term == 0.0
