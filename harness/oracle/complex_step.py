"""The complex-step oracle: Im f(x + i·h) / h with a step so small that nothing cancels (Squire & Trapp, 1998).

Opt-in, because it is right only for functions that torch evaluates as analytic ones on complex inputs: abs,
comparisons, conj and a few operators without a complex formula are silently wrong.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.oracle.estimate import Estimate
from harness.oracle.flat import FlatSubject, real_vector

STEP = 2.0**-100
MOST_CALLS = 512


class NotAnalyticError(Exception):
    """The subject cannot be evaluated at complex inputs; the message says why."""


def complex_step(flat: FlatSubject, cotangents: Tensor) -> Estimate:
    """Differentiate ⟨cotangent, outputs⟩ (C × M) along every coordinate; returns C × N.

    Raises:
        NotAnalyticError: saying why.
    """
    if any(block.complex for block in flat.blocks):
        raise NotAnalyticError("inputs are complex")
    if flat.size > MOST_CALLS:
        raise NotAnalyticError(f"{flat.size} entries are more than {MOST_CALLS}")
    columns = []
    for position in range(flat.size):
        shifted = flat.x.to(torch.complex128)
        shifted[position] += 1j * STEP
        named = dict(flat.values)
        for block in flat.blocks:
            named[block.name] = shifted[block.start : block.stop].reshape(block.shape)
        try:
            outputs = flat.call(named)
        except (RuntimeError, NotImplementedError, TypeError) as reason:
            raise NotAnalyticError(str(reason).splitlines()[0]) from reason
        if not all(output.is_complex() for output in outputs):
            raise NotAnalyticError("an output of complex inputs is not complex")
        columns.append(real_vector([output.imag for output in outputs]) / STEP)
    value = cotangents @ torch.stack(columns, dim=-1)
    reach = cotangents.abs() @ torch.stack(columns, dim=-1).abs()
    return Estimate(
        value=value,
        bar=64 * 2.0**-53 * reach,
        oracle="complex step",
        origin="64 roundings; no step error",
        independent=True,
    )
