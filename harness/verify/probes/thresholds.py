"""The numbers a subject's code compares with, read off what it does: a wrong slope often begins exactly there.

Forward and backward run once under a dispatch mode that notes the constants given to comparisons and clamps.
Cannot see: comparisons in Python, in NumPy or inside a kernel.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from harness.verify.probes.ask import ask, present
from harness.verify.probes.kinds import Kind, at_threshold, below_threshold
from harness.verify.scene import Scene

MOST = 4
"""Thresholds tried."""
LEAST, GREATEST = 1e-12, 1e6
"""Between these a number is taken for a threshold; smaller ones are zero for all that can be measured there."""
SMALL = 0.1
"""Below it a threshold may guard a formula near zero."""
_COMPARING = frozenset(
    "lt le gt ge eq ne clamp clamp_ clamp_min clamp_max hardtanh hardtanh_backward threshold threshold_backward "  # noqa: SIM905  as words
    "hardshrink softshrink maximum minimum fmax fmin".split()
)


class _Listener(TorchDispatchMode):
    """Notes finite constants given to operators that compare."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers: dict[float, None] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator, and note its constants."""
        name = func._schema.name.partition("::")[2]  # the operator's public name is only in its schema
        if name in _COMPARING and args and isinstance(args[0], Tensor) and args[0].is_floating_point():
            for argument in (*args[1:], *(kwargs or {}).values()):
                self._note(argument)
        return func(*args, **(kwargs or {}))

    def _note(self, argument: object) -> None:
        if isinstance(argument, Tensor) and argument.ndim == 0 and argument.is_floating_point():
            argument = float(argument)
        if isinstance(argument, int | float) and not isinstance(argument, bool) and math.isfinite(argument):
            self.numbers[float(argument)] = None


def thresholds(scene: Scene) -> tuple[float, ...]:
    """Constants that forward and backward compare with, without 0, which is tried anyway; at most a few."""
    with _Listener() as listener:
        try:
            ask(scene.flat, present(scene.flat), scene.cotangents[0])
        except Exception:  # noqa: BLE001 - what refuses to run under a mode has told all it will
            return ()
    return tuple(number for number in listener.numbers if LEAST < abs(number) < GREATEST)[:MOST]


def threshold_kinds(numbers: tuple[float, ...]) -> tuple[Kind, ...]:
    """Make the kinds of values around some numbers."""
    around = tuple(at_threshold(number) for number in numbers)
    return (*around, *(below_threshold(number) for number in numbers if abs(number) < SMALL))
