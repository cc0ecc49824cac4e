"""First-order checks at one point in float64: the subject's gradient by every route, against every oracle.

Sees wrong values, signs, factors, missing terms, cut paths, ignored or mis-scaled cotangents, gradients that do not
accumulate, and forward modes that contradict reverse ones. Cannot see faults that need other inputs than this point's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.oracle.analytic import ROUNDING_ORIGIN, analytic_gradient
from harness.oracle.complex_step import NotAnalyticError, complex_step
from harness.oracle.differences import finite_differences
from harness.oracle.estimate import Estimate, GradientShapeError, NotSymbolicError
from harness.oracle.flat import FlatSubject, random_signs
from harness.oracle.ladder import Slopes, scales
from harness.oracle.rounding import SAFETY, rounding_bars
from harness.records import Finding, Outcome
from harness.verify.compare import compare
from harness.verify.options import VerifyOptions
from harness.verify.routes import (
    Gradients,
    RouteUnavailableError,
    backward,
    forward_products,
    one_line,
    reverse,
)
from harness.verify.scene import Scene, number

if TYPE_CHECKING:
    from harness.oracle.symbolic import Symbolic

CHANGED_COTANGENT = -2.0
"""A cotangent is scaled by this to see whether a backward reads it; a power of two, so that rounding stays the same."""
BALL_OPERATIONS = 200_000
BALL_SECONDS = 5.0
"""What a certificate at one point may cost."""
LINEAR_MARGIN = 64.0
"""Rounding bars granted to a scaled cotangent: some backwards choose their algorithm by its size (matrix_exp)."""


FORWARD_MARGIN = 4.0
_MEANING = {
    ".backward() ~ autograd.grad": (".backward()", "The two reverse-mode calls disagree:"),
    "accumulation over two backwards": ("two backwards", "A second backward does not add the same gradient again:"),
    "cotangent is used linearly": (
        f"a cotangent of {CHANGED_COTANGENT}",
        "The backward does not multiply by its upstream gradient:",
    ),
}
"""Route and meaning of each check of the subject against itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FirstOrder:
    """What the first-order checks found, and the evidence later checks build on.

    `gradient` (C × N) with its rounding `bar` is the subject's own by reverse mode, None when there is none; `truth` is
    the sharpest independent estimate.
    """

    findings: tuple[Finding, ...]
    gradient: Tensor | None = None
    bar: Tensor | None = None
    truth: Estimate | None = None
    value_bar: Tensor | None = None
    ladder: Slopes | None = None
    kinked: bool = False
    """Whether finite differences saw a kink or a jump at the point."""


def first_order(scene: Scene, symbolic: Symbolic | None, options: VerifyOptions) -> FirstOrder:
    """Run every first-order check at a scene."""
    findings: list[Finding] = []
    flat, generator = scene.flat, scene.generator("rounding")
    try:
        gradients = reverse(flat, scene.cotangents)
    except RouteUnavailableError as reason:
        return FirstOrder(findings=(scene.finding("reverse", Outcome.FAIL, f"There is no gradient: {reason}."),))
    value_bar, bar = rounding_of(flat, scene.cotangents, generator)
    oracles, ladder, skipped = _oracles(scene, symbolic, value_bar, options)
    findings += skipped
    findings += _dtypes(scene, gradients)
    if gradients.overwrites_cotangent:
        message = "The backward writes into its upstream gradient, which other parts of a graph may share."
        findings.append(scene.finding("cotangent is left alone", Outcome.FAIL, message))
    kinked = _has_kink(oracles[0])
    for estimate in oracles:
        # At a kink every slope between the one-sided ones is right: only the oracles that know both may judge.
        if not kinked or estimate.kink is not None:
            findings += _against(scene, gradients, bar, estimate)
    findings += _analytic_against_truth(scene, oracles)
    if not bool(gradients.value.isfinite().all()):
        return FirstOrder(findings=tuple(findings))
    findings += _other_reverse_routes(scene, gradients, bar)
    truth = min((o for o in oracles if o.independent), key=_width, default=None)
    findings += _forward(scene, gradients, bar, truth)
    return FirstOrder(
        findings=tuple(findings), gradient=gradients.value, bar=bar, truth=truth, value_bar=value_bar, ladder=ladder,
        kinked=oracles[0].note is not None,
    )  # fmt: skip


