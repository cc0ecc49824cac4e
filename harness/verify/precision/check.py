"""Low precision: the subject at float32 (or less) against the truth at the same numbers, and an eager yardstick.

Inputs are rounded to the dtype first and widened after, so all sides see the same numbers. Truth is the reference (or
the subject itself) in float64, or an enclosure where there is one. The bar is what rounding may do at the dtype, from
Monte Carlo arithmetic, unless the case names a policy. Sees downcasts, low-precision accumulation and cancellation
beyond what the formula's own conditioning explains. Cannot see a mistake that float64 shares: the float64 checks are
there for that; nor, without a reference, what a composition of torch's operators loses in every dtype.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from harness.case.subject import Point, Subject
from harness.oracle.estimate import Estimate
from harness.oracle.flat import FlatSubject
from harness.oracle.rounding import SAFETY, SAMPLES
from harness.oracle.storage import HALVES
from harness.records import Finding, Outcome
from harness.verify.compare import compare
from harness.verify.first import FirstOrder
from harness.verify.precision.accuracy import in_short, measure
from harness.verify.precision.policies import Policy, accepted_mistakes
from harness.verify.precision.sides import (
    Sides,
    in_dtype,
    rounded_point,
    rounding_at,
    with_nonlinear_rounding,
    with_own_rounding,
)
from harness.verify.precision.worst_case import sharpened
from harness.verify.precision.yardstick import measured_by, torch_steps
from harness.verify.routes import RouteUnavailableError, reverse
from harness.verify.scene import Labels, Scene, number


def low_precision(
    subject: Subject,
    point: Point,
    labels: Labels,
    dtype: torch.dtype,
    first: FirstOrder,
    policy: Policy | None = None,
    *,
    worst_case: bool = True,
) -> tuple[Finding, ...]:
    """Compare value and gradient at a low-precision dtype with the truth at the same numbers.

    The float64 rounding bars of `first` serve float32 too, scaled by the ratio of unit roundoffs; coarser dtypes, whose
    roundings are too large to be linear, get their own. With `worst_case` a bound in balls may make them sharper.
    """
    rounded = rounded_point(point, dtype)
    scene = Scene(subject, rounded, labels, dtype=dtype)
    scene.cotangents = scene.cotangents.to(dtype).to(torch.float64)  # all sides get the very same numbers
    flat = FlatSubject(subject, rounded, device=labels.device, function=subject.reference)
    name = str(dtype).removeprefix("torch.")

    def skipped(why: str) -> tuple[Finding, ...]:
        return (scene.finding(f"{name} ~ float64", Outcome.SKIPPED, why),)

    if any(not bool(value.isfinite().all()) for value in rounded.values.values() if value.is_floating_point()):
        return skipped(f"The point is outside the range of {name}.")
    value = flat.outputs(flat.x).detach().to("cpu", torch.float64)
    if value.shape != scene.value.shape:
        message = f"The subject returns {scene.value.numel()} numbers in {name}, in float64 {value.numel()}."
        return (scene.finding(f"{name} value ~ float64", Outcome.FAIL, message),)
    if bool(value.isfinite().all()) and not bool(scene.value.isfinite().all()):
        return skipped(f"The value overflows {name} here.")
    try:
        actual, truth = reverse(scene.flat, scene.cotangents), reverse(flat, scene.cotangents)
        bars = rounding_at(scene, flat, first)
    except RouteUnavailableError as reason:
        return skipped(f"There is no gradient: {reason}.")
    if bars is None:
        return skipped(f"A number on the way overflows {name} here.")
    eager = None if subject.reference is None else in_dtype(scene)
    sides = Sides(
        scene=scene, actual=actual, truth=truth, value_bar=bars[0], bar=bars[1], policy=policy,
        yardstick=measured_by(eager, scene.cotangents, actual),
    )  # fmt: skip
    sides = with_own_rounding(with_nonlinear_rounding(sides, flat))
    sides = _with_worst_case(sides, flat) if worst_case else sides
    findings = [_value(sides)]
    findings += [
        scene.finding("gradient dtype", Outcome.FAIL, f"The gradient has another dtype: {fault}.")
        for fault in actual.dtype_faults
    ]
    return (*findings, *_gradients(sides, _truth(sides, point, first)))


def _with_worst_case(sides: Sides, flat: FlatSubject) -> Sides:
    """Sharper bars, where the subject's own graph has a worst case; a reference may be another graph."""
    scene = sides.scene
    if scene.subject.reference is not None:
        return sides
    found = sharpened(
        flat, scene.cotangents, scene.dtype, sides.truth, value_bar=sides.value_bar, bar=sides.bar,
        required=scene.required(1),
    )  # fmt: skip
    return replace(sides, value_bar=found.value, bar=found.gradient, origins=(found.value_origin, found.origin))


def _truth(sides: Sides, point: Point, first: FirstOrder) -> Estimate:
    """The true gradient with the dtype's bar: from an enclosure at this very point, or from the float64 twin."""
    scene = sides.scene
    twin = Estimate(
        value=sides.truth.value,
        bar=sides.bar,
        oracle="its float64 twin" if scene.subject.reference is None else "the float64 reference",
        origin=_origin(sides, order=1),
        independent=False,
    )
    known = first.truth
    if known is None or not known.rigorous or known.directions is not None or known.kink is not None:
        return twin
    held = all(torch.equal(value, scene.point.values[name]) for name, value in point.values.items())
    # The cotangent of several outputs was rounded for this dtype; that of a single one is 1 at any.
    return (
        replace(known, bar=known.bar + sides.bar, origin=twin.origin, independent=False)
        if held and scene.scalar
        else twin
    )


