"""`harness.check`: the Python entry to verification, for tests, notebooks and plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from harness.case.domains import MODULE_DRAW, with_domain
from harness.case.draws import parse_draw
from harness.case.points import draw_points
from harness.case.subject import Input, Point, Subject
from harness.case.trust import Trust
from harness.errors import CheckFailedError, UsageError
from harness.records import Finding, Outcome
from harness.verify.callables import caller, gradient_caller
from harness.verify.check import verify_subject
from harness.verify.options import POINTS_BY_EFFORT, ProbeOptions, VerifyOptions
from harness.verify.precision.native import dtypes_to_check
from harness.verify.precision.policies import policy_of
from harness.verify.probes.registry import probes_for
from harness.verify.scene import Labels
from harness.verify.verdict import case_detection_limit, decide

RANDOM_POINTS = 2
EFFORTS = tuple(POINTS_BY_EFFORT)

__all__ = ["Input", "Trust", "Verdict", "check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A subject's outcome, and the findings it rests on."""

    name: str
    outcome: Outcome
    message: str
    findings: tuple[Finding, ...]
    detection_limit: float | None

    def __str__(self) -> str:
        """Say the verdict in a line; the findings are in `findings`."""
        return f"{self.name}: {self.outcome.value}: {self.message}"

    def raise_if_failed(self) -> None:
        """Raise unless the outcome is PASS.

        Raises:
            CheckFailedError: naming the outcome and every finding that did not pass (at most ten).
        """
        if self.outcome is Outcome.PASS:
            return
        bad = [f for f in self.findings if f.outcome not in (Outcome.PASS, Outcome.SKIPPED)]
        lines = [str(self)]
        lines += [f"  [{f.outcome.value}] {f.check} at {f.point}: {f.message}" for f in bad[:10]]
        if len(bad) > 10:
            lines.append(f"  … and {len(bad) - 10} more")
        raise CheckFailedError("\n".join(lines))


def check(
    fn: Callable[..., Any],
    inputs: Mapping[str, Any],
    *,
    dims: Mapping[str, int | Sequence[int]] | None = None,
    gradient: Callable[..., Any] | Mapping[str, Callable[..., Any]] | None = None,
    reference: Callable[..., Any] | None = None,
    name: str | None = None,
    seed: int = 0,
    effort: str = "standard",
    probes: Sequence[str] | None = None,
    dtypes: Sequence[str | torch.dtype] | None = None,
    policy: object = None,
) -> Verdict:
    """Check the gradient of a differentiable PyTorch function.

    Args:
        fn: the function. It gets the inputs by name when its signature has exactly those names, otherwise in order;
            it returns a tensor, or a tuple, list or mapping of tensors.
        inputs: name → tensor (an exact point; floating-point tensors are differentiated, and a tensor of lower
            precision than float64 is checked in its own dtype too) or `Input` (drawn).
        dims: named sizes used in `Input.shape`; lists are swept pairwise.
        gradient: the analytic gradient: a function of the inputs and ``cotangent`` returning a mapping, a tuple in the
            inputs' order or one tensor; or a mapping from names to such functions.
        reference: a plain implementation with the signature of `fn`.
        name: what to call it; defaults to the function's own name.
        seed: seed of every draw.
        effort: quick, standard or thorough.
        dtypes: dtypes the subject runs in, by default float64 and those of the tensors given. With a reference, float64
            may be left out; it is of itself where all tensors given are in lower precision and `fn` computes in
            float32 whatever it gets.
        policy: what accepts a low-precision gradient instead of the rounding bar: "flash-2x", {"rms-ratio": r} or
            {"allclose": {"rtol": …, "atol": …}}.
        probes: names of probes, to run only those; without it all that belong to the effort. An empty list is none.

    Returns:
        A verdict. A wrong gradient is an outcome; it never raises here.

    Raises:
        UsageError: an argument cannot be used.
    """
    if effort not in EFFORTS:
        raise UsageError(f"Cannot check: effort={effort!r}. Use one of {', '.join(EFFORTS)}.")
    if not callable(fn):
        raise UsageError(f"Cannot check: fn={fn!r} (type {type(fn).__name__}) is not callable. Give a function.")
    specs, fixed, seen = _inputs(inputs)
    title = name or getattr(fn, "__name__", None) or type(fn).__name__
    subject = _subject(title, specs, fn, gradient, reference)
    points = _points(subject, fixed, dims or {}, seed=seed, effort=effort, name=title)
    chosen = policy_of(policy)
    if chosen is not None and chosen.needs_reference and reference is None:
        raise UsageError(f"Cannot check {title}: policy={policy!r} compares with a reference. Give one.")
    low = all(isinstance(value, Tensor) and value.dtype != torch.float64 for value in inputs.values())
    names = None if probes is None else tuple(probes)
    probes_for(effort, names)  # tells unknown names before anything runs
    options = VerifyOptions(
        dtypes=dtypes_to_check(dtypes, seen, subject, points, only_low=low),
        orders=(1,) if effort == "quick" else (1, 2),
        certify=effort != "quick",
        probes=ProbeOptions(effort=effort, names=names, exact=frozenset(fixed)),
        policy=chosen,
    )
    labels = Labels(case=title, seed=seed, device=_device(fixed))
    checked = verify_subject(subject, points, labels, options)
    outcome, message = decide(checked.findings)
    return Verdict(
        name=title,
        outcome=outcome,
        message=message,
        findings=checked.findings,
        detection_limit=case_detection_limit(checked.findings),
    )


