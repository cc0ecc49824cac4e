"""Rows of one problem evaluated and stepped as one computation: each a start, its data and a learning rate of its own.

Gradients come from `torch.func.vmap` over the rows, steps from `functional_steps`. When a row ends, and what happens
where rows cannot be evaluated together, is decided in `row_runs`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.case.schema import ConvergeModel
from harness.case.subject import Tensors
from harness.converge.functional_steps import Rows, row_steps
from harness.converge.objective import scalar_loss
from harness.converge.problem import Problem

Dims = dict[str, int | None]
"""By input: the dim that counts rows, None where all rows share it."""


class ApartError(Exception):
    """Rows cannot be evaluated together; the message says why."""


class Batch:
    """Rows that are evaluated and stepped together. Row i starts as `problems[owners[i]]` and steps at `rates[i]`."""

    def __init__(
        self, problems: Sequence[Problem], owners: Sequence[int], rates: Sequence[float], entry: ConvergeModel
    ) -> None:
        _check_units(problems)
        self.problems = tuple(problems)
        device = next(iter(problems[0].parameters.values())).device
        self._owners = torch.tensor(owners, device=device)
        starts = {
            name: torch.stack([problem.parameters[name].detach() for problem in problems])[self._owners]
            for name in problems[0].parameters
        }
        columns = torch.tensor(rates, dtype=torch.float64, device=device)
        self._steps = row_steps(entry.optimizer_name, entry.options, starts, columns)
        self._own = {name for name in problems[0].data if not _alike([problem.data[name] for problem in problems])}
        self._whole = self._gather([problem.data for problem in problems])

    @property
    def parameters(self) -> Rows:
        """The rows' parameters, (B, …) each."""
        return self._steps.parameters

    def flat(self) -> Tensor:
        """Return all parameters of every row, (B, n)."""
        return torch.cat([tensor.reshape(len(tensor), -1) for tensor in self.parameters.values()], dim=1)

    def advance(self) -> tuple[Tensor, Rows]:
        """Draw the next step's data; return the losses (B,) and gradients there."""
        for problem in self.problems:
            problem.batch = problem.data if problem.stream is None else next(problem.stream)
        return self.evaluate()

    def evaluate(self) -> tuple[Tensor, Rows]:
        """Return losses (B,) and gradients on the current step's data."""
        seen = [problem.data if problem.batch is None else problem.batch for problem in self.problems]
        moving = self.problems[0].stream is not None
        values, dims = self._gather(seen, moving=True) if moving else self._whole
        gradients, losses = _vmap(_differentiated(self.problems[0]), dims)(dict(self.parameters), values)
        return losses.detach(), {name: gradient.detach() for name, gradient in gradients.items()}

    def levels(self) -> Tensor:
        """Return the losses (B,) on the whole data."""
        values, dims = self._whole
        losses: Tensor = _vmap(_loss(self.problems[0]), dims)(dict(self.parameters), values)
        return losses.detach()

    def step(self, gradients: Rows) -> None:
        """Take one step of every row."""
        self._steps.step(gradients)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows alone (positions, ascending)."""
        self._steps.keep(rows)
        self._owners = self._owners[rows]
        values, dims = self._whole
        self._whole = {name: value if dims[name] is None else value[rows] for name, value in values.items()}, dims

    def check_start(self, losses: Tensor, gradients: Rows) -> None:
        """Hold the first evaluation against each problem's own, from which only rounding may part it.

        √ε of the largest entry is far above rounding and far below what a wrong batching rule does; a problem it is too
        narrow for merely runs one row at a time.

        Raises:
            ApartError: they differ.
        """
        for place, problem in enumerate(self.problems):
            own = problem.evaluate()
            rows = (self._owners == place).nonzero().squeeze(1)
            pairs = [(losses[rows], own)]
            pairs += [(gradients[name][rows], _gradient(tensor)) for name, tensor in problem.parameters.items()]
            if not all(_near(rows_of, one) for rows_of, one in pairs):
                raise ApartError("the function gives something else when its rows are evaluated together")

    def _gather(self, seen: Sequence[Tensors], *, moving: bool = False) -> tuple[dict[str, Tensor], Dims]:
        """Return the data of every row, with the dim that counts rows; None where all rows share them.

        With `moving`, only what is not the problems' own data is gathered, the rest is there already.
        """
        values: dict[str, Tensor] = {}
        dims: Dims = {}
        for name, first in seen[0].items():
            fixed = moving and first is self.problems[0].data[name]
            if fixed:
                values[name], dims[name] = self._whole[0][name], self._whole[1][name]
            elif len(seen) == 1 or (name not in self._own and not moving):
                values[name], dims[name] = first, None
            else:
                values[name], dims[name] = torch.stack([one[name] for one in seen])[self._owners], 0
        return values, dims


def _loss(problem: Problem) -> Callable[..., Tensor]:
    """Return the loss of one row as a function of its parameters and data."""
    subject = problem.subject
    return lambda parameters, data: scalar_loss(subject, data, parameters)


def _differentiated(problem: Problem) -> Callable[..., tuple[dict[str, Tensor], Tensor]]:
    """Return (gradients, loss) of one row as a function of its parameters and data."""
    loss, subject = _loss(problem), problem.subject
    if not problem.analytic or subject.gradient is None:
        found: Callable[..., tuple[dict[str, Tensor], Tensor]] = torch.func.grad_and_value(loss)
        return found
    formula = subject.gradient

    def analytic(parameters: Tensors, data: Tensors) -> tuple[dict[str, Tensor], Tensor]:
        value = loss(parameters, data)
        inputs = {name: parameters[name] if name in parameters else data[name] for name in subject.inputs}
        given = formula(inputs, (torch.ones_like(value),))
        # What is missing or misshapen raises here, and again, with its explanation, where the problem runs by itself.
        return {
            name: torch.broadcast_to(given[name].to(part.dtype), part.shape) for name, part in parameters.items()
        }, value

    return analytic


def _vmap(function: Callable[..., Any], dims: Dims) -> Callable[..., Any]:
    """Return a function of (parameters, data) over rows, quiet about operators that vmap only loops over."""
    over = torch.func.vmap(function, in_dims=(0, dims))

    def quiet(*values: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop", category=UserWarning)
            return over(*values)

    return quiet


def _alike(tensors: Sequence[Tensor]) -> bool:
    """Return whether all are equal."""
    return all(tensor is tensors[0] or torch.equal(tensor, tensors[0]) for tensor in tensors[1:])


def _check_units(problems: Sequence[Problem]) -> None:
    """Refuse problems whose functions differ: of relative parameters, each start makes its own."""
    units = [problem.units for problem in problems]
    first = units[0]
    if first is not None and not all(_alike([unit[name] for unit in units if unit is not None]) for name in first):
        raise ApartError("each seed's parameters are relative to a start of its own")


def _near(rows: Tensor, one: Tensor) -> bool:
    """Return whether every row (k, …) is `one` (…) up to √ε of its largest entry; NaN equals NaN."""
    if not one.numel():
        return True
    bar = math.sqrt(torch.finfo(one.dtype).eps) * float(torch.nan_to_num(one).abs().max())
    return torch.allclose(rows, one.expand_as(rows), rtol=0.0, atol=bar, equal_nan=True)


def _gradient(parameter: Tensor) -> Tensor:
    """Return a parameter's `.grad`, zeros where it has none."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.to_dense()
