"""The ball oracle's promises: ties, jumps, precision, budgets, refusals and second derivatives."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from harness.oracle.ball.budget import Budget
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.oracle import ball_estimates, ball_hessian_products

ONE = torch.ones(1, 1, dtype=torch.float64)


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def gradient(flat, **options):
    """Estimate of the gradient of the sum of the outputs."""
    ones = torch.ones(1, flat.outputs(flat.x).numel(), dtype=torch.float64)
    return ball_estimates(flat, ones, **options)[1]


TIES = {
    "abs": (lambda x: x.abs(), [0.0], (-1.0, 1.0)),
    "relu": (torch.relu, [0.0], (0.0, 1.0)),
    "max": (lambda x: x.max(), [2.0, 2.0], (0.0, 1.0)),
    "norm": (lambda x: x.norm(), [0.0, 0.0], (-1.0, 1.0)),
    "clamp": (lambda x: x.clamp(min=1.0), [1.0], (0.0, 1.0)),
    "sort": (lambda x: torch.sort(x)[0][0], [3.0, 3.0], (0.0, 1.0)),
    "leaky where": (lambda x: torch.where(x > 0, x, 0.25 * x), [0.0], (0.25, 1.0)),
    "exact only at more bits": (
        lambda x: ((1e40 + x) - 1e40 - x).abs() + (x * 1e-30 - x * 1e-30).abs() + x.abs(),
        [0.0],
        (-1.0, 1.0),
    ),
}


@pytest.mark.parametrize("name", TIES)
def test_ties_give_both_slopes(name, flat_of, vector):
    """At an exact tie the bar must span both one-sided slopes, no more, and the entry must be marked as a kink."""
    function, at, (low, high) = TIES[name]
    found = gradient(flat_of(function, x=vector(*at)))
    assert found.kink is not None
    assert bool(found.kink[0, 0])
    assert float(found.value[0, 0] - found.bar[0, 0]) == pytest.approx(low, abs=1e-14)
    assert float(found.value[0, 0] + found.bar[0, 0]) == pytest.approx(high, abs=1e-14)


def test_a_tie_without_a_kink_is_smooth(flat_of, vector):
    """Where both branches have one slope, a tie must not be called a kink."""
    found = gradient(
        flat_of(lambda x: torch.softmax(x, 0)[0] * 3 + torch.where(x[0] > 0, x[0], x[0]), x=vector(0.0, 0.0))
    )
    assert found.kink is None
    assert torch.allclose(found.value, torch.tensor([[1.75, -0.75]], dtype=torch.float64), rtol=1e-15)


def test_a_removable_singularity_has_its_derivative(flat_of, vector):
    """sin(x)/x with its value 1 at 0 must have slope 0 there, from a longer series."""
    found = gradient(flat_of(lambda x: torch.where(x == 0, torch.ones_like(x), x.sin() / x), x=vector(0.0)))
    assert float(found.value[0, 0]) == 0
    assert float(found.bar[0, 0]) < 1e-15


def test_a_jump_has_no_derivative(flat_of, vector):
    """Where the function jumps there must be no number, rather than the slope beside the jump."""
    found = gradient(flat_of(lambda x: x.floor() + x, x=vector(2.0, 1.5)))
    assert math.isnan(found.value[0, 0])
    assert math.isinf(found.bar[0, 0])
    assert float(found.value[0, 1]) == 1


def test_precision_rises_until_the_enclosure_is_tight(flat_of, vector):
    """A value that cancels completely at 128 bits must still be certified to one rounding."""
    value, derivative = ball_estimates(flat_of(lambda x: (1e60 + x.sin()) - 1e60, x=vector(1.0)), ONE)
    assert float(value.value[0]) == pytest.approx(math.sin(1.0), rel=1e-15)
    assert float(value.bar[0]) < 1e-15
    assert float(derivative.value[0, 0]) == pytest.approx(math.cos(1.0), rel=1e-15)


def test_an_undecidable_comparison_is_a_reason(flat_of, vector):
    """Numbers that are equal but not exactly known must be refused after the last precision, not guessed."""
    flat = flat_of(lambda x: torch.maximum((x.sin() ** 2 + x.cos() ** 2), torch.ones_like(x)), x=vector(1.0))
    with pytest.raises(NotCertifiedError, match="still overlap at 4096 bits"):
        ball_estimates(flat, ONE)


def test_the_derivative_of_digamma_is_better_than_torch(flat_of, vector):
    """ψ and its derivative must be those of mpmath to the last digit, also left of zero."""
    for x in (0.7, 3.2, -1.3):
        value, derivative = ball_estimates(flat_of(torch.digamma, x=vector(x)), ONE)
        with mpmath.workdps(40):
            for estimate, order in ((value.value[0], 0), (derivative.value[0, 0], 1)):
                assert float(estimate) == pytest.approx(float(mpmath.psi(order, mpmath.mpf(x))), rel=2e-16)


def test_hardsigmoids_float32_constant_is_seen(flat_of, vector):
    """The bar must be small enough to refute the 3e-8 error of torch's hardsigmoid backward."""
    x = vector(0.5)
    found = gradient(flat_of(lambda x: torch.nn.functional.hardsigmoid(x), x=x))
    assert abs(float(found.value[0, 0]) - 1 / 6) <= float(found.bar[0, 0])
    assert float(found.bar[0, 0]) < 1e-16


