"""The low-precision check again at larger inputs: where probabilities are nearly 1, what is left of 1 − p is rounding.

Sees: a half-precision backward that rounds before it subtracts, in softmax-like functions of confident inputs.
Cannot see: float32, whose own kernels lose as much there; inputs that a declared domain keeps small.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from harness.case.subject import Point, Subject
from harness.errors import HarnessError
from harness.oracle.storage import HALVES
from harness.records import Finding, Outcome
from harness.verify.first import FirstOrder
from harness.verify.options import ProbeOptions
from harness.verify.precision.check import low_precision
from harness.verify.precision.policies import Policy
from harness.verify.probes.infer import declared
from harness.verify.probes.kinds import allowed, made, multiplied
from harness.verify.probes.registry import probes_for
from harness.verify.routes import one_line
from harness.verify.scene import Labels

FACTORS = (4.0, 8.0, 16.0)
"""Powers of two: the inputs keep all their bits."""
LARGEST = 128.0
"""Largest entry made: beyond it softmax is 0 or 1 to any precision."""

MOST_ENTRIES = 20_000
"""Points of more entries are left out."""


def confident(
    subject: Subject,
    point: Point,
    labels: Labels,
    dtype: torch.dtype,
    options: ProbeOptions | None,
    policy: Policy | None = None,
) -> tuple[Finding, ...]:
    """Judge a half-precision gradient where the inputs are a few times larger than at a point.

    Args:
        subject: what is under test; it must be right at the point itself, or this tells nothing new.
        point: an ordinary point.
        labels: what every finding carries.
        dtype: nothing is done in other dtypes than bfloat16 and float16.
        options: the probes asked for; this is part of the probe "values".
        policy: what accepts a gradient instead of the rounding bar.

    Returns:
        Every gradient that is wrong there, or one PASS or SKIPPED for all factors.
    """
    if dtype not in HALVES or options is None or any(skip.probe == "values" for skip in options.skips):
        return ()
    if sum(value.numel() for value in point.values.values()) > MOST_ENTRIES:
        return ()
    if "values" not in {probe.name for probe in probes_for(options.effort, options.names)}:
        return ()
    tried, refused = [], []
    for factor in FACTORS:
        larger = _larger(subject, point, factor, options)
        if larger is None:
            continue
        try:
            found = low_precision(subject, larger, labels, dtype, FirstOrder(findings=()), policy, worst_case=False)
        except HarnessError:
            raise
        except Exception as reason:  # noqa: BLE001 - the subject's own code may raise anything at values it was not given
            refused.append(f"multiplied by {factor:g} it raises {one_line(reason)}")
            continue
        wrong = [f for f in found if f.outcome is Outcome.FAIL and f.order == 1 and f.input is not None]
        if wrong:
            return tuple(
                replace(f, message=f"When the inputs are multiplied by {factor:g}: {f.message}") for f in wrong
            )
        if any(f.outcome is Outcome.PASS and f.order == 1 for f in found):
            tried.append(f"{factor:g}")
    return _summary(point, labels, dtype, tried, refused)


def _larger(subject: Subject, point: Point, factor: float, options: ProbeOptions) -> Point | None:
    """The point with every plainly drawn input multiplied; None where none may be, or one becomes too large."""
    inputs = declared(subject, point, options.exact).inputs
    changed: dict[str, Tensor] = {}
    for name in subject.differentiable:
        new = made(multiplied(factor), inputs[name], point.values[name])
        if new is not None and allowed(new, inputs[name]):
            changed[name] = new
    if not changed or max(float(value.abs().max()) for value in changed.values()) > LARGEST:
        return None
    return replace(point, name=f"{point.name} × {factor:g}", values={**point.values, **changed})


def _summary(
    point: Point, labels: Labels, dtype: torch.dtype, tried: list[str], refused: list[str]
) -> tuple[Finding, ...]:
    if not tried and not refused:
        return ()
    name = str(dtype).removeprefix("torch.")
    message = f"the {name} gradient is right where the inputs are multiplied by {', '.join(tried)}"
    return (
        Finding(
            check="probe values", outcome=Outcome.PASS if tried else Outcome.SKIPPED,
            message=message if tried else f"Nothing is known in {name} at larger inputs: {'; '.join(refused)}.",
            question=f"probe values in {name}", route="probe", dtype=name, point=point.name, seed=labels.seed,
            device=labels.device, command=labels.command,
            dims=", ".join(f"{size}={number}" for size, number in point.sizes.items()),
        ),
    )  # fmt: skip
