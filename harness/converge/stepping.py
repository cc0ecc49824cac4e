"""One step of an optimizer, which is handed the evaluation that was made for looking."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from torch import Tensor

from harness.converge.optimizers import Stepper
from harness.converge.problem import Problem
from harness.errors import UsageError


def needs_closure(stepper: Stepper) -> bool:
    """Return whether the optimizer cannot step without a closure (LBFGS)."""
    parameter = inspect.signature(stepper.step).parameters.get("closure")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def take_step(
    problem: Problem,
    stepper: Stepper,
    loss: Tensor,
    *,
    closure_needed: bool,
    tried: Callable[[Tensor, int], None] | None = None,
) -> None:
    """Take one step; a closure's first call returns the evaluation that was made already.

    Args:
        problem: gives the closure's further evaluations.
        stepper: the optimizer.
        loss: that evaluation's loss.
        closure_needed: whether it steps with a closure.
        tried: is told each further loss of the closure, and the evaluations spent before it.

    Raises:
        UsageError: the optimizer does not take such parameters.
    """
    evaluated = [loss]

    def closure() -> Tensor:
        if evaluated:
            return evaluated.pop()
        spent = problem.evaluations
        found = problem.evaluate()
        if tried is not None:
            tried(found, spent)
        return found

    try:
        if closure_needed:
            stepper.step(closure)
        else:
            stepper.step()  # type: ignore[call-arg]
    except RuntimeError as error:
        raise UsageError(
            f"Cannot take a step with {type(stepper).__name__}: {error}. "
            "Choose an optimizer that takes dense parameters of these shapes."
        ) from error