def test_rosenbrock_of_200_inputs(flat_of):
    """A gradient of 200 coordinates must be certified coordinate by coordinate, to one rounding, with little work."""
    x = torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = gradient(flat_of(rosenbrock, x=x), budget=Budget(operations=400 * len(x), seconds=math.inf))
    assert found.directions is None
    expected = x.clone().requires_grad_()
    (actual,) = torch.autograd.grad(rosenbrock(expected), expected)
    assert bool(((found.value[0] - actual).abs() <= found.bar[0] + 1e-11).all())


def test_beyond_the_budget_directions_replace_coordinates(flat_of):
    """With a small budget the estimate must hold projections on random directions, which agree with the gradient."""
    x = torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    flat = flat_of(rosenbrock, x=x)
    found = gradient(flat, budget=Budget(coordinate_operations=100))
    assert found.directions is not None
    assert found.value.shape == (1, len(found.directions))
    full = gradient(flat)
    assert torch.allclose(found.value, full.value @ found.directions.T, rtol=1e-12)


@pytest.mark.parametrize("budget", [Budget(operations=10), Budget(seconds=0.0), Budget(entries=3)], ids=str)
def test_work_is_bounded(budget, flat_of):
    """A graph beyond the budget must be refused with the reason."""
    with pytest.raises(NotCertifiedError, match="more than"):
        gradient(flat_of(rosenbrock, x=torch.ones(50, dtype=torch.float64)), budget=budget)


def test_hessian_products_are_those_of_rosenbrock(flat_of, vector):
    """H·d must be the known Hessian's product, exactly."""
    x = vector(1.0, 2.0, 3.0)
    hessian = torch.autograd.functional.hessian(rosenbrock, x)
    directions = torch.tensor([[1.0, 0.5, -0.25], [0.0, 1.0, 3.0]], dtype=torch.float64)
    found = ball_hessian_products(flat_of(rosenbrock, x=x), torch.ones(1, dtype=torch.float64), directions)
    assert torch.equal(found.value, directions @ hessian)
    assert bool((found.bar == 0).all())


def test_hessian_products_project_beyond_the_budget(flat_of, vector):
    """With a small budget the products must be projected on the directions."""
    x = vector(1.0, 2.0, 3.0)
    directions = torch.tensor([[1.0, 0.5, -0.25], [0.0, 1.0, 3.0]], dtype=torch.float64)
    budget = Budget(coordinate_operations=10)
    found = ball_hessian_products(
        flat_of(rosenbrock, x=x), torch.ones(1, dtype=torch.float64), directions, budget=budget
    )
    expected = directions @ torch.autograd.functional.hessian(rosenbrock, x) @ directions.T
    assert torch.allclose(found.value, expected, rtol=1e-14)


def test_a_kink_has_no_second_derivative(flat_of, vector):
    """At a tie the second derivative must be refused with the reason."""
    with pytest.raises(NotCertifiedError, match="no second derivative"):
        ball_hessian_products(
            flat_of(lambda x: x.abs().sum(), x=vector(0.0)), torch.ones(1, dtype=torch.float64), vector(1.0)[None]
        )


