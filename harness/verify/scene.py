"""One point of one subject, ready to be checked: the flat view, the cotangents, and how findings are labelled.

Turns comparisons into findings with worst index, numbers, bars and a sentence; decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.case.points import generator_for
from harness.case.subject import Point, Subject
from harness.oracle.estimate import Estimate
from harness.oracle.flat import Block, FlatSubject, random_signs
from harness.records import Finding, Outcome
from harness.verify.certificate import radius_text, ulps_text
from harness.verify.compare import REQUIRED_RESOLUTION, Comparison, compare, detection_limit
from harness.verify.diagnosis import diagnose
from harness.verify.diagnosis.gather import gather, gather_directions
from harness.verify.ulps import largest_ulps

DIAGNOSED = ("autograd", "the analytic gradient")
"""Routes whose failures are searched for a pattern."""
COTANGENTS = 2
"""Random cotangents tried for an output that is not one number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What every finding of a case carries."""

    case: str
    seed: int
    device: str
    command: str | None = None


class Scene:
    """A subject at a point at one dtype, with cotangents drawn for its outputs."""

    def __init__(self, subject: Subject, point: Point, labels: Labels, *, dtype: torch.dtype = torch.float64) -> None:
        self.subject, self.point, self.labels, self.dtype = subject, point, labels, dtype
        self.flat = FlatSubject(subject, point, dtype=dtype, device=labels.device)
        self.value = self.flat.outputs(self.flat.x).detach().to("cpu", torch.float64)
        count = self.value.numel()
        self.scalar = count == 1
        self.explains = True
        """Whether failures are traced and diagnosed, and limits worked out; off where only outcomes are read."""
        self.cotangents = (
            torch.ones(1, 1, dtype=torch.float64)
            if self.scalar
            else random_signs((COTANGENTS, count), self.generator("cotangent"))
        )

    def generator(self, purpose: str) -> torch.Generator:
        """Make the generator for one purpose at this point: the same for the same seed, case and point."""
        return generator_for(self.labels.seed, self.labels.case, self.point.name, purpose)

    def finding(self, check: str, outcome: Outcome, message: str, **more: object) -> Finding:
        """Make a finding with this scene's labels."""
        base = Finding(
            check=check,
            outcome=outcome,
            message=message,
            dtype=str(self.dtype).removeprefix("torch."),
            device=self.labels.device,
            point=self.point.name,
            dims=", ".join(f"{name}={size}" for name, size in self.point.sizes.items()),
            seed=self.labels.seed,
            command=self.labels.command,
        )
        return replace(base, **more)  # type: ignore[arg-type]  # fields by name, checked when the record is made

    def judged(self, check: str, found: Comparison, message: str, **more: object) -> Finding:
        """Make a finding of a comparison: its outcome and its numbers."""
        return self.finding(
            check, found.outcome, message, actual=found.actual, expected=found.expected, error=found.error,
            bar=found.bar, resolution=found.resolution, digits=found.digits, **more,
        )  # fmt: skip

    def by_input(
        self, check: str, actual: Tensor, estimate: Estimate, *, bar: Tensor | float = 0.0, **more: object
    ) -> Iterator[Finding]:
        """Compare flat gradients (C × N) with an estimate, input by input.

        `bar` is the subject's own rounding bar (C × N), added to the estimate's.
        """
        route = str(more.get("route", "autograd"))
        bars = torch.as_tensor(bar, dtype=torch.float64).expand(actual.shape)
        if estimate.directions is not None:
            yield from self._along_directions(check, actual, estimate, bars, **more)
            return
        for block in self.flat.blocks:
            part = slice(block.start, block.stop)
            if bool(estimate.bar[:, part].isinf().all()) and estimate.oracle == "analytic":
                continue  # the analytic gradient says nothing about this input
            total = bars[:, part] + estimate.bar[:, part]
            kink = None if estimate.kink is None else estimate.kink[:, part]
            found = compare(actual[:, part], estimate.value[:, part], total, required=self.required(1), kink=kink)
            limit = None
            smooth = kink is None or not bool(kink.any())
            if found.outcome is Outcome.PASS and estimate.independent and smooth and self.explains:
                limit = detection_limit(actual[:, part], estimate.value[:, part], total)
            index = None if found.position is None else block.index(found.position % (block.stop - block.start))
            ulps = self.ulps(actual[:, part], estimate, part)
            message = self.sentence(found, block, index, route, estimate, ulps)
            diagnosis = None
            if found.outcome is Outcome.FAIL and route in DIAGNOSED and self.explains:
                diagnosis = diagnose(gather(self, block, actual[:, part], estimate, total, route=route))
            yield self._from_comparison(
                check, found, block, index, message, estimate, limit, diagnosis=diagnosis, ulps=ulps, **more
            )

    def _along_directions(
        self, check: str, actual: Tensor, estimate: Estimate, bars: Tensor, **more: object
    ) -> Iterator[Finding]:
        directions = estimate.directions
        if directions is None:
            raise ValueError("Cannot project on directions an estimate does not have.")
        projected, reach = actual @ directions.T, bars @ directions.abs().T
        for block in self.flat.blocks:
            rows = (directions[:, block.start : block.stop] != 0).any(-1)
            total = reach[:, rows] + estimate.bar[:, rows]
            kink = None if estimate.kink is None else estimate.kink[:, rows]
            found = compare(projected[:, rows], estimate.value[:, rows], total, required=self.required(1), kink=kink)
            limit = None
            if found.outcome is Outcome.PASS and self.explains:
                limit = detection_limit(projected[:, rows], estimate.value[:, rows], total)
            index, position, diagnosis = None, None, None
            message = self.sentence(found, block, None, str(more.get("route", "autograd")), estimate)
            if found.outcome is Outcome.FAIL and self.explains:
                diagnosis = diagnose(gather_directions(projected[:, rows], estimate.value[:, rows], total, self))
            if found.outcome is Outcome.FAIL and found.position is not None and self.explains:
                from harness.oracle.differences import localise

                row = int(rows.nonzero()[found.position % int(rows.sum()), 0])
                which = found.position // int(rows.sum())
                position, value, bar = localise(self.flat, self.cotangents[which], actual[which], directions[row])
                index = block.index(position - block.start)
                found = replace(
                    found,
                    actual=float(actual[which, position]),
                    expected=value,
                    bar=bar,
                    error=abs(float(actual[which, position]) - value),
                )
                message = self.sentence(found, block, index, str(more.get("route", "autograd")), estimate)
            yield self._from_comparison(
                check, found, block, index, message, estimate, limit, diagnosis=diagnosis, **more
            )

    def _from_comparison(
        self,
        check: str,
        found: Comparison,
        block: Block,
        index: tuple[int, ...] | None,
        message: str,
        estimate: Estimate,
        limit: float | None,
        **more: object,
    ) -> Finding:
        return self.judged(
            check,
            found,
            message,
            input=block.name,
            index=index,
            bar_origin=estimate.origin,
            detection_limit=limit,
            independent=estimate.independent,
            oracle=estimate.oracle,
            radius_bits=estimate.radius_bits,
            **more,
        )

    def ulps(self, actual: Tensor, truth: Estimate, columns: slice | None = None) -> float | None:
        """Largest error in units in the last place at this dtype, where the truth is enclosed or has more bits."""
        if not truth.rigorous and self.dtype == torch.float64:
            return None
        return largest_ulps(actual, truth, self.dtype, columns=columns)

    def required(self, order: int) -> float:
        """Largest resolution that counts as having seen anything, at this dtype and order."""
        return REQUIRED_RESOLUTION[(order, self.dtype)]

    def sentence(
        self,
        found: Comparison,
        block: Block,
        index: tuple[int, ...] | None,
        route: str,
        estimate: Estimate,
        ulps: float | None = None,
    ) -> str:
        """Say what a first-order comparison found, in words for a newcomer."""
        name = self.symbol(block, index)
        note = f" ({estimate.note})" if estimate.note else ""
        if found.outcome is Outcome.PASS:
            return f"{route} and {estimate.oracle} agree{_digits(found)}{self.certainty(estimate, ulps)}{note}"
        if found.outcome is Outcome.FAIL:
            more = f"; {found.failing} of {found.entries} numbers are wrong" if found.failing > 1 else ""
            return (
                f"{name} is {apart(found.actual, found.expected)} by {route} but "
                f"{apart(found.expected, found.actual)} by {estimate.oracle}: "
                f"off by {number(found.error)}, allowed {number(found.bar)}"
                f"{self.certainty(estimate, ulps)}{more}{note}."
            )
        return f"{name}: {found.reason} ({route} against {estimate.oracle}){note}"

    def certainty(self, truth: Estimate, ulps: float | None) -> str:
        """Say how well the truth is known, and how many units the subject is off: ", certified: value ± 2⁻¹²⁰, …"."""
        close = "" if ulps is None else ulps_text(ulps, str(self.dtype).removeprefix("torch."))
        if truth.rigorous and truth.radius_bits is not None:
            return f", certified: value {radius_text(truth.radius_bits)}{', ' if close else ''}{close}"
        return f", {close}" if close else ""

    def symbol(self, block: Block, index: tuple[int, ...] | None) -> str:
        """Name of a partial derivative: ∂f/∂w[1], or ∂⟨v,f⟩/∂w[1] for an output that is not one number."""
        top = "f" if self.scalar else "⟨v,f⟩"
        place = f"[{', '.join(map(str, index))}]" if index else ""
        return f"∂{top}/∂{block.name}{place}"


def number(value: float | None) -> str:
    """A number for a sentence: six digits, as many as are needed to tell it from another."""
    return "?" if value is None else f"{value:.6g}"


def apart(value: float | None, other: float | None) -> str:
    """A number with as many digits as it takes to tell it from another, at least six."""
    if value is None or other is None:
        return number(value)
    for digits in range(6, 18):
        if f"{value:.{digits}g}" != f"{other:.{digits}g}":
            return f"{value:.{digits}g}"
    return number(value)


def _digits(found: Comparison) -> str:
    return f" to {found.digits:.1f} digits" if found.digits is not None else ""
