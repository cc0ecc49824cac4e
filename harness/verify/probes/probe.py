"""What a probe is, and how probes are chosen; running them is `registry`'s job.

A probe exercises a backward in a way that ordinary inputs do not. Most are metamorphic and need no oracle: the same
numbers presented otherwise must give the gradient that the oracles have judged already. The others make new points and
judge the gradient there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.case.expression import nearest
from harness.errors import UsageError
from harness.records import Finding

if TYPE_CHECKING:
    from harness.verify.first import FirstOrder
    from harness.verify.scene import Scene

EFFORTS = ("quick", "standard", "thorough")
"""How hard verification looks, in rising order."""
NAMED = "named"
"""Effort of a probe that runs only when it is asked for by name."""
BUDGET_S = {"quick": 0.5, "standard": 2.0, "thorough": 20.0}
"""Seconds of processor time the probes of one subject may take together: a busy machine leaves nothing out."""
SHARE = 0.5
"""Part of the time left that one probe may use."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sitting:
    """One probe's run: how hard to look, what may be varied, and until when.

    `fixed` names sizes that no probe may vary; `exact` names inputs given as tensors, of which nothing is declared.
    `memo` keeps what oracles found at a probe's points, so that a changed backward of the same function can be probed
    again at the cost of its own side only.
    """

    effort: str = "standard"
    fixed: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()
    deadline: float | None = None
    """Reading of `time.thread_time` after which no new situation is tried; None is never."""
    memo: MutableMapping[tuple[object, ...], object] = field(default_factory=dict)

    @property
    def expired(self) -> bool:
        """Whether the time is used up."""
        return self.deadline is not None and time.thread_time() > self.deadline

    def at_least(self, effort: str) -> bool:
        """Whether to look at least this hard."""
        return EFFORTS.index(self.effort) >= EFFORTS.index(effort)


Run = Callable[["Scene", "FirstOrder", Sitting], Iterator[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A way to exercise a backward that ordinary inputs do not.

    Args:
        name: what it is called in findings, case files and on the command line.
        effort: quick, standard or thorough: from where on it runs; named: only when asked for.
        sees: the faults it notices, in a line.
        blind_to: what it cannot notice.
        run: takes the subject from a scene, what the oracles said there, and its sitting; yields findings.
    """

    name: str
    effort: str
    sees: str
    blind_to: str
    run: Run
    judges: bool = False
    """Whether it judges the gradient at points of its own, which tells nothing new of one that is wrong already."""


def chosen(probes: Iterable[Probe], effort: str, names: Iterable[str] | None) -> tuple[Probe, ...]:
    """Choose probes by name, or without names those that run at an effort.

    Raises:
        UsageError: there is no probe of that name.
    """
    listed = tuple(probes)
    if names is None:
        return tuple(p for p in listed if p.effort != NAMED and EFFORTS.index(p.effort) <= EFFORTS.index(effort))
    known = {probe.name: probe for probe in listed}
    wanted = tuple(names)
    for name in wanted:
        if name not in known:
            hint = nearest(name, known) or f"; probes are: {', '.join(known)}"
            raise UsageError(f"Cannot probe: there is no probe {name!r}{hint}.")
    return tuple(probe for probe in listed if probe.name in wanted)
