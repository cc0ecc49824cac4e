"""One step of many rows at once, each at a learning rate of its own, taken by the optimizer's own class.

A row is one descent. Its parameters are one slice of stacked tensors (B, …), and an optimizer whose rule treats every
entry by itself cannot tell B descents from one with B times the entries; only the learning rate is one number for all.
Two ways around that, both with the class's own `step`:

- scaled: where a step is the rate times something that depends on neither the rate nor the parameters, the optimizer
  steps at rate 1 from zero, and each row adds its own rate times what came out;
- grouped: the rows of each rate are a parameter group of their own.

Which rules qualify is written down here from their published formulas, not found out: whatever is not on the lists
runs one row at a time, elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from harness.converge.optimizers import GD, GradientDescent, Option, hyperparameter, optimizer_class

SCALED = frozenset(
    {GD, "SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta"},
)
"""Optimizers whose step is proportional to the rate, as long as no weight decay brings the parameters in."""
GROUPED = frozenset({*SCALED, "ASGD", "Rprop"} - {GD})
"""Optimizers whose rule treats every entry by itself."""
MIXING = ("differentiable", "capturable")
"""Options under which a step is another computation than the plain one."""

Rows = Mapping[str, Tensor]
"""By parameter: a tensor whose first dim counts rows."""


class RowSteps(Protocol):
    """Steps rows; `parameters` are theirs, changed in place by `step` and replaced by `keep`."""

    parameters: dict[str, Tensor]

    def step(self, gradients: Rows) -> None:
        """Take one step of every row from its gradient, of the parameters' shapes."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows alone (positions, ascending), each with its own state."""


def why_not_together(optimizer: object, options: Mapping[str, Option]) -> str | None:
    """Say why rows of this optimizer cannot be stepped together; None where they can.

    Args:
        optimizer: its name, or whatever else a case may give in its place.
        options: as for its class.
    """
    if not isinstance(optimizer, str):
        return "an optimizer of one's own may mix the entries of a parameter"
    if optimizer not in SCALED | GROUPED:
        return f"the rule of {optimizer} is not one that treats every entry by itself"
    mixing = [option for option in MIXING if options.get(option)]
    return f"{mixing[0]}=True makes its step another computation" if mixing else None


def row_steps(optimizer: str, options: Mapping[str, Option], parameters: Rows, rates: Tensor) -> RowSteps:
    """Return what steps these rows.

    Args:
        optimizer: one for which `why_not_together` finds no reason.
        options: its options; `lr` is taken from `rates` instead.
        parameters: stacked, (B, …) each; copied.
        rates: learning rates (B,), float64, equal ones side by side.
    """
    others: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items() if name != "lr"
    }
    own = {name: tensor.detach().clone() for name, tensor in parameters.items()}
    if optimizer in SCALED and hyperparameter(optimizer, options, "weight_decay") == 0.0:
        return ScaledSteps(optimizer, others, own, rates)
    return GroupedSteps(optimizer, others, own, rates)


class ScaledSteps:
    """The optimizer steps at rate 1 from zeros; each row adds its own rate times the result."""

    def __init__(
        self, optimizer: str, options: Mapping[str, Any], parameters: dict[str, Tensor], rates: Tensor
    ) -> None:
        self.parameters = parameters
        self._moves = {name: torch.zeros_like(tensor) for name, tensor in parameters.items()}
        self._rates = {name: _columns(rates, tensor) for name, tensor in parameters.items()}
        self._optimizer = optimizer_class(optimizer)(list(self._moves.values()), lr=1.0, **options)

    @torch.no_grad()
    def step(self, gradients: Rows) -> None:
        """Take one step of every row."""
        for name, move in self._moves.items():
            move.zero_().grad = gradients[name]
        self._optimizer.step()
        for name, parameter in self.parameters.items():
            parameter.addcmul_(self._moves[name], self._rates[name])

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows alone."""
        self.parameters = {name: tensor[rows] for name, tensor in self.parameters.items()}
        self._rates = {name: tensor[rows] for name, tensor in self._rates.items()}
        moves = {name: tensor[rows] for name, tensor in self._moves.items()}
        if isinstance(self._optimizer, GradientDescent):
            self._optimizer.parameters = tuple(moves.values())
        else:
            self._optimizer.param_groups[0]["params"] = list(moves.values())
            for name, move in moves.items():
                _carry(self._optimizer, self._moves[name], move, rows)
        self._moves = moves


class GroupedSteps:
    """The rows of each rate are a parameter group; its tensors are views of the stacked parameters."""

    def __init__(
        self, optimizer: str, options: Mapping[str, Any], parameters: dict[str, Tensor], rates: Tensor
    ) -> None:
        self.parameters = parameters
        levels, counts = torch.unique_consecutive(rates, return_counts=True)
        self._sizes = counts.tolist()
        self._views = self._split(parameters)
        groups = [
            {"params": list(views.values()), "lr": rate}
            for views, rate in zip(self._views, levels.tolist(), strict=True)
        ]
        self._optimizer: torch.optim.Optimizer = optimizer_class(optimizer)(groups, **options)

    @torch.no_grad()
    def step(self, gradients: Rows) -> None:
        """Take one step of every row."""
        for views, parts in zip(self._views, self._split(gradients), strict=True):
            for name, view in views.items():
                view.grad = parts[name]
        self._optimizer.step()

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows alone; a group without any is left out."""
        parts = torch.arange(sum(self._sizes), device=rows.device).split(self._sizes)
        chosen = [torch.isin(part, rows).nonzero().squeeze(1) for part in parts]
        old, groups = self._views, self._optimizer.param_groups
        kept = [place for place, own in enumerate(chosen) if len(own)]
        self.parameters = {name: tensor[rows] for name, tensor in self.parameters.items()}
        self._sizes = [len(chosen[place]) for place in kept]
        self._views = self._split(self.parameters)
        for views, place in zip(self._views, kept, strict=True):
            groups[place]["params"] = list(views.values())
            for name, view in views.items():
                _carry(self._optimizer, old[place][name], view, chosen[place])
        for place in set(range(len(old))) - set(kept):
            for view in old[place].values():
                self._optimizer.state.pop(view, None)
        self._optimizer.param_groups[:] = [groups[place] for place in kept]

    def _split(self, rows: Rows) -> list[dict[str, Tensor]]:
        """Return the rows of each group, as views."""
        parts = {name: tensor.split(self._sizes) for name, tensor in rows.items()}
        return [{name: part[place] for name, part in parts.items()} for place in range(len(self._sizes))]


def _columns(rates: Tensor, parameter: Tensor) -> Tensor:
    """Return rates (B,) shaped to multiply a parameter (B, …), in its dtype."""
    return rates.to(parameter).reshape(-1, *[1] * (parameter.ndim - 1))


def _carry(optimizer: torch.optim.Optimizer, old: Tensor, new: Tensor, rows: Tensor) -> None:
    """Hand the state of `old` on to `new`: of what has a row per row, these rows; counters as they are."""
    state = optimizer.state.pop(old, None)
    if state is not None:
        optimizer.state[new] = {
            key: value[rows] if isinstance(value, Tensor) and value.shape == old.shape else value
            for key, value in state.items()
        }
