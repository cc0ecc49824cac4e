"""Variants: which are there, which passes they take part in, and why one is not there."""

import shutil

import pytest
import torch

from harness.bench.passes import make_setting
from harness.bench.variants import missing, passes_of, setting_of
from harness.case.subject import Input, Subject

CPU = torch.device("cpu")
ALL_PASSES = ("value", "forward", "backward", "forward_backward", "jacobian", "step")


def square(tensors):
    """Sum of squares."""
    return ((tensors["x"] ** 2).sum(),)


BARE = Subject(name="bare", inputs={"x": Input(shape=("n",))}, function=square)
FULL = Subject(
    name="full", inputs=BARE.inputs, function=square, reference=lambda t: (t["x"] @ t["x"],), gradient=lambda t, c: {}
)


@pytest.mark.parametrize("variant", ["analytic", "reference"])
def test_what_the_case_does_not_declare_is_missing(variant):
    """A variant needs its declaration."""
    assert "the case declares no" in missing(variant, BARE, CPU, quick=False)
    assert missing(variant, FULL, CPU, quick=False) is None


def test_the_quick_pass_compiles_nothing():
    """Compiling is left out where time is short, and the reason says where it is not."""
    assert "harness bench" in missing("compile", FULL, CPU, quick=True)


def test_no_compiler_is_said(monkeypatch):
    """Without a C++ compiler, compiling for the CPU is skipped with the reason."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "C++ compiler" in missing("compile", FULL, CPU, quick=False)


def test_a_compiler_is_found(monkeypatch):
    """With one, nothing is missing."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert missing("compile", FULL, CPU, quick=False) is None


@pytest.mark.parametrize(
    ("variant", "passes"),
    [
        ("autograd", ALL_PASSES),
        ("analytic", ("backward", "forward_backward")),
        ("reference", ALL_PASSES[:-1]),
        ("compile", ALL_PASSES[:-2]),
        ("jacrev", ("forward_backward", "jacobian")),
        ("jacfwd", ("forward_backward", "jacobian")),
    ],
)
def test_the_passes_of_a_variant(variant, passes):
    """A step is timed once; the analytic gradient has no value of its own."""
    assert passes_of(variant, ALL_PASSES) == passes


def test_settings_differ_where_they_should():
    """The reference brings its function, the analytic variant its gradient, autograd neither."""
    generator = torch.Generator().manual_seed(0)
    base = make_setting(square, {"x": torch.ones(2)}, ("x",), generator=generator, optimizer="SGD")
    assert setting_of("autograd", base, FULL) is base
    assert setting_of("reference", base, FULL).function is FULL.reference
    assert setting_of("analytic", base, FULL).gradient is FULL.gradient
    assert [setting_of(name, base, FULL).transform for name in ("autograd", "jacrev", "jacfwd")] == [
        None,
        "jacrev",
        "jacfwd",
    ]
