"""Modules that are moved after their optimizer was made: to another dtype, and to a CUDA device.

`Module.to` keeps its parameters' identity, so an optimizer goes on with the moved ones; state it made before is not
moved by anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from harness.case.schema import ConvergeModel
from harness.converge.checkpoint import Training, numbers_of
from harness.converge.optimizers import Stepper
from harness.converge.problem import Problem
from harness.converge.training import set_parameters
from harness.converge.walk import trained
from harness.errors import UsageError
from harness.optimizers.findings import Labels, equal, finding
from harness.records import Finding, Outcome

STEPS = 10


def moving_findings(
    problem: Callable[[], Problem], stepper: Callable[[Problem], Stepper], labels: Labels, entry: ConvergeModel
) -> Iterator[Finding]:
    """Yield whether a module that is moved after its optimizer was made trains as one that was moved before.

    Args:
        problem: makes the problem at its start, its module in the entry's dtype on the run's device.
        stepper: makes the optimizer over its parameters.
        labels: what findings carry; the run's device among it.
        entry: its `dtype` and `steps`.

    Raises:
        UsageError: the subject is no module.
    """
    steps = min(STEPS, entry.steps)
    first = problem()
    before = Training(problem=first, stepper=stepper(first))
    trained(before, steps)
    other = "float32" if entry.dtype == "float64" else "float64"
    yield _moved(problem, stepper, labels, before, steps, f"moved from {other} ~ made there", getattr(torch, other))
    check = "moved to CUDA ~ made there"
    if labels.device.startswith("cuda"):
        yield _moved(problem, stepper, labels, before, steps, check, torch.device("cpu"))
    else:
        words = "the run is on the CPU: run it with --device cuda"
        yield finding(labels, check, Outcome.SKIPPED, words, dtype=entry.dtype)


def _moved(
    problem: Callable[[], Problem],
    stepper: Callable[[Problem], Stepper],
    labels: Labels,
    before: Training,
    steps: int,
    check: str,
    away: torch.dtype | torch.device,
) -> Finding:
    """Compare a training whose module was `away` when its optimizer was made with one made at home, bit by bit."""
    late = moved_late(problem(), stepper, away)
    try:
        trained(late, steps)
    except RuntimeError as error:
        return finding(labels, check, Outcome.FAIL, f"a step fails after the move: {str(error).partition(chr(10))[0]}")
    wanted, there = dict(numbers_of(before.state_dict())), dict(numbers_of(late.state_dict()))
    pairs = [(name, there[name], value) for name, value in wanted.items() if name in there]
    return equal(labels, check, pairs, oracle="the module made there")


def moved_late(problem: Problem, stepper: Callable[[Problem], Stepper], away: torch.dtype | torch.device) -> Training:
    """Return a training at its start whose module was elsewhere when its optimizer was made, and was moved then.

    Raises:
        UsageError: the subject is no module.
    """
    module = problem.module
    if module is None:
        raise UsageError(f"Cannot move {problem.subject.name}: it is no module. Leave out `moved`.")
    start = {name: value.detach().clone() for name, value in problem.parameters.items()}
    home = next(iter(start.values()))
    module.to(away)
    made = stepper(problem)
    module.to(home.device, home.dtype)
    set_parameters(module, start)
    own = dict(module.named_parameters())
    problem.parameters = {name: own[name] for name in start}
    return Training(problem=problem, stepper=made)
