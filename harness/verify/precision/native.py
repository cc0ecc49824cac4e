"""Subjects that are at home in a low precision: not run in float64, because they cannot be or only would by widening.

Their reference stands in for them in float64, where the oracles judge it. That says nothing about the subject itself,
which is compared with the reference in its own dtypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from harness.case.subject import Point, Subject
from harness.errors import UsageError
from harness.oracle.flat import FlatSubject
from harness.oracle.rounding import UNIT_ROUNDOFF
from harness.records import Finding
from harness.verify.precision.sides import rounded_point
from harness.verify.scene import Labels, Scene

_BELOW_FLOAT32 = 2.0**-32
"""A relative change that float64 keeps and float32 does not."""


def reference_scene(subject: Subject, point: Point, labels: Labels, dtypes: tuple[torch.dtype, ...]) -> Scene:
    """A scene of the subject's reference in its place, at numbers and cotangents that all of the dtypes hold."""
    coarsest = max(dtypes, key=lambda dtype: UNIT_ROUNDOFF[dtype])
    stand_in = replace(
        subject, function=subject.reference or subject.function, reference=None, intermediates=None, expressions=(),
        module=None,
    )  # fmt: skip
    scene = Scene(stand_in, rounded_point(point, coarsest), labels)
    scene.cotangents = scene.cotangents.to(coarsest).to(torch.float64)
    return scene


def about_reference(finding: Finding) -> Finding:
    """Say of a finding that it is about the reference; what it could detect says nothing about the subject."""
    return replace(
        finding,
        check=f"reference: {finding.check}",
        message=f"(reference) {finding.message}",
        question=f"reference: {finding.question or finding.check}",
        route=f"reference {finding.route}",
        detection_limit=None,
    )


def dtypes_to_check(
    asked: Sequence[str | torch.dtype] | None,
    seen: tuple[torch.dtype, ...],
    subject: Subject,
    points: Sequence[Point],
    *,
    only_low: bool,
) -> tuple[torch.dtype, ...]:
    """The dtypes to run a subject in.

    Args:
        asked: what a caller asked for, by name or as torch's.
        seen: float64 and the dtypes of the tensors given; used where nothing was asked for.
        subject: what is under test.
        points: where.
        only_low: whether every tensor given is in lower precision than float64.

    Raises:
        UsageError: a dtype is none of float64, float32, bfloat16 and float16.
    """
    if asked is None:
        at_home = only_low and len(seen) > 1 and subject.reference is not None
        dropped = at_home and bool(points) and not works_in_float64(subject, points[0])
        return tuple(dtype for dtype in seen if dtype != torch.float64) if dropped else seen
    known = {str(dtype).removeprefix("torch."): dtype for dtype in UNIT_ROUNDOFF}
    names = [str(dtype).removeprefix("torch.") for dtype in asked]
    for name in names:
        if name not in known:
            raise UsageError(f"Cannot check in dtypes={names!r}: {name!r} is not one of {', '.join(known)}. Use those.")
    if not names:
        raise UsageError("Cannot check: dtypes=[] is empty. Name one.")
    return tuple(dict.fromkeys(known[name] for name in names))


def works_in_float64(subject: Subject, point: Point) -> bool:
    """Whether the subject runs in float64 and notices changes that float32 could not hold.

    One that raises, or whose outputs stay the same bit for bit, computes in a lower precision whatever it is given.
    """
    flat = FlatSubject(subject, point)
    try:
        here = flat.outputs(flat.x).detach()
        moved = flat.outputs(flat.x * (1 + _BELOW_FLOAT32)).detach()
    except Exception:  # noqa: BLE001 - the subject's own code may refuse float64 in any way
        return False
    return here.dtype == torch.float64 and not torch.equal(here, moved)
