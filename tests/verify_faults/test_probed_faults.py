"""Faults that hide from ordinary inputs: the probes of a case find them, and each fault changes a suitable subject."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from harness.case.subject import Point
from harness.records import DetectionPower
from harness.verify.faults.catalogue import FAULTS, fault_named, injections
from harness.verify.faults.hidden import misread
from harness.verify.faults.injection import Injection
from harness.verify.faults.power import detection_power
from harness.verify.faults.situations import changes, strided
from harness.verify.faults.trial import CHEAP, Site
from harness.verify.options import ProbeOptions

SiteOf = Callable[..., Site]


def lively(x: Tensor, y: Tensor) -> Tensor:
    """An output in which all entries of both inputs count, smooth at zeros, ties and far out."""
    return (x @ y).cos() + x * y.sin()


@pytest.fixture(scope="module")
def site(site_of: SiteOf, matrix: Tensor) -> Site:
    """A function of two square matrices, verified."""
    return site_of(lively, x=matrix, y=matrix.flip(0) + 0.3)


@pytest.fixture(scope="module")
def power(site: Site) -> DetectionPower:
    """The thorough detection power of that function, with its probes."""
    found = detection_power([site], probes=ProbeOptions(), thorough=True)
    assert found is not None
    return found


def test_every_fault_is_caught_at_standard_effort(power: DetectionPower) -> None:
    """No fault gets through the checks and probes of a lively function; only a complex input is missing."""
    assert power.survivors == ()
    assert {catch.fault for catch in power.catches} == {fault.name for fault in FAULTS} - {"conjugated"}


def test_the_matrix_names_the_probe_made_for_a_fault(power: DetectionPower) -> None:
    """A fault with a probe of its own is noticed by that probe."""
    for catch in power.catches:
        probe = fault_named(catch.fault).probe
        assert not probe or f"probe {probe}" in catch.checks


def test_every_fault_changes_a_gradient(site: Site) -> None:
    """Each fault that applies shows in its situation: there is something for the checks to notice."""
    gradients = {name: torch.ones(4, 4) for name in ("x", "y")}
    made = list(injections(site.scene.subject, site.scene.point, limits={}, gradients=gradients))
    assert {injection.fault.name for injection in made} == {fault.name for fault in FAULTS} - {"conjugated"}
    for injection in made:
        assert injection.fault.order == 2 or changes(injection, site.scene), injection.label


def test_the_small_pass_leaves_dear_probes_out(site: Site) -> None:
    """An ordinary verification injects only what cheap checks show, and catches it all."""
    found = detection_power([site], probes=ProbeOptions())
    assert found is not None
    assert {fault_named(catch.fault).probe for catch in found.catches} <= {"", *CHEAP}
    assert found.survivors == ()


def test_a_probe_left_out_lets_its_fault_through(site: Site) -> None:
    """Without the cotangents probe a misread upstream gradient survives, and the survivor says what it takes."""
    found = detection_power([site], probes=ProbeOptions(names=("layouts",)))
    assert found is not None
    survivor = next(one for one in found.survivors if one.fault == "cotangent misread")
    assert "'cotangents', which this case does not run" in survivor.seen_by


def test_a_misread_tensor_reads_its_gaps() -> None:
    """Reading a strided tensor as if it were contiguous gives what lies between, and never leaves its memory."""
    tensor = torch.arange(4.0)
    assert torch.equal(misread(tensor), tensor)
    assert torch.equal(misread(strided(tensor)), torch.tensor([0.0, 0.25, 1.0, -1.25]))
    assert torch.equal(misread(torch.ones(1).expand(3)), torch.ones(3))


def test_faults_outside_a_domain_are_equivalent(site_of: SiteOf) -> None:
    """A wrong branch beyond 20 changes nothing for an input that is never that large."""
    site = site_of(lambda x: x.log().sum(), x=torch.tensor([0.3, 0.7], dtype=torch.float64))
    spec = site.scene.subject.inputs["x"]
    object.__setattr__(spec, "domain", (0.1, 1.0))
    fault = fault_named("wrong beyond 20")
    assert not changes(Injection(subject=site.scene.subject, fault=fault, target="x", limits={}), site.scene)


def test_the_injection_leaves_the_point_alone(site: Site) -> None:
    """Faults that write into inputs write into copies: the site's own numbers stay."""
    before = {name: value.clone() for name, value in site.scene.point.values.items()}
    detection_power([site], probes=ProbeOptions(names=("side effects",)))
    point: Point = site.scene.point
    assert all(torch.equal(value, before[name]) for name, value in point.values.items())
    assert all(torch.equal(site.scene.flat.values[name], value) for name, value in before.items())
