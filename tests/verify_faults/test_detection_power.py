"""Which faults are caught, which are equivalent, and what a case that is blind to a sign comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.records import DetectionPower, Outcome, Survivor
from harness.verify.faults.catalogue import FAULTS, fault_named
from harness.verify.faults.power import SIGN, detection_power, with_power
from harness.verify.faults.trial import Site

SiteOf = Callable[..., Site]


def mixed(x: Tensor, y: Tensor) -> Tensor:
    """A matrix-valued function in which every entry of both inputs counts."""
    return (x @ y).tanh() + x * y.sin()


@pytest.fixture(scope="module")
def power(site_of: SiteOf, matrix: Tensor) -> DetectionPower:
    """The detection power of a function of two square matrices."""
    found = detection_power([site_of(mixed, x=matrix, y=matrix.flip(0) + 0.3)])
    assert found is not None
    return found


def test_every_fault_that_ordinary_inputs_show_is_caught(power: DetectionPower) -> None:
    """No fault in the factors, signs, entries, axes, state or second derivatives of a smooth function gets through."""
    caught = {catch.fault for catch in power.catches}
    assert {fault.name for fault in FAULTS if not fault.probe and fault.name != "conjugated"} <= caught


def test_no_fault_of_a_lively_function_is_equivalent(power: DetectionPower) -> None:
    """Every fault changes something of a function that uses all its inputs, rows and cotangents."""
    assert power.equivalent == ()
    assert power.injected == power.caught + len(power.survivors)


def test_every_survivor_names_what_would_see_it(power: DetectionPower) -> None:
    """A fault that got through comes with a sentence, and with the probe that shows it."""
    for survivor in power.survivors:
        assert fault_named(survivor.fault).probe in survivor.seen_by
        assert survivor.sentence.endswith(".")


def test_a_complex_gradient_is_not_its_conjugate(site_of: SiteOf, matrix: Tensor) -> None:
    """Conjugating the gradient of a complex input is caught."""
    found = detection_power([site_of(lambda z: (z * z).real + z.imag, z=torch.complex(matrix, matrix.T))])
    assert found is not None
    assert "conjugated" in {catch.fault for catch in found.catches}


def test_the_transpose_of_a_symmetric_gradient_is_equivalent(site_of: SiteOf, matrix: Tensor) -> None:
    """The gradient of a symmetric function of a symmetric matrix is its own transpose: nothing to catch."""
    found = detection_power([site_of(lambda x: (x @ x @ x).diagonal().sum(), x=matrix + matrix.T)])
    assert found is not None
    assert "transposed" in found.equivalent


def test_second_derivatives_of_a_linear_function_are_equivalent(site_of: SiteOf, matrix: Tensor) -> None:
    """There is nothing to double or to detach in a second derivative that is zero."""
    found = detection_power([site_of(lambda x: 3 * x.sum(), x=matrix)])
    assert found is not None
    assert {"second derivative doubled", "second derivative detached"} <= set(found.equivalent)


def test_scales_are_caught_down_to_the_detection_limit(site_of: SiteOf, matrix: Tensor) -> None:
    """The limit worked out for a comparison is what injection finds: one step above fails, one below agrees."""
    site = site_of(lambda x: x.sin().sum(), x=matrix)
    limit = next(f.detection_limit for f in site.first.findings if f.check == "autograd ~ finite differences")
    assert limit is not None
    oracle = next(one for one in site.first.evidence.oracles if one.oracle == "finite differences")
    for epsilon, caught in ((limit, True), (limit / 10, False)):
        outcomes = set()
        for sign in (epsilon, -epsilon):
            scaled = (1 + sign) * site.first.gradient
            (finding,) = site.scene.by_input("scaled", scaled, oracle, bar=site.first.bar)
            outcomes.add(finding.outcome)
        assert (outcomes == {Outcome.FAIL}) is caught


def test_thorough_tells_every_check_that_notices(site_of: SiteOf, matrix: Tensor) -> None:
    """The matrix wants all checks, a verdict only the first."""
    site = site_of(lambda x: x.sin().sum(), x=matrix)
    quick, thorough = (detection_power([site], thorough=flag) for flag in (False, True))
    assert quick is not None
    assert thorough is not None
    flips = [next(c.checks for c in found.catches if c.fault == SIGN) for found in (quick, thorough)]
    assert len(flips[0]) == 1
    assert len(flips[1]) > 1


class Sine(torch.autograd.Function):
    """A hand-written sine, which has no forward mode."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Keep the input."""
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Tensor:
        """Multiply by the cosine."""
        return cotangent * ctx.saved_tensors[0].cos()


def test_blind_checks_let_faults_through(site_of: SiteOf, matrix: Tensor) -> None:
    """Where oracles know next to nothing a sign flip survives, and a case that would have passed has not."""
    site = site_of(lambda x: Sine.apply(x).sum(), x=matrix)
    assert site.first.evidence is not None
    vague = tuple(replace(one, bar=one.bar + 1e9) for one in site.first.evidence.oracles)
    found = detection_power(
        [replace(site, first=replace(site.first, evidence=replace(site.first.evidence, oracles=vague)))]
    )
    assert found is not None
    assert f"{SIGN} (x)" in {survivor.label for survivor in found.survivors}
    assert with_power(Outcome.PASS, "12 checks passed", found)[0] is Outcome.INCONCLUSIVE


def test_a_case_blind_to_a_sign_flip_has_not_passed() -> None:
    """A sign flip that nothing noticed makes a pass inconclusive, and leaves anything worse as it is."""
    survivor = Survivor(fault=SIGN, label=f"{SIGN} (x)", sentence="Wrong.", seen_by="an oracle")
    blind = DetectionPower(injected=1, caught=0, survivors=(survivor,))
    outcome, message = with_power(Outcome.PASS, "12 checks passed", blind)
    assert outcome is Outcome.INCONCLUSIVE
    assert "sign flipped (x)" in message
    assert with_power(Outcome.FAIL, "wrong", blind) == (Outcome.FAIL, "wrong")
    assert with_power(Outcome.PASS, "fine", DetectionPower(injected=1, caught=1)) == (Outcome.PASS, "fine")