def _subject(
    title: str,
    specs: Mapping[str, Input],
    fn: Callable[..., Any],
    gradient: Callable[..., Any] | Mapping[str, Callable[..., Any]] | None,
    reference: Callable[..., Any] | None,
) -> Subject:
    names = tuple(specs)
    subject = Subject(
        name=title,
        inputs=specs,
        function=caller(fn, names),
        gradient=gradient_caller(gradient, names),
        reference=None if reference is None else caller(reference, names),
    )
    if not subject.differentiable:
        raise UsageError(f"Cannot check {title}: no input is differentiable. Give a floating-point tensor.")
    return subject


def _inputs(inputs: Mapping[str, Any]) -> tuple[dict[str, Input], dict[str, Tensor], tuple[torch.dtype, ...]]:
    """Split what the caller gave into specifications and exact tensors, and see which dtypes are under test."""
    if not isinstance(inputs, Mapping) or not inputs:
        raise UsageError(
            f"Cannot check: inputs={inputs!r:.80} (type {type(inputs).__name__}) is not a mapping from names to "
            "tensors or harness.Input. Give at least one."
        )
    specs: dict[str, Input] = {}
    fixed: dict[str, Tensor] = {}
    dtypes = [torch.float64]
    for key, value in inputs.items():
        if isinstance(value, Input):
            spec = with_domain(value)
            drawn_whole = spec.value is None and spec.draw != MODULE_DRAW and parse_draw(spec.draw).integral
            specs[key] = replace(spec, grad=False) if drawn_whole else spec  # whole numbers have no gradient
            continue
        try:
            tensor = value.detach() if isinstance(value, Tensor) else torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError) as reason:
            raise UsageError(
                f"Cannot check: input {key}={value!r:.80} (type {type(value).__name__}) is not a tensor. "
                "Give a tensor or a harness.Input."
            ) from reason
        floating = tensor.is_floating_point() or tensor.is_complex()
        if isinstance(value, Tensor) and floating and tensor.dtype in (torch.float32, torch.float16, torch.bfloat16):
            dtypes.append(tensor.dtype)
        if floating:
            tensor = tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)
        specs[key] = Input(shape=tuple(tensor.shape), grad=floating, complex=tensor.is_complex())
        fixed[key] = tensor
    return specs, fixed, tuple(dict.fromkeys(dtypes))


def _points(
    subject: Subject,
    fixed: Mapping[str, Tensor],
    dims: Mapping[str, int | Sequence[int]],
    *,
    seed: int,
    effort: str,
    name: str,
) -> tuple[Point, ...]:
    """Exact points where every input is given, random ones where some are drawn."""
    drawn = {key: spec for key, spec in subject.inputs.items() if key not in fixed}
    if not drawn:
        return (Point(name="given", values=dict(fixed), sizes={}, seed=seed),)
    unknown = {size for spec in drawn.values() for size in spec.shape if isinstance(size, str)} - set(dims)
    if unknown:
        raise UsageError(
            f"Cannot draw inputs: the size {sorted(unknown)[0]!r} is not in dims={dict(dims)!r}. Add it to dims."
        )
    count = max(1, round(RANDOM_POINTS * POINTS_BY_EFFORT[effort]))
    points = draw_points(drawn, dims, name=name, seed=seed, count=count)
    return tuple(
        Point(
            name=point.name,
            values={key: fixed[key] if key in fixed else point.values[key] for key in subject.inputs},
            sizes=point.sizes,
            seed=seed,
        )
        for point in points
    )


def _device(fixed: Mapping[str, Tensor]) -> str:
    """The device of the tensors given: the first that is not the CPU."""
    return next((str(value.device) for value in fixed.values() if value.device.type != "cpu"), "cpu")
