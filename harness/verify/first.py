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

from harness.oracle.analytic import ROUNDING_ORIGIN
from harness.oracle.estimate import Estimate
from harness.oracle.flat import random_signs
from harness.oracle.ladder import Slopes, scales
from harness.records import Finding, Outcome
from harness.verify.compare import compare
from harness.verify.evidence import Evidence, gather, has_kink
from harness.verify.options import VerifyOptions
from harness.verify.routes import (
    Gradients,
    RouteUnavailableError,
    SecondBackwardError,
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
    evidence: Evidence | None = None
    """What the gradient was judged by; it serves any other backward of the same function."""


def first_order(scene: Scene, symbolic: Symbolic | None, options: VerifyOptions) -> FirstOrder:
    """Gather the evidence about the function at a scene, and judge the subject's gradients by it."""
    try:
        gradients = reverse(scene.flat, scene.cotangents)
    except RouteUnavailableError as reason:
        return FirstOrder(findings=(_no_gradient(scene, reason),))
    evidence = gather(scene, symbolic, options)
    findings = (*evidence.findings, *judge(scene, gradients, evidence))
    return conclude(gradients, evidence, findings)


def conclude(gradients: Gradients, evidence: Evidence, findings: tuple[Finding, ...]) -> FirstOrder:
    """Put together what later checks build on; a gradient that is not finite is nothing to build on."""
    if not bool(gradients.value.isfinite().all()):
        return FirstOrder(findings=findings, evidence=evidence)
    return FirstOrder(
        findings=findings, gradient=gradients.value, bar=evidence.bar, truth=evidence.truth,
        value_bar=evidence.value_bar, ladder=evidence.ladder, kinked=evidence.oracles[0].note is not None,
        evidence=evidence,
    )  # fmt: skip


def judge(scene: Scene, gradients: Gradients, evidence: Evidence) -> Iterator[Finding]:
    """Judge a subject's gradients by evidence about its function, most telling checks first, one finding at a time.

    Args:
        scene: the subject at a point; the evidence may come from another scene of the same function, cotangents and
            point, whose backward is another one.
        gradients: its gradients by reverse mode for the scene's cotangents.
        evidence: what is known about the function.
    """
    yield from _dtypes(scene, gradients)
    if gradients.overwrites_cotangent:
        message = "The backward writes into its upstream gradient, which other parts of a graph may share."
        yield scene.finding("cotangent is left alone", Outcome.FAIL, message)
    for estimate in evidence.judges:
        yield from _against(scene, gradients, evidence.bar, estimate)
    yield from evidence.about_analytic
    if bool(gradients.value.isfinite().all()):
        yield from _other_reverse_routes(scene, gradients, evidence.bar)
        yield from _forward(scene, gradients, evidence.bar, evidence.truth)


def _no_gradient(scene: Scene, reason: RouteUnavailableError) -> Finding:
    return scene.finding("reverse", Outcome.FAIL, f"There is no gradient: {reason}.")


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


def _other_reverse_routes(scene: Scene, gradients: Gradients, bar: Tensor) -> Iterator[Finding]:
    """`.backward()` against `autograd.grad`, accumulation over two calls, and a scaled cotangent."""
    first = scene.cotangents[0]
    own = Estimate(
        value=gradients.value[:1], bar=bar[:1], oracle="autograd.grad", origin=ROUNDING_ORIGIN, independent=False
    )
    try:
        once, twice = backward(scene.flat, first)
    except RouteUnavailableError as reason:
        yield scene.finding(".backward() ~ autograd.grad", Outcome.SKIPPED, f"No second backward: {reason}.")
    except SecondBackwardError as reason:
        message = f"The second backward over one graph raises {reason}: does the first one free what it saved?"
        yield scene.finding("accumulation over two backwards", Outcome.FAIL, message)
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
    if truth is not None and truth.directions is None and not has_kink(truth):
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
            yield scene.judged(
                check, replace(found, outcome=outcome), message, input=block.name, route="forward", oracle=oracle,
                question=f"{check}: {block.name} at {scene.point.name}", bar_origin=origin,
            )  # fmt: skip


def _input_directions(scene: Scene) -> Tensor:
    """One dense direction per input (B × N), 0 outside it."""
    flat = scene.flat
    signs = random_signs((len(flat.blocks), flat.size), scene.generator("forward directions")) * scales(flat.x)
    keep = torch.zeros_like(signs)
    for row, block in enumerate(flat.blocks):
        keep[row, block.start : block.stop] = 1
    return signs * keep
