"""An optimizer under test: how to make it, what it should do, and with which options."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from harness.optimizers.findings import Labels
from harness.optimizers.needs import Needs, discover
from harness.optimizers.rules import Rule
from harness.optimizers.walk import Make, Options, Piece, Walk

SWITCHES = ("foreach", "fused", "capturable", "differentiable")
"""Options that choose an implementation and must not change what is computed."""
STEPS = 200


@dataclass(frozen=True, kw_only=True)
class UnderTest:
    """An optimizer under test.

    Args:
        name: what findings call it.
        make: makes it: `make(parameters, **options)`.
        sets: the option sets it is verified with; the generic checks take the first and the last.
        rule: its update rule, None where none is known.
        seed: seed of every draw.
        steps: length of the walks that are held against the rule.
        thorough: whether compiled steps are checked, which takes a compiler and minutes.
        device: where parameters live.
        command: what repeats its findings.
    """

    name: str
    make: Make
    sets: tuple[Options, ...] = ({},)
    rule: Rule | None = None
    seed: int = 0
    steps: int = STEPS
    thorough: bool = False
    device: str = "cpu"
    command: str | None = None

    @cached_property
    def needs(self) -> Needs:
        """What it wants of parameters and callers."""
        return discover(self.make, self.sets[0], self.name)

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """Its documented options with their defaults; empty where it does not say."""
        try:
            parameters = list(inspect.signature(self.make).parameters.values())[1:]
        except (TypeError, ValueError):
            return {}
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return {one.name: one.default for one in parameters if one.kind in kinds}

    @property
    def generic_sets(self) -> Iterator[Options]:
        """The option sets for checks that hold whatever the options: the first and the last."""
        yield self.sets[0]
        if len(self.sets) > 1:
            yield self.sets[-1]

    def has(self, option: str) -> bool:
        """Whether it documents an option."""
        return option in self.defaults

    def labels(self, options: Options) -> Labels:
        """What findings with these options carry."""
        return Labels(seed=self.seed, options=describe(options), command=self.command, device=self.device)

    def walk(self, options: Options, pieces: Sequence[Piece], **changes: Any) -> Walk:
        """Return a walk of this optimizer, not yet started."""
        return Walk(
            make=self.make, options=options, pieces=pieces, needs=self.needs, **{"device": self.device, **changes}
        )

    def with_make(self, make: Make) -> UnderTest:
        """Return the same test of another way of making it."""
        return replace(self, make=make)


def describe(options: Options) -> str:
    """Return an option set as people write it: "lr=0.1, momentum=0.9"; "defaults" where there is none."""
    return ", ".join(f"{name}={value}" for name, value in options.items()) or "defaults"
