"""Every operator rule against torch in float64, at ordinary points: a table of operators."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch.nn import functional as nn

from harness.oracle.ball.oracle import ball_estimates
from harness.oracle.ball.rules import RULES

ROUNDING = 1e-12
"""Far above what float64 loses at these points, far below any wrong formula."""
PLANTED = 1e-9


def draw(*shape, seed=0, low=-2.0, high=2.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, dtype=torch.float64, generator=generator) * (high - low) + low


def complex_draw(*shape, seed=0):
    return torch.complex(draw(*shape, seed=seed), draw(*shape, seed=seed + 1))


REAL, POSITIVE, UNIT, ABOVE = (
    draw(2, 3),
    draw(2, 3, low=0.2, high=3),
    draw(2, 3, low=-0.9, high=0.9),
    draw(2, 3, low=1.1, high=3),
)
OTHER, COMPLEX = draw(2, 3, seed=3), complex_draw(2, 3)
SQUARE = draw(3, 3, seed=5) + 3 * torch.eye(3, dtype=torch.float64)
TALL = draw(4, 2, seed=6)
IMAGE, VOLUME = draw(1, 2, 5, 4, seed=7), draw(1, 1, 3, 4, 3, seed=8)
INDEX = torch.tensor([[0, 1, 1], [1, 0, 1]])
SPD = SQUARE @ SQUARE.T

UNARY = {
    "neg": REAL, "reciprocal": POSITIVE, "square": REAL, "sqrt": POSITIVE, "rsqrt": POSITIVE, "exp": REAL, "exp2": REAL,
    "expm1": REAL, "log": POSITIVE, "log1p": POSITIVE, "log2": POSITIVE, "log10": POSITIVE, "sin": REAL, "cos": REAL,
    "tan": UNIT,
    "sinh": REAL, "cosh": REAL, "tanh": REAL, "sigmoid": REAL, "asin": UNIT, "acos": UNIT, "atan": REAL, "asinh": REAL,
    "acosh": ABOVE, "atanh": UNIT, "erf": REAL, "erfc": REAL, "erfinv": UNIT, "lgamma": POSITIVE, "i0": REAL,
    "abs": REAL, "sign": REAL, "floor": REAL, "ceil": REAL, "trunc": REAL, "round": REAL, "frac": REAL, "deg2rad": REAL,
    "sinc": REAL, "logit": UNIT.abs(), "nan_to_num": REAL, "angle": REAL, "relu": REAL,
}  # fmt: skip
SPECIAL = {
    "erfcx": REAL, "ndtri": UNIT.abs(), "i1": REAL, "i0e": REAL, "i1e": REAL, "log_ndtr": REAL, "ndtr": REAL,
    "entr": POSITIVE,
    "logit": UNIT.abs(),
}  # fmt: skip
COMPLEX_UNARY = [
    "exp",
    "log",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "asin",
    "acos",
    "atan",
    "asinh",
    "acosh",
    "atanh",
    "reciprocal",
    "abs",
    "angle",
    "sgn",
    "conj",
    "sigmoid",
]
OPERATORS = {
    **{f"{name} {tuple(x.shape)}": (getattr(torch, name), [x]) for name, x in UNARY.items()},
    **{f"special.{name}": (getattr(torch.special, name), [x]) for name, x in SPECIAL.items()},
    **{f"complex {name}": (getattr(torch, name), [COMPLEX]) for name in COMPLEX_UNARY},
    "lgamma left of zero": (torch.lgamma, [-POSITIVE - 0.05]),
    "polygamma": (lambda x: torch.polygamma(2, x), [POSITIVE]),
    "add alpha": (lambda x, y: torch.add(x, y, alpha=2.5), [REAL, OTHER]),
    "rsub": (lambda x, y: torch.rsub(x, y, alpha=3), [REAL, OTHER]),
    "div": (torch.div, [REAL, ABOVE]),
    "div floor": (lambda x, y: torch.div(x, y, rounding_mode="floor") + x, [REAL, ABOVE]),
    "div trunc": (lambda x, y: torch.div(x, y, rounding_mode="trunc") + x, [REAL, ABOVE]),
    "remainder": (torch.remainder, [REAL, ABOVE]),
    "fmod": (torch.fmod, [REAL, ABOVE]),
    "pow": (torch.pow, [POSITIVE, REAL]),
    "pow integer": (lambda x: x**3 + x**-2, [REAL]),
    "pow real": (lambda x: x**2.5 + 2.0**x, [POSITIVE]),
    "complex pow": (lambda z: z**2.5 + z**3, [COMPLEX]),
    "complex mul": (lambda z, x: z * x / (z + 2j), [COMPLEX, REAL]),
    "real imag": (lambda z: z.real * z.imag, [COMPLEX]),
    "view as real": (lambda z: torch.view_as_real(z) ** 2, [COMPLEX]),
    "view as complex": (lambda x: torch.view_as_complex(x).abs(), [draw(3, 2)]),
    "polar": (lambda r, t: torch.polar(r, t), [POSITIVE, REAL]),
    "atan2": (torch.atan2, [REAL, OTHER]),
    "hypot": (torch.hypot, [REAL, OTHER]),
    "copysign": (torch.copysign, [REAL, OTHER]),
    "xlogy": (torch.xlogy, [REAL, POSITIVE]),
    "logaddexp": (torch.logaddexp, [REAL, OTHER]),
    "lerp": (lambda x, y: torch.lerp(x, y, 0.3), [REAL, OTHER]),
    "addcmul": (lambda x, y: torch.addcmul(x, y, x, value=0.5), [REAL, OTHER]),
    "igamma": (lambda x: torch.special.gammainc(torch.full_like(x, 1.7), x), [POSITIVE]),
    "zeta": (lambda x: torch.special.zeta(torch.full_like(x, 2.5), x), [POSITIVE]),
    "where": (lambda x, y: torch.where(x > y, x, y * y), [REAL, OTHER]),
    "comparisons": (lambda x, y: (x < y) * x + (x >= y) * y + (x == y) * x + (x != 0) * y, [REAL, OTHER]),
    "clamp": (lambda x: x.clamp(-1, 1), [REAL]),
    "maximum": (lambda x, y: torch.maximum(x, y) * torch.minimum(x, y + 1), [REAL, OTHER]),
    "max dim": (lambda x: torch.max(x, 1)[0] * torch.min(x, 1)[0], [REAL]),
    "max all": (lambda x: x.max() * x.min() * x.median(), [REAL]),
    "amax": (lambda x: torch.amax(x, (0, 1)) + torch.amin(x, 1, keepdim=True), [REAL]),
    "sort": (lambda x: torch.sort(x, 1, descending=True)[0] * torch.arange(3), [REAL]),
    "topk": (lambda x: torch.topk(x, 2, 1)[0] * torch.arange(2), [REAL]),
    "kthvalue": (lambda x: torch.kthvalue(x, 2, 1)[0], [REAL]),
    "argmax": (lambda x: x.gather(1, x.argmax(1, keepdim=True)), [REAL]),
    "cummax": (lambda x: torch.cummax(x, 1)[0] + torch.cummin(x, 0)[0], [REAL]),
    "sum mean prod": (lambda x: x.sum() * x.mean(1, keepdim=True) * x.prod(0), [REAL]),
    "var std": (lambda x: x.var(1) + x.std(1, correction=0), [REAL]),
    "norms": (lambda x: x.norm() + x.norm(1) + x.norm(3) + x.norm(float("inf")), [REAL]),
    "cumsum cumprod": (lambda x: x.cumsum(1) * x.cumprod(0), [REAL]),
    "logcumsumexp": (lambda x: torch.logcumsumexp(x, 1), [REAL]),
    "logsumexp": (lambda x: torch.logsumexp(x, 1), [REAL]),
    "softmax": (lambda x: torch.softmax(x, 1) * torch.log_softmax(x, 0), [REAL]),
    "cdist": (torch.cdist, [REAL, OTHER]),
    "pdist": (nn.pdist, [draw(4, 3)]),
    "mm": (torch.mm, [REAL, OTHER.T]),
    "addmm": (lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2), [draw(2, 2), REAL, OTHER.T]),
    "bmm": (torch.bmm, [draw(2, 2, 3), draw(2, 3, 2, seed=1)]),
    "mv dot": (lambda a, v: a.mv(v).dot(a.mv(v)), [REAL, draw(3)]),
    "bilinear": (nn.bilinear, [draw(2, 3), draw(2, 2, seed=1), draw(2, 3, 2, seed=2)]),
    "conv2d": (lambda x, w, b: nn.conv2d(x, w, b, stride=2, padding=1), [IMAGE, draw(3, 2, 2, 3, seed=1), draw(3)]),
    "conv2d groups": (lambda x, w: nn.conv2d(x, w, groups=2, dilation=2), [IMAGE, draw(4, 1, 2, 2, seed=1)]),
    "conv_transpose2d": (
        lambda x, w: nn.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1, groups=2),
        [IMAGE, draw(2, 2, 3, 3, seed=1)],
    ),
    "avg_pool2d": (lambda x: nn.avg_pool2d(x, 2, 2, 1, ceil_mode=True, count_include_pad=False), [IMAGE]),
    "avg_pool2d padded": (lambda x: nn.avg_pool2d(x, 3, 2, 1, ceil_mode=True), [IMAGE]),
    "avg_pool3d": (lambda x: nn.avg_pool3d(x, 2), [VOLUME]),
    "adaptive_avg_pool2d": (lambda x: nn.adaptive_avg_pool2d(x, (3, 2)), [IMAGE]),
    "max_pool2d": (lambda x: nn.max_pool2d(x, 2), [IMAGE]),
    "max_pool3d": (lambda x: nn.max_pool3d(x, 2), [VOLUME]),
    "adaptive_max_pool2d": (lambda x: nn.adaptive_max_pool2d(x, (3, 2)), [IMAGE]),
    "layer_norm": (lambda x: nn.layer_norm(x, (3,)), [REAL]),
    "group_norm": (lambda x: nn.group_norm(x, 2), [IMAGE]),
    "gelu silu": (lambda x: nn.gelu(x) + nn.silu(x) + nn.elu(x) + nn.mish(x) + nn.softplus(x), [REAL]),
    "interpolate": (
        lambda x: nn.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        [IMAGE[:, :1, :2, :2]],
    ),
    "nearest": (lambda x: nn.interpolate(x, scale_factor=2), [IMAGE]),
    "gather scatter": (
        lambda x, y: torch.scatter(x.gather(1, INDEX), 1, torch.tensor([[0, 2, 1], [1, 0, 2]]), y),
        [REAL, OTHER],
    ),
    "scatter_add": (lambda x, y: x.scatter_add(0, INDEX, y), [REAL, OTHER]),
    "scatter_reduce": (lambda x, y: x.scatter_reduce(1, INDEX, y, "prod"), [REAL, OTHER]),
    "scatter amax": (lambda x, y: x.scatter_reduce(1, INDEX, y, "amax", include_self=False), [REAL, OTHER]),
    "index_add": (lambda x, y: x.index_add(1, torch.tensor([0, 0, 2]), y, alpha=2), [REAL, OTHER]),
    "index_put": (lambda x, y: x.index_put((torch.tensor([0, 1, 0]),), y[:1], accumulate=True), [REAL, OTHER]),
    "moves": (lambda x: torch.cat([x.flip(0), x.roll(1, 1)]).tril().T.reshape(-1)[::2], [REAL]),
    "pad stack": (lambda x, y: nn.pad(torch.stack([x, y]), (1, 2), value=3.0) ** 2, [REAL, OTHER]),
    "unfold": (lambda x: x.unfold(1, 2, 1) * x.diagonal().sum(), [REAL]),
    "det": (torch.linalg.det, [SQUARE]),
    "slogdet": (lambda x: torch.linalg.slogdet(x)[1], [SQUARE]),
    "logdet": (torch.logdet, [SQUARE]),
    "inv": (torch.linalg.inv, [SQUARE]),
    "complex inv": (torch.linalg.inv, [complex_draw(3, 3) + 3 * torch.eye(3)]),
    "solve": (torch.linalg.solve, [SQUARE, draw(3, 2)]),
    "solve vector right": (lambda a, b: torch.linalg.solve(a, b, left=False), [SQUARE, draw(2, 3)]),
    "solve_triangular": (lambda a, b: torch.linalg.solve_triangular(a, b, upper=True), [SQUARE, draw(3, 2)]),
    "cholesky": (lambda x: torch.linalg.cholesky(x @ x.mT + torch.eye(3)), [SQUARE]),
    "cholesky upper": (lambda x: torch.linalg.cholesky(x @ x.mT + torch.eye(3), upper=True), [SQUARE]),
    "cholesky_solve": (lambda b, x: torch.cholesky_solve(b, x.tril()), [draw(3, 2), SQUARE]),
    "lu": (lambda x: torch.linalg.lu(x)[1] @ torch.linalg.lu(x)[2] ** 2, [draw(3, 3, seed=2)]),
    "lu_factor": (lambda x: torch.linalg.lu_factor(x)[0], [draw(3, 3, seed=2)]),
    "lu_solve": (lambda x, b: torch.linalg.lu_solve(*torch.linalg.lu_factor(x), b), [draw(3, 3, seed=2), draw(3, 1)]),
    "qr": (lambda x: torch.linalg.qr(x)[0] @ torch.linalg.qr(x)[1] ** 2, [TALL]),
    "pinv": (torch.linalg.pinv, [TALL]),
    "lstsq": (lambda a, b: torch.linalg.lstsq(a, b)[0], [TALL, draw(4, 1)]),
    "matrix_exp": (torch.matrix_exp, [SQUARE / 3]),
    "matrix_power": (lambda x: x @ x @ x, [SQUARE]),
    "householder": (torch.linalg.householder_product, [TALL, draw(2)]),
    "fft": (torch.fft.fft, [complex_draw(2, 4)]),
    "ifft ortho": (lambda z: torch.fft.ifft(z, norm="ortho"), [complex_draw(2, 5)]),
    "rfft2": (torch.fft.rfft2, [draw(3, 4)]),
    "irfft": (lambda z: torch.fft.irfft(z, n=5) + torch.fft.irfft(z, n=4)[:, :1], [complex_draw(2, 3)]),
}


@pytest.fixture(params=OPERATORS.items(), ids=lambda item: item[0])
def operator(request, flat_of):
    """One operator of the table as a flat subject, with a dense cotangent, its values and its gradient by autograd."""
    function, inputs = request.param[1]
    flat = flat_of(
        lambda **named: function(*named.values()), **{f"x{i}": value.clone() for i, value in enumerate(inputs)}
    )
    x = flat.x.clone().requires_grad_()
    outputs = flat.outputs(x)
    cotangents = draw(1, outputs.numel(), seed=11)
    gradient = torch.zeros_like(x)
    if outputs.requires_grad:
        found = torch.autograd.grad((outputs.to(torch.float64) * cotangents[0]).sum(), x, allow_unused=True)[0]
        gradient = gradient if found is None else found
    return flat, cotangents, outputs.detach(), gradient


def misses(estimate, actual, factor):
    """Whether factor·actual lies outside the estimate's bars, plus rounding of the subject's side."""
    reach = estimate.bar + ROUNDING * (actual.abs().max() + 1)
    return bool(((estimate.value - factor * actual).abs() > reach).any())


def test_operators_agree_with_torch(operator):
    """Value and gradient must enclose torch's up to their rounding, and exclude ones that are off by 1e-9."""
    flat, cotangents, outputs, gradient = operator
    value, derivative = ball_estimates(flat, cotangents)
    assert not misses(value, outputs, 1.0)
    assert not misses(derivative, gradient[None], 1.0)
    for estimate, actual in ((value, outputs), (derivative, gradient[None])):
        if float(actual.abs().max()) > 0.1:
            assert misses(estimate, actual, 1 + PLANTED / float(actual.abs().max()) * (1 + float(actual.abs().max())))


