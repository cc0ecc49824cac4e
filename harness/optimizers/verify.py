"""Verifies an optimizer: all checks, in order, as the findings of one ordinary record.

This is the boundary to other people's optimizers: whatever a check of theirs raises becomes a finding with outcome
`error`, and the checks after it run all the same.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import torch

from harness.case.python import load_object
from harness.case.trust import Trust
from harness.commands import optimizers_command, repeat_command
from harness.errors import HarnessError
from harness.optimizers.catalogue import PATH, TAG, NamedOptimizer, optimizer_classes
from harness.optimizers.closed_forms import closed_form_findings
from harness.optimizers.contract import contract_findings, reuse_findings
from harness.optimizers.deviations import excused
from harness.optimizers.findings import Labels, finding
from harness.optimizers.invariances import invariance_findings
from harness.optimizers.isolation import isolation_findings
from harness.optimizers.lbfgs import lbfgs_findings
from harness.optimizers.needs import steps
from harness.optimizers.option_sets import SETS, sets_of, sets_of_new
from harness.optimizers.options import option_findings
from harness.optimizers.persistence import persistence_findings
from harness.optimizers.quadratics import quadratic_findings
from harness.optimizers.rules import RULES, Rule
from harness.optimizers.schedulers import scheduler_findings
from harness.optimizers.tensors import tensor_findings
from harness.optimizers.under_test import UnderTest
from harness.optimizers.update_rule import rule_findings
from harness.optimizers.user import UserOptimizer
from harness.optimizers.variants import variant_findings
from harness.optimizers.walk import Make, Options
from harness.records import Finding, Outcome, VerifyRecord
from harness.verify.verdict import decide

Check = Callable[[], Iterable[Finding]]


def verify_optimizer(
    make: Make,
    *,
    rule: Rule | None = None,
    options: Mapping[str, Any] | Sequence[Options] = (),
    name: str | None = None,
    seed: int = 0,
    thorough: bool = False,
    device: str = "cpu",
    command: str | None = None,
) -> VerifyRecord:
    """Verify an optimizer against its update rule and against itself.

    Args:
        make: makes it: a subclass of `torch.optim.Optimizer`, or any `make(parameters, **options)`.
        rule: its update rule: a generator function `rule(parameter, gradients, **options)` in plain NumPy that yields
            the parameter after each step. For an optimizer of `torch.optim` it is known; for others, without one, the
            update stays inconclusive and all other checks run.
        options: an option set, or several; the defaults if none is given, or for PyTorch's own the shipped ones.
        name: what the record calls it.
        seed: seed of every draw.
        thorough: whether compiled steps are checked too.
        device: "cpu" or "cuda".
        command: what repeats it, for the record.

    Returns:
        A record whose outcome is `pass` when everything held; each finding names the worst number and its bar.
    """
    known = next((one for one, value in optimizer_classes().items() if value is make), None)
    called = str(name or known or getattr(make, "__name__", type(make).__name__))
    sets = (options,) if isinstance(options, Mapping) else tuple(options)
    tested = UnderTest(
        name=known or f"user's {called}", make=make, sets=sets or (_sets(known, make) if known else ({},)),
        rule=rule or (RULES.get(known) if known else None), seed=seed, thorough=thorough, device=device,
        command=command,
    )  # fmt: skip
    started = time.perf_counter()
    found = tuple(optimizer_findings(tested))
    if known is not None:
        found = excused(known, found, str(torch.__version__), complete=not sets)
    return _record(called, found, started, command=command, source="" if known is None else _torch())


def verify_named(one: NamedOptimizer, *, seed: int, thorough: bool = False, device: str = "cpu") -> VerifyRecord:
    """Verify an optimizer or a scheduler of the installed PyTorch: its record."""
    command = optimizers_command(one.id, seed, device=device, thorough=thorough)
    started = time.perf_counter()
    if one.kind == "scheduler":
        labels = Labels(seed=seed, command=command)
        found = tuple(_guarded(labels, [partial(scheduler_findings, one.id, labels)]))
        return _record(one.id, found, started, command=command, source=one.source, title=one.title, kind=one.kind)
    make = optimizer_classes()[one.id]
    return verify_optimizer(make, seed=seed, thorough=thorough, device=device, command=command)


def verify_user(
    one: UserOptimizer, *, trust: Trust, seed: int, thorough: bool = False, device: str = "cpu"
) -> VerifyRecord:
    """Verify an optimizer that a case file names: its record.

    Args:
        one: where its code and its rule are, and the options it is used with.
        trust: which Python code may run.
        seed: the run's seed.
        thorough: whether compiled steps are checked, too.
        device: "cpu" or "cuda".

    Raises:
        UntrustedError: its code or its rule lies outside what is trusted.
        UsageError: there is no such code.
    """
    make = load_object(one.reference.python, one.case, trust)
    rule = None if one.reference.rule is None else load_object(one.reference.rule, one.case, trust)
    sets = [{name: tuple(value) if isinstance(value, list) else value for name, value in each} for each in one.options]
    command = repeat_command(one.path, one.case.id, seed, "converge") + (" --effort thorough" if thorough else "")
    made = verify_optimizer(
        make, rule=rule, options=sets, name=one.id, seed=seed, thorough=thorough, device=device, command=command
    )
    return replace(made, source=one.source, path=str(one.path), tags=one.tags)


def optimizer_findings(tested: UnderTest) -> Iterator[Finding]:
    """Yield the findings of every check, as they come; none of them raises."""
    labels = tested.labels(tested.sets[0])
    try:
        needs = tested.needs
    except HarnessError as error:
        yield finding(labels, "first step", Outcome.ERROR, str(error))
        return
    named = tested.name in optimizer_classes() and tested.name == "LBFGS"
    checks: list[Check] = []
    if named:
        checks.append(partial(lbfgs_findings, tested))  # which goes through its options, too
    else:
        checks.append(partial(rule_findings, tested))
        checks.append(partial(option_findings, tested))
    checks += [
        partial(closed_form_findings, tested),
        partial(quadratic_findings, tested),
        partial(invariance_findings, tested),
        partial(reuse_findings, tested),
        partial(variant_findings, tested),
    ]
    for options in tested.generic_sets:
        checks += [
            partial(one, tested, options)
            for one in (contract_findings, isolation_findings, tensor_findings, persistence_findings)
        ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimizer's warnings are its own
        yield from _guarded(labels, checks)
    wants = [
        word
        for word, wanted in (
            ("matrices", needs.matrices),
            ("sparse gradients", needs.sparse),
            ("a closure", needs.closure),
        )
        if wanted
    ]
    if wants:
        yield finding(labels, "needs", Outcome.SKIPPED, f"It wants {' and '.join(wants)}, and is given nothing else.")


def _guarded(labels: Labels, checks: Sequence[Check]) -> Iterator[Finding]:
    """Run checks one by one; what one raises is a finding."""
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001  the case boundary: an optimizer raises as it likes
            where = traceback.extract_tb(error.__traceback__)[-1]
            function = check.func.__name__ if isinstance(check, partial) else "check"
            message = f"{type(error).__name__}: {' '.join(str(error).split())} ({where.name}, line {where.lineno})"
            yield finding(labels, function.replace("_findings", "").replace("_", " "), Outcome.ERROR, message)


def _sets(known: str, make: Make) -> tuple[Options, ...]:
    """Return the shipped option sets of one of PyTorch's optimizers, or for a new one those with which it steps."""
    if known in SETS:
        return sets_of(known)
    plain, *more = sets_of_new(UnderTest(name=known, make=make).defaults)
    return (plain, *(one for one in more if steps(make, one)))


def _record(
    name: str,
    found: tuple[Finding, ...],
    started: float,
    *,
    command: str | None,
    source: str,
    title: str | None = None,
    kind: str = "optimizer",
) -> VerifyRecord:
    outcome, message = decide(found)
    telling = (one for one in found if one.outcome is outcome and not one.excused and message.startswith(one.message))
    if outcome in (Outcome.FAIL, Outcome.ERROR):
        message = "".join([*(f"{one.check}: " for one in islice(telling, 1)), message])
    reasons = tuple(dict.fromkeys(one.excused for one in found if one.excused is not None))
    if reasons:
        message = f"{message}; known deviations: {' '.join(reasons)}"
    return VerifyRecord(
        job=f"optimizer {name}", case=name, title=title or name, source=source, path=str(PATH),
        tags=tuple(dict.fromkeys((TAG, kind))),
        outcome=outcome, message=message, findings=found, formula=title or name, command=command,
        duration_s=time.perf_counter() - started,
    )  # fmt: skip


def _torch() -> str:
    return f"PyTorch {torch.__version__}"
