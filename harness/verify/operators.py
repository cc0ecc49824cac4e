"""Verifies one of PyTorch's operators at its samples: the counterpart of `verify_case` for the operator database.

The checks are those of every case. What is added is a budget of time, so that a sweep over hundreds of operators ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from harness.case.operators import Operator
from harness.case.samples import Samples, operator_samples
from harness.case.subject import Point, Subject
from harness.commands import sweep_command
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.oracle import ball_values
from harness.oracle.rounding import rounding_bars
from harness.records import Curve, Finding, Outcome, VerifyRecord
from harness.verify.check import verify_subject
from harness.verify.evidence import CERTIFICATE_BUDGET, value_finding
from harness.verify.options import VerifyOptions
from harness.verify.routes import one_line
from harness.verify.scene import Labels, Scene
from harness.verify.verdict import case_detection_limit, decide

BUDGET_S = 10.0
"""Time for each sample wanted; one starts only while there is some left, so an operator may go over by one sample."""
_CHECKED_IN = {"complex128": "float64", "complex64": "float32"}
"""The real dtype that a complex one is made of."""


def verify_operator(operator: Operator, *, seed: int, device: str = "cpu") -> VerifyRecord:
    """Verify one operator at its first samples.

    Args:
        operator: which one, in which dtype, at how many samples.
        seed: the run's seed.
        device: where it runs, "cpu" or "cuda".

    Returns:
        The operator's record; skipped, with the reasons, when none of its samples can be verified.

    Raises:
        UsageError: the operator database cannot be imported.
    """
    started = time.perf_counter()
    command = sweep_command(operator.id, seed, dtype=operator.dtype, samples=operator.samples, device=device)
    record = VerifyRecord(
        job=f"verify {operator.id}",
        case=operator.id,
        title=operator.title,
        source=operator.source,
        path=str(operator.path),
        tags=operator.tags,
        outcome=Outcome.SKIPPED,
        message=operator.excluded or "",
        formula=operator.title,
        command=command,
    )
    if operator.excluded is not None:
        return record
    labels = Labels(case=operator.id, seed=seed, device=device, command=command)
    samples = operator_samples(operator, seed=seed, device=device)
    if not samples.usable:
        reasons = "; ".join(f"{reason} ({count} samples)" for reason, count in samples.left_aside)
        message = f"None of its samples can be verified: {reasons or 'it has none'}."
        return replace(record, message=message, duration_s=time.perf_counter() - started)
    if not operator.differentiable:
        return replace(_values_only(record, operator, samples, labels), duration_s=time.perf_counter() - started)
    findings, curves = _verify(operator, samples, labels, started)
    outcome, message = decide(findings)
    return replace(
        record,
        outcome=outcome,
        message=message,
        findings=findings,
        detection_limit=case_detection_limit(findings),
        curves=curves if outcome is Outcome.FAIL else (),  # hundreds of good ones would only make the report heavy
        duration_s=time.perf_counter() - started,
    )


def _verify(
    operator: Operator, samples: Samples, labels: Labels, started: float
) -> tuple[tuple[Finding, ...], tuple[Curve, ...]]:
    """Check every sample, while there is time."""
    dtype = getattr(torch, _CHECKED_IN.get(operator.dtype, operator.dtype))
    options = VerifyOptions(dtypes=(torch.float64, dtype) if dtype != torch.float64 else (dtype,))
    findings: list[Finding] = []
    curves: tuple[Curve, ...] = ()
    for number, sample in enumerate(samples.usable):
        if number >= operator.samples and decide(tuple(findings))[0] is not Outcome.VACUOUS:
            break  # further samples are for gradients that were zero so far
        if number and time.perf_counter() - started > BUDGET_S * operator.samples:
            left = min(len(samples.usable), operator.samples) - number
            if left > 0:
                findings.append(
                    _skipped(labels, f"{left} samples were left out: {BUDGET_S:g} s for each were used up.")
                )
            break
        checked = verify_subject(sample.subject, [sample.point], labels, options)
        findings += checked.findings
        curves = curves or checked.curves
    return (*findings, *_left_aside(samples, labels)), curves


def _values_only(record: VerifyRecord, operator: Operator, samples: Samples, labels: Labels) -> VerifyRecord:
    """Hold the values of an operator that has no gradient against their enclosures: the record, with its outcome."""
    findings = [_value(sample.subject, sample.point, labels) for sample in samples.usable[: operator.samples]]
    record = replace(record, findings=(*findings, *_left_aside(samples, labels)))
    if all(finding.outcome is Outcome.SKIPPED for finding in findings):
        return replace(record, message=f"Not differentiable, and no value is certified: {findings[0].message}")
    outcome, message = decide(tuple(findings))
    return replace(record, outcome=outcome, message=f"{message} (values alone: it is not differentiable)")


def _value(subject: Subject, point: Point, labels: Labels) -> Finding:
    """Compare a subject's values at a point with their enclosures."""
    check = "value ~ ball arithmetic"
    try:
        scene = Scene(subject, point, labels)
    except Exception as reason:  # noqa: BLE001 - the operator's own code may raise anything
        return replace(_skipped(labels, f"The operator raised {one_line(reason)}"), outcome=Outcome.ERROR, check=check)
    flat, generator = scene.flat, scene.generator("rounding")
    try:
        truth = ball_values(flat, budget=CERTIFICATE_BUDGET)
    except NotCertifiedError as reason:
        return scene.finding(check, Outcome.SKIPPED, f"No certificate: {reason}.")
    bar = rounding_bars(flat.outputs, flat.x, dtypes=(torch.float64,), generator=generator)[torch.float64]
    return value_finding(scene, check, scene.value, truth, bar)


def _left_aside(samples: Samples, labels: Labels) -> Iterator[Finding]:
    """Say which samples were not verified, and which inputs were held constant."""
    for reason, count in samples.left_aside:
        yield _skipped(labels, f"{count} samples were left aside: {reason}.")
    for name, reason in dict.fromkeys(pair for sample in samples.usable for pair in sample.constant):
        yield _skipped(labels, f"{name} is held constant: {reason}")


def _skipped(labels: Labels, message: str) -> Finding:
    return Finding(
        check="samples",
        outcome=Outcome.SKIPPED,
        message=message,
        seed=labels.seed,
        device=labels.device,
        command=labels.command,
    )
