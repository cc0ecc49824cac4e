"""Whether the CPU and an accelerator compute the same: the error of both, against float64 on the CPU.

Inputs and cotangents are rounded to the dtype that is timed first and widened after, so that all three are given the
very same numbers, and the errors are those of the arithmetic alone. The truth is float64 on the CPU: for a subject
timed in float64 the CPU's error is zero by construction, and says nothing. Whether the subject is right at all is
what its verification has shown, not this.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.bench.device import Device
from harness.bench.memory import free_bytes, shortage
from harness.bench.place import placed
from harness.bench.timings import reason_of
from harness.case.subject import Subject, Tensors
from harness.records import Agreement

CPU = torch.device("cpu")
VALUE = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Results:
    outputs: tuple[Tensor, ...]
    gradients: dict[str, Tensor]


def agreements(
    subject: Subject, drawn: Tensors, wanted: Sequence[str], dtype: torch.dtype, device: Device, row: Agreement
) -> tuple[Agreement, ...]:
    """Compare a subject's value and gradients on the CPU and on an accelerator with float64.

    Args:
        subject: the function.
        drawn: its inputs, on the CPU in double precision.
        wanted: the inputs whose gradients are compared.
        dtype: what both compute in.
        device: the accelerator.
        row: what the records have in common.

    Returns:
        One record for the value and one per gradient; a single one with the reason where nothing could be compared.
    """
    reason = shortage(sum(value.numel() for value in drawn.values()), 8, free_bytes(CPU))
    if reason is not None:
        return (replace(row, of=VALUE, message=f"not compared: {reason}"),)
    given = placed(drawn, dtype, CPU)
    exact = placed(given, torch.float64, CPU)
    try:
        cotangents = _cotangents(subject, exact, dtype)
        truth = _results(subject, exact, wanted, cotangents)
        here = _results(subject, given, wanted, cotangents)
        there = _results(subject, {name: device.upload(value) for name, value in given.items()}, wanted, cotangents)
    except Exception as error:  # noqa: BLE001  The case boundary: the subject may not be made for float64, or not fit.
        if isinstance(error, torch.OutOfMemoryError):
            device.release()
        return (replace(row, of=VALUE, message=f"not compared: {reason_of(error)}"),)
    rows = [_row(row, VALUE, truth.outputs, here.outputs, there.outputs)]
    for name, expected in truth.gradients.items():
        rows.append(_row(row, name, (expected,), (here.gradients[name],), (there.gradients[name],)))
    return tuple(rows)


def relative_error(actual: Tensor, expected: Tensor) -> float | None:
    """‖actual − expected‖₂ / ‖expected‖₂, computed in double precision on the CPU; None where it is not finite."""
    wide = torch.complex128 if expected.is_complex() else torch.float64
    truth = expected.detach().to(CPU, wide)
    off = float(torch.linalg.vector_norm(actual.detach().to(CPU, wide) - truth))
    size = float(torch.linalg.vector_norm(truth))
    error = off / size if size > 0 else (0.0 if off == 0 else math.inf)
    return error if math.isfinite(error) else None


def _row(
    row: Agreement, of: str, truth: tuple[Tensor, ...], here: tuple[Tensor, ...], there: tuple[Tensor, ...]
) -> Agreement:
    cpu, device = _largest(here, truth), _largest(there, truth)
    missing = [place for place, error in (("the CPU", cpu), (row.device, device)) if error is None]
    message = f"no finite error on {' and '.join(missing)}" if missing else ""
    return replace(row, of=of, cpu_error=cpu, device_error=device, message=message)


def _largest(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> float | None:
    """Return the largest error over some tensors; None where one of them is not finite."""
    errors = [relative_error(one, other) for one, other in zip(actual, expected, strict=True)]
    known = [error for error in errors if error is not None]
    return max(known) if known and len(known) == len(errors) else None


def _cotangents(subject: Subject, exact: Tensors, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Draw one upstream gradient per output, rounded to the dtype under comparison."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        outputs = subject.function(exact)
    drawn = (
        torch.randn(output.shape, generator=generator, dtype=torch.complex64 if output.is_complex() else torch.float32)
        for output in outputs
    )
    return tuple(each.to(dtype.to_complex() if each.is_complex() else dtype) for each in drawn)


def _results(subject: Subject, values: Tensors, wanted: Sequence[str], cotangents: tuple[Tensor, ...]) -> _Results:
    leaves = {name: value.detach().clone().requires_grad_(name in wanted) for name, value in values.items()}
    outputs = subject.function(leaves)
    pairs = [
        (output, cotangent.to(output))
        for output, cotangent in zip(outputs, cotangents, strict=True)
        if output.requires_grad
    ]
    if not pairs:
        return _Results(outputs=outputs, gradients={})
    found = torch.autograd.grad(
        [output for output, _ in pairs],
        [leaves[name] for name in wanted],
        grad_outputs=[cotangent for _, cotangent in pairs],
        materialize_grads=True,
    )
    return _Results(outputs=outputs, gradients=dict(zip(wanted, found, strict=True)))
