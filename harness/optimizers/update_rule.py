"""An optimizer against its update rule, step by step.

The rule is given the gradients that the optimizer was given, those of the closed loop as they came, so that errors of
earlier steps are never multiplied by the problem's curvature. It runs in extended precision with running error bounds
(`harness.optimizers.bounded`), and every entry after every step must lie within them.

It cannot see what has no effect on parameters along these walks; whether an option has one is `options`' question.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from harness.optimizers.bounded import Bounded, UndecidedError, UnknownRoundingError, bounded
from harness.optimizers.findings import Entry, Numbers, compared, finding
from harness.optimizers.pieces import ruled_pieces
from harness.optimizers.under_test import SWITCHES, UnderTest
from harness.optimizers.walk import Options, Piece
from harness.records import Finding, Outcome

CHECK = "update rule"
NO_RULE = "no update rule is known; whatever needs none is checked"
HALVED = "update rule, lr halved on the way"
LOW = (torch.float32, torch.bfloat16)
SHORT = 10
"""Steps in low precision, where bars grow with each, and of the walks that only change how scalars are held."""
SCALARS = "update rule, float32 the default dtype"
"""What a float64 model meets unless its author changes PyTorch's default."""
ORIGIN = "running error analysis of the rule, times 4"


def rule_findings(tested: UnderTest) -> Iterator[Finding]:
    """Yield a finding for every option set in float64; for the first and last also with float32 scalars, and others.

    Some optimizers hold scalars of their state in PyTorch's default dtype. All sets are run with float64 as default, so
    that the rule is checked to the last digits there as well.
    """
    if tested.rule is None:
        yield finding(tested.labels({}), CHECK, Outcome.INCONCLUSIVE, NO_RULE)
        return
    failed: list[Options] = []
    for options in tested.sets:
        with default_dtype(torch.float64):
            found = _against_rule(tested, options, torch.float64, tested.steps)
        failed += [options] if found.outcome is Outcome.FAIL else []
        yield found
    for options in tested.generic_sets:
        if options in failed:
            message = "The rule is not met to begin with; other dtypes and a changed rate would say it again."
            yield finding(tested.labels(options), SCALARS, Outcome.SKIPPED, message)
            continue
        yield replace(_against_rule(tested, options, torch.float64, SHORT), check=SCALARS, question=SCALARS)
        with default_dtype(torch.float64):
            yield replace(
                _against_rule(tested, options, torch.float64, SHORT, halved=True), check=HALVED, question=HALVED
            )
        for dtype in LOW:
            found = _against_rule(tested, options, dtype, SHORT)
            # What is too coarse to tell here was told in float64.
            yield replace(found, outcome=Outcome.SKIPPED) if found.outcome is Outcome.INCONCLUSIVE else found


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Make a dtype PyTorch's default, in which optimizers hold their scalars, and put the former one back."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _against_rule(
    tested: UnderTest, options: Options, dtype: torch.dtype, steps: int, *, halved: bool = False
) -> Finding:
    """Compare a walk with the rule; with `halved`, the learning rate is halved after half of it."""
    labels, name = tested.labels(options), str(dtype).removeprefix("torch.")
    unknown = unknown_option(tested, options)
    if unknown is not None:
        return finding(labels, CHECK, Outcome.INCONCLUSIVE, f"The update rule takes no option {unknown!r}.", dtype=name)
    pieces = ruled_pieces(tested.needs, steps, tested.seed, dtype)
    walk = tested.walk(options, pieces)
    before, paths = walk.read(), []
    gradients: list[list[Numbers]] = [[] for _ in pieces]
    rate = _rate(tested, options) if halved else None
    if halved and rate is None:
        return finding(labels, HALVED, Outcome.SKIPPED, "It has no numeric option lr.")
    for step in range(steps):
        if rate is not None and step == steps // 2:
            walk.optimizer.param_groups[0]["lr"] = rate / 2
        walk.step()
        paths.append(walk.read())
        for number, parameter in enumerate(walk.parameters):
            gradients[number].append(_as_given(parameter.grad))
    entries: list[Entry] = []
    try:
        for number, piece in enumerate(pieces):
            expected = expected_path(tested, options, piece, before[number], gradients[number], dtype, rate=rate)
            entries += _entries(piece.name, before[number], [at[number] for at in paths], expected)
    except UndecidedError as reason:
        return finding(labels, CHECK, Outcome.INCONCLUSIVE, f"The rule cannot be bounded here: {reason}.", dtype=name)
    except UnknownRoundingError as reason:
        message = f"The rule's rounding cannot be bounded: {reason}. Write it with +, −, ·, /, powers and sqrt."
        return finding(labels, CHECK, Outcome.INCONCLUSIVE, message, dtype=name)
    return compared(
        labels, CHECK, entries, oracle="the update rule", bar_origin=ORIGIN, dtype=name, independent=True
    )  # fmt: skip


