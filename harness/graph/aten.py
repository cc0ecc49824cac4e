"""Turns a subject into a graph of ATen operators, as recorded by `make_fx` at one point.

Drawings and interpreters of the graph read what this returns. It never guesses: a subject whose graph would not be the
subject (its values leave torch, branch on data, or come from an operator the tracer cannot see) raises with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch._decomp import core_aten_decompositions
from torch._ops import OpOverload
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode

from harness.case.subject import Point, Subject

aten = torch.ops.aten

REPLAY_TOLERANCE = 1e-9
"""Largest relative difference between subject and replayed graph: the same float64 operators in the same order."""

RESHAPED_IN_PLACE: Mapping[object, OpOverload] = {
    aten.squeeze_.default: aten.squeeze.default,
    aten.squeeze_.dim: aten.squeeze.dim,
    aten.squeeze_.dims: aten.squeeze.dims,
    aten.unsqueeze_.default: aten.unsqueeze.default,
    aten.t_.default: aten.t.default,
    aten.transpose_.default: aten.transpose.int,
}
"""torch's own matmul reshapes its intermediate results in place, which leaves their data alone."""

Flat = Callable[..., tuple[Tensor, ...]]
Decompositions = Mapping[OpOverload, Callable[..., Any]]


class UntraceableError(Exception):
    """A subject has no ATen graph; the message is the reason, and a report may show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtenGraph:
    """A subject as ATen operators.

    Args:
        module: one placeholder per input, in the order of `inputs`; returns the outputs, then the intermediates.
        inputs: the subject's input names.
        outputs: how many of the results are outputs.
        intermediates: names of the results after the outputs.
    """

    module: fx.GraphModule
    inputs: tuple[str, ...]
    outputs: int
    intermediates: tuple[str, ...]

    @property
    def results(self) -> tuple[fx.Node, ...]:
        """The nodes that make the outputs and then the intermediates."""
        returned = self.module.graph.output_node().args[0]
        nodes = returned if isinstance(returned, (tuple, list)) else (returned,)
        return tuple(node for node in nodes if isinstance(node, fx.Node))

    def arguments(self, values: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Order named tensors as the module takes them."""
        return tuple(values[name] for name in self.inputs)


class _NoEscape(TorchFunctionMode):
    """Refuses the calls by which a tensor's value leaves torch unseen; the tracer would freeze it as a constant."""

    EXITS = frozenset({Tensor.numpy, Tensor.__array__, Tensor.data_ptr, Tensor.__dlpack__})

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if func in self.EXITS:
            raise UntraceableError(f"a value leaves torch through Tensor.{getattr(func, '__name__', 'numpy')}")
        return func(*args, **(kwargs or {}))


def trace_aten(subject: Subject, point: Point, *, decompose: bool = False) -> AtenGraph:
    """Record the ATen operators a subject runs at a point.

    The graph is then replayed at slightly shifted inputs against the subject, which catches what the tracer cannot see
    (values frozen as constants, randomness). A branch on data that flips far from the point is refused, not followed.

    Args:
        subject: the function under test.
        point: where it is run; the graph is specific to the point's shapes and dtypes.
        decompose: break operators down to the core ATen set, for an interpreter that knows few operators.

    Returns:
        The graph, free of in-place operators and of dead code.

    Raises:
        UntraceableError: with the reason, when the graph would not be the subject.
    """
    names = tuple(subject.inputs)
    arguments = tuple(point.values[name].detach().clone() for name in names)
    flat, intermediates = _flatten(subject, names, arguments)
    with _reasons():
        module = _record(flat, arguments, decompose=decompose)
        module.graph.eliminate_dead_code()
        graph = AtenGraph(
            module=module,
            inputs=names,
            outputs=len(flat(*_copies(arguments))) - len(intermediates),
            intermediates=intermediates,
        )
        _check_replay(graph, flat, tuple(map(_shift, arguments)))
    return graph


