"""Walks a lowered graph once in ball arithmetic, node by node.

Tensors of numbers are balls, tensors of integers and truth values are torch's own. An operator on integers alone, or
that makes constants, is torch's; one that moves data is `moves`; every other has a rule or is named in the refusal.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from harness.oracle.ball import compare, elementwise, fourier, linalg, parts, products, reductions, rounding, scatter
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.moves import MOVES, STRIDED, move
from harness.oracle.ball.rules import Rule
from harness.oracle.ball.values import Balls, dtype_is_integral, is_integral
from harness.oracle.ball.walk import Walk

RULE_MODULES = (compare, elementwise, fourier, linalg, parts, products, reductions, rounding, scatter)
"""Imported for the rules they enter in the table."""
NO_NUMBERS = frozenset(
    [
        "layout",
        "device",
        "pin_memory",
        "memory_format",
        "non_blocking",
        "implicit",
        "copy",
        "dtype",
        "out_dtype",
        "generator",
        "sparse_grad",
    ]
)
"""Arguments that do not change exact results, unless a rule asks for them."""
LIKE = frozenset(
    [
        "zeros_like",
        "ones_like",
        "full_like",
        "new_zeros",
        "new_ones",
        "new_full",
        "empty_like",
        "new_empty",
        "new_empty_strided",
    ]
)
"""Operators that read a tensor's shape alone."""
RANDOM = torch.Tag.nondeterministic_seeded


class Interpreter:
    """A lowered graph that can be walked many times.

    Args:
        module: the graph.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        self.module = module
        self.nodes = list(module.graph.nodes)
        self.placeholders = [node for node in self.nodes if node.op == "placeholder"]
        returned = module.graph.output_node().args[0]
        self.returned = tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)

    def walk(self, walk: Walk, inputs: tuple[Any, ...], changed: frozenset[int]) -> list[Any]:
        """Compute every node.

        Args:
            walk: the pass; results of the constant pass it builds on are taken where nothing changed.
            inputs: a tensor of balls, or of integers, per placeholder.
            changed: which inputs differ from the constant pass.

        Returns:
            What the graph returns: tensors of balls or of integers.
        """
        environment = walk.values
        touched: set[fx.Node] = set()
        for position, node in enumerate(self.placeholders):
            environment[node] = inputs[position]
            if position in changed:
                touched.add(node)
        for node in self.nodes:
            if node.op in ("placeholder", "output"):
                continue
            base = walk.base
            if base is not None and touched.isdisjoint(node.all_input_nodes):
                environment[node] = base.values[node]
                continue
            walk.enter(node)
            environment[node] = self._compute(walk, node)
            if walk.dense or _is_touched(environment[node]):
                touched.add(node)
        return [environment[node] if isinstance(node, fx.Node) else node for node in self.returned]

    def _compute(self, walk: Walk, node: fx.Node) -> Any:
        if node.op == "get_attr":
            value = getattr(self.module, str(node.target))
            return _exact(walk, value)
        arguments = fx.map_arg(node.args, lambda n: walk.values[n])
        keywords = fx.map_arg(node.kwargs, lambda n: walk.values[n])
        if node.target is operator.getitem:
            return _item(node, arguments)
        if not isinstance(node.target, OpOverload):
            raise NotCertifiedError(f"{getattr(node.target, '__name__', node.target)} has no ball rule")
        return apply(walk, node, node.target, arguments, keywords)


def _is_touched(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_is_touched(part) for part in value)
    return isinstance(value, Balls) and value.active is not None


def _item(node: fx.Node, arguments: tuple[Any, ...]) -> Any:
    found = arguments[0][arguments[1]]
    if found is None:
        source = node.args[0]
        name = source.target if isinstance(source, fx.Node) else source
        raise NotCertifiedError(f"result {arguments[1]} of {name} has no ball rule")
    return found


def apply(
    walk: Walk, node: fx.Node, target: OpOverload, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> Any:
    """Run one operator."""
    name, text = target._schema.name.split("::")[-1], str(target).removesuffix(".default")
    if RANDOM in target.tags:
        raise NotCertifiedError(f"{text} is random")
    bound = _bind(target, arguments, keywords)
    flat: list[Any] = []
    _leaves(bound, flat)
    balls = any(isinstance(value, Balls) for value in flat)
    tensors = balls or any(isinstance(value, Tensor) for value in flat)
    if not balls and (not tensors or _makes_integers(node)):
        return _plain(walk, target, arguments, keywords)
    if name in LIKE:
        return _plain(walk, target, (_blank(arguments[0]), *arguments[1:]), keywords)
    rule = walk.rule(name, target._overloadname)
    if rule is None and name in MOVES and "reduce" not in target._overloadname:
        _refuse_strides(node, name)
        return _guarded(text, lambda: move(walk, name, target, bound))
    if rule is None:
        raise NotCertifiedError(f"{text} has no ball rule")
    accepted = _accepted(rule, bound, target, text)
    return _guarded(text, lambda: rule(walk, **accepted))


def _guarded(text: str, compute: Callable[[], Any]) -> Any:
    """Name the operator when its rule, or FLINT below it, cannot take its arguments."""
    try:
        return compute()
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError) as reason:
        line = str(reason).splitlines()[0][:200] if str(reason) else ""
        raise NotCertifiedError(f"{text} stops in ball arithmetic with {type(reason).__name__}: {line}") from reason


def _bind(target: OpOverload, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by schema name; those left at their defaults are absent."""
    bound = {argument.name: value for argument, value in zip(target._schema.arguments, arguments, strict=False)}
    return {**bound, **keywords}


