"""One convergence entry of a case, run over its seeds and put on record.

This is the case boundary of this part: whatever goes wrong inside becomes a record with outcome `error` here, and only
here. What is right or wrong about a descent is the other modules' to say.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.points import parse_value
from harness.case.schema import ConvergeModel
from harness.case.subject import Subject
from harness.case.trust import Trust
from harness.commands import repeat_command
from harness.converge.descent import Descent, Rules, descend
from harness.converge.expressions import score
from harness.converge.minimum import Minimum, find_minimum
from harness.converge.objective import Objective
from harness.converge.optimizers import check_options, describe, format_option, make_optimizer
from harness.converge.pictures import contour_of, fit_of, parameter_labels
from harness.converge.problem import Problem, make_problem, problem_sizes
from harness.converge.rates import Rates, rates_of
from harness.converge.spread import spread
from harness.converge.verdict import Scores, judge
from harness.errors import HarnessError
from harness.records import ConvergeRecord, Outcome

SMALL = 100_000
"""Numbers in a problem up to which one thread is faster than several."""
LISTED = 1000
"""Parameters up to which a record lists the final ones and the minimum."""


def converge_case(
    case: Case, entry: int, *, trust: Trust, seed: int, device: str = "cpu"
) -> tuple[ConvergeRecord, ...]:
    """Run one convergence entry of a case, once per seed.

    Args:
        case: the case.
        entry: position under the case's `converge`.
        trust: which Python code may run.
        seed: the first seed; the entry's further seeds follow it, one by one.
        device: "cpu" or "cuda".

    Returns:
        One record per seed; a single one when the device is missing (skipped) or the case cannot be built (error).
        Errors of the case never raise: they are records with their reason and traceback.
    """
    blank = _blank(case, entry, seed, device)
    if device.startswith("cuda") and not torch.cuda.is_available():
        return (replace(blank, outcome=Outcome.SKIPPED, message="CUDA is not available"),)
    try:
        model = case.model.converge[entry]
        check_options(model.optimizer, model.options)
        sizes = problem_sizes(case.sizes, model)
        subject = build_subject(case, trust=trust)
    except Exception as error:
        return (_failed(blank, error),)
    return converge_subject(subject, model, sizes=sizes, seed=seed, device=device, blank=blank)


def converge_subject(
    subject: Subject,
    model: ConvergeModel,
    *,
    sizes: Mapping[str, int],
    seed: int,
    device: str = "cpu",
    blank: ConvergeRecord,
) -> tuple[ConvergeRecord, ...]:
    """Run a convergence entry on a subject, once per seed.

    Args:
        subject: what to descend on.
        model: the entry.
        sizes: the named sizes.
        seed: the first seed.
        device: "cpu" or "cuda".
        blank: a record with everything about the case filled in, to be completed.
    """
    records = []
    for count in range(model.seeds):
        start_s = time.perf_counter()
        this = replace(blank, seed=seed + count)
        try:
            record = _one_seed(subject, model, sizes, this, device=device, pictures=count == 0)
        except Exception as error:
            record = _failed(this, error)
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
    device: str,
    pictures: bool,
) -> ConvergeRecord:
    """Run one seed from its start to its record."""
    problem = make_problem(subject, model, sizes=sizes, seed=blank.seed, device=device)
    with _few_threads(problem):
        stepper = make_optimizer(model.optimizer, model.options, problem.parameters.values())
        minimum = find_minimum(problem, model, sizes=sizes)
        before = None if model.accuracy is None else score(problem, model.accuracy)
        descent = descend(problem, stepper, _rules(model, minimum))
        reached = None if minimum is None else _reached(minimum, descent.final)
        rates = _rates(problem, model, descent, reached)
        scores = None
        if model.accuracy is not None and before is not None:
            scores = Scores(start=before, final=score(problem, model.accuracy), at_least=model.accuracy.at_least)
        outcome, message = judge(descent, model, minimum=minimum, rates=rates, scores=scores)
        record = _completed(blank, descent, rates, outcome=outcome, message=message)
        record = _with_parameters(record, problem.objective(), model, sizes, descent, minimum, reached)
        if scores is not None:
            record = _with_scores(record, scores)
        return _with_pictures(record, problem, model, descent, reached) if pictures else record


def _rules(model: ConvergeModel, minimum: Minimum | None) -> Rules:
    return Rules(
        steps=model.steps,
        within=model.within,
        minima=None if minimum is None else minimum.values,
        loss_below=model.loss_below,
        stop=model.stop,
    )


def _reached(minimum: Minimum, final: Tensor) -> Tensor:
    """Return the minimum nearest to where the descent ended, (n,)."""
    distances = (minimum.values - final).abs().amax(dim=1)
    return minimum.values[int(torch.nan_to_num(distances, nan=torch.inf).argmin())]


def _rates(problem: Problem, model: ConvergeModel, descent: Descent, reached: Tensor | None) -> Rates:
    """Return bounds always; rates only where every step saw the same data."""
    return rates_of(
        problem.objective(),
        optimizer=model.optimizer,
        options=model.options,
        start=descent.start,
        minimum=reached,
        errors=() if problem.stochastic else descent.errors,
        rounding=float(torch.finfo(getattr(torch, model.dtype)).eps),
    )


def _completed(
    blank: ConvergeRecord, descent: Descent, rates: Rates, *, outcome: Outcome, message: str
) -> ConvergeRecord:
    """Return the record with what the descent measured."""
    finite = descent.trajectory and descent.trajectory[-1].step == descent.steps
    return replace(
        blank,
        outcome=outcome,
        message=message,
        status=descent.status,
        steps=descent.steps,
        gradient_evaluations=descent.evaluations,
        steps_to_tolerance=descent.hit,
        final_loss=descent.final_loss if finite else None,
        final_error=descent.final_error,
        best_error=descent.best_error,
        observed_rate=rates.observed,
        theoretical_rate=rates.theoretical,
        learning_rate_bound=rates.bound,
        trajectory=descent.trajectory,
    )


def _with_parameters(
    record: ConvergeRecord,
    objective: Objective,
    model: ConvergeModel,
    sizes: Mapping[str, int],
    descent: Descent,
    minimum: Minimum | None,
    reached: Tensor | None,
) -> ConvergeRecord:
    """Return the record with final parameters, the minimum, and the distance from published parameters."""
    listed = objective.size <= LISTED
    finite = bool(torch.isfinite(descent.final).all())
    return replace(
        record,
        tolerance=None if minimum is None else model.within,
        minimum_source=None if minimum is None else minimum.source,
        minimum=() if reached is None or not listed else _named(objective, reached),
        final=_named(objective, descent.final) if listed and finite else (),
        metric=record.metric + (_published_metric(objective, model, sizes, descent.final) if finite else ()),
    )


def _with_pictures(
    record: ConvergeRecord, problem: Problem, model: ConvergeModel, descent: Descent, reached: Tensor | None
) -> ConvergeRecord:
    """Return the record with the contour of a problem in the plane and the frames of a fit."""
    path = [flat for _, flat in descent.snapshots]
    contour = None if problem.redraws is not None else contour_of(problem.objective(), path, reached)
    fit = None if model.fit is None or not descent.snapshots else fit_of(problem, model.fit, descent.snapshots)
    return replace(record, contour=contour, fit=fit)


def _named(objective: Objective, flat: Tensor) -> tuple[tuple[str, tuple[float, ...]], ...]:
    return tuple((name, tuple(part.reshape(-1).tolist())) for name, part in objective.split(flat).items())


def _published_metric(
    objective: Objective, model: ConvergeModel, sizes: Mapping[str, int], final: Tensor
) -> tuple[tuple[str, float], ...]:
    """Return the published final parameters, and how far ours are from them (max-norm)."""
    ours = objective.split(final)
    labels = dict(zip(parameter_labels(objective), final.tolist(), strict=True))
    rows: list[tuple[str, float]] = []
    furthest = 0.0
    for name, value in model.published.items():
        published = parse_value(value, sizes).double()
        if name not in ours or published.numel() != ours[name].numel():
            continue
        own = [label for label in labels if label == name or label.startswith(f"{name}[")]
        flat = published.reshape(-1).tolist()
        rows += [(f"published {label}", number) for label, number in zip(own, flat, strict=True)]
        furthest = max(furthest, float((published.reshape(-1) - ours[name].reshape(-1)).abs().max()))
    return (*rows, ("distance from published", furthest)) if rows else ()


def _with_scores(record: ConvergeRecord, scores: Scores) -> ConvergeRecord:
    """Return the record with its accuracies; a classifier arrives only when its accuracy is enough."""
    status = record.status
    if status in ("hit", "budget", "stalled"):
        status = "hit" if record.outcome is Outcome.PASS else "budget" if status == "hit" else status
    metric = (("accuracy", scores.final), ("accuracy at the start", scores.start))
    return replace(record, status=status, metric=record.metric + metric)


def _blank(case: Case, entry: int, seed: int, device: str) -> ConvergeRecord:
    """Return a record with everything known before the run."""
    model = case.model.converge[entry] if entry < len(case.model.converge) else ConvergeModel()
    gradient = "analytic gradient" if model.gradient == "analytic" else "autograd"
    command = repeat_command(case.path, case.id, seed, kind="converge")
    return ConvergeRecord(
        job=f"converge {case.id}[{entry}]",
        case=case.id,
        title=case.title,
        source=case.model.source,
        path=str(case.path),
        tags=tuple(case.model.tags),
        outcome=Outcome.ERROR,
        message="",
        run=f"{describe(model.optimizer, model.options)}, {gradient}",
        optimizer=model.optimizer,
        options=tuple((name, format_option(value)) for name, value in model.options.items()),
        gradient_source=model.gradient,
        device=device,
        dtype=model.dtype,
        seed=seed,
        status="error",
        command=command if device == "cpu" else f"{command} --device {device}",
    )


def _failed(blank: ConvergeRecord, error: Exception) -> ConvergeRecord:
    """Return the record of a run that raised: misuse with its own sentence, anything else with its type."""
    message = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return replace(
        blank,
        outcome=Outcome.ERROR,
        message=message,
        status="error",
        traceback="".join(traceback.format_exception(error)),
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
