"""Variants: the ways a subject's value and gradient are had that are timed beside each other, and why one is not there.

The subject by autograd always runs. `analytic` times the case's gradient in autograd's place, `reference` the case's
plain implementation by autograd, `compile` the subject through `torch.compile`, `jacrev` and `jacfwd` the subject's
derivatives by `torch.func`. To add one, give it a reason for not running in `missing` and a setting in `setting_of`;
nothing is timed here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from harness.bench.jacobians import TRANSFORMS, transform_of
from harness.bench.passes import GRADIENT_PASSES, Setting, analytic, compiled
from harness.case.subject import Subject

AUTOGRAD = "autograd"
COMPILE = "compile"


def missing(variant: str, subject: Subject, device: torch.device, *, quick: bool) -> str | None:
    """Why a variant cannot be timed, or None when it can.

    Args:
        variant: analytic, reference, compile, jacrev or jacfwd.
        subject: what is timed.
        device: where.
        quick: whether this is the short pass, which leaves compiling out: it takes seconds for every size.
    """
    if variant == "analytic" and subject.gradient is None:
        return "the case declares no analytic gradient"
    if variant == "reference" and subject.reference is None:
        return "the case declares no reference"
    if variant == COMPILE and quick:
        return "torch.compile takes seconds for every size, so the quick pass leaves it out; `harness bench` times it"
    if variant == COMPILE and device.type == "cpu" and not _has_compiler():
        return "torch.compile needs a C++ compiler and there is none on the PATH"
    return None


def _has_compiler() -> bool:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++", "cl")
    return any(name and shutil.which(name) for name in names)


def setting_of(variant: str, base: Setting, subject: Subject) -> Setting:
    """Make a variant's setting from the subject's own.

    Args:
        variant: autograd, analytic, reference, compile, jacrev or jacfwd; one that is not `missing`.
        base: the subject's setting at some size.
        subject: what is timed.
    """
    if variant == "analytic" and subject.gradient is not None:
        return analytic(base, subject.gradient)
    if variant == "reference" and subject.reference is not None:
        return replace(base, function=subject.reference)
    transform = transform_of(variant)
    if transform is not None:
        return replace(base, transform=transform)
    return compiled(base) if variant == COMPILE else base


def passes_of(variant: str, passes: Sequence[str]) -> tuple[str, ...]:
    """List the passes a variant takes part in.

    An optimizer's step is the same for all of them and timed once; the analytic gradient has no value of its own.
    `jacrev` and `jacfwd` run the function themselves, so they have no backward pass apart from it.
    """
    taken: Mapping[str, tuple[str, ...]] = {
        AUTOGRAD: tuple(passes),
        "analytic": GRADIENT_PASSES,
        COMPILE: ("value", "forward", *GRADIENT_PASSES),
        "reference": ("value", "forward", *GRADIENT_PASSES, "jacobian"),
        **dict.fromkeys(TRANSFORMS, ("forward_backward", "jacobian")),
    }
    return tuple(name for name in passes if name in taken[variant])
