"""Breaks a traced graph down to the operators the rules know, with torch's own decompositions for all others.

It starts from a graph that is known to be the subject; decompositions are torch's and are trusted to keep the function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch._decomp import decomposition_table
from torch._ops import OpOverload
from torch.fx.experimental.proxy_tensor import make_fx

from harness.case.subject import Point, Subject
from harness.graph.aten import UntraceableError, trace_aten
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.moves import MOVES
from harness.oracle.ball.rules import find_rule

KEPT = frozenset(
    [
        "scalar_tensor",
        "full",
        "arange",
        "zeros",
        "ones",
        "eye",
        "zeros_like",
        "ones_like",
        "full_like",
        "new_zeros",
        "new_ones",
        "new_full",
    ]
)
"""Operators that make constants: run as they are."""


def lower(subject: Subject, point: Point) -> tuple[fx.GraphModule, tuple[str, ...], int]:
    """Trace a subject at a point to operators with ball rules, as far as torch can decompose the others.

    Returns:
        The graph (placeholders in the order of the names), the inputs' names, and the number of outputs.

    Raises:
        NotCertifiedError: saying why there is no graph.
    """
    try:
        graph = trace_aten(subject, point)
    except UntraceableError as reason:
        raise NotCertifiedError(f"there is no graph: {reason}") from reason
    arguments = graph.arguments({name: value.detach() for name, value in point.values.items()})
    module = graph.module
    if any(_wanted(node.target) for node in module.graph.nodes):
        module = _decomposed(module, arguments)
    return module, graph.inputs, graph.outputs


def lower_call(function: Callable[..., Any], arguments: tuple[Tensor, ...]) -> fx.GraphModule:
    """Record what a function of tensors does, to operators with ball rules as far as torch can decompose the others.

    Raises:
        NotCertifiedError: when torch's decompositions stop.
    """
    module = function if isinstance(function, fx.GraphModule) else _trace(function, arguments, None)
    return _decomposed(module, arguments) if any(_wanted(node.target) for node in module.graph.nodes) else module


def _decomposed(module: fx.GraphModule, arguments: tuple[Tensor, ...]) -> fx.GraphModule:
    table = {op: how for op, how in decomposition_table.items() if isinstance(op, OpOverload) and _wanted(op)}
    try:
        found = _trace(module, arguments, table)
        if any(_is_mutable(node.target) for node in found.graph.nodes):
            # Decompositions may write in place; recording what they recorded once more gives each version its own node.
            found = _trace(torch.func.functionalize(found, remove="mutations"), arguments, None)
            _drop_write_backs(found)
    except Exception as reason:  # torch's own decompositions run here and may raise anything
        text = str(reason).splitlines()[0][:200] if str(reason) else ""
        raise NotCertifiedError(f"torch's decompositions stop with {type(reason).__name__}: {text}") from reason
    found.graph.eliminate_dead_code()
    return found


def _drop_write_backs(module: fx.GraphModule) -> None:
    """Remove the copies into the inputs (running statistics, say): the outputs are what is certified."""
    for node in list(module.graph.nodes):
        if node.target is torch.ops.aten.copy_.default and node.args[0].op == "placeholder":
            node.replace_all_uses_with(node.args[1])
            module.graph.erase_node(node)
    module.recompile()


def _trace(function: Callable[..., Any], arguments: tuple[Tensor, ...], table: Any) -> fx.GraphModule:
    found: fx.GraphModule = make_fx(function, decomposition_table=table)(*(a.clone() for a in arguments))
    return found


def _wanted(target: Any) -> bool:
    """Whether an operator has to be decomposed: nothing here computes it."""
    if not isinstance(target, OpOverload):
        return False
    name = target._schema.name.split("::")[-1]
    return not (name in MOVES or name in KEPT or find_rule(name, target._overloadname) is not None)


def _is_mutable(target: Any) -> bool:
    return isinstance(target, OpOverload) and target._schema.is_mutable
