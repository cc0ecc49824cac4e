"""The faults that are injected, each small, each after a kind of bug that has shipped.

Gradients that are wrong at ordinary inputs are in `plain_faults`; those that take a situation of their own (a strided
cotangent, a zero, a second call) in `hidden_faults`. Nothing here judges or runs anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from harness.case.subject import Point, Subject
from harness.verify.faults.hidden import HIDDEN
from harness.verify.faults.injection import Fault, Injection
from harness.verify.faults.plain import PLAIN

FAULTS = (*PLAIN, *HIDDEN)
MOST_TARGETS = 6
"""Inputs that faults made for each input are put into; a network has more parameters than are worth it."""


def fault_named(name: str) -> Fault:
    """Return the fault of a name.

    Raises:
        KeyError: there is none.
    """
    return {fault.name: fault for fault in FAULTS}[name]


def injections(
    subject: Subject, point: Point, *, limits: Mapping[str, float], gradients: Mapping[str, Tensor], orders: int = 2
) -> Iterator[Injection]:
    """Make the injections that mean something for a subject at a point.

    Args:
        subject: whose backward is spoilt.
        point: where it is looked at.
        limits: by input name, the change of its gradient that rounding could explain.
        gradients: by input name, its true gradient; a fault that sits in one input takes the one where most happens.
        orders: 1 leaves out the faults that only second derivatives show.
    """
    ranked = sorted(gradients, key=lambda name: _weight(gradients[name]), reverse=True)
    for fault in FAULTS:
        if fault.order > orders:
            continue
        fitting = [name for name in ranked if fault.applies(subject, point, name)]
        for target in fitting[: MOST_TARGETS if fault.each else 1]:
            yield Injection(subject=subject, fault=fault, target=target, limits=limits)


def _weight(gradient: Tensor) -> tuple[bool, int, float]:
    """Order inputs by how much there is to spoil: any gradient at all, many entries, large ones."""
    largest = float(gradient.abs().max()) if gradient.numel() else 0.0
    return largest > 0, gradient.numel(), largest