def unknown_option(tested: UnderTest, options: Options) -> str | None:
    """Return an option of a set that the rule does not take, None where there is none."""
    if tested.rule is None:
        return None
    parameters = inspect.signature(tested.rule).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return None
    return next((name for name in _passed(options) if name not in parameters), None)


def expected_path(
    tested: UnderTest,
    options: Options,
    piece: Piece,
    start: Numbers,
    gradients: list[Numbers],
    dtype: torch.dtype,
    *,
    rate: float | None = None,
) -> list[Bounded]:
    """Return the parameter after every step by the rule, with bounds.

    With a `rate`, the rule is given that learning rate as a number that is halved, in place, after half of the steps.

    Raises:
        UndecidedError: a branch of the rule depends on rounding.
        UnknownRoundingError: the rule uses a function whose rounding is not modelled.
    """
    unit = torch.finfo(dtype).eps / 2
    sign = -1.0 if options.get("maximize") else 1.0
    given: Iterator[Any] = (Bounded(sign * one, 0.0, unit) for one in gradients)
    if piece.present is not None:
        given = ((_rows(piece, step), one) for step, one in enumerate(given))
    if tested.rule is None:
        return []
    passed = {name: _wrapped(value) for name, value in _passed(options).items()}
    if rate is not None:
        passed["lr"] = bounded(rate)
    path: list[Bounded] = []
    with np.errstate(all="ignore"):
        for one in tested.rule(Bounded(start, 0.0, unit), given, **passed):
            path.append(bounded(one, unit))
            if rate is not None and len(path) == len(gradients) // 2:
                passed["lr"].value = passed["lr"].value / 2
    return path


def _rate(tested: UnderTest, options: Options) -> float | None:
    """Return the learning rate of an option set, None where there is none that is a number."""
    rate = options.get("lr", tested.defaults.get("lr"))
    return float(rate) if isinstance(rate, int | float) else None


def _entries(name: str, start: Numbers, actual: list[Numbers], expected: list[Bounded]) -> Iterator[Entry]:
    for step, (one, rule) in enumerate(zip(actual, expected, strict=True), start=1):
        value = rule.value.astype(np.float64)
        moved = float(np.max(np.abs(value - start), initial=0.0))
        # Rounding the rule's own value to float64 adds half a unit.
        bar = rule.bar + 2.0**-52 * np.abs(value)
        yield Entry(name=name, actual=one, expected=value, bar=bar, step=step, scale=moved or None)


def _as_given(gradient: torch.Tensor | None) -> Numbers:
    """Return the gradient an optimizer was given, dense."""
    if gradient is None:
        raise ValueError("Cannot compare with the rule: the optimizer removed a gradient. Leave `.grad` alone.")
    dense = gradient.detach().to_dense() if gradient.layout is not torch.strided else gradient.detach()
    array: Numbers = dense.cpu().to(torch.float64).numpy().copy()
    return array


def _rows(piece: Piece, step: int) -> Any:
    """Return where a sparse gradient has entries, as a column that broadcasts over its rows."""
    return piece.present[step % len(piece.present)].reshape(-1, *(1 for _ in piece.start.shape[1:]))


def _passed(options: Options) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in (*SWITCHES, "maximize")}


def _wrapped(value: Any) -> Any:
    """Return numbers as exact bounded scalars, so that what is computed from options brings its rounding along."""
    if isinstance(value, tuple | list):
        return tuple(_wrapped(part) for part in value)
    return bounded(value) if isinstance(value, float) else value
