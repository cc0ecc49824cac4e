"""Compiled steps are compared where something was compiled, and skipped where nothing was."""

from __future__ import annotations

import own
import pytest
import torch

from harness.optimizers import compiled
from harness.optimizers.compiled import CompiledStep
from harness.optimizers.under_test import UnderTest
from harness.optimizers.variants import variant_findings
from harness.records import Outcome

# Left to pytest, warnings of optimizers and of the compiler would be errors within what is compiled.
pytestmark = pytest.mark.filterwarnings("ignore")


class WrongCompiled(own.OwnSGD):
    """Steps a little further in compiled code only."""

    def apply(self, parameter, move):
        parameter.sub_(move * (1 + 1e-6) if torch.compiler.is_compiling() else move)


@pytest.fixture(autouse=True)
def graphs_as_they_are(monkeypatch):
    """Graphs run as they were traced: what is tested needs no C++ compiler."""
    monkeypatch.setattr(compiled, "lookup_backend", lambda _: lambda graph, inputs: graph.forward)


def compiled_findings(make, name="mine", **options):
    """The findings about compiled steps, by their check."""
    tested = UnderTest(name=name, make=make, sets=(options,), thorough=True)
    return {one.check: one for one in variant_findings(tested) if one.check.startswith("compiled")}


def test_compiled_steps_agree():
    """The for-loop and foreach of one of PyTorch's optimizers are compiled and compared."""
    found = compiled_findings(torch.optim.SGD, momentum=0.9)
    assert {check: one.outcome for check, one in found.items()} == {
        "compiled ~ for-loop": Outcome.PASS, "compiled foreach ~ for-loop": Outcome.PASS
    }  # fmt: skip


def test_a_fault_of_compiled_code_alone_is_caught():
    """A step that is wrong only when compiled differs from the for-loop."""
    found = compiled_findings(WrongCompiled, lr=0.1)["compiled ~ for-loop"]
    assert found.outcome is Outcome.FAIL
    assert compiled_findings(own.OwnSGD, lr=0.1)["compiled ~ for-loop"].outcome is Outcome.PASS


@pytest.mark.parametrize("make", [torch.optim.LBFGS, torch.optim.SparseAdam, torch.optim.Adafactor])
def test_what_is_not_compiled_is_no_pass(make):
    """Steps that PyTorch runs as ordinary Python are skipped, and it is said."""
    found = compiled_findings(make)["compiled ~ for-loop"]
    assert found.outcome is Outcome.SKIPPED
    assert "compiles nothing of its step" in found.message


def test_steps_that_ran_compiled_code_are_counted():
    """A step without an operation counts as a step, and not as a compiled one."""
    number = torch.ones(1)
    step = CompiledStep(lambda wanted: number.add_(1) if wanted else None)
    for wanted in (True, True, False):
        step(wanted)
    assert (step.steps, step.compiled) == (3, 2)


def test_a_step_that_was_withdrawn_meanwhile_is_not_run(monkeypatch):
    """PyTorch replaces the steps it excludes at its first compilation; one bound before is looked up again."""
    optimizer = own.OwnSGD([torch.ones(1, requires_grad=True)])
    bound = optimizer.step
    monkeypatch.setattr(own.OwnSGD, "step", lambda self: "the new one")
    assert CompiledStep(bound)() == "the new one"
