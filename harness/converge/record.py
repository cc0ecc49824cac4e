"""Records of convergence runs: what is known before, what a descent measured, and what goes beside it.

It copies and names numbers; judging them is `harness.converge.verdict`'s job, running is `harness.converge.run`'s.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from harness.case.case import Case
from harness.case.points import parse_value
from harness.case.schema import ConvergeModel
from harness.commands import repeat_command
from harness.converge.descent import Descent
from harness.converge.loop import loop_words
from harness.converge.minimum import Minimum, flat_units, tolerance
from harness.converge.objective import Objective
from harness.converge.optimizers import describe, format_option
from harness.converge.pictures import contour_of, fit_of, parameter_labels
from harness.converge.problem import Problem
from harness.converge.rates import Rates
from harness.converge.reached import Reached
from harness.converge.targets import targets
from harness.converge.verdict import Scores, correct_digits
from harness.errors import HarnessError, MissingPackageError, UsageError
from harness.records import ConvergeRecord, Finding, Outcome

LISTED = 1000
"""Parameters up to which a record lists the final ones and the minimum."""


def completed(
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
        observed_rate_low=None if rates.fit is None else rates.fit.low,
        observed_rate_high=None if rates.fit is None else rates.fit.high,
        iteration_bound=None if rates.steps is None else rates.steps.rate,
        exact_steps=None if rates.steps is None else rates.steps.exact,
        theoretical_rate=rates.theoretical,
        learning_rate_bound=rates.bound,
        trajectory=descent.trajectory,
    )


def with_targets(
    record: ConvergeRecord, descent: Descent, minimum: Minimum | None, found: Reached | None
) -> ConvergeRecord:
    """Return the record with the best loss, which minimum was reached, and when each target of the ladder was."""
    loss = None if found is None else found.loss
    rounding = float(torch.finfo(getattr(torch, record.dtype)).eps)
    return replace(
        record,
        first_loss=descent.progress.first,
        best_loss=descent.progress.best,
        minimum_loss=loss,
        minimum_index=None if found is None else found.index,
        minima=0 if minimum is None else len(minimum.values),
        evaluations_to_tolerance=descent.hit_evaluations,
        targets=targets(descent.progress, minimum=loss, rounding=rounding),
    )


def with_parameters(
    record: ConvergeRecord,
    problem: Problem,
    model: ConvergeModel,
    sizes: Mapping[str, int],
    descent: Descent,
    minimum: Minimum | None,
    reached: Tensor | None,
) -> ConvergeRecord:
    """Return the record with final parameters, the minimum, correct digits, and the distance from published ones."""
    objective = problem.objective()
    units = 1.0 if problem.units is None else flat_units(objective, problem.units)
    listed = objective.size <= LISTED
    finite = bool(torch.isfinite(descent.final).all())
    final = descent.final * units
    metric = record.metric
    if model.digits is not None and descent.best_error is not None:
        metric += (("correct digits", correct_digits(descent.best_error)),)
    return replace(
        record,
        tolerance=None if minimum is None else tolerance(model),
        minimum_source=None if minimum is None else minimum.source,
        minimum=() if reached is None or not listed else _named(objective, reached * units),
        final=_named(objective, final) if listed and finite else (),
        metric=metric + (_published_metric(objective, model, sizes, final) if finite else ()),
    )


def with_pictures(
    record: ConvergeRecord, problem: Problem, model: ConvergeModel, descent: Descent, reached: Tensor | None
) -> ConvergeRecord:
    """Return the record with the contour of a problem in the plane and the frames of a fit."""
    path = [flat for _, flat in descent.snapshots]
    contour = None if problem.redraws is not None else contour_of(problem.objective(), path, reached)
    fit = None if model.fit is None or not descent.snapshots else fit_of(problem, model.fit, descent.snapshots)
    return replace(record, contour=contour, fit=fit)


def _named(objective: Objective, flat: Tensor) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """Return the named parameters of a flat vector, each flattened."""
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
        if published.numel() != ours[name].numel():
            raise UsageError(
                f"Cannot compare with `published`: {name} of shape {tuple(published.shape)} is not the parameter's "
                f"{tuple(ours[name].shape)}. Give as many numbers."
            )
        own = [label for label in labels if label == name or label.startswith(f"{name}[")]
        flat = published.reshape(-1).tolist()
        rows += [(f"published {label}", number) for label, number in zip(own, flat, strict=True)]
        furthest = max(furthest, float((published.reshape(-1) - ours[name].reshape(-1)).abs().max()))
    return (*rows, ("distance from published", furthest)) if rows else ()


def with_scores(record: ConvergeRecord, scores: Scores) -> ConvergeRecord:
    """Return the record with its accuracies; a classifier arrives only when its accuracy is enough."""
    status = record.status
    if status in ("hit", "budget", "stalled"):
        status = "hit" if record.outcome is Outcome.PASS else "budget" if status == "hit" else status
    metric = (("accuracy", scores.final), ("accuracy at the start", scores.start))
    return replace(record, status=status, metric=record.metric + metric)


def with_findings(record: ConvergeRecord, findings: tuple[Finding, ...]) -> ConvergeRecord:
    """Return the record with what was checked of its training loop; it is as bad as the worst of that."""
    if not findings:
        return record
    judged = [one for one in findings if one.outcome is not Outcome.SKIPPED]
    worst = max((record.outcome, *(one.outcome for one in judged)), key=lambda outcome: outcome.severity)
    good = [one.check for one in judged if one.outcome is Outcome.PASS]
    words = [f"{one.check}: {one.message}" for one in findings if one.outcome is not Outcome.PASS]
    words = [*([f"checked: {', '.join(good)}"] if good else []), *words]
    return replace(record, findings=findings, outcome=worst, message="; ".join((record.message, *words)))


def run_words(model: ConvergeModel) -> str:
    """Return an entry as shown to people: ``SGD(lr=0.1), analytic gradient``."""
    gradient = "analytic gradient" if model.gradient == "analytic" else "autograd"
    relative = ", relative to its start" if model.relative else ""
    return ", ".join((f"{describe(model.optimizer_name, model.options)}, {gradient}{relative}", *loop_words(model)))


def blank_record(case: Case, entry: int, seed: int, device: str) -> ConvergeRecord:
    """Return a record with everything known before the run."""
    model = case.model.converge[entry] if entry < len(case.model.converge) else ConvergeModel()
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
        run=run_words(model),
        optimizer=model.optimizer_name,
        options=tuple((name, format_option(value)) for name, value in model.options.items()),
        gradient_source=model.gradient,
        device=device,
        dtype=model.dtype,
        seed=seed,
        entry=entry,
        status="error",
        expect=model.expect,
        reason=model.reason,
        command=command if device == "cpu" else f"{command} --device {device}",
    )


def failed_record(blank: ConvergeRecord, error: Exception) -> ConvergeRecord:
    """Return the record of a run that raised: misuse with its own sentence, anything else with its type."""
    if isinstance(error, MissingPackageError):
        return replace(blank, outcome=Outcome.SKIPPED, message=str(error))
    message = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return replace(
        blank,
        outcome=Outcome.ERROR,
        message=message,
        status="error",
        traceback="".join(traceback.format_exception(error)),
    )
