"""A subject's backward pass as a function of its own: what the derivative formulas give, apart from how they round.

`gradient_view` makes the function (inputs, cotangents) → gradients just as autograd computes it, so that the custom
backwards and the derivative formulas of torch appear as ATen operators; enclosed in balls, it is the gradient that the
formula gives over the real numbers. `operator_errors` runs a graph in float64 and holds each operator's result against
the enclosure of that one operator at the very numbers it got: what one kernel does wrong shows there, however the
formula around it is. Operators that are fused count as what torch decomposes them to.

Cannot see a backward that branches on data, leaves torch, or meets an operator without a rule: those have no answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.utils._pytree import tree_flatten, tree_unflatten

from harness.case.subject import Input, Point, Subject, Tensors
from harness.graph.aten import UntraceableError, trace_aten
from harness.oracle.analytic import output_cotangents
from harness.oracle.ball.budget import Budget, Work
from harness.oracle.ball.errors import LostTermError, NotCertifiedError, UndecidedError
from harness.oracle.ball.interpret import Interpreter
from harness.oracle.ball.lowering import KEPT, lower_call
from harness.oracle.ball.moves import MOVES
from harness.oracle.ball.oracle import ball_values
from harness.oracle.ball.values import (
    Balls,
    from_tensor,
    imaginary_part,
    is_integral,
    real_part,
    to_double,
    working_precision,
)
from harness.oracle.ball.walk import Walk
from harness.oracle.estimate import Estimate
from harness.oracle.flat import FlatSubject, real_vector

COTANGENTS = "cotangents of the outputs"
"""Name of the further input of a gradient view (C × M); no identifier, so that no subject has one of the same name."""
BITS = 256
"""Precision of the enclosure of one operator's result."""
ROUNDING = 2.0**-52
"""An enclosure that is wider than this, relatively, says nothing about one rounding."""
SMALLEST_NORMAL = torch.finfo(torch.float64).tiny
PASSED_ON = frozenset(["alias", "clone", "detach", "contiguous", "lift_fresh", "lift_fresh_copy", "neg"])
"""Operators, besides those that move data, whose float64 results cannot be off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorError:
    """How far one operator's float64 result is off at the numbers it got, relative to the entry that is off most.

    `decomposed` is the same for torch's own decomposition of the operator into simpler ones, run in float64; None for
    an operator that is not decomposed.
    """

    operator: str
    relative: float
    decomposed: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The errors of a graph's operators, the largest first; `blocked` names the operators that could not be judged."""

    errors: tuple[OperatorError, ...]
    blocked: tuple[str, ...]


def gradient_view(flat: FlatSubject, cotangents: Tensor, *, outputs_too: bool = False) -> FlatSubject:
    """Make the subject whose outputs are a subject's gradients (C × N, row by row), by autograd as it stands.

    Args:
        flat: the subject at a point.
        cotangents: C × M.
        outputs_too: whether the subject's own outputs come before its gradients.
    """

    def function(tensors: Tensors) -> tuple[Tensor, ...]:
        named = {name: value for name, value in tensors.items() if name != COTANGENTS}
        for block in flat.blocks:
            named[block.name] = named[block.name].detach().requires_grad_(True)
        outputs = flat.call(named)
        rows = [_gradients(flat, named, outputs, row) for row in tensors[COTANGENTS]]
        first = tuple(output.detach() for output in outputs) if outputs_too else ()
        return (*first, *(part for row in rows for part in row))

    names = [*flat.values, COTANGENTS]
    subject = Subject(
        name=f"backward of {flat.subject.name}",
        inputs={name: Input(grad=False) for name in names},
        function=function,
    )
    values = {**flat.values, COTANGENTS: cotangents.to(flat.dtype)}
    return FlatSubject(subject, Point(name="backward", values=values, sizes={}, seed=None), dtype=flat.dtype)


def _gradients(
    flat: FlatSubject, named: dict[str, Tensor], outputs: tuple[Tensor, ...], cotangent: Tensor
) -> list[Tensor]:
    """Gradients of one weighted output, one tensor per differentiable input."""
    seeds = output_cotangents(flat, outputs, cotangent)
    active = [(output, seed) for output, seed in zip(outputs, seeds, strict=True) if output.requires_grad]
    wanted = [named[block.name] for block in flat.blocks]
    found = torch.autograd.grad(
        [o for o, _ in active], wanted, [s for _, s in active], allow_unused=True, retain_graph=True
    )
    return [_like(gradient, leaf) for gradient, leaf in zip(found, wanted, strict=True)]


def _like(gradient: Tensor | None, leaf: Tensor) -> Tensor:
    """A gradient as autograd means it: zero where there is none, dense, in the dtype of its input."""
    if gradient is None:
        return torch.zeros_like(leaf)
    return (gradient.to_dense() if gradient.is_sparse else gradient).to(leaf.dtype)


