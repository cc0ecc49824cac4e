"""One fault in one subject at one point: its checks are run against the evidence there is, and what fails is told.

Costs the backward's side only: oracles were asked when the subject itself was verified. What fails without any fault,
because the injection alone disturbs it, counts for nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from torch import Tensor

from harness.oracle.flat import FlatSubject
from harness.records import Finding, Outcome
from harness.verify.evidence import Evidence
from harness.verify.faults.injection import Fault, Injection
from harness.verify.faults.situations import changes
from harness.verify.first import FirstOrder, conclude, judge
from harness.verify.options import ProbeOptions
from harness.verify.probes.probe import Probe
from harness.verify.probes.registry import probes_for, run_probe
from harness.verify.routes import Gradients, RouteUnavailableError, hessian_products, reverse
from harness.verify.scene import Scene
from harness.verify.second import SecondEvidence, judge_second

NONE = Fault(
    name="none", sentence="The backward is left as it is.", spoil=lambda call: call.gradients,
)  # fmt: skip
SEEN_BY_ROUTES = ("another cotangent", "second")
"""Situations that the first- and second-order checks bring about themselves, beyond the judged gradients."""
CHEAP = ("side effects", "cotangents", "layouts", "requires_grad", "same tensor twice")
"""Probes that cost a handful of backwards: they may be tried on every fault."""
UNDISTURBED = ("reruns",)
"""Probes that an injection without a fault cannot disturb, and that are dear: they are not tried on it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Site:
    """A point at which a subject was verified, with what was learned about its function there."""

    scene: Scene
    first: FirstOrder
    second: SecondEvidence | None = None

    @property
    def evidence(self) -> Evidence:
        """What the subject's gradient was judged by.

        Raises:
            ValueError: it has none, so there was nothing to judge.
        """
        if self.first.evidence is None:
            raise ValueError("Cannot inject faults: site has no evidence. Use points that have a gradient.")
        return self.first.evidence


@dataclass(slots=True, kw_only=True, eq=False)
class Trial:
    """A site where faults are tried; `probes` says which probes run there besides the first- and second-order checks.

    `every` asks for all checks that notice, and for the cheap probes on every fault; otherwise the first check that
    notices will do, and of the probes only the one made for the fault is run.
    """

    site: Site
    probes: ProbeOptions | None = None
    every: bool = False
    _disturbed: dict[str, frozenset[tuple[str, str | None]]] = field(default_factory=dict)

    def run(self, injection: Injection) -> tuple[tuple[str, ...], bool]:
        """Try a fault.

        Returns:
            The checks that fail with it in, and whether it changes any derivative of the subject here.
        """
        checks: dict[str, None] = {}
        own = injection.afresh(self.site.scene.subject)
        for stage, finding in self._failures(own):
            if (finding.check, finding.input) not in self._disturbed_by(stage):
                checks[finding.check] = None
                if not self.every:
                    break
        return tuple(checks), bool(checks) or own.changed or self._changes(own)

    def _changes(self, injection: Injection) -> bool:
        """Whether a fault changes anything here, in the situation that it takes."""
        if injection.fault.order == 1:
            return changes(injection.afresh(injection.subject), self.site.scene)
        second = self.site.second
        if second is None:
            return False
        own, spoilt = (_products(scene, second) for scene in (self.site.scene, self._scene(injection)))
        return own is not None and (spoilt is None or not bool(((spoilt - own).abs() <= second.bar).all()))

    def _failures(self, injection: Injection, *, always: bool = False) -> Iterator[tuple[str, Finding]]:
        """Run the checks on the spoilt subject; yield what fails, with the stage it belongs to.

        What left the judged gradients as they are is looked for only where it may show at all, or `always`.
        """
        scene, fault = self._scene(injection), injection.fault
        try:
            gradients = reverse(scene.flat, scene.cotangents)
        except RouteUnavailableError as reason:
            yield "first", scene.finding("reverse", Outcome.FAIL, f"There is no gradient: {reason}.")
            return
        if always or injection.changed or fault.situation in SEEN_BY_ROUTES:
            found = self._order(scene, gradients, fault)
            yield from (("first", finding) for finding in found if finding.outcome is Outcome.FAIL)
        first = conclude(gradients, self.site.evidence, ())
        if self.probes is None or first.gradient is None:
            return
        if not (always or injection.changed or self._changes(injection)):
            return
        for probe in self._probes(fault):
            found = run_probe(probe, scene, first, self.probes)
            yield from ((probe.name, finding) for finding in found if finding.outcome is Outcome.FAIL)

    def _order(self, scene: Scene, gradients: Gradients, fault: Fault) -> Iterator[Finding]:
        """The checks of the first order, and of the second where the fault is one of it."""
        yield from judge(scene, gradients, self.site.evidence)
        second = self.site.second
        if fault.order == 2 and second is not None:
            products = _products(scene, second)
            yield from () if products is None else judge_second(scene, products, second)

    def _probes(self, fault: Fault) -> Iterator[Probe]:
        """The probes worth running on a fault, of those the case runs."""
        if self.probes is None:
            return
        skipped = {skip.probe for skip in self.probes.skips}
        for probe in probes_for(self.probes.effort, self.probes.names):
            wanted = probe.name == fault.probe or (self.every and probe.name in CHEAP)
            if wanted and probe.name not in skipped:
                yield probe

    def _disturbed_by(self, stage: str) -> frozenset[tuple[str, str | None]]:
        """Checks of a stage that fail through the injection alone, by input."""
        if stage in UNDISTURBED:
            return frozenset()
        if stage not in self._disturbed:
            plain = Injection(subject=self.site.scene.subject, fault=replace(NONE, probe=stage), target="", limits={})
            probes = None if stage == "first" else self.probes
            found = Trial(site=self.site, probes=probes)._failures(plain, always=True)
            self._disturbed[stage] = frozenset((finding.check, finding.input) for _, finding in found)
        return self._disturbed[stage]

    def _scene(self, injection: Injection) -> Scene:
        """The site's scene with the spoilt subject in it, and findings in few words, as nobody reads them."""
        scene = copy.copy(self.site.scene)
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
