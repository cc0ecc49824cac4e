"""How sensitive is a descent to its learning rate? One convergence entry at every rate of a grid, from every seed.

This is the case boundary of sweeps: whatever goes wrong inside becomes a record with outcome `error` here.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.python import load_object
from harness.case.schema import ConvergeModel
from harness.case.trust import Trust
from harness.commands import rates_command
from harness.converge.basin import basin_of, basin_words, place_words, swept_rate
from harness.converge.descent import Rules
from harness.converge.grid import Grid, default_grid
from harness.converge.minimum import find_minimum, tolerance
from harness.converge.optimizers import Chosen, check_options, describe, option_defaults
from harness.converge.problem import Problem, make_problem, problem_sizes
from harness.converge.row_runs import RowRun, Wanted, run_rows
from harness.errors import HarnessError
from harness.records import Outcome, SweepRecord

RATE = "lr"
"""The option that is swept."""


def sweep_case(
    case: Case,
    entry: int,
    *,
    trust: Trust,
    seed: int,
    device: str = "cpu",
    grid: Grid | None = None,
    seeds: int | None = None,
) -> SweepRecord:
    """Run one convergence entry of a case at every learning rate of a grid.

    Args:
        case: the case.
        entry: position under the case's `converge`.
        trust: which Python code may run.
        seed: the first seed; further ones follow it, one by one.
        device: "cpu" or "cuda".
        grid: the rates; None is `default_grid` of the optimizer.
        seeds: number of seeds; None is the entry's own.

    Returns:
        Its record: pass where some rate works; skipped where there is no rate, or nothing to arrive at step by step.
        Errors of the case never raise: they are records with their reason and traceback.
    """
    start_s = time.perf_counter()
    blank = _blank(case, entry, seed, device, grid, seeds)
    try:
        record = _sweep(case, case.model.converge[entry], blank, trust=trust, grid=grid)
    except Exception as error:  # noqa: BLE001 - the case boundary: whatever a case does wrong ends in its record
        message = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        record = replace(blank, outcome=Outcome.ERROR, message=message, traceback=trace)
    return replace(record, duration_s=time.perf_counter() - start_s)


def _sweep(case: Case, model: ConvergeModel, blank: SweepRecord, *, trust: Trust, grid: Grid | None) -> SweepRecord:
    """Run an entry's sweep and judge it; raises what the case does wrong."""
    optimizer = _optimizer(case, model, trust)
    check_options(optimizer, model.options)
    reason = _why_skipped(model, optimizer, blank.device)
    if reason is not None:
        return replace(blank, outcome=Outcome.SKIPPED, message=reason)
    sizes = problem_sizes(case.sizes, model)
    subject = build_subject(case, trust=trust)

    def make(seed: int) -> Problem:
        return make_problem(subject, model, sizes=sizes, seed=seed, device=blank.device)

    problems = _distinct({seed: make(seed) for seed in blank.seeds})
    minima = [find_minimum(problem, model, sizes=sizes) for problem in problems.values()]
    doubt = next((minimum.doubt for minimum in minima if minimum is not None and minimum.doubt is not None), None)
    if doubt is not None:
        message = f"the given minimum is not one to within {tolerance(model):g}: {doubt}"
        return replace(blank, outcome=Outcome.FAIL, message=message)
    wanted = Wanted(
        make=make,
        entry=model,
        optimizer=optimizer,
        rules=_rules(model),
        seeds=tuple(problems),
        minima=tuple(None if minimum is None else minimum.values for minimum in minima),
    )
    rates = (grid or default_grid(model.optimizer_name)).rates()
    declared = _declared_rate(model, optimizer)
    found = _judged(replace(blank, seeds=wanted.seeds, declared_rate=declared), model, rates, run_rows(wanted, rates))
    alike = len(wanted.seeds) < len(blank.seeds)
    return replace(found, message=f"{found.message}; one seed, as all start alike on equal data") if alike else found