def rounding_of(
    flat: FlatSubject, cotangents: Tensor, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Rounding bars of the outputs (M) and of the reverse-mode gradients (C × N) at a dtype."""

    def compute(x: Tensor) -> Tensor:
        found = reverse(flat.at(x), cotangents)
        return torch.cat([found.outputs, found.value.reshape(-1)])

    bars = rounding_bars(compute, flat.x, dtypes=(dtype,), generator=generator)[dtype]
    outputs = cotangents.shape[1]
    return bars[:outputs], bars[outputs:].reshape(cotangents.shape[0], flat.size)


def _width(estimate: Estimate) -> float:
    """How wide an estimate's bars are, relative to its largest entry."""
    scale = float(estimate.value.abs().nan_to_num(0.0, 0.0, 0.0).max()) if estimate.value.numel() else 0.0
    widest = float(estimate.bar.max()) if estimate.bar.numel() else 0.0
    return widest / scale if scale else widest


def _oracles(
    scene: Scene, symbolic: Symbolic | None, value_bar: Tensor, options: VerifyOptions
) -> tuple[list[Estimate], Slopes | None, list[Finding]]:
    """Ask every oracle that can answer; findings say which could not, and compare values where an oracle has them."""
    flat, cotangents, findings = scene.flat, scene.cotangents, []
    differences, ladder = finite_differences(
        flat, cotangents, generator=scene.generator("directions"), noise=value_bar / SAFETY
    )
    oracles = [differences]
    if symbolic is not None:
        try:
            value, derivative = symbolic.estimates(flat, cotangents, scene.point.sizes)
            oracles.append(derivative)
            findings.append(value_finding(scene, "value ~ symbolic", scene.value, value, value_bar))
        except NotSymbolicError as reason:
            findings.append(scene.finding("autograd ~ symbolic", Outcome.SKIPPED, f"No symbolic derivative: {reason}."))
    if options.certify and scene.labels.device == "cpu":
        found, certificate = _certificate(scene, value_bar)
        findings += found
        oracles += certificate
    try:
        analytic = analytic_gradient(flat, cotangents, generator=scene.generator("analytic"))
        oracles += [] if analytic is None else [analytic]
    except GradientShapeError as reason:
        check = "autograd ~ analytic"
        findings.append(scene.finding(check, Outcome.FAIL, str(reason), input=reason.input, oracle="analytic"))
    if scene.subject.reference is not None:
        about_reference, twin = _reference(scene, value_bar)
        findings += about_reference
        if twin is not None:
            oracles.append(twin)
    if options.complex_step:
        try:
            oracles.append(complex_step(flat, cotangents))
        except NotAnalyticError as reason:
            findings.append(scene.finding("autograd ~ complex step", Outcome.SKIPPED, f"No complex step: {reason}."))
    return oracles, ladder, findings


def _certificate(scene: Scene, value_bar: Tensor) -> tuple[list[Finding], list[Estimate]]:
    """Enclose value and gradients in ball arithmetic, on a small budget; a finding says why there is no certificate."""
    from harness.oracle.ball.budget import Budget
    from harness.oracle.ball.errors import NotCertifiedError
    from harness.oracle.ball.oracle import ball_estimates

    budget = Budget(operations=BALL_OPERATIONS, coordinate_operations=BALL_OPERATIONS // 2, seconds=BALL_SECONDS)
    generator = scene.generator("ball directions")
    try:
        value, derivative = ball_estimates(scene.flat, scene.cotangents, generator=generator, budget=budget)
    except NotCertifiedError as reason:
        return [scene.finding("autograd ~ ball arithmetic", Outcome.SKIPPED, f"No certificate: {reason}.")], []
    return [value_finding(scene, "value ~ ball arithmetic", scene.value, value, value_bar)], [derivative]


def _reference(scene: Scene, value_bar: Tensor) -> tuple[list[Finding], Estimate | None]:
    """Value and gradient of the plain reference implementation."""
    reference = FlatSubject(scene.subject, scene.point, device=scene.labels.device, function=scene.subject.reference)
    generator = scene.generator("reference")
    value = reference.outputs(reference.x).detach().to("cpu", torch.float64)
    if value.shape != scene.value.shape:
        message = f"The reference returns {value.numel()} numbers, the subject {scene.value.numel()}."
        return [scene.finding("value ~ reference", Outcome.FAIL, message)], None
    try:
        gradients = reverse(reference, scene.cotangents)
        bar, gradient_bar = rounding_of(reference, scene.cotangents, generator)
    except RouteUnavailableError as reason:
        return [scene.finding("autograd ~ reference", Outcome.SKIPPED, f"No gradient: {reason}.")], None
    plain = Estimate(value=value, bar=bar, oracle="reference", origin=ROUNDING_ORIGIN, independent=False)
    findings = [value_finding(scene, "value ~ reference", scene.value, plain, value_bar)]
    estimate = Estimate(
        value=gradients.value,
        bar=gradient_bar,
        oracle="reference",
        origin=ROUNDING_ORIGIN,
        independent=False,
    )
    return findings, estimate


def value_finding(scene: Scene, check: str, actual: Tensor, expected: Estimate, bar: Tensor) -> Finding:
    """Compare output values (M) with an estimate's; a value of zero is worth a pass."""
    size = float(actual.abs().nan_to_num(0.0, 0.0, 0.0).max()) if actual.numel() else 0.0
    found = compare(actual, expected.value, bar + expected.bar, required=scene.required(1), zero_scale=max(size, 1.0))
    place = f"f[{found.position}]" if actual.numel() > 1 else "f"
    message = (
        f"{place} is {number(found.actual)} but {number(found.expected)} by {expected.oracle}: off by "
        f"{number(found.error)}, allowed {number(found.bar)}."
        if found.outcome is Outcome.FAIL
        else f"value and {expected.oracle}: {found.reason}"
    )
    return scene.finding(
        check,
        found.outcome,
        message,
        question=f"value at {scene.point.name}",
        index=None if found.position is None or actual.numel() == 1 else (found.position,),
        actual=found.actual,
        expected=found.expected,
        error=found.error,
        bar=found.bar,
        bar_origin=expected.origin,
        resolution=found.resolution,
        digits=found.digits,
        oracle=expected.oracle,
        order=0,
    )


def _dtypes(scene: Scene, gradients: Gradients) -> Iterator[Finding]:
    for fault in gradients.dtype_faults:
        yield scene.finding("gradient dtype", Outcome.FAIL, f"The gradient has another dtype than its input: {fault}.")


def _against(scene: Scene, gradients: Gradients, bar: Tensor, estimate: Estimate) -> Iterator[Finding]:
    """Compare the reverse-mode gradient with one oracle, input by input."""
    check = f"autograd ~ {estimate.oracle}"
    for finding in scene.by_input(check, gradients.value, estimate, bar=bar, route="autograd"):
        message = finding.message
        if finding.input in gradients.missing and finding.outcome is Outcome.FAIL:
            message += f" autograd returned None for {finding.input}: it is not connected to the result."
        yield replace(finding, message=message, question=f"gradient of {finding.input} at {scene.point.name}")


def _analytic_against_truth(scene: Scene, oracles: list[Estimate]) -> Iterator[Finding]:
    """Compare the case's analytic gradient with finite differences, so that one can tell which side is wrong."""
    analytic = next((o for o in oracles if o.oracle == "analytic"), None)
    if analytic is None:
        return
    truth = oracles[0]
    silent = analytic.bar.isinf()
    for finding in scene.by_input(
        "analytic ~ finite differences",
        analytic.value,
        truth,
        bar=analytic.bar.masked_fill(silent, 0.0),
        route="the analytic gradient",
    ):
        block = next(b for b in scene.flat.blocks if b.name == finding.input)
        if not bool(silent[:, block.start : block.stop].all()):
            yield replace(
                finding, detection_limit=None, question=f"analytic gradient of {finding.input} at {scene.point.name}"
            )


def _other_reverse_routes(scene: Scene, gradients: Gradients, bar: Tensor) -> Iterator[Finding]:
    """`.backward()` against `autograd.grad`, accumulation over two calls, and a scaled cotangent."""
    first = scene.cotangents[0]
    own = Estimate(
        value=gradients.value[:1], bar=bar[:1], oracle="autograd.grad", origin=ROUNDING_ORIGIN, independent=False
    )
    try:
        once, twice = backward(scene.flat, first)
    except RuntimeError as reason:
        yield scene.finding(".backward() ~ autograd.grad", Outcome.FAIL, f".backward() raised: {one_line(reason)}")
    else:
        yield from _consistent(scene, ".backward() ~ autograd.grad", once.value, own, bar[:1])
        double = _scaled(own, 2.0, "twice one backward")
        yield from _consistent(scene, "accumulation over two backwards", twice.value, double, 2 * bar[:1])
    changed = reverse(scene.flat, CHANGED_COTANGENT * first[None])
    scaled = _scaled(own, CHANGED_COTANGENT, f"{CHANGED_COTANGENT} × the gradient")
    yield from _consistent(scene, "cotangent is used linearly", changed.value, scaled, LINEAR_MARGIN * bar[:1])


def _consistent(scene: Scene, check: str, actual: Tensor, estimate: Estimate, bar: Tensor) -> Iterator[Finding]:
    """Compare two of the subject's own answers; zero agreeing with zero is fine, as oracles judge the gradient."""
    route, meaning = _MEANING[check]
    for finding in scene.by_input(check, actual.reshape(1, -1), estimate, bar=bar, route=route):
        outcome = Outcome.PASS if finding.outcome is Outcome.VACUOUS else finding.outcome
        message = f"{meaning} {finding.message}" if outcome is Outcome.FAIL else finding.message
        yield replace(
            finding, outcome=outcome, message=message, question=f"{check}: {finding.input} at {scene.point.name}"
        )


def _scaled(estimate: Estimate, factor: float, oracle: str) -> Estimate:
    return Estimate(
        value=factor * estimate.value,
        bar=abs(factor) * estimate.bar,
        oracle=oracle,
        origin=estimate.origin,
        independent=False,
    )


def _forward(scene: Scene, gradients: Gradients, bar: Tensor, truth: Estimate | None) -> Iterator[Finding]:
    """Forward mode: the adjoint identity ⟨v, J·d⟩ = ⟨Jᵀv, d⟩ against reverse mode, and against the sharpest oracle."""
    flat, cotangents = scene.flat, scene.cotangents
    directions = _input_directions(scene)
    try:
        actual = (forward_products(flat, directions) @ cotangents.T).T
    except RouteUnavailableError as reason:
        yield scene.finding("forward ~ reverse (adjoint identity)", Outcome.SKIPPED, f"No forward mode: {reason}.")
        return
    # The two modes round the same products in another order: the sum of all bars along d covers either.
    own_bar = FORWARD_MARGIN * (bar @ directions.abs().T)
    pairs = [
        (
            "forward ~ reverse (adjoint identity)",
            gradients.value @ directions.T,
            bar @ directions.abs().T,
            ROUNDING_ORIGIN,
            "reverse mode",
        )
    ]
    if truth is not None and truth.directions is None and not _has_kink(truth):
        pairs.append(
            (
                f"forward ~ {truth.oracle}",
                truth.value @ directions.T,
                truth.bar @ directions.abs().T,
                truth.origin,
                truth.oracle,
            )
        )
    for check, expected, reach, origin, oracle in pairs:
        for row, block in enumerate(flat.blocks):
            found = compare(
                actual[:, row], expected[:, row], own_bar[:, row] + reach[:, row], required=scene.required(1)
            )
            outcome = Outcome.PASS if found.outcome is Outcome.VACUOUS else found.outcome
            message = (
                f"⟨v, J·d⟩ along {block.name} is {number(found.actual)} by forward mode but {number(found.expected)} "
                f"by {oracle}: off by {number(found.error)}, allowed {number(found.bar)}."
                if outcome is Outcome.FAIL
                else f"forward mode and {oracle}: {found.reason}"
            )
            yield scene.finding(
                check, outcome, message, question=f"{check}: {block.name} at {scene.point.name}", input=block.name,
                actual=found.actual, expected=found.expected, error=found.error, bar=found.bar, bar_origin=origin,
                resolution=found.resolution, digits=found.digits, route="forward", oracle=oracle,
            )  # fmt: skip


def _has_kink(estimate: Estimate) -> bool:
    """Whether slopes along dense directions need not be sums of slopes along the axes."""
    return estimate.kink is not None and bool(estimate.kink.any())


def _input_directions(scene: Scene) -> Tensor:
    """One dense direction per input (B × N), 0 outside it."""
    flat = scene.flat
    signs = random_signs((len(flat.blocks), flat.size), scene.generator("forward directions")) * scales(flat.x)
    keep = torch.zeros_like(signs)
    for row, block in enumerate(flat.blocks):
        keep[row, block.start : block.stop] = 1
    return signs * keep