def _accepted(rule: Rule, bound: Mapping[str, Any], target: OpOverload, text: str) -> dict[str, Any]:
    """Arguments under the names a rule has for them; refuses what a rule does not know."""
    known, anything = _parameters(rule)
    defaults = {a.name: a.default_value for a in target._schema.arguments if a.has_default_value()}
    accepted: dict[str, Any] = {}
    for name, value in bound.items():
        own = "a" if name == "self" else name
        if own in known or anything:
            accepted[own] = value
        elif name not in NO_NUMBERS and not (name in defaults and _same(defaults[name], value)):
            raise NotCertifiedError(f"{text} with {name}={value!r:.40} has no ball rule")
    return accepted


def _same(default: Any, value: Any) -> bool:
    return not isinstance(value, (Balls, Tensor)) and (default == value or value is None)


@lru_cache(maxsize=1024)
def _parameters(rule: Callable[..., Any]) -> tuple[frozenset[str], bool]:
    found = inspect.signature(rule).parameters.values()
    return frozenset(p.name for p in found), any(p.kind is p.VAR_KEYWORD for p in found)


def _leaves(value: Any, into: list[Any]) -> None:
    if isinstance(value, (list, tuple)):
        for part in value:
            _leaves(part, into)
    elif isinstance(value, Mapping):
        _leaves(list(value.values()), into)
    else:
        into.append(value)


def _makes_integers(node: fx.Node) -> bool:
    value = node.meta.get("val")
    values = value if isinstance(value, (list, tuple)) else (value,)
    return all(isinstance(v, Tensor) and dtype_is_integral(v.dtype) for v in values)


def _plain(walk: Walk, target: OpOverload, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
    """Run an operator itself; floating results become balls of their doubles."""
    found = target(*arguments, **keywords)
    if isinstance(found, (list, tuple)):
        return [_exact(walk, part) for part in found]
    return _exact(walk, found)


def _exact(walk: Walk, value: Any) -> Any:
    return walk.ball(value) if isinstance(value, Tensor) and not is_integral(value) else value


def _blank(value: Any) -> Any:
    """Zeros in the shape of a tensor of balls."""
    if not isinstance(value, Balls):
        return value
    return torch.zeros(value.shape, dtype=torch.complex128 if value.complex else torch.float64)


def _refuse_strides(node: fx.Node, name: str) -> None:
    if name not in STRIDED:
        return
    source = node.args[0]
    value = source.meta.get("val") if isinstance(source, fx.Node) else None
    if not isinstance(value, Tensor) or not value.is_contiguous() or value.storage_offset():
        raise NotCertifiedError(f"aten.{name} on a layout that is not contiguous has no ball rule")
