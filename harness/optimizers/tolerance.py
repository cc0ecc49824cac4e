"""What two correct implementations of one optimizer may differ by, where no formula is at hand.

A backward stable implementation gives the exact result of inputs that are off by a few units of rounding. So the walk
is repeated with every start and every gradient off by `UNITS` units, up or down at random, and a number's bar is
`FACTOR` times the largest change seen, plus `UNITS` units of the largest value it had on the way. (Backward error:
N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 1.5; sampled rather than bounded.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from harness.optimizers.findings import Entry, Labels, Numbers, compared
from harness.optimizers.under_test import UnderTest
from harness.optimizers.walk import Options, Piece, Walk
from harness.records import Finding

UNITS = 8
FACTOR = 8.0
MEMBERS = 3
ORIGIN = f"{FACTOR:g} times the change under perturbations of {UNITS} units of rounding, plus {UNITS} units"

Drive = Callable[[Walk], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where a walk ended, with what an equal walk may differ by."""

    numbers: Mapping[str, Numbers]
    bars: Mapping[str, Numbers]

    def against(self, actual: Mapping[str, Numbers], labels: Labels, check: str, *, oracle: str, dtype: str) -> Finding:
        """Compare another walk's end with this one's, names included."""
        odd = sorted(set(actual) ^ set(self.numbers))
        if odd:
            entries = [
                Entry(
                    name=odd[0], actual=np.zeros(int(odd[0] in actual)), expected=np.zeros(int(odd[0] in self.numbers))
                )
            ]
            return compared(labels, check, entries, oracle=oracle, dtype=dtype)
        entries = [
            Entry(name=name, actual=actual[name], expected=value, bar=self.bars[name])
            for name, value in self.numbers.items()
        ]
        return compared(labels, check, entries, oracle=oracle, bar_origin=ORIGIN, dtype=dtype)


def reference(tested: UnderTest, options: Options, pieces: Sequence[Piece], drive: Drive) -> Reference:
    """Walk, and walk again with perturbations.

    Args:
        tested: the optimizer.
        options: its options.
        pieces: its parameters, whose dtypes say what a unit of rounding is.
        drive: takes the walk's steps.
    """
    walk = tested.walk(options, pieces)
    drive(walk)
    numbers = walk.everything()
    unit = max(torch.finfo(piece.dtype).eps for piece in pieces) / 2
    bars = {name: np.zeros(value.shape) for name, value in numbers.items()}
    for member in range(MEMBERS):
        noise = np.random.default_rng((tested.seed, 3, member))
        # Perturbed in float64 and rounded afterwards: in low precision all inputs move by whole units.
        other = tested.walk(options, pieces, jitter=UNITS * unit, noise=noise)
        drive(other)
        for name, value in other.everything().items():
            if name in bars and bars[name].shape == value.shape:
                bars[name] = np.maximum(bars[name], np.abs(value - numbers[name]))
    sizes = _sizes(pieces, numbers)
    return Reference(
        numbers=numbers, bars={name: FACTOR * bar + UNITS * unit * sizes[name] for name, bar in bars.items()}
    )


def _sizes(pieces: Sequence[Piece], numbers: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """Return the size of every number on its way: of parameters at least that of their start."""
    starts = {piece.name: np.abs(piece.start) for piece in pieces}
    return {
        name: np.maximum(np.abs(value), starts[name]) if name in starts and starts[name].shape == value.shape
        else np.abs(value)
        for name, value in numbers.items()
    }  # fmt: skip
