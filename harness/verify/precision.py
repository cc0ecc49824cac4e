"""Low precision: the subject at float32 (or less) against the same computation in float64, within a rounding bar.

Inputs are rounded to the dtype first and widened after, so both sides see the same numbers. The bar is Monte Carlo
arithmetic at the dtype's unit roundoff. Sees downcasts, low-precision accumulation and cancellation beyond what the
formula's own conditioning explains. Cannot see a mistake that float64 shares: the float64 checks are there for that.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from harness.case.subject import Point, Subject
from harness.oracle.estimate import Estimate
from harness.oracle.flat import FlatSubject, cast
from harness.oracle.rounding import SAFETY, SAMPLES, UNIT_ROUNDOFF
from harness.records import Finding, Outcome
from harness.verify.compare import compare
from harness.verify.evidence import rounding_of
from harness.verify.first import FirstOrder
from harness.verify.routes import RouteUnavailableError, reverse
from harness.verify.scene import Labels, Scene, number


def low_precision(
    subject: Subject, point: Point, labels: Labels, dtype: torch.dtype, first: FirstOrder
) -> tuple[Finding, ...]:
    """Compare value and gradient at a low-precision dtype with their float64 twins at the same numbers.

    The float64 rounding bars of `first` serve float32 too, scaled by the ratio of unit roundoffs; coarser dtypes, whose
    roundings are too large to be linear, get their own.
    """
    rounded = _rounded(point, dtype)
    twin_scene = Scene(subject, rounded, labels)
    scene = Scene(subject, rounded, labels, dtype=dtype)
    name = str(dtype).removeprefix("torch.")
    if any(not bool(value.isfinite().all()) for value in rounded.values.values() if value.is_floating_point()):
        return (scene.finding(f"{name} ~ float64", Outcome.SKIPPED, f"The point is outside the range of {name}."),)
    if bool(twin_scene.value.isfinite().all()) and not bool(scene.value.isfinite().all()):
        return (scene.finding(f"{name} ~ float64", Outcome.SKIPPED, f"The value overflows {name} here."),)
    cotangents = twin_scene.cotangents.to(dtype).to(torch.float64)  # both sides get the very same numbers
    scene.cotangents = cotangents
    twin = subject.reference
    flat = FlatSubject(subject, rounded, device=labels.device, function=twin)
    generator = scene.generator(f"rounding {name}")
    origin = f"rounding of {name}: Monte Carlo arithmetic, {SAMPLES} samples × {SAFETY:g}"
    try:
        actual = reverse(scene.flat, cotangents)
        truth = reverse(flat, cotangents).value
    except RouteUnavailableError as reason:
        return (scene.finding(f"{name} ~ float64", Outcome.SKIPPED, f"There is no gradient: {reason}."),)
    value_bar, bar = _bars(flat, cotangents, generator, dtype, first)
    findings = [_value(scene, flat.outputs(flat.x).detach().to("cpu", torch.float64), value_bar, origin, name)]
    estimate = Estimate(
        value=truth,
        bar=bar,
        oracle="its float64 twin" if twin is None else "the float64 reference",
        origin=origin,
        independent=False,
    )
    findings += [
        scene.finding("gradient dtype", Outcome.FAIL, f"The gradient has another dtype: {fault}.")
        for fault in actual.dtype_faults
    ]
    findings += [
        replace(finding, question=f"{name} gradient of {finding.input} at {point.name}")
        for finding in scene.by_input(f"{name} ~ float64", actual.value, estimate, route=f"autograd in {name}")
    ]
    return tuple(findings)


def _bars(
    flat: FlatSubject, cotangents: Tensor, generator: torch.Generator, dtype: torch.dtype, first: FirstOrder
) -> tuple[Tensor, Tensor]:
    """Rounding bars of outputs (M) and gradients (C × N) at a dtype."""
    if dtype != torch.float32 or first.bar is None or first.value_bar is None:
        return rounding_of(flat, cotangents, generator, dtype)
    ratio = UNIT_ROUNDOFF[dtype] / UNIT_ROUNDOFF[torch.float64]
    tiny = torch.finfo(dtype).tiny
    return ratio * first.value_bar + tiny, ratio * first.bar + tiny


def _rounded(point: Point, dtype: torch.dtype) -> Point:
    """The point with its inputs rounded to a dtype and widened again."""
    values = {
        name: cast(cast(value, dtype, "cpu"), torch.float64, "cpu")
        if value.is_floating_point() or value.is_complex()
        else value
        for name, value in point.values.items()
    }
    return replace(point, values=values)


def _value(scene: Scene, truth: Tensor, bar: Tensor, origin: str, name: str) -> Finding:
    size = float(truth.abs().nan_to_num(0.0, 0.0, 0.0).max()) if truth.numel() else 0.0
    found = compare(scene.value, truth, bar, required=1.0, zero_scale=max(size, 1.0))
    message = (
        f"f is {number(found.actual)} in {name} but {number(found.expected)} in float64: off by {number(found.error)}, "
        f"allowed {number(found.bar)}."
        if found.outcome is Outcome.FAIL
        else f"value in {name} and float64: {found.reason}"
    )
    outcome = Outcome.PASS if found.outcome is Outcome.VACUOUS else found.outcome
    return scene.finding(
        f"{name} value ~ float64", outcome, message, question=f"{name} value at {scene.point.name}",
        actual=found.actual,
        expected=found.expected, error=found.error, bar=found.bar, bar_origin=origin, resolution=found.resolution,
        digits=found.digits, order=0,
    )  # fmt: skip
