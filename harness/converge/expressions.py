"""The expressions of a convergence entry (scores, x, y, prediction), evaluated on a problem's data.

They may name inputs, intermediates under `let`, sizes, and `output`, what a module returns. Losses are not its job.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.case.expression import parse
from harness.case.schema import Accuracy
from harness.case.subject import Tensors
from harness.converge.problem import Problem
from harness.converge.training import accuracy, module_output
from harness.errors import UsageError


def evaluate_text(problem: Problem, text: str, parameters: Tensors | None = None) -> Tensor:
    """Evaluate an expression on the problem's whole data (or held-out draw), on the run's device and in its dtype.

    Args:
        problem: where data, sizes and the subject come from.
        text: the expression.
        parameters: by name; None takes the current ones.

    Raises:
        ExpressionError: it uses a name that is none of the inputs, `let` names, sizes and `output`.
    """
    live = problem.parameters
    given = live if parameters is None else {name: parameters[name].to(live[name]) for name in live}
    values = {name: given[name] if name in given else problem.data[name] for name in problem.subject.inputs}
    expression = parse(text, names={*values, *problem.subject.let, *problem.sizes, *_output_name(problem)})
    with torch.no_grad():
        named: dict[str, Tensor | int] = {**problem.sizes, **values}
        if problem.module is not None and "output" in expression.names:
            named["output"] = module_output(problem.module, given, values)
        if expression.names - named.keys():
            named |= _intermediates(problem, values)
        return expression.evaluate(named).detach().cpu()


def score(problem: Problem, rule: Accuracy) -> float:
    """Return the classifier's accuracy at the current parameters.

    Raises:
        UsageError: the labels are not an input, or do not have one entry per row of scores.
    """
    if rule.labels not in problem.data:
        raise UsageError(f"Cannot score: labels={rule.labels!r} is not an input without gradient.")
    scores, labels = evaluate_text(problem, rule.scores), problem.data[rule.labels].cpu()
    if scores.ndim < 1 or scores.shape[:-1] != labels.shape:
        raise UsageError(
            f"Cannot score: scores of shape {tuple(scores.shape)} do not give a row per label of shape "
            f"{tuple(labels.shape)}. Make the last dim of the scores the classes."
        )
    return accuracy(scores, labels)


def _output_name(problem: Problem) -> tuple[str, ...]:
    return () if problem.subject.module is None else ("output",)


def _intermediates(problem: Problem, values: Tensors) -> Mapping[str, Tensor]:
    """Return the values under `let`."""
    if problem.subject.intermediates is None:
        raise UsageError(f"Cannot evaluate: {problem.subject.name} names no intermediate values.")
    return problem.subject.intermediates(values)[0]
