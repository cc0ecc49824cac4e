"""Each closed form holds for PyTorch's optimizer, and sees a fault that it is there for."""

from __future__ import annotations

import pytest
from own import OwnSGD
from planted_adam_formula import NoMeanCorrection, NoRootCorrection, UnscaledDecay
from planted_kin import AdadeltaSwapped, AdamaxNoEps, ASGDWrongAverage, RAdamEarly
from planted_others import RpropSlow
from planted_sgd import AdagradEpsInside, NoNesterov, SwappedAlpha, SwappedMomentum

from harness.optimizers.catalogue import optimizer_classes
from harness.optimizers.closed_forms import FORMS, closed_form_findings
from harness.optimizers.quadratics import quadratic_findings
from harness.optimizers.under_test import UnderTest
from harness.records import Outcome


class ShortSGD(OwnSGD):
    """Steps one part in 10⁹ too short."""

    def apply(self, parameter, move):
        parameter.sub_(move * (1 - 1e-9))


class DoubleSGD(OwnSGD):
    """Steps a tenth too long."""

    def apply(self, parameter, move):
        parameter.sub_(1.1 * move)


FAULTS = [
    ("SGD", "constant gradient", ShortSGD),
    ("SGD", "constant gradient, momentum", SwappedMomentum),
    ("SGD", "quadratic", ShortSGD),
    ("SGD", "quadratic", NoNesterov),
    ("SGD", "stability", DoubleSGD),
    ("SGD", "best rate", ShortSGD),
    ("SGD", "rate with momentum", SwappedMomentum),
    ("Adam", "constant gradient", NoMeanCorrection),
    ("Adam", "constant gradient", NoRootCorrection),
    ("AdamW", "decay without gradient", UnscaledDecay),
    ("Adamax", "constant gradient", AdamaxNoEps),
    ("RMSprop", "constant gradient", SwappedAlpha),
    ("Adagrad", "constant gradient", AdagradEpsInside),
    ("Adadelta", "first step", AdadeltaSwapped),
    ("RAdam", "unadapted, then rectified", RAdamEarly),
    ("Rprop", "constant gradient", RpropSlow),
    ("ASGD", "averaged iterates", ASGDWrongAverage),
]


def outcomes(make, name):
    """The outcomes of an optimizer's closed forms, by what is checked."""
    tested = UnderTest(name=name, make=make)
    found = [*closed_form_findings(tested), *quadratic_findings(tested)]
    return {check: {one.outcome for one in found if one.check == check} for check in {one.check for one in found}}


@pytest.mark.parametrize("name", sorted({name for name, _, _ in FAULTS}))
def test_pytorchs_optimizers_meet_them(name):
    """Every form holds, and each of them has a fault here."""
    found = outcomes(optimizer_classes()[name], name)
    assert set().union(*found.values()) == {Outcome.PASS}
    assert set(found) == {f"closed form: {form}" for of, form, _ in FAULTS if of == name}


@pytest.mark.parametrize(("name", "form", "make"), FAULTS, ids=lambda one: getattr(one, "__name__", one))
def test_a_fault_does_not_meet_them(name, form, make):
    """The form that a fault concerns fails."""
    assert Outcome.FAIL in outcomes(make, name)[f"closed form: {form}"]


def test_every_table_entry_is_tried():
    """No optimizer's form is without a fault."""
    assert set(FORMS) <= {name for name, _, _ in FAULTS}