def _judged(blank: SweepRecord, model: ConvergeModel, rates: Sequence[float], run: RowRun) -> SweepRecord:
    """Return the record with what every rate did, and whether that is as it should be."""
    swept = tuple(swept_rate(rate, ends) for rate, ends in zip(rates, run.ends, strict=True))
    basin = basin_of(swept)
    words = basin_words(swept, basin, budget=model.steps, seeds=len(blank.seeds))
    message = words + place_words(blank.declared_rate, basin)
    outcome = Outcome.PASS if basin is not None or model.expect != "arrives" else Outcome.FAIL
    if basin is None and model.expect != "arrives":
        message += f" (declared: {model.reason or model.expect})"
    if all(count == 0 for rate in swept for count in rate.steps):
        outcome, message = Outcome.VACUOUS, f"it started where it should arrive ({blank.goal}): nothing was shown"
    return replace(blank, outcome=outcome, message=message, rates=swept, basin=basin, apart=run.apart)


def _blank(case: Case, entry: int, seed: int, device: str, grid: Grid | None, seeds: int | None) -> SweepRecord:
    """Return a record with everything known before the sweep."""
    model = case.model.converge[entry]
    options = {name: value for name, value in model.options.items() if name != RATE}
    gradient = "analytic gradient" if model.gradient == "analytic" else "autograd"
    command = rates_command(
        case.path, case.id, seed, grid=None if grid is None else str(grid), seeds=seeds, device=device
    )
    return SweepRecord(
        job=f"sweep {case.id}[{entry}]",
        case=case.id,
        title=case.title,
        source=case.model.source,
        path=str(case.path),
        tags=tuple(case.model.tags),
        outcome=Outcome.ERROR,
        message="",
        run=f"{describe(model.optimizer_name, options)}, {gradient}{', relative to its start' * model.relative}",
        optimizer=model.optimizer_name,
        device=device,
        dtype=model.dtype,
        entry=entry,
        seeds=tuple(range(seed, seed + (seeds or model.seeds))),
        budget=model.steps,
        goal=_goal(model),
        command=command,
    )


def _optimizer(case: Case, model: ConvergeModel, trust: Trust) -> Chosen:
    """Return the optimizer an entry names, its class where it is a user's own."""
    if isinstance(model.optimizer, str):
        return model.optimizer
    found: Chosen = load_object(model.optimizer.python, case, trust)
    return found


def _why_skipped(model: ConvergeModel, optimizer: Chosen, device: str) -> str | None:
    """Say why an entry has no sweep; None where it has one."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        return "CUDA is not available"
    if RATE not in {**option_defaults(optimizer), **model.options}:
        return f"{model.optimizer_name} has no learning rate"
    if model.minimum is None and model.loss_below is None:
        return "nothing says at which step it has arrived: neither minimum nor loss_below is declared"
    return None


def _distinct(problems: Mapping[int, Problem]) -> dict[int, Problem]:
    """Return the problems, by seed; the first alone where seeds make no difference."""
    first, *others = problems.values()
    if first.stochastic or any(not _same(first, other) for other in others):
        return dict(problems)
    return dict(list(problems.items())[:1])


def _same(one: Problem, other: Problem) -> bool:
    """Return whether two problems start alike, in units of the same size, on equal data."""
    pairs = [(one.parameters, other.parameters), (one.data, other.data), (one.units or {}, other.units or {})]
    return all(torch.equal(value, right[name]) for left, right in pairs for name, value in left.items())


def _rules(model: ConvergeModel) -> Rules:
    return Rules(
        steps=model.steps,
        within=tolerance(model),
        relative=model.digits is not None,
        loss_below=model.loss_below,
        stop=model.stop,
    )


def _declared_rate(model: ConvergeModel, optimizer: Chosen) -> float | None:
    """Return the entry's own rate, or its optimizer's default; None where neither is a number."""
    rate = model.options.get(RATE, option_defaults(optimizer).get(RATE))
    return float(rate) if isinstance(rate, int | float) and not isinstance(rate, bool) else None


def _goal(model: ConvergeModel) -> str:
    """Say what arriving means."""
    goals = []
    if model.minimum is not None:
        goals.append(f"within {model.within:g} of" if model.digits is None else f"{model.digits:g} digits of")
        goals[-1] += " a minimum"
    if model.loss_below is not None:
        goals.append(f"loss at most {model.loss_below:g}")
    return ", ".join(goals)
