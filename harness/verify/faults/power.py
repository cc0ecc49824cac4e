"""Detection power: each fault is put into the subject's backward, and the checks are run to see whether they notice.

The evidence about the function is taken over from its own verification, so that a fault costs only the backward's side.
A fault that changes nothing for a subject, not even in the situation it takes, is counted apart as equivalent. What
cannot be seen here: how often such faults happen, and faults of other kinds than those injected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from harness.records import Catch, DetectionPower, Outcome, Survivor
from harness.verify.faults.catalogue import injections
from harness.verify.faults.injection import Fault, Injection
from harness.verify.faults.trial import CHEAP, Site, Trial
from harness.verify.options import ProbeOptions
from harness.verify.probes.sites import worth

SIGN = "sign flipped"
"""The fault that no case may let through and still pass."""


def detection_power(
    sites: Sequence[Site], *, probes: ProbeOptions | None = None, thorough: bool = False
) -> DetectionPower | None:
    """Inject every fault that means something for a subject, and count those its checks notice.

    Args:
        sites: where it was verified, all points in one dtype and on one device.
        probes: the probes its case runs; None for none.
        thorough: inject every fault, try every point, and every check even where one has noticed already; otherwise
            leave out the faults that only dear probes show, and try the most telling point, and others for the faults
            that may show there, until a check notices.

    Returns:
        What was caught, what was not, and by what; None where no point has a gradient to spoil.
    """
    ranked = sorted(
        (site for site in sites if site.first.gradient is not None),
        key=lambda site: worth(site.scene, site.first),
        reverse=True,
    )
    if not ranked:
        return None
    # Probes run at one point, as they do when the subject itself is verified.
    trials = [Trial(site=s, probes=probes if s is ranked[0] else None, every=thorough) for s in ranked]
    caught: list[Catch] = []
    equivalent: list[str] = []
    survivors: list[Survivor] = []
    for injection in _injections(ranked[0]):
        fault, label = injection.fault, injection.label
        if not thorough and fault.probe not in ("", *CHEAP):
            continue
        places = [trial for trial in trials if thorough or trial is trials[0] or _may_show_at(fault, trial.site)]
        checks, changed = _tried(injection, places)
        if checks:
            caught.append(Catch(fault=fault.name, label=label, checks=checks))
        elif changed:
            survivors.append(
                Survivor(fault=fault.name, label=label, sentence=fault.sentence, seen_by=_seen_by(fault, probes))
            )
        else:
            equivalent.append(label)
    return DetectionPower(
        injected=len(caught) + len(survivors), caught=len(caught), equivalent=tuple(equivalent),
        survivors=tuple(survivors), catches=tuple(caught),
    )  # fmt: skip


def with_power(outcome: Outcome, message: str, power: DetectionPower | None) -> tuple[Outcome, str]:
    """Decide a case's outcome knowing its detection power: who would let a sign flip through has not passed."""
    blind = [] if power is None else [s.label for s in power.survivors if s.fault == SIGN]
    if outcome is not Outcome.PASS or not blind:
        return outcome, message
    return (
        Outcome.INCONCLUSIVE,
        f"A gradient of the opposite sign would have passed: {', '.join(blind)} was not noticed.",
    )


def in_words(power: DetectionPower) -> str:
    """Say what injecting faults came to: "31 of 32 faults caught, not noticed: NaN at zero"."""
    left = ", ".join(survivor.label for survivor in power.survivors)
    same = f"; {len(power.equivalent)} change nothing here" if power.equivalent else ""
    return f"{power.caught} of {power.injected} faults caught{f', not noticed: {left}' if left else ''}{same}"


def _tried(injection: Injection, places: Sequence[Trial]) -> tuple[tuple[str, ...], bool]:
    """The checks that notice a fault at the first place where any does, and whether it changed anything up to there."""
    changed = False
    for trial in places:
        checks, here = trial.run(injection)
        if checks:
            return checks, True
        changed = changed or here
    return (), changed


def _injections(site: Site) -> Iterator[Injection]:
    """What can be injected at a site; a change that rounding could explain is none."""
    bar, scene = site.evidence.bar, site.scene
    bars = {block.name: bar[:, block.start : block.stop] for block in scene.flat.blocks}
    gradient = torch.zeros_like(bar) if site.first.gradient is None else site.first.gradient
    return injections(
        scene.subject,
        scene.point,
        limits={name: float(bar.max()) if bar.numel() else 0.0 for name, bar in bars.items()},
        gradients={b.name: gradient[:, b.start : b.stop] for b in scene.flat.blocks},
        orders=1 if site.second is None else 2,
    )


def _may_show_at(fault: Fault, site: Site) -> bool:
    """Whether a fault that showed nowhere yet may show at a site without a probe."""
    return not fault.probe or site.scene.point.special == fault.situation


def _seen_by(fault: Fault, probes: ProbeOptions | None) -> str:
    """What would notice a fault that the checks did not."""
    if not fault.probe:
        return "an oracle with narrower bars, or another point"
    ran = probes is not None and (probes.names is None or fault.probe in probes.names)
    return f"the probe {fault.probe!r}{' at more values, or for longer' if ran else ', which this case does not run'}"
