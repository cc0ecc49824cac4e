"""The finite-difference check against `torch.autograd.gradcheck`, on functions of 10 to 100,000 inputs.

f(x)ᵢ = sin(xᵢ)·xᵢ₋₁, as an autograd.Function whose backward can be told to be wrong in one entry of the Jacobian.
gradcheck is given no more work than the check here: one function, one point, its defaults. Detection is asserted, time
is only printed.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from harness.case.subject import Input, Point, Subject
from harness.oracle.analytic import ROUNDING_ORIGIN
from harness.oracle.differences import finite_differences
from harness.records import Finding, Outcome
from harness.verify.evidence import rounding_of
from harness.verify.routes import reverse
from harness.verify.scene import Labels, Scene

SIZES = (10, 100, 1000)
LARGE = 100_000
Fault = tuple[float, int, int] | None


class Product(torch.autograd.Function):
    """sin(x)·roll(x), with `fault` = (size, row, column) added to one entry of its Jacobian."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, fault):
        return x.sin() * x.roll(1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.fault = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        result = grad * x.cos() * x.roll(1) + (grad * x.sin()).roll(-1)
        if ctx.fault:
            result = result.clone()
            size, row, column = ctx.fault
            result[column] += size * grad[row]
        return result, None


def point(count: int) -> torch.Tensor:
    """Seeded inputs."""
    return torch.randn(count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def harness_check(x: torch.Tensor, fault: Fault = None, *, scalar: bool = False) -> Finding:
    """The finite-difference check alone: reverse mode with its rounding bar against the ladder."""

    def function(values):
        result = Product.apply(values["x"], fault)
        return (result.sum() if scalar else result,)

    subject = Subject(name="product", inputs={"x": Input(shape=tuple(x.shape))}, function=function)
    scene = Scene(
        subject, Point(name="given", values={"x": x}, sizes={}, seed=0), Labels(case="product", seed=0, device="cpu")
    )
    gradients = reverse(scene.flat, scene.cotangents)
    _, bar = rounding_of(scene.flat, scene.cotangents, scene.generator("rounding"))
    estimate, _ = finite_differences(scene.flat, scene.cotangents, generator=scene.generator("directions"))
    (finding,) = scene.by_input("autograd ~ finite differences", gradients.value, estimate, bar=bar)
    assert finding.bar_origin != ROUNDING_ORIGIN
    return finding


def gradcheck(x: torch.Tensor, fault: Fault = None, *, fast: bool) -> bool:
    """Gradcheck with its defaults."""
    leaf = x.clone().requires_grad_(True)
    return torch.autograd.gradcheck(lambda t: Product.apply(t, fault), leaf, fast_mode=fast, raise_exception=False)


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("peer", ["harness", "gradcheck slow", "gradcheck fast"])
def test_time_per_check(benchmark, count: int, peer: str) -> None:
    """Time one check of a correct gradient; all accept it."""
    x = point(count)
    benchmark.group = f"{count} inputs, {count} outputs"
    benchmark.extra_info["peer"] = peer
    runs = {
        "harness": lambda: harness_check(x).outcome is Outcome.PASS,
        "gradcheck slow": lambda: gradcheck(x, fast=False),
        "gradcheck fast": lambda: gradcheck(x, fast=True),
    }
    assert benchmark.pedantic(runs[peer], rounds=5, warmup_rounds=1)


def test_time_of_many_inputs(benchmark) -> None:
    """Time a check of 100,000 inputs, which gradcheck's slow mode cannot hold in memory."""
    x = point(LARGE)
    benchmark.group = f"{LARGE} inputs, 1 output"
    benchmark.extra_info["peer"] = "harness"
    finding = benchmark.pedantic(lambda: harness_check(x, scalar=True), rounds=3, warmup_rounds=1)
    assert finding.outcome is Outcome.PASS


def test_one_wrong_entry_in_a_thousand_is_noticed() -> None:
    """One entry wrong by 1e-9 of the gradient's norm fails, and is named; gradcheck accepts it in both modes."""
    x = point(1000)
    norm = float(harness_gradient_norm(x))
    finding = harness_check(x, (1e-9 * norm, 500, 333))
    assert finding.outcome is Outcome.FAIL
    assert finding.index == (333,)
    assert gradcheck(x, (1e-9 * norm, 500, 333), fast=False)
    assert gradcheck(x, (1e-9 * norm, 500, 333), fast=True)


def test_fast_gradcheck_misses_a_large_error() -> None:
    """Gradcheck's fast mode accepts an entry wrong by 10 at 1000 inputs, at some places; the check here never does."""
    x = point(1000)
    places = torch.randint(0, 1000, (12, 2), generator=torch.Generator().manual_seed(1)).tolist()
    missed = [place for place in places if gradcheck(x, (10.0, *place), fast=True)]
    assert missed
    assert not gradcheck(x, (10.0, *missed[0]), fast=False)
    assert all(harness_check(x, (10.0, *place)).outcome is Outcome.FAIL for place in places)


def harness_gradient_norm(x: torch.Tensor) -> torch.Tensor:
    """Frobenius norm of the Jacobian, from its two diagonals."""
    return ((x.cos() * x.roll(1)).square().sum() + x.sin().square().sum()).sqrt()


def test_memory_grows_in_proportion_to_inputs() -> None:
    """Peak memory of a check at 400,000 inputs, beyond that at 100,000, stays within a few copies per input."""
    script = (
        "import resource, sys, torch; torch.set_num_threads(1); sys.path.insert(0, {folder!r});"
        "import test_against_gradcheck as t; t.harness_check(t.point({count}), scalar=True);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    folder = __file__.rpartition("/")[0]
    peaks: list[int] = []
    for count in (LARGE, 4 * LARGE):
        code = script.format(folder=folder, count=count)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) * 1024)
    assert (peaks[1] - peaks[0]) / (3 * LARGE) < 8 * 400
