"""One convergence entry of a case, run over its seeds and put on record.

This is the case boundary of this part: whatever goes wrong inside becomes a record with outcome `error` here, and only
here. What is right or wrong about a descent is the other modules' to say.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.python import load_object
from harness.case.schema import ConvergeModel
from harness.case.subject import Subject
from harness.case.trust import Trust
from harness.converge.descent import Descent, Rules, descend
from harness.converge.explain import survey
from harness.converge.expressions import score
from harness.converge.loop import equip, why_skipped
from harness.converge.loop_checks import LoopUnderTest, loop_findings
from harness.converge.minimum import Minimum, find_minimum, tolerance
from harness.converge.nudge import nudge_start
from harness.converge.optimizers import GD, Chosen, check_options, make_optimizer
from harness.converge.problem import Problem, make_problem, problem_sizes
from harness.converge.rates import Rates, rates_of
from harness.converge.reached import Reached, reached_minimum
from harness.converge.record import (
    blank_record,
    completed,
    failed_record,
    with_findings,
    with_parameters,
    with_pictures,
    with_scores,
    with_targets,
)
from harness.converge.spread import spread
from harness.converge.verdict import Scores, Sight, judge
from harness.records import ConvergeRecord, Outcome

SMALL = 100_000
"""Numbers in a problem up to which one thread is faster than several."""


def converge_case(
    case: Case, entry: int, *, trust: Trust, seed: int, device: str = "cpu", nudge: bool = False
) -> tuple[ConvergeRecord, ...]:
    """Run one convergence entry of a case, once per seed.

    Args:
        case: the case.
        entry: position under the case's `converge`.
        trust: which Python code may run.
        seed: the first seed; the entry's further seeds follow it, one by one.
        device: "cpu" or "cuda".
        nudge: whether every descent starts a few roundings beside its start.

    Returns:
        One record per seed; a single one when the device is missing (skipped) or the case cannot be built (error).
        Errors of the case never raise: they are records with their reason and traceback.
    """
    blank = blank_record(case, entry, seed, device)
    if device.startswith("cuda") and not torch.cuda.is_available():
        return (replace(blank, outcome=Outcome.SKIPPED, message="CUDA is not available"),)
    try:
        model = case.model.converge[entry]
        lacking = why_skipped(model, device)
        if lacking is not None:
            return (replace(blank, outcome=Outcome.SKIPPED, message=lacking),)
        optimizer = _optimizer(case, model, trust)
        check_options(optimizer, model.options)
        sizes = problem_sizes(case.sizes, model)
        subject = build_subject(case, trust=trust)
    except Exception as error:  # noqa: BLE001 - the case boundary: whatever a case does wrong ends in its record
        return (failed_record(blank, error),)
    return converge_subject(
        subject, model, sizes=sizes, seed=seed, device=device, blank=blank, optimizer=optimizer, nudge=nudge
    )


def _optimizer(case: Case, model: ConvergeModel, trust: Trust) -> Chosen:
    """Return the optimizer an entry names, its class where it is a user's own."""
    if isinstance(model.optimizer, str):
        return model.optimizer
    found: Chosen = load_object(model.optimizer.python, case, trust)
    return found


def converge_subject(
    subject: Subject,
    model: ConvergeModel,
    *,
    sizes: Mapping[str, int],
    seed: int,
    device: str = "cpu",
    blank: ConvergeRecord,
    optimizer: Chosen | None = None,
    nudge: bool = False,
) -> tuple[ConvergeRecord, ...]:
    """Run a convergence entry on a subject, once per seed.

    Args:
        subject: what to descend on.
        model: the entry.
        sizes: the named sizes.
        seed: the first seed.
        device: "cpu" or "cuda".
        blank: a record with everything about the case filled in, to be completed.
        optimizer: a class of the user's own, where the entry names one; None is the entry's by name.
        nudge: whether every descent starts a few roundings beside its start.
    """
    records = []
    for count in range(model.seeds):
        start_s = time.perf_counter()
        this = replace(blank, seed=seed + count)
        try:
            chosen = optimizer or model.optimizer_name
            record = _one_seed(
                subject, model, sizes, this, optimizer=chosen, device=device, pictures=count == 0, nudge=nudge
            )
        except Exception as error:  # noqa: BLE001 - as above
            record = failed_record(this, error)
        records.append(replace(record, duration_s=time.perf_counter() - start_s))
    if len(records) > 1:
        words = str(spread(records))
        records = [replace(record, message=f"{record.message}; {words}") for record in records]
    return tuple(records)


