"""Detection power: each fault is put into the subject's backward, and the checks are run to see whether they notice.

The evidence about the function is taken over from its own verification, so that a fault costs only the backward's side.
A fault that changes nothing for a subject, not even in the situation it takes, is counted apart as equivalent. What
cannot be seen here: how often such faults happen, and faults of other kinds than those injected.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.oracle.flat import FlatSubject
from harness.records import Catch, DetectionPower, Finding, Outcome, Survivor
from harness.verify.evidence import Evidence
from harness.verify.faults.catalogue import injections
from harness.verify.faults.injection import Fault, Injection
from harness.verify.faults.situations import changes
from harness.verify.first import FirstOrder, judge
from harness.verify.routes import RouteUnavailableError, hessian_products, reverse
from harness.verify.scene import Scene
from harness.verify.second import SecondEvidence, judge_second

SIGN = "sign flipped"
"""The fault that no case may let through and still pass."""
NONE = Fault(name="none", sentence="The backward is left as it is.", spoil=lambda call: call.gradients)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Site:
    """A point at which a subject was verified, with what was learned about its function there."""

    scene: Scene
    first: FirstOrder
    second: SecondEvidence | None = None


def detection_power(sites: Sequence[Site], *, thorough: bool = False) -> DetectionPower | None:
    """Inject every fault that means something for a subject, and count those its checks notice.

    Args:
        sites: where it was verified, all points in one dtype and on one device.
        thorough: try every point, and every check even where one has noticed already; otherwise the most telling point,
            and special points for the faults that only show there, until a check notices.

    Returns:
        What was caught, what was not, and by what; None where no point has a gradient to spoil.
    """
    ranked = sorted((site for site in sites if _has_gradient(site)), key=_telling, reverse=True)
    if not ranked:
        return None
    best = ranked[0]
    controls = {id(site): _Control(site) for site in ranked}
    caught: list[Catch] = []
    equivalent: list[str] = []
    survivors: list[Survivor] = []
    for injection in _injections(best):
        places = [site for site in ranked if thorough or site is best or _may_show_at(injection.fault, site)]
        checks: dict[str, None] = {}
        changed = False
        for site in places:
            checks |= dict.fromkeys(controls[id(site)].caught_by(_at(injection, site), every=thorough))
            if checks:
                break
            changed = changed or controls[id(site)].changed(_at(injection, site))
        if checks:
            caught.append(Catch(fault=injection.fault.name, label=injection.label, checks=tuple(checks)))
        elif changed:
            survivors.append(
                Survivor(
                    fault=injection.fault.name,
                    label=injection.label,
                    sentence=injection.fault.sentence,
                    seen_by=_seen_by(injection.fault),
                )
            )
        else:
            equivalent.append(injection.label)
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


class _Control:
    """One site, with the checks that the injection itself disturbs left out: those that fail with no fault in it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._disturbed: frozenset[tuple[str, str | None]] | None = None

    def caught_by(self, injection: Injection, *, every: bool) -> Iterator[str]:
        """Yield the checks that fail with the fault in; only the first of them unless all are wanted."""
        for finding in _failures(self.site, injection):
            if (finding.check, finding.input) not in self.disturbed:
                yield finding.check
                if not every:
                    return

    @property
    def disturbed(self) -> frozenset[tuple[str, str | None]]:
        """Checks that fail through the injection alone, by input."""
        if self._disturbed is None:
            plain = Injection(subject=self.site.scene.subject, fault=NONE, target="", limits={})
            self._disturbed = frozenset((f.check, f.input) for f in _failures(self.site, plain))
        return self._disturbed

    def changed(self, injection: Injection) -> bool:
        """Whether the fault changes the subject's derivatives at all, after the checks have not noticed it."""
        if injection.fault.order == 1:
            return injection.changed or changes(injection, self.site.scene)
        second = self.site.second
        if second is None:
            return False
        own, spoilt = (_products(scene, second) for scene in (self.site.scene, _scene(self.site, injection)))
        return own is not None and (spoilt is None or not bool(((spoilt - own).abs() <= second.bar).all()))


def _failures(site: Site, injection: Injection) -> Iterator[Finding]:
    """Run the checks on the spoilt subject against the evidence there is; yield what fails."""
    scene, evidence = _scene(site, injection), _evidence(site)
    try:
        gradients = reverse(scene.flat, scene.cotangents)
    except RouteUnavailableError as reason:
        yield scene.finding("reverse", Outcome.FAIL, f"There is no gradient: {reason}.")
        return
    for finding in judge(scene, gradients, evidence):
        if finding.outcome is Outcome.FAIL:
            yield finding
    if injection.fault.order == 2 and site.second is not None:
        products = _products(scene, site.second)
        found = () if products is None else judge_second(scene, products, site.second)
        yield from (finding for finding in found if finding.outcome is Outcome.FAIL)


def _scene(site: Site, injection: Injection) -> Scene:
    """The site's scene with the spoilt subject in it, and findings in few words, as nobody reads them."""
    scene = copy.copy(site.scene)
    scene.subject = injection.spoilt
    scene.flat = FlatSubject(scene.subject, scene.point, dtype=scene.dtype, device=scene.labels.device)
    scene.explains = False
    return scene


def _products(scene: Scene, second: SecondEvidence) -> Tensor | None:
    """The subject's double backward (D × N); None where it raises."""
    try:
        return hessian_products(scene.flat, scene.cotangents[0], second.directions)
    except RouteUnavailableError:
        return None


def _injections(site: Site) -> Iterator[Injection]:
    """What can be injected at a site; a change that rounding could explain is none."""
    evidence, scene = _evidence(site), site.scene
    bars = {b.name: evidence.bar[:, b.start : b.stop] for b in scene.flat.blocks}
    gradient = torch.zeros_like(evidence.bar) if site.first.gradient is None else site.first.gradient
    return injections(
        scene.subject,
        scene.point,
        limits={name: float(bar.max()) if bar.numel() else 0.0 for name, bar in bars.items()},
        gradients={b.name: gradient[:, b.start : b.stop] for b in scene.flat.blocks},
        orders=1 if site.second is None else 2,
    )


def _at(injection: Injection, site: Site) -> Injection:
    """The injection afresh, without what it remembers."""
    return Injection(
        subject=site.scene.subject, fault=injection.fault, target=injection.target, limits=injection.limits
    )


def _evidence(site: Site) -> Evidence:
    if site.first.evidence is None:
        raise ValueError("Cannot inject faults: site has no evidence. Use points that have a gradient.")
    return site.first.evidence


def _has_gradient(site: Site) -> bool:
    return site.first.evidence is not None and site.first.gradient is not None


def _telling(site: Site) -> tuple[bool, bool, int, int]:
    """Order sites by what they can show: ordinary, smooth, gradients that are not zero, several entries in each."""
    blocks = site.scene.flat.blocks
    gradient, bar = site.first.gradient, _evidence(site).bar
    alive = torch.zeros_like(bar, dtype=torch.bool) if gradient is None else gradient.abs() > bar
    counts = (bool(alive[:, block.start : block.stop].any()) for block in blocks)
    several = sum(block.stop - block.start > 1 for block in blocks)
    return site.scene.point.special is None, not site.first.kinked, sum(counts), several


def _may_show_at(fault: Fault, site: Site) -> bool:
    """Whether a fault that showed nowhere yet may show at a site without a probe."""
    return not fault.probe or site.scene.point.special == fault.situation


def _seen_by(fault: Fault) -> str:
    """What would notice a fault that ordinary checks did not."""
    return f"the probe {fault.probe}" if fault.probe else "an oracle with narrower bars, or another point"