def formula_gradient(flat: FlatSubject, cotangents: Tensor, *, budget: Budget | None = None) -> Estimate:
    """Enclose the gradients (C × N) that a subject's backward formulas give when nothing rounds.

    Args:
        flat: the subject at the point; its inputs count as exact.
        cotangents: C × M.
        budget: what the call may spend.

    Raises:
        NotCertifiedError: saying why there is no enclosure.
    """
    found = ball_values(gradient_view(flat, cotangents), budget=budget)
    shape = (cotangents.shape[0], flat.size)
    return replace(
        found, value=found.value.reshape(shape), bar=found.bar.reshape(shape), oracle="the backward formula",
        independent=False, tail=None,
    )  # fmt: skip


def operator_errors(flat: FlatSubject, *, budget: Budget | None = None) -> Audit:
    """Run a subject's graph in float64 and say how far each operator's result is off, alone.

    Args:
        flat: a subject, or the gradient view of one.
        budget: what the call may spend; operators that are left when it is spent are among the blocked.

    Raises:
        NotCertifiedError: when there is no graph.
    """
    subject = replace(flat.subject, function=flat.call, intermediates=None)
    point = Point(name="audit", values=flat.values, sizes={}, seed=None)
    try:
        graph = trace_aten(subject, point)
    except UntraceableError as reason:
        raise NotCertifiedError(f"there is no graph: {reason}") from reason
    auditor = _Auditor(graph.module, Work(budget or Budget()))
    auditor.run(*graph.arguments(flat.values))
    errors = sorted(auditor.errors, key=lambda error: -error.relative)
    return Audit(errors=tuple(errors), blocked=tuple(dict.fromkeys(auditor.blocked)))


class _Auditor(fx.Interpreter):
    """Runs a graph and looks at every operator that rounds."""

    def __init__(self, module: fx.GraphModule, work: Work) -> None:
        super().__init__(module)
        self.work = work
        self.errors: list[OperatorError] = []
        self.blocked: list[str] = []

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one operator, and hold its result against the enclosure."""
        result = super().call_function(target, args, kwargs)
        if not isinstance(target, OpOverload):
            return result
        name = target._schema.name.split("::")[-1]
        if not (name in MOVES or name in KEPT or name in PASSED_ON) and _numbers(result).numel():
            try:
                found = _operator_error(target, args, kwargs, result, self.work)
            except (NotCertifiedError, UndecidedError, LostTermError):
                self.blocked.append(str(target))
            else:
                self.errors.append(found)
        return result


def _operator_error(
    target: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, work: Work
) -> OperatorError:
    """Enclose one operator's result at its own arguments, and compare."""
    leaves, structure = tree_flatten((args, kwargs))
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def call(*tensors: Tensor) -> tuple[Any, ...]:
        filled = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        own_args, own_kwargs = tree_unflatten(filled, structure)
        found = target(*own_args, **own_kwargs)
        return tuple(found) if isinstance(found, (tuple, list)) else (found,)

    tensors = tuple(leaves[place].detach() for place in places)
    work.restart()
    module = lower_call(call, tensors)
    exact = _enclosure(module, tensors, work)
    relative = _relative(_numbers(result), exact)
    decomposed = None
    if not any(node.target is target for node in module.graph.nodes):
        decomposed = _relative(_numbers(module(*tensors)), exact)
    return OperatorError(operator=str(target).removesuffix(".default"), relative=relative, decomposed=decomposed)


def _enclosure(module: fx.GraphModule, tensors: tuple[Tensor, ...], work: Work) -> Tensor:
    """The floating-point results of a lowered graph, flat, each rounded once."""
    inputs = tuple(value if is_integral(value) else from_tensor(value) for value in tensors)
    with working_precision(BITS, 1):
        found = Interpreter(module).walk(Walk(work), inputs, frozenset())
        entries = [
            part
            for value in found
            if isinstance(value, Balls)
            for entry in value.flat()
            for part in ((real_part(entry), imaginary_part(entry)) if value.complex else (entry,))
        ]
        pairs = [to_double(entry) for entry in entries]
    sharp = [value if bar <= abs(value) * ROUNDING or bar < SMALLEST_NORMAL else torch.nan for value, bar in pairs]
    return torch.tensor(sharp, dtype=torch.float64)


def _numbers(result: Any) -> Tensor:
    """All floating-point results of an operator, flat, as float64."""
    parts = result if isinstance(result, (tuple, list)) else (result,)
    return real_vector([part.detach() for part in parts if isinstance(part, Tensor)]).to(torch.float64)


def _relative(actual: Tensor, exact: Tensor) -> float:
    """Largest error relative to its own entry; entries without an answer, and those that underflow, do not count.

    Raises:
        NotCertifiedError: when the two do not have the same number of entries, or no entry has an answer.
    """
    if actual.shape != exact.shape or bool(exact.isnan().all()):
        raise NotCertifiedError("an operator's results cannot be enclosed")
    known = exact.isfinite() & ((exact == 0) | (exact.abs() > SMALLEST_NORMAL))
    if not bool(known.any()):
        return 0.0
    gap = (actual[known] - exact[known]).abs()
    return float(torch.where(gap == 0, 0.0, gap / exact[known].abs()).nan_to_num(torch.inf, torch.inf).max())
