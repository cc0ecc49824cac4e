"""Collects what one probe saw, situation by situation, and turns it into findings with sentences.

A situation that changes the gradient is a FAIL of its own. Those that agree make one PASS together; those that could
not be had (a subject that refuses loudly, a value that is not finite) are one SKIPPED with their reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from harness.oracle.flat import Block
from harness.records import Finding, Outcome
from harness.verify.probes.ask import Gradients, Plain
from harness.verify.scene import Scene, apart, number

SHOWN = 3
"""Situations named in one sentence."""
ORIGIN = "rounding of the plain presentation"


class Tally:
    """What one probe saw at a scene."""

    def __init__(self, scene: Scene, probe: str, *, kinked: bool = False) -> None:
        self.scene, self.probe, self.kinked = scene, probe, kinked
        self.agreed: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self.failed: list[Finding] = []

    def fail(self, message: str, **more: object) -> None:
        """Note a fault; `more` are fields of its finding."""
        self.failed.append(self._finding(Outcome.FAIL, message, **more))

    def refuse(self, situation: str, reason: str) -> None:
        """Note a situation that told nothing, and why."""
        self.refused.append((situation, reason))

    def agree(self, situation: str) -> None:
        """Note a situation in which the gradient was right."""
        self.agreed.append(situation)

    def same(self, situation: str, found: Gradients, base: Plain) -> bool:
        """Hold an answer against the judged gradient of the same numbers; returns whether they agree."""
        names = {name: base.expected[name] for name in found}
        return self.compare(situation, found, names, base.allowed, absent=base.found)

    def compare(
        self,
        situation: str,
        found: Gradients,
        expected: Mapping[str, Tensor],
        allowed: Mapping[str, Tensor],
        *,
        absent: Gradients | None = None,
    ) -> bool:
        """Hold an answer against another presentation of the same numbers.

        Args:
            situation: ends the sentence "The gradient changes when …".
            found: the answer in this situation.
            expected: the plain answer, by input.
            allowed: how far apart the two may be, by input.
            absent: the plain answer as autograd gave it; None there makes None right here.

        Returns:
            Whether they agree.
        """
        blocks = {block.name: block for block in self.scene.flat.blocks}
        failed = False
        for name, gradient in found.items():
            if gradient is None:
                known = absent is None or absent.get(name) is not None
                if known and (absent is not None or bool((expected[name].abs() > allowed[name]).any())):
                    self._lost(situation, name)
                    failed = True
                continue
            wrong = _differs(gradient, expected[name], allowed[name])
            if bool(wrong.any()):
                failed = True
                if self.kinked and bool(gradient.isfinite().all()):
                    self.refuse(situation, "another one of the slopes at a kink was returned")
                    break
                self._changed(situation, blocks[name], gradient, expected[name], allowed[name], wrong)
        if not failed:
            self.agree(situation)
        return not failed

    def findings(self) -> Iterator[Finding]:
        """Yield what was seen: every fault, then one finding for what agreed, then one for what told nothing."""
        yield from self.failed
        if self.agreed:
            count = len(self.agreed)
            yield self._finding(Outcome.PASS, f"the gradient is right in {_count(count)}: {_listed(self.agreed)}")
        if self.refused:
            by_reason: dict[str, list[str]] = {}
            for situation, reason in self.refused:
                by_reason.setdefault(reason, []).append(situation)
            told = "; ".join(f"{_listed(situations)}: {reason}" for reason, situations in by_reason.items())
            yield self._finding(Outcome.SKIPPED, f"Nothing is known about {_count(len(self.refused))}: {told}.")

    def _lost(self, situation: str, name: str) -> None:
        message = f"The gradient is lost when {situation}: autograd returns None for {name}, which is a zero unsaid."
        self.fail(message, input=name)

    def _changed(
        self, situation: str, block: Block, actual: Tensor, expected: Tensor, allowed: Tensor, wrong: Tensor
    ) -> None:
        excess = ((actual - expected).abs() / allowed).nan_to_num(torch.inf, torch.inf)
        position = int(torch.where(wrong, excess, -1.0).argmax())
        index = block.index(position)
        here, there = float(actual[position]), float(expected[position])
        more = f"; {int(wrong.sum())} of {wrong.numel()} numbers differ" if wrong.numel() > 1 else ""
        message = (
            f"The gradient changes when {situation}: {self.scene.symbol(block, index)} is {apart(here, there)} instead "
            f"of {apart(there, here)}, allowed {number(float(allowed[position]))}{more}."
        )
        self.fail(
            message,
            input=block.name,
            index=index,
            actual=here,
            expected=there,
            error=abs(here - there),
            bar=float(allowed[position]),
            bar_origin=ORIGIN,
        )

    def _finding(self, outcome: Outcome, message: str, **more: object) -> Finding:
        fields: dict[str, object] = {"question": f"probe {self.probe}", "route": "probe", **more}
        return self.scene.finding(f"probe {self.probe}", outcome, message, **fields)


def _differs(actual: Tensor, expected: Tensor, allowed: Tensor) -> Tensor:
    """Entries beyond what is allowed; written positively, so that a NaN only agrees with a NaN."""
    same = ((actual - expected).abs() <= allowed) | (actual == expected) | (actual.isnan() & expected.isnan())
    return ~same


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _count(number_of: int) -> str:
    return f"{number_of} situation{'s' if number_of != 1 else ''}"
