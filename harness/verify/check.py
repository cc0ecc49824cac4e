"""Checks a subject at its points and decides: the one place where all verification comes together.

`verify_case` is the entry for case files, `verify_subject` the one below it, which `harness.check` shares. A wrong
gradient, and a subject that raises, are findings; only misuse raises.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel

from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.points import case_points
from harness.case.schema import PythonRef
from harness.case.subject import Point, Subject
from harness.case.trust import Trust
from harness.commands import repeat_command
from harness.errors import HarnessError, MissingPackageError
from harness.graph.trace import trace_graph
from harness.oracle.flat import real_vector
from harness.records import Curve, DetectionPower, Finding, Graph, Outcome, VerifyRecord
from harness.verify.claims import check_claims, unseen
from harness.verify.curves import error_curves
from harness.verify.diagnosis import settle
from harness.verify.faults.power import detection_power, in_words, with_power
from harness.verify.faults.trial import Site
from harness.verify.first import FirstOrder, first_order
from harness.verify.formula import explain
from harness.verify.options import POINTS_BY_EFFORT, Faults, VerifyOptions
from harness.verify.precision.check import low_precision
from harness.verify.precision.native import about_reference, reference_scene
from harness.verify.precision.policies import policy_of
from harness.verify.probes.confident import confident
from harness.verify.probes.sites import before, case_probes, probe_sites
from harness.verify.routes import one_line
from harness.verify.scene import Labels, Scene
from harness.verify.second import second_order
from harness.verify.symmetric import along_symmetric_directions, symmetric_inputs
from harness.verify.verdict import CAUSES, case_detection_limit, decide, excuse

if TYPE_CHECKING:
    from harness.oracle.symbolic import Symbolic


UNDECIDED = (Outcome.VACUOUS, Outcome.INCONCLUSIVE)
"""Findings that leave it open whether a gradient is right: faults are injected all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Everything found about a subject."""

    findings: tuple[Finding, ...]
    curves: tuple[Curve, ...]
    power: DetectionPower | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the checks at one point found; a site, for injecting faults, where there is a gradient."""

    findings: tuple[Finding, ...]
    curves: tuple[Curve, ...] = ()
    site: Site | None = None


def verify_subject(subject: Subject, points: Sequence[Point], labels: Labels, options: VerifyOptions) -> Checked:
    """Check a subject at every point, in every dtype and order asked for.

    One that fails is asked again along symmetric directions where inputs are declared symmetric.
    """
    checked = _verify(subject, points, labels, options)
    failing = [finding for finding in checked.findings if finding.outcome is Outcome.FAIL]
    symmetric = symmetric_inputs(subject)
    if not failing or not symmetric or any(finding.check in CAUSES for finding in failing):
        return checked
    again = _verify(along_symmetric_directions(subject), points, labels, options)
    if any(finding.outcome is Outcome.FAIL for finding in again.findings):
        return checked
    message = "Declared symmetric: judged along symmetric directions alone; off them the gradient of {} differs. {}"
    note = replace(
        failing[0], check="symmetric inputs", outcome=Outcome.SKIPPED, diagnosis=None,
        message=message.format(", ".join(symmetric), failing[0].message),
    )  # fmt: skip
    return replace(again, findings=(*again.findings, note))


def _verify(subject: Subject, points: Sequence[Point], labels: Labels, options: VerifyOptions) -> Checked:
    """Check a subject as it is."""
    symbolic = None
    if subject.expressions:  # SymPy takes a second to import, and has nothing to say about Python code
        from harness.oracle.symbolic import Symbolic

        symbolic = Symbolic(subject)
    findings: list[Finding] = []
    curves: tuple[Curve, ...] = ()
    sites: list[Site] = []
    for point in points:
        try:
            found = _at_point(subject, point, labels, options, symbolic, at_first=not curves)
        except HarnessError:
            raise
        except Exception as reason:  # noqa: BLE001 - the subject's own code may raise anything: that is a finding, not our failure
            message = f"The subject raised {one_line(reason)}"
            found = _Found(findings=(_label(point, labels, message),))
        findings += found.findings
        curves = curves or found.curves
        sites += () if found.site is None else (found.site,)
    findings += probe_sites([(site.scene, site.first) for site in sites], options.probes)
    stationary = {point.name for point in points if point.stationary}
    if not all(point.stationary for point in points):  # what cannot be seen there has to be seen elsewhere
        findings = [unseen(finding, stationary) for finding in findings]
    settled = settle(findings)
    right = all(f.excused is not None or f.outcome in (Outcome.PASS, Outcome.SKIPPED, *UNDECIDED) for f in settled)
    power = None
    if options.faults and right:
        power = detection_power(sites, probes=options.probes, thorough=options.faults == "all")
    return Checked(findings=settled, curves=curves, power=power)


