"""Steps of a training that nobody watches: what checks of training loops compare the ends of."""

from __future__ import annotations

import inspect

from harness.converge.checkpoint import Training


def trained(training: Training, steps: int, *, advance: bool = True) -> None:
    """Take steps.

    Args:
        training: what is trained, in place.
        steps: how many.
        advance: whether each step draws its data and evaluates its gradient first; else that was done already.
    """
    problem, stepper = training.problem, training.stepper
    parameter = inspect.signature(stepper.step).parameters.get("closure")
    closure_needed = parameter is not None and parameter.default is inspect.Parameter.empty
    for _ in range(steps):
        if advance:
            problem.advance()
        if closure_needed:
            stepper.step(problem.evaluate)
        else:
            stepper.step()  # type: ignore[call-arg]
