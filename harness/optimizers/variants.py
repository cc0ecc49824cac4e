"""An optimizer's implementations against each other: for-loop, foreach, fused, capturable, differentiable, compiled.

All of them walk the same way: seven steps, with a gradient of None at the second, a layer frozen at the third and
thawed at the fifth; parameters and every entry of the state are compared at the end: for every option set in float64,
for the generic ones also in float32 and bfloat16, and over parameters of mixed dtypes. The for-loop is what the others
are held against, having been held against the rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from harness.optimizers.compiled import CompiledStep
from harness.optimizers.findings import Labels, finding
from harness.optimizers.pieces import generic_pieces
from harness.optimizers.tolerance import reference
from harness.optimizers.under_test import UnderTest
from harness.optimizers.walk import Options, Piece, Walk
from harness.records import Finding, Outcome

STEPS = 7
NONE_AT = 2
FROZEN = range(3, 5)
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "foreach": {"foreach": True},
    "fused": {"fused": True},
    "capturable": {"capturable": True},
    "differentiable": {"differentiable": True},
}
PLAIN: Mapping[str, Any] = {"foreach": False, "fused": False}
DTYPES = (torch.float64, torch.float32, torch.bfloat16)


def drive(walk: Walk) -> None:
    """Take the seven steps: the second parameter has no gradient at step 2, the third is frozen at steps 3 and 4."""
    for step in range(1, STEPS + 1):
        frozen = step in FROZEN
        if len(walk.parameters) > 2 and walk.leaves:
            walk.parameters[2].requires_grad_(not frozen)
        absent = ({1} if step == NONE_AT else set()) | ({2} if frozen else set())
        walk.step(frozenset(absent) if len(walk.parameters) > 2 else frozenset())


def variant_findings(tested: UnderTest) -> Iterator[Finding]:
    """Yield every documented implementation against the for-loop, with every option set."""
    generic = list(tested.generic_sets)
    if not any(tested.has(name) for name in VARIANTS):
        yield finding(tested.labels({}), "variants", Outcome.SKIPPED, "It documents one implementation only.")
    else:
        for options in tested.sets:
            for dtype in (*DTYPES, None) if options in generic else (torch.float64,):
                yield from _variants(tested, options, dtype)
    if tested.thorough:
        for options in generic:
            yield from _compiled(tested, options)


def _variants(tested: UnderTest, options: Options, dtype: torch.dtype | None) -> Iterator[Finding]:
    """Yield each implementation that is offered, with one option set and dtype."""
    labels, told = tested.labels(options), "mixed dtypes" if dtype is None else _name(dtype)
    pieces = _pieces(tested, dtype)
    expected = reference(tested, _plain(tested, options), pieces, drive)
    for name, extra in VARIANTS.items():
        if not tested.has(name):
            continue
        check = f"{name} ~ for-loop"
        walked = _walked(tested, {**_chosen_by_none(options), **extra}, pieces, labels, check, told)
        yield (
            walked
            if isinstance(walked, Finding)
            else expected.against(walked.everything(), labels, check, oracle="the for-loop", dtype=told)
        )


def _compiled(tested: UnderTest, options: Options) -> Iterator[Finding]:
    """Yield the compiled for-loop, and the compiled foreach where there is one, against the for-loop."""
    labels, told, pieces = tested.labels(options), _name(torch.float64), _pieces(tested, torch.float64)
    plain = _plain(tested, options)
    expected = reference(tested, plain, pieces, drive)
    ways = {"compiled": plain}
    if tested.has("foreach"):
        ways["compiled foreach"] = {**_chosen_by_none(options), "foreach": True}
    for name, chosen in ways.items():
        check = f"{name} ~ for-loop"
        walked = _walked(tested, chosen, pieces, labels, check, told, wrap=CompiledStep)
        if isinstance(walked, Finding):
            yield walked
            continue
        step = walked.stepper
        if not isinstance(step, CompiledStep) or not step.compiled:
            message = "torch.compile compiles nothing of its step, and runs it as ordinary Python."
            yield finding(labels, check, Outcome.SKIPPED, message, dtype=told)
            continue
        found = expected.against(walked.everything(), labels, check, oracle="the for-loop", dtype=told)
        partly = f" Compiled code ran at {step.compiled} of {step.steps} steps." if step.compiled < step.steps else ""
        yield replace(found, message=found.message + partly)


def _walked(
    tested: UnderTest, options: Options, pieces: list[Piece], labels: Labels, check: str, dtype: str, **changes: Any
) -> Walk | Finding:
    """Walk with a variant; one that is not for this device or dtype says so, and is skipped with its own words."""
    try:
        walk = tested.walk(options, pieces, **changes)
        if options.get("differentiable"):
            _make_inner(walk)
        drive(walk)
    except (RuntimeError, AssertionError, NotImplementedError) as reason:
        words = " ".join(str(reason).split())
        if any(sign in words for sign in REFUSALS):
            return finding(labels, check, Outcome.SKIPPED, f"Refused here: {words[:200]}", dtype=dtype)
        raise
    return walk


REFUSALS = (
    "capturable",
    "does not support",
    "requires all the params",
    "not supported",
    "only supports",
    "not implemented",
)
"""Words by which an implementation says that a device or dtype is not for it."""


def _make_inner(walk: Walk) -> None:
    """Replace leaves by results of an operation: a step that autograd follows must not change leaves in place."""
    walk.parameters = [leaf.clone() for leaf in walk.parameters]
    walk.leaves = False
    walk.optimizer = walk.made()
    walk.stepper = walk.optimizer.step


def _plain(tested: UnderTest, options: Options) -> Options:
    """Return options that choose the for-loop."""
    return {**options, **{name: value for name, value in PLAIN.items() if tested.has(name)}}


def _chosen_by_none(options: Options) -> Options:
    """Return options without those that choose an implementation."""
    return {name: value for name, value in options.items() if name not in PLAIN}


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _pieces(tested: UnderTest, dtype: torch.dtype | None) -> list[Piece]:
    """Return three parameters in a dtype; None mixes float64, float32 and bfloat16."""
    pieces = generic_pieces(tested.needs, tested.seed)
    dtypes = [dtype] * len(pieces) if dtype is not None else DTYPES
    return [replace(piece, dtype=one) for piece, one in zip(pieces, dtypes, strict=False)]
