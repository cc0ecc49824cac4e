"""All probes there are, and running the chosen ones on a subject within a budget of time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

from harness.errors import HarnessError
from harness.records import Finding, Outcome
from harness.verify.first import FirstOrder
from harness.verify.options import ProbeOptions
from harness.verify.probes import (
    cotangents,
    devices,
    effects,
    large,
    layouts,
    memory,
    nonfinite,
    randomness,
    reruns,
    sizes,
    subsets,
    transforms,
    values,
)
from harness.verify.probes.probe import BUDGET_S, SHARE, Probe, Sitting, chosen
from harness.verify.routes import one_line
from harness.verify.scene import Scene

PROBES: tuple[Probe, ...] = (
    randomness.PROBE,
    effects.PROBE,
    cotangents.PROBE,
    layouts.PROBE,
    memory.PROBE,
    subsets.PROBE,
    subsets.TWICE,
    transforms.VMAP,
    transforms.COMPILE,
    reruns.PROBE,
    values.PROBE,
    sizes.PROBE,
    nonfinite.PROBE,
    devices.AUTOCAST,
    devices.CUDA,
    reruns.BITWISE,
    large.PROBE,
    transforms.INDUCTOR,
)
"""In the order they run: cheap ones first."""


def probes_for(effort: str, names: Iterable[str] | None = None) -> tuple[Probe, ...]:
    """Choose probes by name, or without names those that run at an effort.

    Raises:
        UsageError: there is no probe of that name.
    """
    return chosen(PROBES, effort, names)


def run_probes(
    scene: Scene, first: FirstOrder, options: ProbeOptions, *, today: date | None = None
) -> Iterator[Finding]:
    """Run the chosen probes on a subject.

    Args:
        scene: the subject at a point where its gradient was judged.
        first: what the first-order checks found there.
        options: which probes, how hard, and which are skipped for what reason.
        today: the day skips are held against; without it, today (UTC).
    """
    skips = {skip.probe: skip for skip in options.skips}
    probes_for(options.effort, skips)  # a skip of a probe that does not exist is misuse
    deadline = time.thread_time() + (options.budget_s or BUDGET_S[options.effort])
    wrong = any(finding.outcome is Outcome.FAIL for finding in first.findings)
    day = today or datetime.now(UTC).date()
    for probe in probes_for(options.effort, options.names):
        skip = skips.get(probe.name)
        if skip is not None and (skip.until is None or day <= skip.until):
            until = f" (until {skip.until.isoformat()})" if skip.until else ""
            yield _note(scene, probe, Outcome.SKIPPED, f"Skipped by the case{until}: {skip.reason}")
            continue
        if skip is not None and skip.until is not None:
            message = f"The skip of probe {probe.name!r} expired on {skip.until.isoformat()}: {skip.reason}"
            yield _note(scene, probe, Outcome.FAIL, message)
        if probe.judges and wrong:
            yield _note(scene, probe, Outcome.SKIPPED, "Left out: the gradient is wrong at ordinary inputs already.")
        else:
            yield from run_probe(probe, scene, first, options, deadline=deadline)


def run_probe(
    probe: Probe, scene: Scene, first: FirstOrder, options: ProbeOptions, *, deadline: float | None = None
) -> Iterator[Finding]:
    """Run one probe; a subject that raises where nothing provided for it is SKIPPED with the reason."""
    now = time.thread_time()
    if deadline is not None and now > deadline:
        yield _note(scene, probe, Outcome.SKIPPED, "Left out: the time for probes was used up.")
        return
    sitting = Sitting(
        effort=options.effort,
        fixed=options.fixed,
        exact=options.exact,
        deadline=None if deadline is None else now + SHARE * (deadline - now),
        memo=options.memo,
    )
    try:
        yield from probe.run(scene, first, sitting)
    except HarnessError:
        raise
    except Exception as reason:  # noqa: BLE001 - the subject's own code may raise anything
        yield _note(scene, probe, Outcome.SKIPPED, f"The subject raised {one_line(reason)}")


def _note(scene: Scene, probe: Probe, outcome: Outcome, message: str) -> Finding:
    found = scene.finding(f"probe {probe.name}", outcome, message, question=f"probe {probe.name}")
    return replace(found, route="probe")
