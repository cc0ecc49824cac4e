"""The worst case of rounding: how far the operators of a graph may be off together, at a dtype's own precision.

The graph of outputs and gradients is walked in balls, each operator's result is widened by what its rounding may do,
and the widths go on through the graph. It is a bound, not an estimate, under this model of a correct implementation:

- inputs and cotangents are exact; every other number is stored in the dtype, constants of the graph included;
- an arithmetic operator's result is off by at most 2 units roundoff (u) of itself, a library function's by at most 8 (4
  units in the last place); each step of a softmax or a norm counts as one;
- a sum of n terms, in any order, by at most γₙ = nu/(1 − nu) of the sum of their magnitudes; in half precision the
  kernels that add up in float32 have float32's u here;
- what falls below the smallest normal number is off by at most the smallest subnormal one, and nothing overflows.

Operators that kernels compute by other formulas than torch decomposes them to (convolutions, the backwards of layer
and batch norms, factorisations, special functions) are outside the model: a graph with one of them has no floor.
Neither has one in which a comparison could fall either way within rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from flint import arb
from torch import Tensor, fx
from torch._ops import OpOverload

from harness.case.subject import Point
from harness.graph.aten import UntraceableError, trace_aten
from harness.oracle.ball import functions as f
from harness.oracle.ball.backward import gradient_view
from harness.oracle.ball.budget import Budget, Work
from harness.oracle.ball.elementwise import FUNCTION_COST, add, quotient, subtract
from harness.oracle.ball.errors import LostTermError, NotCertifiedError, UndecidedError
from harness.oracle.ball.interpret import LIKE, Interpreter
from harness.oracle.ball.lowering import KEPT, lower_call
from harness.oracle.ball.moves import MOVES
from harness.oracle.ball.reductions import total
from harness.oracle.ball.rules import Rule
from harness.oracle.ball.values import Balls, Entry, from_tensor, is_integral, make, working_precision
from harness.oracle.ball.walk import Walk
from harness.oracle.flat import FlatSubject
from harness.oracle.rounding import UNIT_ROUNDOFF

BITS = 160
"""Precision of the balls' own arithmetic, whose rounding is beside that of the dtype nothing."""
ARITHMETIC, FUNCTION = 2.0, 8.0
"""Units roundoff of an arithmetic operator's result, and of a library function's."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


EXACT = _names(
    """neg abs relu sign sgn where maximum minimum fmax fmin clamp clip clamp_min clamp_max hardtanh max min amax amin
    sort topk kthvalue median nanmedian mode cummax cummin eq ne lt le gt ge logical_not logical_and logical_or
    logical_xor isnan isinf isfinite any all bool argmax argmin argsort floor ceil trunc round sum_to_size alias clone
    detach lift_fresh_copy lift_fresh contiguous lift view_of _to_copy index_put _unsafe_index_put masked_fill scatter
    signbit isposinf isneginf threshold threshold_backward hardtanh_backward"""
)
"""Operators that select, compare or move."""
ADDING = _names("sum mean mm bmm mv dot vdot addmm addmv addbmm baddbmm var std var_mean linalg_vector_norm")
IN_FLOAT32 = ADDING | _names("_softmax _log_softmax softmax log_softmax logsumexp")
"""Operators whose kernels add up in float32 where the numbers are in half precision."""
PRODUCTS = _names("prod cumprod")
"""Operators whose result rounds once per factor."""
PLAIN = _names("add sub rsub mul div true_divide sqrt reciprocal square addcmul addcdiv lerp scatter_add index_add")
COMPOSITE = _names(
    """exp exp2 expm1 log log1p log2 log10 sin cos tan sinh cosh tanh sigmoid asin acos atan asinh acosh atanh erf erfc
    rsqrt pow cumsum hypot atan2 deg2rad rad2deg prod cumprod dist logsumexp _softmax _log_softmax softmax log_softmax
    _softmax_backward_data _log_softmax_backward_data gelu gelu_backward sigmoid_backward tanh_backward silu
    silu_backward softplus softplus_backward elu elu_backward leaky_relu prelu leaky_relu_backward log_sigmoid_forward
    log_sigmoid_backward mse_loss mse_loss_backward smooth_l1_loss smooth_l1_loss_backward huber_loss
    huber_loss_backward nll_loss_forward nll_loss_backward nll_loss2d_forward nll_loss2d_backward
    binary_cross_entropy binary_cross_entropy_backward embedding embedding_dense_backward native_layer_norm
    _prelu_kernel _prelu_kernel_backward glu glu_backward hardswish hardsigmoid _trilinear
    value_selecting_reduction_backward evenly_distribute_backward select_backward slice_backward"""
)
KNOWN = EXACT | ADDING | PLAIN | COMPOSITE | frozenset(MOVES) | KEPT | LIKE
"""Operators whose kernels do what the model says."""


def rounding_floor(
    flat: FlatSubject, cotangents: Tensor, dtype: torch.dtype, *, budget: Budget | None = None
) -> tuple[Tensor, Tensor]:
    """Bound what rounding may do to outputs and gradients at a dtype, in the worst case of the model above.

    Args:
        flat: the subject at a point, in float64, whose inputs are numbers of the dtype.
        cotangents: C × M, numbers of the dtype too.
        dtype: float64, float32, float16 or bfloat16.
        budget: what the call may spend.

    Returns:
        Bars of the outputs (M) and gradients (C × N): largest distance from the exact result, infinite where a result
        may overflow.

    Raises:
        NotCertifiedError: saying why there is no bound.
    """
    view = gradient_view(flat, cotangents, outputs_too=True)
    if any(value.is_complex() for value in view.values.values()):
        raise NotCertifiedError("complex numbers have no rounding model")
    try:
        graph = trace_aten(view.subject, Point(name="floor", values=view.values, sizes={}, seed=None))
    except UntraceableError as reason:
        raise NotCertifiedError(f"there is no graph: {reason}") from reason
    _check_model(graph.module, dtype)
    arguments = graph.arguments(view.values)
    interpreter = Interpreter(lower_call(graph.module, arguments))
    work = Work(budget or Budget())
    inputs = tuple(value if is_integral(value) else from_tensor(value) for value in arguments)
    with working_precision(BITS, 1):
        exact = _entries(_walked(interpreter, Walk(work), inputs))
        with f.rounded_sums(UNIT_ROUNDOFF[dtype]):
            rounded = _entries(_walked(interpreter, RoundedWalk(work, dtype), inputs))
        bars = [_distance(ball, truth) for ball, truth in zip(rounded, exact, strict=True)]
    bar = torch.tensor(bars, dtype=torch.float64) + torch.finfo(dtype).tiny
    outputs = cotangents.shape[1]
    return bar[:outputs], bar[outputs:].reshape(cotangents.shape[0], flat.size)


def _check_model(module: fx.GraphModule, dtype: torch.dtype) -> None:
    """Refuse graphs with an operator outside the model."""
    for node in module.graph.nodes:
        if node.op != "call_function" or not isinstance(node.target, OpOverload) or _is_whole(node.meta.get("val")):
            continue
        name = node.target._schema.name.split("::")[-1]
        if name not in KNOWN or (name in MOVES and not all(_is_stored(value, dtype) for value in node.args)):
            raise NotCertifiedError(f"{node.target} has no rounding model")
        if node.kwargs.get("dtype") in (torch.float16, torch.bfloat16):
            raise NotCertifiedError(f"{node.target} rounds to {node.kwargs['dtype']} inside")


def _is_stored(value: Any, dtype: torch.dtype) -> bool:
    """Whether an argument is not a constant that the dtype rounds; operators that move data store theirs unchanged."""
    return not isinstance(value, float) or float(torch.tensor(value, dtype=dtype)) == value


def _is_whole(value: Any) -> bool:
    """Whether an operator makes integers or truth values, which do not round."""
    return isinstance(value, Tensor) and is_integral(value)


def _walked(interpreter: Interpreter, walk: Walk, inputs: tuple[Any, ...]) -> list[Any]:
    try:
        return interpreter.walk(walk, inputs, frozenset())
    except (UndecidedError, LostTermError) as reason:
        raise NotCertifiedError("a comparison could fall either way within rounding") from reason


def _entries(found: list[Any]) -> list[Entry]:
    return [entry for value in found if isinstance(value, Balls) for entry in value.flat()]


def _distance(ball: Entry, truth: Entry) -> float:
    """Upper bound of the distance between any two numbers of two balls."""
    gap = ball - truth
    return float(gap.abs_upper()) * (1 + 2.0**-50) if gap.is_finite() else float("inf")


class RoundedWalk(Walk):
    """A pass in which every operator's result is widened by what its rounding may do.

    Args:
        work: counter of what it costs.
        dtype: what every number is stored in.
    """

    def __init__(self, work: Work, dtype: torch.dtype) -> None:
        super().__init__(work)
        information = torch.finfo(dtype)
        self.dtype, self.unit = dtype, UNIT_ROUNDOFF[dtype]
        self._smallest, self._subnormal = arb(information.tiny), arb(information.smallest_normal) * 2 * self.unit
        self._largest = arb(information.max)
        self._units, self._products = FUNCTION, False

    def enter(self, node: Any) -> None:
        """Begin the operator at a node, and look up how it rounds."""
        super().enter(node)
        target = getattr(node, "target", None)
        name = target._schema.name.split("::")[-1] if isinstance(target, OpOverload) else ""
        self._units = 0.0 if name in EXACT else ARITHMETIC if name in PLAIN | ADDING else FUNCTION
        f.Sums.per_term = min(self.unit, UNIT_ROUNDOFF[torch.float32]) if name in IN_FLOAT32 else self.unit
        self._products = name in PRODUCTS

    def ball(self, value: Any) -> Balls:
        """Make balls; constants that are no numbers of the dtype are rounded to it."""
        known = super().ball(value)
        if isinstance(value, (Balls, int)) or known.complex:
            return known
        tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        if bool((tensor.to(self.dtype).to(torch.float64) == tensor.to(torch.float64)).all()):
            return known
        return Balls(make((self._widened(entry, 1.0) for entry in known.flat()), known.shape))

    def rule(self, name: str, overload: str) -> Rule | None:
        """What computes an operator: softmax and its kin in the steps that kernels take."""
        return _STEPS.get(name) or super().rule(name, overload)

    def map(self, function: Callable[..., Entry], *operands: Any, complex: bool | None = None, cost: int = 1) -> Balls:
        """Apply a function elementwise, and round."""
        return self._rounded(super().map(function, *operands, complex=complex, cost=cost), self._units)

    def rows(self, function: Callable[..., list[Entry]], operands: Any, width: int, *, cost: int,
             complex: bool | None = None) -> Balls:  # fmt: skip
        """Apply a function to rows, and round; the products of a row round once per factor."""
        found = super().rows(function, operands, width, cost=cost, complex=complex)
        length = max((operand.size // max(1, operand.shape[0]) for operand in operands), default=1)
        return self._rounded(found, self._units * (max(1, length) if self._products else 1))

    def _rounded(self, value: Balls, units: float) -> Balls:
        if not units:
            return value
        if value.complex:
            raise NotCertifiedError("complex numbers have no rounding model")
        return Balls(make((self._widened(entry, units) for entry in value.flat()), value.shape))

    def _widened(self, entry: Entry, units: float) -> Entry:
        size = entry.abs_upper()
        if entry.is_zero() or not size.is_finite():
            return entry
        if not size < self._largest:
            return arb.nan()
        radius = size * (units * self.unit)
        return entry + arb(0, radius if entry.abs_lower() > self._smallest else radius + self._subnormal)


def _shifted(walk: Walk, value: Balls, dim: int) -> tuple[Balls, Balls]:
    """A tensor without its largest entry along a dim, and that entry: any number near it does, as it cancels later."""
    if not value.data.ndim:
        value = value.reshape((1,))
        dim = 0
    middle = torch.tensor([float(entry.mid()) for entry in value.flat()], dtype=torch.float64).reshape(value.shape)
    largest = from_tensor(middle.amax(dim, keepdim=True))
    return subtract(walk, value, largest), largest


def _powers(walk: Walk, value: Balls) -> Balls:
    return walk.map(f.exponential, value, cost=FUNCTION_COST)


def _softmax(walk: Walk, a: Any, dim: int, half_to_float: bool = False) -> Balls:
    """Walk the steps exp(x − max), its sum, their quotient."""
    value = walk.ball(a)
    powers = _powers(walk, _shifted(walk, value, dim)[0])
    return quotient(walk, powers, total(walk, powers, dim if value.data.ndim else 0, True)).reshape(value.shape)


def _log_softmax(walk: Walk, a: Any, dim: int, half_to_float: bool = False) -> Balls:
    """Walk the steps x − max, and that minus log Σ exp of it."""
    value = walk.ball(a)
    shifted = _shifted(walk, value, dim)[0]
    sums = total(walk, _powers(walk, shifted), dim if value.data.ndim else 0, True)
    return subtract(walk, shifted, walk.map(f.logarithm, sums, cost=FUNCTION_COST)).reshape(value.shape)


def _log_sum(walk: Walk, a: Any, dim: Any, keepdim: bool = False) -> Balls:
    """Walk the steps max + log Σ exp(x − max)."""
    axes = list(dim) if isinstance(dim, (list, tuple)) else [dim]
    value = walk.ball(a)
    if len(axes) != 1 or not value.data.ndim:
        raise NotCertifiedError("logsumexp over several dims has no rounding model")
    shifted, largest = _shifted(walk, value, axes[0])
    sums = walk.map(f.logarithm, total(walk, _powers(walk, shifted), axes, True), cost=FUNCTION_COST)
    found = add(walk, sums, largest)
    axis = axes[0] % value.data.ndim
    return found if keepdim else found.reshape([size for place, size in enumerate(found.shape) if place != axis])


def _running_sum(walk: Walk, a: Any, dim: int) -> Balls:
    """Sum the first entries along a dim, each time anew: any order of summation counts."""
    value = walk.ball(a)
    if not value.data.ndim or not value.size:
        return value
    moved = value.moveaxis(dim, -1)
    width = moved.shape[-1]

    def one(entries: list[Entry]) -> list[Entry]:
        return [f.total(entries[: place + 1]) for place in range(width)]

    rows = walk.rows(one, [moved.reshape((-1, width))], width, cost=width * width)
    return rows.reshape(moved.shape).moveaxis(-1, dim)


_STEPS: dict[str, Rule] = {
    "_softmax": _softmax, "softmax": _softmax, "_log_softmax": _log_softmax, "log_softmax": _log_softmax,
    "logsumexp": _log_sum, "cumsum": _running_sum,
}  # fmt: skip