def test_bars_are_one_rounding(operator):
    """A bar must be no wider than a rounding to float64 (up to far smaller parts of the gradient)."""
    flat, cotangents, _, _ = operator
    for estimate in ball_estimates(flat, cotangents):
        scale = estimate.value.abs()
        assert bool((estimate.bar <= 2.0**-53 * scale * (1 + 2.0**-20) + 2.0**-100 * (scale.max() + 1)).all())
        assert estimate.rigorous
        assert estimate.independent


def _schemas(name):
    """Schemas of an operator's overloads, those that write into an argument excepted."""
    packet = getattr(torch.ops.aten, name.split(".")[0], None)
    wanted = name.split(".")[1:]
    for overload in packet.overloads() if packet is not None else ():
        schema = getattr(packet, overload)._schema
        if not schema.is_mutable and (not wanted or overload == wanted[0]):
            yield schema


def test_rules_have_the_defaults_of_their_schemas():
    """An argument left out of a graph has its schema's default, so a rule's own default must be equal to it."""
    different = []
    for name, function in RULES.items():
        parameters = inspect.signature(function).parameters
        for schema in _schemas(name):
            for argument in schema.arguments:
                if argument.name not in parameters or not argument.has_default_value():
                    continue
                own = parameters[argument.name].default
                if not same(own, argument.default_value):
                    different.append(f"{schema.name}: {argument.name}={own} is {argument.default_value}")
    assert not different


def same(own, default):
    """Whether two defaults mean the same: torch repeats a single number for every dim."""
    empty = ([], (), None)
    if isinstance(own, tuple) and len(own) == 1 and isinstance(default, list):
        return set(own) == set(default)
    return own == default or (own in empty and default in empty)
