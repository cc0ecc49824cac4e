"""What is known about a function at one point before its backward is looked at: the evidence of the first-order checks.

Oracle estimates, the ladder they were read from and the rounding bars depend on the function (the bars also on how its
own reverse mode computes), so they are worked out once and serve any number of backwards of one function. Judges no
gradient of the subject; the case's analytic gradient, which is evidence too, is held against finite differences here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.oracle.analytic import ROUNDING_ORIGIN, analytic_gradient
from harness.oracle.ball.budget import Budget
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.oracle import ball_estimates
from harness.oracle.complex_step import NotAnalyticError, complex_step
from harness.oracle.differences import finite_differences
from harness.oracle.estimate import Estimate, GradientShapeError, NotSymbolicError
from harness.oracle.flat import FlatSubject
from harness.oracle.ladder import Slopes
from harness.oracle.rounding import SAFETY, UNIT_ROUNDOFF, rounding_bars
from harness.records import Finding, Outcome
from harness.verify.compare import compare
from harness.verify.options import VerifyOptions
from harness.verify.routes import RouteUnavailableError, reverse
from harness.verify.scene import Scene, number

if TYPE_CHECKING:
    from harness.oracle.symbolic import Symbolic

CERTIFICATE_BUDGET = Budget(operations=200_000, coordinate_operations=100_000, seconds=5.0)
"""What a certificate at one point may cost."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What the oracles say about a function at a point, with bars; finite differences come first among them.

    `bar` (C × N) and `value_bar` (M) bound the rounding of the function's own gradients and outputs. `findings` compare
    values and name the oracles that could not answer; `about_analytic` judges the case's analytic gradient.
    """

    oracles: tuple[Estimate, ...]
    bar: Tensor
    value_bar: Tensor
    ladder: Slopes | None
    findings: tuple[Finding, ...]
    about_analytic: tuple[Finding, ...]

    @property
    def kinked(self) -> bool:
        """Whether slopes along dense directions need not be sums of slopes along the axes."""
        return has_kink(self.oracles[0])

    @property
    def judges(self) -> tuple[Estimate, ...]:
        """The oracles that may judge a gradient here.

        At a kink every slope between the one-sided ones is right: only the oracles that know both may judge.
        """
        return tuple(one for one in self.oracles if not self.kinked or one.kink is not None)

    @property
    def truth(self) -> Estimate | None:
        """The sharpest independent estimate."""
        return min((one for one in self.oracles if one.independent), key=_width, default=None)


def gather(scene: Scene, symbolic: Symbolic | None, options: VerifyOptions) -> Evidence:
    """Ask every oracle about the function at a scene.

    Raises:
        RouteUnavailableError: the subject has no reverse mode, so its rounding cannot be bounded.
    """
    value_bar, bar = rounding_of(scene.flat, scene.cotangents, scene.generator("rounding"))
    oracles, ladder, findings = _oracles(scene, symbolic, value_bar, options)
    oracles[0] = unless_refuted(oracles[0], next((one for one in oracles if one.rigorous), None))
    return Evidence(
        oracles=tuple(oracles), bar=bar, value_bar=value_bar, ladder=ladder, findings=tuple(findings),
        about_analytic=tuple(_analytic_against_truth(scene, oracles)),
    )  # fmt: skip


def unless_refuted(differences: Estimate, enclosure: Estimate | None) -> Estimate:
    """Silence differences where an enclosure refutes them: neither asks the backward, and one is rigorous.

    Features far narrower than the point's last digits (x**1000000007 at 1) are beyond any ladder of steps.

    Args:
        differences: gradients (C × N), or their projections along its `directions`.
        enclosure: whole gradients (C × N); None, or one of another kind, silences nothing.
    """
    if enclosure is None or not enclosure.rigorous or enclosure.directions is not None or has_kink(enclosure):
        return differences
    value, bar = enclosure.value, enclosure.bar
    if differences.directions is not None:
        value, bar = value @ differences.directions.T, bar @ differences.directions.abs().T
    refuted = (differences.value - value).abs() > differences.bar + bar
    if has_kink(differences) or not bool(refuted.any()):
        return differences
    return replace(differences, bar=torch.where(refuted, torch.inf, differences.bar))


def rounding_of(
    flat: FlatSubject, cotangents: Tensor, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Rounding bars of the outputs (M) and of the reverse-mode gradients (C × N) at a dtype.

    Outputs that are rounded to a coarser dtype by design (`x.float()`) are off by its roundoff too.
    """

    def compute(x: Tensor) -> Tensor:
        found = reverse(flat.at(x), cotangents)
        return torch.cat([found.outputs, found.value.reshape(-1)])

    bars = rounding_bars(compute, flat.x, dtypes=(dtype,), generator=generator)[dtype]
    outputs = cotangents.shape[1]
    value = flat.outputs(flat.x).detach()
    coarser = max(0.0, UNIT_ROUNDOFF.get(value.dtype, 0.0) - UNIT_ROUNDOFF[dtype])
    value_bar = bars[:outputs] + coarser * value.abs().to("cpu", torch.float64)
    return value_bar, bars[outputs:].reshape(cotangents.shape[0], flat.size)


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
    generator = scene.generator("ball directions")
    try:
        value, derivative = ball_estimates(scene.flat, scene.cotangents, generator=generator, budget=CERTIFICATE_BUDGET)
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
    place, ulps = f"f[{found.position}]" if actual.numel() > 1 else "f", scene.ulps(actual, expected)
    known = scene.certainty(expected, ulps) if found.outcome is Outcome.PASS else ""
    message = (
        f"{place} is {number(found.actual)} but {number(found.expected)} by {expected.oracle}: off by "
        f"{number(found.error)}, allowed {number(found.bar)}."
        if found.outcome is Outcome.FAIL
        else f"value and {expected.oracle}: {found.reason}{known}"
    )
    return scene.judged(
        check,
        found,
        message,
        question=f"value at {scene.point.name}",
        index=None if found.position is None or actual.numel() == 1 else (found.position,),
        bar_origin=expected.origin,
        ulps=ulps,
        radius_bits=expected.radius_bits,
        oracle=expected.oracle,
        order=0,
    )


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


def has_kink(estimate: Estimate) -> bool:
    """Whether slopes along dense directions need not be sums of slopes along the axes."""
    return estimate.kink is not None and bool(estimate.kink.any())


def _width(estimate: Estimate) -> float:
    """How wide an estimate's bars are, relative to its largest entry."""
    scale = float(estimate.value.abs().nan_to_num(0.0, 0.0, 0.0).max()) if estimate.value.numel() else 0.0
    widest = float(estimate.bar.max()) if estimate.bar.numel() else 0.0
    return widest / scale if scale else widest