REFUSALS = {
    "eigh": (lambda x: torch.linalg.eigvalsh(x.reshape(2, 2)), r"aten\._linalg_eigh has no ball rule"),
    "dropped": (lambda x: torch.linalg.pinv(x.reshape(2, 2), rtol=0.9), "singular values that are dropped"),
    "branch": (lambda x: x * 2 if x.sum() > 0 else x, "control flow depends on the data"),
    "random": (lambda x: x * torch.rand_like(x), "random"),
    "singular": (
        lambda x: torch.linalg.det(x.reshape(2, 2)).log() + torch.linalg.pinv(0 * x.reshape(2, 2)).sum(),
        "singular",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_name_the_reason(name, flat_of, vector):
    """What has no certificate must say why: the operator by its ATen name, or what tracing met."""
    function, reason = REFUSALS[name]
    with pytest.raises(NotCertifiedError, match=reason):
        gradient(flat_of(function, x=vector(2.0, 0.5, 0.5, 1.0)))


HOSTILE = [1e308, -1e308, 1e-308, 5e-324, 0.0, -0.0, math.inf, -math.inf, math.nan, 1e17, -1e6 - 0.5]
FUNCTIONS = {
    "exp": torch.exp, "lgamma": torch.lgamma, "digamma": torch.digamma, "i0": torch.special.i0,
    "i1e": torch.special.i1e,
    "erfinv": torch.erfinv, "ndtri": torch.special.ndtri, "erfcx": torch.special.erfcx, "power": lambda x: x**x,
    "huge exponent": lambda x: x**1e300, "large integer exponent": lambda x: x**1000000007, "tan": torch.tan,
    "sinh": torch.sinh,
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": torch.nn.functional.gelu, "log_ndtr": torch.special.log_ndtr,
    "polygamma": lambda x: torch.polygamma(3, x), "remainder": lambda x: x % 0.1, "round": lambda x: x.round() + x,
    "norm": lambda x: x.expand(3).norm(), "softmax": lambda x: torch.softmax(torch.stack([x, 2 * x]), 0)[0],
    "det": lambda x: torch.linalg.det(x * torch.eye(3, dtype=x.dtype)),
    "matrix_exp": lambda x: torch.matrix_exp(x.reshape(1, 1)),
    "cumprod": lambda x: torch.cumprod(x.expand(40), 0)[-1], "acosh": torch.acosh, "atan2": lambda x: torch.atan2(x, x),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_hostile_inputs_give_an_answer_or_a_reason(name, flat_of):
    """Huge, tiny, infinite and NaN inputs must give an estimate or a reason, within their budget."""
    reasons = []
    for value in HOSTILE:
        flat = flat_of(lambda x: FUNCTIONS[name](x).reshape(-1), x=torch.tensor(value, dtype=torch.float64))
        try:
            estimates = ball_estimates(flat, ONE, budget=Budget(seconds=5.0))
        except NotCertifiedError as reason:
            reasons.append(str(reason))
            continue
        assert all(bool((e.bar >= 0).all()) for e in estimates)
    assert all(reasons)


SHAPES = {
    "empty": (lambda x: x.sum() + x.prod() * 0, torch.zeros(0, dtype=torch.float64)),
    "empty matrix": (lambda x: (x @ x.mT).sum(), torch.zeros(0, 3, dtype=torch.float64)),
    "zero-dim": (lambda x: x.sum(0) * x.max() * torch.softmax(x, 0), torch.tensor(2.0, dtype=torch.float64)),
    "empty output": (lambda x: x[:0], torch.ones(3, dtype=torch.float64)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_odd_shapes_have_their_shapes(name, flat_of):
    """Empty and zero-dimensional tensors must give estimates of the right shapes, or a reason."""
    function, x = SHAPES[name]
    flat = flat_of(function, x=x)
    outputs = flat.outputs(flat.x).numel()
    value, derivative = ball_estimates(flat, torch.ones(1, outputs, dtype=torch.float64))
    assert value.value.shape == (outputs,)
    assert derivative.value.shape == (1, flat.size)


def test_integer_and_boolean_inputs_are_constants(flat_of, vector):
    """Integer and boolean inputs must take part exactly and have no gradient of their own."""
    flat = flat_of(
        lambda x, n, m: torch.where(m, x**n, x / n).sum(),
        x=vector(2.0, 3.0),
        n=torch.tensor([3, 4]),
        m=torch.tensor([True, False]),
    )
    found = gradient(flat)
    assert torch.equal(found.value, torch.tensor([[12.0, 0.25]], dtype=torch.float64))


def test_the_global_precision_is_restored(flat_of, vector):
    """FLINT's context must be as it was, after an answer and after a refusal."""
    from flint import ctx

    before = ctx.prec, ctx.cap
    gradient(flat_of(torch.exp, x=vector(1.0)))
    with pytest.raises(NotCertifiedError):
        gradient(flat_of(lambda x: torch.linalg.eigvalsh(x.reshape(1, 1)), x=vector(1.0)))
    assert (ctx.prec, ctx.cap) == before


HIGHER_TIES = {
    "both sides of a square": (lambda x: torch.where(x * x > 0, x, -x), 1.0),
    "a power of one half": (lambda x: (x * x) ** 0.5, None),
    "a sign": (lambda x: torch.sign(x * x) * x, 1.0),
    "a cube": (lambda x: torch.relu(x**3) + x, 1.0),
}


@pytest.mark.parametrize("name", HIGHER_TIES)
def test_ties_of_higher_order_are_decided_by_later_terms(name, flat_of, vector):
    """A comparison of x² with 0 at 0 must be decided by the term of t², not by the first term alone."""
    function, slope = HIGHER_TIES[name]
    found = gradient(flat_of(function, x=vector(0.0)))
    if slope is None:
        assert found.kink is not None
    else:
        assert found.kink is None
        assert float(found.value[0, 0]) == slope