def _at_point(
    subject: Subject,
    point: Point,
    labels: Labels,
    options: VerifyOptions,
    symbolic: Symbolic | None,
    *,
    at_first: bool,
) -> _Found:
    """All checks at one point.

    What is dear and tells no more at a second point (error curves, the worst case of rounding) is had `at_first`.
    """
    if torch.float64 not in options.dtypes and subject.reference is not None:
        return _Found(findings=tuple(_only_at_dtypes(subject, point, labels, options)))
    scene = Scene(subject, point, labels)
    unfit = _unfit(scene) or before(scene, options.probes)
    if unfit is not None:
        return _Found(findings=(unfit,))
    first = first_order(scene, symbolic, options)
    findings = [*explain(scene, first.findings, first.evidence), *check_claims(scene, first)]
    site = Site(scene=scene, first=first)
    if 2 in options.orders and first.gradient is not None and point.special is None:
        second = second_order(scene, first, certify=options.certify, at_first=at_first)
        findings += second.findings
        site = replace(site, second=second.evidence)
    for dtype in options.dtypes:
        if dtype != torch.float64 and first.gradient is not None:
            findings += _at_dtype(subject, point, labels, dtype, first, options, worst_case=at_first)
    curves = error_curves(scene, first) if at_first and point.special is None else ()
    return _Found(findings=tuple(findings), curves=curves, site=site)


def _unfit(scene: Scene) -> Finding | None:
    """Say why there is no gradient to check at a scene, None where there is one."""
    if scene.value.numel() == 0 and any(output.numel() for output in scene.flat.call(scene.flat.values)):
        message = "There is no gradient: the results are integers or booleans, which no derivative passes through."
        return scene.finding("reverse", Outcome.FAIL, message)
    if scene.value.numel() == 0 or scene.flat.size == 0:
        return scene.finding("value", Outcome.SKIPPED, "There are no real numbers to differentiate here.")
    if not bool(scene.value.isfinite().all() & real_vector(list(scene.flat.values.values())).isfinite().all()):
        return scene.finding("value", Outcome.SKIPPED, "The value is not finite here, so it has no derivative.")
    return None


def _only_at_dtypes(subject: Subject, point: Point, labels: Labels, options: VerifyOptions) -> list[Finding]:
    """The checks of a subject that is not run in float64: its reference is held against the oracles in its place."""
    scene = reference_scene(subject, point, labels, options.dtypes)
    if scene.value.numel() == 0 or not bool(scene.value.isfinite().all()):
        return [scene.finding("value", Outcome.SKIPPED, "The reference has no finite value here.")]
    first = first_order(scene, None, options)
    findings = [about_reference(finding) for finding in first.findings]
    for dtype in options.dtypes if first.gradient is not None else ():
        findings += _at_dtype(subject, scene.point, labels, dtype, first, options)
    return findings


def _at_dtype(
    subject: Subject,
    point: Point,
    labels: Labels,
    dtype: torch.dtype,
    first: FirstOrder,
    options: VerifyOptions,
    *,
    worst_case: bool = False,
) -> tuple[Finding, ...]:
    """The low-precision checks; a subject that raises there keeps what was found in float64."""
    name = str(dtype).removeprefix("torch.")
    try:
        found = low_precision(subject, point, labels, dtype, first, options.policy, worst_case=worst_case)
        if point.special is not None or any(f.outcome is Outcome.FAIL for f in found):
            return found
        return (*found, *confident(subject, point, labels, dtype, options.probes, options.policy))
    except HarnessError:
        raise
    except Exception as reason:  # noqa: BLE001 - as in verify_subject: the subject's own code may raise anything
        return (replace(_label(point, labels, f"The subject raised in {name}: {one_line(reason)}"), dtype=name),)


def _label(point: Point, labels: Labels, message: str) -> Finding:
    return Finding(
        check="value",
        outcome=Outcome.ERROR,
        message=message,
        point=point.name,
        dims=", ".join(f"{name}={size}" for name, size in point.sizes.items()),
        seed=labels.seed,
        device=labels.device,
        command=labels.command,
    )