def _flatten(subject: Subject, names: Sequence[str], arguments: Sequence[Tensor]) -> tuple[Flat, tuple[str, ...]]:
    """Make the subject a function of positional tensors, which returns its named intermediates after its outputs."""

    def plain(*tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(subject.function(dict(zip(names, tensors, strict=True))))

    inner = subject.intermediates
    if inner is None:
        return plain, ()
    with _reasons():
        values, _ = inner(dict(zip(names, _copies(arguments), strict=True)))
    kept = tuple(name for name, value in values.items() if isinstance(value, Tensor))

    def named(*tensors: Tensor) -> tuple[Tensor, ...]:
        values, outputs = inner(dict(zip(names, tensors, strict=True)))
        return (*outputs, *(values[name] for name in kept))

    return named, kept


def _record(flat: Flat, arguments: Sequence[Tensor], *, decompose: bool) -> fx.GraphModule:
    table = dict(core_aten_decompositions()) if decompose else None
    module = _make(flat, arguments, table)
    if _mutators(module):
        # Values that change under their readers cannot be put on nodes; the rewrite gives each version its own node. It
        # starts from the recording: what composite operators write in place inside themselves is seen there only, and
        # an autograd.Function need not know torch.func.
        module = _rewritten(module, arguments, table)
    if _mutators(module):
        raise UntraceableError(f"it changes values in place ({_mutators(module)[0].name})")
    return module


def _make(flat: Flat, arguments: Sequence[Tensor], table: Decompositions | None) -> fx.GraphModule:
    with _NoEscape():
        module: fx.GraphModule = make_fx(flat, decomposition_table=table)(*_copies(arguments))
    for node in module.graph.nodes:
        if node.target in RESHAPED_IN_PLACE and len(node.all_input_nodes[0].users) == 1:
            node.target = RESHAPED_IN_PLACE[node.target]
    module.recompile()
    return module


def _rewritten(function: Flat, arguments: Sequence[Tensor], table: Decompositions | None) -> fx.GraphModule:
    """Record a function with its in-place operators made pure."""
    module = _make(torch.func.functionalize(function, remove="mutations"), arguments, table)
    _drop_write_backs(module)
    return module


def _drop_write_backs(module: fx.GraphModule) -> None:
    """Remove the copies into the inputs with which the rewrite ends: the graph is about the outputs."""
    for node in module.graph.find_nodes(op="call_function", target=aten.copy_.default):
        written, value = node.args[0], node.args[1]
        if isinstance(written, fx.Node) and isinstance(value, fx.Node) and written.op == "placeholder":
            node.replace_all_uses_with(value)
            module.graph.erase_node(node)
    module.recompile()


def _mutators(module: fx.GraphModule) -> list[fx.Node]:
    nodes = module.graph.nodes
    return [node for node in nodes if isinstance(node.target, OpOverload) and node.target._schema.is_mutable]


def _copies(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(tensor.clone() for tensor in tensors)


def _shift(tensor: Tensor) -> Tensor:
    """Move values a little: enough to see a frozen constant, little enough to stay in most domains."""
    return tensor * (1 + 2.0**-10) if tensor.is_floating_point() or tensor.is_complex() else tensor


def _check_replay(graph: AtenGraph, flat: Flat, arguments: Sequence[Tensor]) -> None:
    expected = flat(*_copies(arguments))
    actual = graph.module(*_copies(arguments))
    for ours, theirs in zip(actual, expected, strict=True):
        if ours.dtype != theirs.dtype or not torch.allclose(
            ours, theirs, rtol=REPLAY_TOLERANCE, atol=0.0, equal_nan=True
        ):
            raise UntraceableError(
                "the recorded graph does not repeat the subject at other inputs: it is random or opaque"
            )


@contextmanager
def _reasons() -> Iterator[None]:
    """Name the reason when the tracer, or the subject's own code inside it, gives up."""
    try:
        yield
    except UntraceableError:
        raise
    except Exception as error:  # the subject's code runs here and may raise anything
        text = str(error)
        if "data-dependent control flow" in text or "_local_scalar_dense" in text:
            raise UntraceableError("its control flow depends on the data") from error
        first = text.splitlines()[0][:200] if text else ""
        raise UntraceableError(f"tracing stopped with {type(error).__name__}: {first}") from error
