"""What a verification is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

POINTS_BY_EFFORT = {"quick": 0.5, "standard": 1.0, "thorough": 4.0}
"""Factor on the number of random points."""

Faults = Literal["some", "all"]
"""Faults are injected at one point until a check notices, or at every point and for every check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """What to check: dtypes besides float64, orders of derivative, and which of the dearer oracles to ask.

    `complex_step` is opt-in because it is silently wrong for functions that are not analytic; `certify` asks for
    enclosures in ball arithmetic, within a small budget at each point. `faults` asks for detection power.
    """

    dtypes: tuple[torch.dtype, ...] = (torch.float64,)
    orders: tuple[int, ...] = (1, 2)
    complex_step: bool = False
    certify: bool = True
    faults: Faults | None = None
