"""Steps that `torch.compile` has compiled, and at how many of them compiled code ran at all.

`torch.compile` runs as ordinary Python what it cannot compile, without a word: PyTorch excludes LBFGS and SparseAdam,
and Adafactor's step reads a number from a tensor before it computes anything. Comparing such steps would say nothing,
so operations are counted.

It cannot see what the compiler did to an operation, only that it was given some.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._dynamo import lookup_backend


@dataclass(slots=True)
class CompiledStep:
    """A step function, compiled by Inductor without tuning, that counts its steps and those that ran compiled code."""

    step: Callable[..., Any]
    steps: int = 0
    compiled: int = 0
    """Steps at which at least one compiled operation ran."""
    _calls: int = 0
    _function: Callable[..., Any] = field(init=False)

    def __post_init__(self) -> None:
        torch.compiler.reset()  # what was compiled before counts against the limit of recompilations
        torch.compile(_nothing, backend="eager")
        # At its first compilation PyTorch withdraws the steps it excludes; one that was bound before is stale.
        owner = getattr(self.step, "__self__", None)
        step = self.step if owner is None else getattr(owner, self.step.__name__)
        self._function = torch.compile(step, backend=self._backend)

    def __call__(self, *given: Any) -> Any:
        """Take a step and return what it returned."""
        before = self._calls
        result = self._function(*given)
        self.steps += 1
        self.compiled += self._calls > before
        return result

    def _backend(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        """Compile a graph by Inductor, and count its calls where it holds any operation."""
        function: Callable[..., Any] = lookup_backend("inductor")(graph, inputs)
        if not any(node.op.startswith("call_") for node in graph.graph.nodes):
            return function

        def counted(*arguments: Any) -> Any:
            self._calls += 1
            return function(*arguments)

        return counted


def _nothing() -> None:
    """Be compiled."""
