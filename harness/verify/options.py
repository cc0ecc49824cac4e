"""What a verification is asked to do."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import torch

from harness.verify.precision.policies import Policy

POINTS_BY_EFFORT = {"quick": 0.5, "standard": 1.0, "thorough": 4.0}
"""Factor on the number of random points."""

Faults = Literal["some", "all"]
"""Faults are injected at one point until a check notices, or at every point and for every check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSkip:
    """A probe that a case leaves out, for a reason, until a day; after it the skip is a failure."""

    probe: str
    reason: str
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProbeOptions:
    """Which probes run, and how hard they look.

    Args:
        effort: quick, standard or thorough.
        names: only these probes; None is all that run at the effort.
        skips: probes left out.
        fixed: named sizes that no probe may vary.
        exact: inputs given as tensors, of which nothing is declared.
        budget_s: seconds of processor time for all probes of a subject together; None is by effort.
        memo: what oracles found at probes' points; shared options probe a changed backward of one function cheaply.
    """

    effort: str = "standard"
    names: tuple[str, ...] | None = None
    skips: tuple[ProbeSkip, ...] = ()
    fixed: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()
    budget_s: float | None = None
    memo: MutableMapping[tuple[object, ...], object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """What to check: dtypes besides float64, orders of derivative, and which of the dearer oracles to ask.

    `complex_step` is opt-in because it is silently wrong for functions that are not analytic; `certify` asks for
    enclosures in ball arithmetic, within a small budget at each point. `faults` asks for detection power, `probes`
    for ways to exercise the backward that the points do not.
    """

    dtypes: tuple[torch.dtype, ...] = (torch.float64,)
    orders: tuple[int, ...] = (1, 2)
    complex_step: bool = False
    certify: bool = True
    faults: Faults | None = None
    policy: Policy | None = None
    """What accepts a low-precision gradient instead of the rounding bar."""
    probes: ProbeOptions | None = None