def _origin(sides: Sides, *, order: int) -> str:
    if sides.origins is not None:
        return sides.origins[order]
    return f"rounding of {sides.name}: Monte Carlo arithmetic, {SAMPLES} samples × {SAFETY:g}"


def _value(sides: Sides) -> Finding:
    """Compare the outputs; a value of zero is worth a pass."""
    scene, name, truth = sides.scene, sides.name, sides.truth.outputs
    size = float(truth.abs().nan_to_num(0.0, 0.0, 0.0).max()) if truth.numel() else 0.0
    found = compare(sides.actual.outputs, truth, sides.value_bar, required=1.0, zero_scale=max(size, 1.0))
    message = (
        f"f is {number(found.actual)} in {name} but {number(found.expected)} in float64: off by {number(found.error)}, "
        f"allowed {number(found.bar)}."
        if found.outcome is Outcome.FAIL
        else f"value in {name} and float64: {found.reason}"
    )
    if found.outcome is Outcome.VACUOUS:
        found = replace(found, outcome=Outcome.PASS)
    finding = scene.judged(
        f"{name} value ~ float64", found, message,
        question=f"{name} value at {scene.point.name}", bar_origin=_origin(sides, order=0), order=0,
    )  # fmt: skip
    return _excused(sides, finding)


def _gradients(sides: Sides, estimate: Estimate) -> list[Finding]:
    """Compare the gradients input by input, by the bars or the policy."""
    scene, name = sides.scene, sides.name
    blocks = {block.name: block for block in scene.flat.blocks}
    eager = sides.yardstick.eager
    findings = []
    for finding in scene.by_input(f"{name} ~ float64", sides.actual.value, estimate, route=f"autograd in {name}"):
        block = blocks[str(finding.input)]
        part = slice(block.start, block.stop)
        actual, truth = sides.actual.value[:, part], estimate.value[:, part]
        beside = None if eager is None else eager.value[:, part]
        found = replace(
            finding,
            question=f"{name} gradient of {finding.input} at {scene.point.name}",
            precision=measure(actual, truth, sides.bar[:, part], beside, block),
        )
        found = _excused(sides, found) if sides.policy is None else _by_policy(sides, found, actual, truth, beside)
        short = "" if found.precision is None or found.outcome is Outcome.VACUOUS else in_short(found.precision)
        findings.append(replace(found, message=f"{found.message} [{short}]" if short else found.message))
    return findings


def _excused(sides: Sides, finding: Finding) -> Finding:
    """What the yardstick changes: where eager code is as far off, a failure or a wide bar says "yardstick weak"."""
    if sides.scene.dtype not in HALVES or finding.outcome not in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        return finding
    precision = finding.precision
    if finding.outcome is Outcome.INCONCLUSIVE:
        weak = precision is not None and (precision.eager_relative_l2 or 0.0) > sides.scene.required(1) / SAFETY
        why = "the eager reference itself is far off here"
    elif sides.yardstick.same:
        weak, why = True, "the eager reference gives the same numbers, bit for bit"
    else:
        alone = sides.scene.subject.reference is None
        weak = torch_steps(sides.scene.flat, sides.scene.cotangents) is not None if alone else sides.own_operators
        why = "it is made of torch's own operators, whose kernels are further off here than rounding explains"
    if not weak:
        return finding
    return replace(finding, outcome=Outcome.INCONCLUSIVE, message=f"Yardstick weak: {why}. {finding.message}")


def _by_policy(sides: Sides, finding: Finding, actual: Tensor, truth: Tensor, eager: Tensor | None) -> Finding:
    """Let the case's policy decide, and say when it could not have failed or compares with too weak a yardstick."""
    policy, precision = sides.policy, finding.precision
    if policy is None or precision is None or not bool(truth.any()):
        return finding
    if policy.needs_reference and eager is None:
        message = f"The policy {policy.name} needs the reference in {sides.name}, which does not run."
        return replace(finding, outcome=Outcome.INCONCLUSIVE, message=message)
    judged = policy.judge(actual, truth, eager, sides.unit)
    precision = replace(precision, policy=policy.name, accepts=accepted_mistakes(policy, truth, eager, sides.unit))
    finding = replace(
        finding, precision=precision, error=judged.error, bar=judged.bar, bar_origin=f"the policy {policy.name}"
    )
    said = f"off by {number(judged.error)}, allowed {number(judged.bar)} by the policy {policy.name}"
    name = f"{sides.name} gradient of {finding.input}"
    if not judged.accepted:
        return replace(finding, outcome=Outcome.FAIL, message=f"The {name} is {said}.")
    if policy.needs_reference and (precision.eager_floors or 0.0) > SAFETY:
        message = (
            f"Yardstick weak: eager is {precision.eager_floors:.2g} × the rounding floor off. The {name} is {said}."
        )
        return replace(finding, outcome=Outcome.INCONCLUSIVE, message=message)
    if precision.accepts:
        message = (
            f"The policy {policy.name} cannot fail here: it would accept a {' or '.join(precision.accepts)} gradient."
        )
        return replace(finding, outcome=Outcome.VACUOUS, message=f"{message} The {name} is {said}.")
    return replace(finding, outcome=Outcome.PASS, message=f"{name}: {said}")
