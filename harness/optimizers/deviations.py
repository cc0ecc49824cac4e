"""Deviations of PyTorch's optimizers from their documentation that are known, and stay in the report.

A finding that shows one is excused with its reason and does not turn the optimizer red. As soon as a release this was
seen in no longer shows it, the declaration itself is a failure, so that it goes when the defect goes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.records import Finding, Outcome

SEEN_IN = "2.13"
"""Release of PyTorch in which every declaration was seen to be met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A known deviation, and which findings show it: regular expressions that are searched in the finding's texts."""

    check: str
    dtype: str = ""
    options: str = ""
    message: str = ""
    reason: str
    always: bool = True
    """Whether every run shows it; compiled steps are only checked at thorough effort."""
    most: float | None = None
    """Largest error, in units of the number compared or of one, that is put down to it; None where it has no size."""


_SCALARS = (
    "PyTorch holds {what} in its default dtype, float32, also for float64 parameters; with "
    "torch.set_default_dtype(torch.float64) the rule is met to the last digits."
)
_LOADED = (
    "load_state_dict casts every floating scalar of the state but `step` to the parameter's dtype: {what}, which was "
    "float32, comes back as another number, in bfloat16 with eight bits."
)
_DIFFERENTIABLE = Deviation(
    check="^differentiable", most=1e-6,
    reason="With differentiable=True bias corrections come from the step counter, a float32 tensor.",
)  # fmt: skip

DEVIATIONS: Mapping[str, tuple[Deviation, ...]] = {
    "ASGD": (
        Deviation(check="float32 the default dtype", most=1e-6, reason=_SCALARS.format(what="the step size η")),
        Deviation(
            check="^foreach", dtype="float64|mixed", most=1e-7,
            reason="η and μ are float32, computed by the for-loop in Python and by foreach in float32.",
        ),
        Deviation(check="state_dict|torch.save", dtype="bfloat16", reason=_LOADED.format(what="η")),
    ),
    "Adafactor": (
        Deviation(
            check="^tensor|zero-size", message="ZeroDivisionError",
            reason="A parameter without entries divides by its number of entries: ZeroDivisionError.",
        ),
    ),
    "Adagrad": (
        Deviation(
            check="initial_accumulator_value by group",
            reason="A group's own initial_accumulator_value is ignored: the constructor's is used for all groups.",
        ),
    ),
    # With a rate of 2 steps are that much longer, and the closed loop carries their rounding on.
    "Adam": (_DIFFERENTIABLE, replace(_DIFFERENTIABLE, options="^lr=2.0$", most=1e-4)),
    "AdamW": (_DIFFERENTIABLE,),
    "LBFGS": (
        Deviation(
            check="^lr as a tensor",
            reason="A tensor lr is kept as the last step's length: when a scheduler changes it in place, as schedulers "
            "do with tensors, the last curvature pair changes with it.",
        ),
        Deviation(
            check="^deepcopy|^pickle", message="_params",
            reason="A copied or unpickled LBFGS cannot take a step: `_params` is not part of what is carried over.",
        ),
    ),
    "Muon": (
        Deviation(
            check="^update rule$", dtype="bfloat16", options="nesterov=False",
            reason="With bfloat16 parameters and nesterov=False the momentum buffer is normalised in place: "
            "`.bfloat16()` makes no copy of what is bfloat16 already.",
        ),
        Deviation(
            check="^compiled", most=1e-2, always=False,
            reason="Compiled, the iteration's intermediate results are not all rounded to bfloat16.",
        ),
    ),
    "NAdam": (
        Deviation(check="float32 the default dtype", most=1e-6, reason=_SCALARS.format(what="the product of all μ")),
        Deviation(
            check="state_dict|torch.save", dtype="float64|bfloat16", reason=_LOADED.format(what="the product of all μ")
        ),
        replace(_DIFFERENTIABLE),
    ),
}  # fmt: skip
"""By optimizer; docs/optimizers.md explains each."""


COMPILED = Deviation(
    check="^compiled", most=1e-6, always=False,
    reason="A compiled step computes its scalars from the step counter, a float32 tensor, as capturable steps do.",
)  # fmt: skip
"""Of every optimizer."""


def excused(name: str, findings: tuple[Finding, ...], version: str, *, complete: bool = True) -> tuple[Finding, ...]:
    """Mark the findings that show known deviations of an optimizer, and add a failure for each that none shows.

    Args:
        name: the optimizer's.
        findings: all of them.
        version: PyTorch's; only in the release the declarations were made for must they be met,
        complete: and only where all shipped option sets were run.
    """
    marked = list(findings)
    for deviation in (*DEVIATIONS.get(name, ()), COMPILED):
        met = False
        for position, one in enumerate(marked):
            if _shows(one, deviation):
                marked[position] = replace(one, excused=deviation.reason)
                met = True
        if not met and deviation.always and complete and version.startswith(SEEN_IN):
            message = f"A known deviation did not happen: {deviation.reason} Remove its declaration if it was mended."
            marked.append(Finding(check="declared deviation", outcome=Outcome.FAIL, message=message))
    return tuple(marked)


def _shows(finding: Finding, deviation: Deviation) -> bool:
    if finding.outcome not in (Outcome.FAIL, Outcome.ERROR):
        return False
    searched = (
        (deviation.check, finding.check),
        (deviation.dtype, finding.dtype),
        (deviation.options, finding.point),
        (deviation.message, finding.message),
    )
    if not all(re.search(pattern, text) for pattern, text in searched):
        return False
    if deviation.most is None:
        return True
    if finding.error is None or finding.expected is None:
        return False
    return finding.error <= deviation.most * max(1.0, abs(finding.expected))