def _one_seed(
    subject: Subject,
    model: ConvergeModel,
    sizes: Mapping[str, int],
    blank: ConvergeRecord,
    *,
    optimizer: Chosen,
    device: str,
    pictures: bool,
    nudge: bool,
) -> ConvergeRecord:
    """Run one seed from its start to its record."""
    problem = make_problem(subject, model, sizes=sizes, seed=blank.seed, device=device)
    if nudge:
        nudge_start(problem, blank.seed)
    with _few_threads(problem):
        stepper = make_optimizer(optimizer, model.options, problem.parameters.values())
        stepper = equip(problem.loop, stepper, model, epoch=problem.epoch)
        minimum = find_minimum(problem, model, sizes=sizes)
        before = None if model.accuracy is None else score(problem, model.accuracy)
        descent = descend(problem, stepper, _rules(model, minimum))
        found = reached_minimum(problem, minimum, descent, relative=model.digits is not None)
        reached = None if found is None else found.point
        rates = _rates(problem, model, descent, reached)
        scores = None
        if model.accuracy is not None and before is not None:
            scores = Scores(start=before, final=score(problem, model.accuracy), at_least=model.accuracy.at_least)
        sight = _sight(problem, model, descent, found)
        outcome, message = judge(descent, model, minimum=minimum, rates=rates, scores=scores, sight=sight)
        record = completed(blank, descent, rates, outcome=outcome, message=message)
        record = with_targets(replace(record, stochastic=problem.stochastic), descent, minimum, found)
        record = with_parameters(record, problem, model, sizes, descent, minimum, reached)
        if scores is not None:
            record = with_scores(record, scores)
        record = with_pictures(record, problem, model, descent, reached) if pictures else record
        if not pictures or nudge:
            return record
        tested = LoopUnderTest(
            subject=subject, entry=model, sizes=sizes, optimizer=optimizer, seed=blank.seed, device=device,
            command=blank.command,
        )  # fmt: skip
        return with_findings(record, tuple(loop_findings(tested)))


def _rules(model: ConvergeModel, minimum: Minimum | None) -> Rules:
    return Rules(
        steps=model.steps,
        within=tolerance(model),
        relative=model.digits is not None,
        minima=None if minimum is None else minimum.values,
        loss_below=model.loss_below,
        stop=model.stop,
    )


def _sight(problem: Problem, model: ConvergeModel, descent: Descent, found: Reached | None) -> Sight:
    """Look around where a descent ended and where it should have, as far as that explains a missed goal."""
    point = None if found is None else found.point
    travel = None if point is None else float((point - descent.start).abs().max())
    loss = None if found is None else found.loss
    if descent.diverged_at is not None:
        plain = model.optimizer in (GD, "SGD")
        bottom = survey(problem.objective(), descent.start if point is None else point, None) if plain else None
        return Sight(bottom=bottom, travel=travel, minimum_loss=loss)
    missed = descent.hit is None and (point is not None or model.loss_below is not None)
    end = survey(problem.objective(), descent.final, point) if missed and not problem.stochastic else None
    return Sight(end=end, travel=travel, minimum_loss=loss)


def _rates(problem: Problem, model: ConvergeModel, descent: Descent, reached: Tensor | None) -> Rates:
    """Return bounds always; rates only where every step saw the same data."""
    return rates_of(
        problem.objective(),
        optimizer=model.optimizer if isinstance(model.optimizer, str) else "",
        options=model.options,
        start=descent.start,
        minimum=reached,
        errors=() if problem.stochastic else descent.errors,
        within=None if model.digits is not None else model.within,
        rounding=float(torch.finfo(getattr(torch, model.dtype)).eps),
    )


@contextmanager
def _few_threads(problem: Problem) -> Iterator[None]:
    """Run small problems on one thread, where starting more costs more than it saves; put the number back after."""
    before = torch.get_num_threads()
    numbers = sum(tensor.numel() for tensor in (*problem.data.values(), *problem.parameters.values()))
    if numbers > SMALL:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
