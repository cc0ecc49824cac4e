"""Faults of case files that only torch can tell: shapes that do not fit, optimizers and options that do not exist.

They are faults like those the loader finds, each at its place, and are known before anything runs; nothing of a case is
run here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from harness.case.case import Case
from harness.case.documents import Problem
from harness.case.load import faults_at
from harness.case.schema import ConvergeModel
from harness.case.shapes import shape_faults
from harness.converge.optimizers import LEAST_SQUARES, make_optimizer, optimizer_class, option_faults
from harness.errors import Fault, UsageError


def late_faults(cases: Sequence[Case]) -> tuple[Fault, ...]:
    """Return the faults of cases that the loader, which does without torch, cannot see."""
    found = faults_at((case, problem) for case in cases for problem in _optimizers(case))
    return (*shape_faults(cases), *found)


def _optimizers(case: Case) -> Iterator[Problem]:
    """Yield what is wrong with the optimizers a case names."""
    for index, entry in enumerate(case.model.converge):
        place = ("converge", index)
        if not isinstance(entry.optimizer, str):
            continue  # Python code of the user's, which only a job may import
        unknown = _unknown(entry.optimizer)
        if entry.optimizer == LEAST_SQUARES and case.model.residuals is None:
            unknown = f"{LEAST_SQUARES} needs `residuals` in the place of `function`; or choose another optimizer"
        if unknown is not None:
            at_optimizer = "optimizer" in entry.model_fields_set
            yield Problem((*place, "optimizer") if at_optimizer else place, unknown)
        else:
            yield from _options(place, entry)
    benchmark = case.model.benchmark
    unknown = None if benchmark is None else _unknown(benchmark.optimizer)
    if unknown is not None:
        yield Problem(("benchmark", "optimizer"), unknown)


def _unknown(name: str) -> str | None:
    """Say that there is no such optimizer, or return None."""
    try:
        optimizer_class(name)
    except UsageError as error:
        return str(error)
    return None


def _options(place: tuple[str | int, ...], entry: ConvergeModel) -> Iterator[Problem]:
    """Yield options that an optimizer does not take, does not get, or refuses the values of."""
    wrong = list(option_faults(entry.optimizer_name, entry.options))
    for option, message in wrong:
        yield Problem((*place, "options") if option is None else (*place, "options", option), message, at_key=True)
    if not wrong:
        try:
            make_optimizer(entry.optimizer_name, entry.options, [torch.zeros(2, 2, requires_grad=True)])
        except UsageError as error:
            yield Problem((*place, "options"), str(error).replace(" on parameters of shape (2, 2)", ""))