def verify_case(
    case: Case, *, trust: Trust, seed: int, effort: str = "standard", device: str = "cpu", faults: Faults | None = None
) -> VerifyRecord:
    """Verify one case of a case file.

    Args:
        case: the loaded case.
        trust: which Python code may run.
        seed: the run's seed.
        effort: quick, standard or thorough; scales the number of random points.
        device: where the subject runs, "cpu" or "cuda".
        faults: how many faults are injected; None is by effort, none at quick and some otherwise.

    Returns:
        The case's record. Misuse (untrusted code, shapes that do not match) is an ERROR record with its reason.
    """
    started = time.perf_counter()
    command = repeat_command(case.path, case.id, seed, "power" if faults == "all" else "verify")
    model = case.model
    effort = model.verify.effort or effort if effort == "standard" else effort
    if isinstance(model.verify.skip, str):
        return _record(case, Outcome.SKIPPED, model.verify.skip, command=command)
    try:
        subject = build_subject(case, trust=trust)
        points = case_points(_with_effort(case, effort), subject, seed=seed)
    except Exception as reason:  # noqa: BLE001 - the case boundary: everything a case does wrong ends in its own record
        return _error(case, reason, command, started)
    labels = Labels(case=case.id, seed=seed, device=device, command=command)
    options = VerifyOptions(
        dtypes=tuple(getattr(torch, name) for name in model.verify.dtypes),
        orders=tuple(model.verify.orders),
        complex_step=model.verify.complex_step,
        certify=effort != "quick",
        faults=(None if effort == "quick" else "some") if faults is None else faults,
        probes=case_probes(case, effort),
        policy=policy_of(_plain(model.verify.policy)),
    )
    try:
        checked = verify_subject(subject, points, labels, options)
        graph = next((g for g in (_graph(subject, point) for point in points[:1]) if g is not None), None)
    except Exception as reason:  # noqa: BLE001 - as above
        return _error(case, reason, command, started)
    findings = excuse(checked.findings, model.expected, today=datetime.now(UTC).date())
    outcome, message = with_power(*decide(findings), checked.power)
    if faults == "all" and checked.power is not None and outcome is Outcome.PASS:
        message = in_words(checked.power)
    return replace(
        _record(case, outcome, message, command=command),
        findings=findings,
        detection_limit=case_detection_limit(findings),
        power=checked.power,
        graph=graph,
        curves=checked.curves,
        duration_s=time.perf_counter() - started,
    )


def _plain(policy: object) -> object:
    """A case's policy as Python callers write it."""
    return policy.model_dump(by_alias=True) if isinstance(policy, BaseModel) else policy


def _graph(subject: Subject, point: Point) -> Graph | None:
    try:
        return trace_graph(subject, point)
    except Exception:  # noqa: BLE001 - a drawing is never worth a case's verdict
        return None


def _with_effort(case: Case, effort: str) -> Case:
    """The case with its number of random points scaled to an effort."""
    factor = POINTS_BY_EFFORT[effort]
    count = model_points = case.model.verify.points
    if model_points:
        count = max(1, min(100, round(model_points * factor)))
    verify = case.model.verify.model_copy(update={"points": count})
    return replace(case, model=case.model.model_copy(update={"verify": verify}))


def _record(case: Case, outcome: Outcome, message: str, *, command: str) -> VerifyRecord:
    """The record of a case, without findings."""
    model = case.model
    function = model.function
    if isinstance(function, PythonRef):
        formula = function.python
    else:
        formula = function if isinstance(function, str) else "\n".join(function)
    gradient = model.gradient if isinstance(model.gradient, dict) else {}
    return VerifyRecord(
        job=f"verify {case.id}",
        case=case.id,
        title=model.title,
        source=model.source,
        path=str(case.path),
        tags=tuple(model.tags),
        outcome=outcome,
        message=message,
        formula=formula,
        let=tuple(model.let.items()),
        gradient=tuple(gradient.items()),
        is_expression=not isinstance(function, PythonRef),
        command=command,
    )


def _error(case: Case, reason: Exception, command: str, started: float) -> VerifyRecord:
    if isinstance(reason, MissingPackageError):
        return _record(case, Outcome.SKIPPED, str(reason), command=command)
    return replace(
        _record(case, Outcome.ERROR, one_line(reason, limit=500), command=command),
        traceback=None if isinstance(reason, HarnessError) else traceback.format_exc(),
        duration_s=time.perf_counter() - started,
    )
