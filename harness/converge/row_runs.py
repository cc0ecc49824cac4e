"""Many descents of one problem, at every learning rate from every seed, until each has ended.

Together where the optimizer and the function allow it (`batched`): rows that have ended are dropped, and rows are taken
in chunks that bound memory. Otherwise one by one, and the reason is part of the answer. What a row's end means is not
judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.case.schema import ConvergeModel
from harness.converge.batched import ApartError, Batch
from harness.converge.descent import Rules, kept_steps
from harness.converge.functional_steps import Rows, why_not_together
from harness.converge.loop import equip
from harness.converge.optimizers import Chosen, make_optimizer
from harness.converge.problem import Problem
from harness.converge.row_watch import RowEnd, RowWatch
from harness.converge.stepping import needs_closure, take_step

NUMBERS = 2**24
"""Numbers that the rows of one chunk may hold together: 128 MiB in float64."""
PARAMETER_COPIES = 8
"""Numbers held per parameter and row: itself, gradient, optimizer state, moves, what vmap keeps."""
DATA_COPIES = 4
"""Numbers held per datum and row: its own copy, and intermediate values of that size."""
CROWDED = 0.75
"""Share of rows still going below which the others are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRun:
    """How every row ended: `ends[i][j]` is rate i from seed j. `apart` says why rows ran one by one; None: together."""

    ends: tuple[tuple[RowEnd, ...], ...]
    apart: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the rows have in common. `minima[j]` (m, n) belongs to seed j; None where no minimum is known."""

    make: Callable[[int], Problem]
    """Makes a seed's problem, at its start, anew."""
    entry: ConvergeModel
    optimizer: Chosen
    rules: Rules
    seeds: tuple[int, ...]
    minima: tuple[Tensor | None, ...]

    def minima_of(self, places: Sequence[int]) -> Tensor | None:
        """Return the minima of some seeds, (B, m, n)."""
        known = [values for values in (self.minima[place] for place in places) if values is not None]
        return torch.stack(known) if known else None


def run_rows(wanted: Wanted, rates: Sequence[float], *, together: bool = True) -> RowRun:
    """Descend at every rate from every seed, until arrival or any other end.

    Args:
        wanted: the problem, optimizer and rules.
        rates: learning rates, ascending.
        together: whether rows may run together at all.

    Raises:
        UsageError: the problem cannot be descended on, with this optimizer.
    """
    apart = why_not_together(wanted.optimizer, wanted.entry.options) if together else "asked for"
    rows = [(rate, place) for rate in rates for place in range(len(wanted.seeds))]
    ends: list[RowEnd] = []
    if apart is None:
        try:
            size = rows_at_once(wanted.make(wanted.seeds[0]))
            for first in range(0, len(rows), size):
                ends += _chunk(wanted, rows[first : first + size])
        except ApartError as error:
            apart = str(error)
    if apart is not None:
        ends = [_alone(wanted, rate, place) for rate, place in rows]
    count = len(wanted.seeds)
    return RowRun(ends=tuple(tuple(ends[at : at + count]) for at in range(0, len(ends), count)), apart=apart)


def rows_at_once(problem: Problem) -> int:
    """Return how many rows a chunk may have."""
    parameters = sum(tensor.numel() for tensor in problem.parameters.values())
    data = sum(tensor.numel() for tensor in problem.data.values())
    return max(1, NUMBERS // max(1, PARAMETER_COPIES * parameters + DATA_COPIES * data))


def _chunk(wanted: Wanted, rows: Sequence[tuple[float, int]]) -> list[RowEnd]:
    """Run rows of (rate, seed's place) together, and return their ends in order."""
    places = sorted({place for _, place in rows})
    problems = [wanted.make(wanted.seeds[place]) for place in places]
    if problems[0].loop is not None:
        raise ApartError("its training loop does more at a step than to evaluate one loss")
    batch = Batch(problems, [places.index(place) for _, place in rows], [rate for rate, _ in rows], wanted.entry)
    stochastic = problems[0].stochastic
    minima = wanted.minima_of([place for _, place in rows])
    watch = RowWatch(wanted.rules, _on(minima, batch.flat()), len(rows), stochastic=stochastic)
    judged = _judged(problems[0], wanted.rules)
    for step in range(wanted.rules.steps + 1):
        losses, gradients = _first(batch) if step == 0 else batch.advance()
        levels = losses if not stochastic else batch.levels() if judged(step) else None
        watch.see(losses, batch.flat(), levels=levels, norms=lambda: _norms(gradients))  # noqa: B023 - called at once
        if not watch.left or step == wanted.rules.steps:
            break
        batch.step(gradients)
        if watch.left <= CROWDED * watch.held:
            batch.keep(watch.compact())
    ends = watch.close()
    return [ends[row] for row in range(len(rows))]


def _first(batch: Batch) -> tuple[Tensor, Rows]:
    """Evaluate the start, where it shows whether rows can be evaluated together."""
    try:
        losses, gradients = batch.advance()
    except (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError) as error:
        raise ApartError(f"its function cannot be batched by torch.func.vmap ({_line(error)})") from error
    batch.check_start(losses, gradients)
    return losses, gradients


def _alone(wanted: Wanted, rate: float, place: int) -> RowEnd:
    """Run one row by itself: its own problem, its own optimizer."""
    problem, minima = wanted.make(wanted.seeds[place]), wanted.minima_of([place])
    options = {**wanted.entry.options, "lr": rate}
    stepper = make_optimizer(wanted.optimizer, options, problem.parameters.values())
    stepper = equip(problem.loop, stepper, wanted.entry, epoch=problem.epoch)
    closure_needed = needs_closure(stepper)
    watch = RowWatch(wanted.rules, _on(minima, problem.flat()), 1, stochastic=problem.stochastic)
    judged = _judged(problem, wanted.rules)
    for step in range(wanted.rules.steps + 1):
        loss = problem.advance()
        level = loss[None] if not problem.stochastic else torch.tensor([problem.loss()]) if judged(step) else None
        watch.see(loss[None], problem.flat()[None], levels=level, norms=lambda: problem.flat_gradient().norm()[None])
        if not watch.left or step == wanted.rules.steps:
            break
        take_step(problem, stepper, loss, closure_needed=closure_needed)
    return watch.close()[0]


def _judged(problem: Problem, rules: Rules) -> Callable[[int], bool]:
    """Return which steps' losses on the whole data decide about arrival, where steps see less: as `descent` has it."""
    kept = kept_steps(rules.steps)
    if rules.loss_below is None:
        return lambda step: False
    return lambda step: step in kept or bool(problem.epoch and step % problem.epoch == 0)


def _norms(gradients: Rows) -> Tensor:
    """Return the 2-norm of every row's gradient, (B,)."""
    flat = torch.cat([gradient.reshape(len(gradient), -1) for gradient in gradients.values()], dim=1)
    norms: Tensor = torch.linalg.vector_norm(flat.double(), dim=1)
    return norms


def _on(minima: Tensor | None, parameters: Tensor) -> Tensor | None:
    """Return minima where the parameters live."""
    return None if minima is None else minima.to(parameters.device)


def _line(error: BaseException) -> str:
    """Say an exception in one short line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:160]}"
