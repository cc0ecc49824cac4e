"""Formula or rounding: why a float64 gradient misses the truth.

The subject's own backward graph is enclosed in ball arithmetic, that is, evaluated without rounding. Where that agrees
with the truth the formula is right and its arithmetic loses the digits; where it does not, the formula is wrong. Each
operator is then held against its own enclosure, which tells a kernel with a coarse constant from one that rounds.

Cannot tell where the graph cannot be recorded or enclosed, and then says nothing. Runs for findings that ask for it
alone, within a budget of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from harness.oracle.ball.backward import Audit, OperatorError, formula_gradient, gradient_view, operator_errors
from harness.oracle.ball.budget import Budget
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.oracle import ORACLE
from harness.oracle.estimate import Estimate
from harness.oracle.flat import Block, FlatSubject
from harness.records import Finding, Outcome
from harness.verify.evidence import Evidence
from harness.verify.routes import reverse
from harness.verify.scene import Scene, apart

BUDGET = Budget(operations=200_000, coordinate_operations=100_000, seconds=3.0)
"""What the enclosure of a backward graph may cost, and again what the audit of its operators may."""
FLOAT64_DIGITS = 53 * math.log10(2)
UNIT = 2.0**-53
CONSTANTS = 64 * UNIT
"""Relative to the largest entry, what the constants of a right formula may be off: they are float64 numbers."""
BETTER = 100.0
"""An operator whose decomposition is so many times more accurate than its kernel does not compute its own formula."""
TELLING = 1e-3
"""Share of the whole relative error that an operator's own has to reach to be named."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sides:
    """A gradient in float64, by its formula over the reals, and in truth: C × N, or all three projected on directions.

    `slack` is what the two enclosures leave open, `rounding` the bar of the float64 one; `judged` leaves out kinks.
    """

    actual: Tensor
    formula: Tensor
    truth: Tensor
    slack: Tensor
    rounding: Tensor
    judged: Tensor

    def of(self, columns: Tensor) -> _Sides:
        """Some columns alone."""
        return _Sides(**{field.name: getattr(self, field.name)[:, columns] for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worst:
    """The entry that is off most: which, its three numbers, and its error relative to the truth."""

    name: str
    actual: float
    formula: float
    truth: float
    relative: float


def explain(scene: Scene, findings: Sequence[Finding], evidence: Evidence | None) -> tuple[Finding, ...]:
    """Add to the findings whose float64 numbers miss the truth whether formula or rounding is to blame.

    Args:
        scene: the subject at the point the findings are about, in float64.
        findings: what was found there.
        evidence: what the gradient was judged by; the enclosure among it, or else the sharpest estimate, is the truth.

    Returns:
        The findings, with longer messages where there is an explanation.
    """
    if evidence is None or scene.labels.device != "cpu" or scene.dtype != torch.float64:
        return tuple(findings)
    wanted = [one for one in findings if _asks_about_gradient(one)]
    sentences: dict[str, str] = {}
    if wanted:
        sentences = _about_gradients(scene, wanted, evidence)
    if any(_asks_about_value(one) for one in findings):
        value = _about_value(scene)
        return tuple(_extended(one, value if _asks_about_value(one) else _own(one, sentences)) for one in findings)
    return tuple(_extended(one, _own(one, sentences)) for one in findings)


def _asks_about_gradient(finding: Finding) -> bool:
    """A gradient that fails against an independent oracle, or whose rounding leaves it open what it is worth."""
    if finding.route != "autograd" or finding.order != 1 or finding.dtype != "float64" or finding.input is None:
        return False
    if finding.outcome is Outcome.INCONCLUSIVE:
        return finding.oracle == ORACLE and finding.resolution is not None
    return finding.outcome is Outcome.FAIL and finding.independent


def _asks_about_value(finding: Finding) -> bool:
    enclosed = finding.oracle == ORACLE and finding.order == 0
    return finding.outcome is Outcome.FAIL and enclosed and finding.dtype == "float64"


def _own(finding: Finding, sentences: dict[str, str]) -> str | None:
    return sentences.get(finding.input or "") if _asks_about_gradient(finding) else None


def _extended(finding: Finding, sentence: str | None) -> Finding:
    return finding if sentence is None else replace(finding, message=f"{finding.message} {sentence}")


def _about_gradients(scene: Scene, wanted: Sequence[Finding], evidence: Evidence) -> dict[str, str]:
    """A sentence per input, for those that can be explained."""
    truth = next((one for one in evidence.judges if one.rigorous), evidence.truth)
    if truth is None:
        return {}
    try:
        formula = formula_gradient(scene.flat, scene.cotangents, budget=BUDGET)
    except NotCertifiedError:
        return {}
    sides = _sides(reverse(scene.flat, scene.cotangents).value, formula, truth, evidence.bar)
    found: dict[str, str | None] = {}
    audit: Audit | None = None
    for block in scene.flat.blocks:
        asking = [one for one in wanted if one.input == block.name]
        columns = _columns(block, truth)
        part = sides.of(columns)
        off, right = (
            _judge(part, failing=any(one.outcome is Outcome.FAIL for one in asking)) if asking else (None, None)
        )
        if off is None or right is None:
            continue
        worst = _worst(scene, part, off, block, projected=truth.directions is not None)
        if right and audit is None:
            audit = _audit(gradient_view(scene.flat, scene.cotangents))
        found[block.name] = _right(worst, audit) if right else _wrong(worst)
    return {name: sentence for name, sentence in found.items() if sentence is not None}


def _sides(actual: Tensor, formula: Estimate, truth: Estimate, rounding: Tensor) -> _Sides:
    kink = torch.zeros_like(truth.value, dtype=torch.bool) if truth.kink is None else truth.kink
    value, bar = formula.value, formula.bar
    if truth.directions is not None:
        along, reach = truth.directions.T, truth.directions.abs().T
        actual, value, bar, rounding = actual @ along, value @ along, bar @ reach, rounding @ reach
    slack = bar + truth.bar
    known = ~kink & value.isfinite() & truth.value.isfinite() & slack.isfinite()
    return _Sides(actual=actual, formula=value, truth=truth.value, slack=slack, rounding=rounding, judged=known)


def _columns(block: Block, truth: Estimate) -> Tensor:
    """The columns of the sides that are about an input."""
    if truth.directions is None:
        return torch.arange(block.start, block.stop)
    return (truth.directions[:, block.start : block.stop] != 0).any(-1).nonzero()[:, 0]


def _judge(sides: _Sides, *, failing: bool) -> tuple[Tensor | None, bool | None]:
    """Which entries miss the truth, and whether the formula gives it there; None where that cannot be told."""
    gap = (sides.actual - sides.truth).abs().nan_to_num(torch.inf, torch.inf)
    missed = (sides.formula - sides.truth).abs()
    scale = float(sides.truth[sides.judged].abs().max()) if bool(sides.judged.any()) else 0.0
    exact = sides.slack + CONSTANTS * scale
    total = sides.rounding + sides.slack
    off = sides.judged & ~(gap <= (total if failing else exact))
    if not bool(off.any()):
        return None, None
    if failing and bool((missed - sides.slack > total)[off].any()):
        return off, False
    right = missed <= torch.maximum(exact, torch.minimum(total, gap / 10))
    return off, True if bool(right[off].all()) else None


def _worst(scene: Scene, sides: _Sides, off: Tensor, block: Block, *, projected: bool) -> _Worst:
    """The entry that is off most, relative to its own size."""
    gap = (sides.actual - sides.truth).abs().nan_to_num(torch.inf, torch.inf)
    scale = sides.truth[sides.judged].abs().max()
    size = torch.where(sides.truth == 0, scale, sides.truth.abs())
    relative = torch.where(off, gap / size, -1.0).nan_to_num(torch.inf, torch.inf)
    row, column = divmod(int(relative.argmax()), relative.shape[1])
    index = None if projected else block.index(column)
    return _Worst(
        name=scene.symbol(block, index) + (" along a direction" if projected else ""),
        actual=float(sides.actual[row, column]), formula=float(sides.formula[row, column]),
        truth=float(sides.truth[row, column]), relative=float(relative[row, column]),
    )  # fmt: skip


def _wrong(worst: _Worst) -> str:
    return (
        f"The backward formula is wrong: evaluated exactly it still gives {apart(worst.formula, worst.truth)} instead "
        f"of {apart(worst.truth, worst.formula)} for {worst.name}."
    )


def _right(worst: _Worst, audit: Audit | None) -> str | None:
    """What is to blame where the formula is right; nothing where an operator could not be judged."""
    telling = _telling(audit, worst.relative)
    if telling is not None and _is_coarse(telling):
        plain = f"to {FLOAT64_DIGITS - _lost(telling.decomposed or 0.0):.1f} digits"
        return (
            f"The backward formula is wrong inside {telling.operator}: that kernel alone is off by "
            f"{telling.relative:.1e} of its result; the formula it stands for is right {plain} in plain float64."
        )
    if audit is None or (audit.blocked and telling is None):
        return None
    value = apart(worst.formula, worst.actual)
    exactly = f"The backward formula is right: evaluated exactly it gives {value} for {worst.name}"
    if not math.isfinite(worst.actual):
        return f"{exactly}; in float64 its arithmetic overflows, or divides by zero."
    lost = _lost(worst.relative)
    where = "" if telling is None else f", {min(lost, _lost(telling.relative)):.1f} of them inside {telling.operator}"
    return f"{exactly}; in float64 its arithmetic loses {lost:.1f} digits{where}."


def _about_value(scene: Scene) -> str | None:
    """Where the value of a function loses digits, whose graph is certified over the reals."""
    audit = _audit(scene.flat)
    telling = _telling(audit, CONSTANTS / TELLING)
    if telling is not None:
        return f"In float64 {telling.operator} alone loses {_lost(telling.relative):.1f} digits at the numbers it gets."
    if audit is None or audit.blocked:
        return None
    return "Every operator is accurate at the numbers it gets: the digits are lost by cancellation between them."


def _audit(view: FlatSubject) -> Audit | None:
    try:
        return operator_errors(view, budget=BUDGET)
    except NotCertifiedError:
        return None


def _telling(audit: Audit | None, relative: float) -> OperatorError | None:
    """The operator whose own error may explain a relative error; kernels that miss their own formula come first."""
    least = max(CONSTANTS, TELLING * min(relative, 1.0))
    found = [one for one in (audit.errors if audit is not None else ()) if one.relative > least]
    return max(found, key=lambda one: (_is_coarse(one), one.relative), default=None)


def _is_coarse(error: OperatorError) -> bool:
    return error.decomposed is not None and error.relative > BETTER * max(error.decomposed, UNIT)


def _lost(relative: float) -> float:
    """Decimal digits that a relative error costs of those that float64 has."""
    return min(FLOAT64_DIGITS, max(0.0, FLOAT64_DIGITS + math.log10(relative))) if relative > 0 else 0.0
