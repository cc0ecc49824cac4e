"""Benchmarking a declared case: from its document to a record."""

from pathlib import Path

import pytest
import torch

from harness.bench.clocks import NoClockError
from harness.bench.run import benchmark_case, drawer, options_of
from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.schema import CaseModel
from harness.case.trust import Trust
from harness.errors import UntrustedError, UsageError
from harness.records import Outcome

DOCUMENT = {
    "case": "sum-of-squares",
    "title": "Sum of squares",
    "source": "a textbook",
    "tags": ["small"],
    "dims": {"n": [2, 3], "d": 2},
    "inputs": {"X": {"shape": ["n", "d"]}},
    "function": "sum(X**2)",
    "gradient": {"X": "2*X"},
    "benchmark": {"sweep": {"n": [4, 8, 16, 32, 64]}, "passes": ["value", "forward_backward"], "against": ["analytic"]},
}


def case_with(**changes):
    """The case with some keys changed; None removes one."""
    document = {key: value for key, value in {**DOCUMENT, **changes}.items() if value is not None}
    return Case(model=CaseModel.model_validate(document), path=Path("cases/sum.yaml"), line=1)


@pytest.fixture
def bench(make_fake_clock):
    """Benchmark a case on a CPU clock that takes 1 ms per call."""

    def run(case=None, **options):
        def make_clock(device):
            if device != "cpu":
                raise NoClockError("CUDA is not available")
            return make_fake_clock(per_call_s=1e-3)

        chosen = {"trust": Trust(), "seed": 0, "quick": True, "make_clock": make_clock, **options}
        return benchmark_case(case or case_with(), **chosen)

    return run


def test_a_record_names_its_case(bench):
    """Job, case, title, source, path, tags and the command that repeats it."""
    record = bench(seed=5)
    assert (record.job, record.case, record.title) == (
        "benchmark sum-of-squares",
        "sum-of-squares",
        "Sum of squares",
    )
    assert (record.source, record.path, record.tags) == ("a textbook", "cases/sum.yaml", ("small",))
    assert record.command == "harness bench cases/sum.yaml -k sum-of-squares --seed 5"


def test_a_record_passes_though_cuda_is_missing(bench):
    """A skipped device is counted and shown, and does not change the outcome."""
    record = bench()
    assert record.outcome is Outcome.PASS
    assert record.message.startswith("12 timed, 1 skipped; value and gradient together cost 1 ×")


def test_the_quick_pass_times_four_sizes(bench):
    """Of five sizes, the quick pass keeps four, the ends among them."""
    elements = {timing.elements for timing in bench().timings if timing.elements}
    assert (len(elements), min(elements), max(elements)) == (4, 8, 128)


def test_the_full_pass_times_all_sizes(bench):
    """Nothing is left out of the full pass."""
    assert len({timing.elements for timing in bench(quick=False).timings if timing.elements}) == 5


def test_growth_and_ratio_are_in_the_record(bench):
    """Scalings for each pass and variant, and what the gradient costs."""
    record = bench()
    assert {(fit.what, fit.variant) for fit in record.scalings} == {
        ("value", "autograd"),
        ("forward_backward", "autograd"),
        ("forward_backward", "analytic"),
    }
    assert record.gradient_to_value_ratio == pytest.approx(1.0)


def test_a_case_without_a_benchmark_is_skipped(bench):
    """Nothing is timed that was not asked for."""
    record = bench(case_with(benchmark=None))
    assert (record.outcome, record.timings) == (Outcome.SKIPPED, ())


def test_an_error_turns_the_record(bench):
    """One row that raised makes the record an error; the other rows keep their figures."""
    record = bench(case_with(benchmark={"passes": ["value", "step"], "optimizer": "LBFGS"}))
    assert (record.outcome, record.timings[0].outcome) == (Outcome.ERROR, Outcome.PASS)
    assert "evaluates the function in each step" in record.traceback


def test_code_that_is_not_trusted_is_refused(bench):
    """Trust is the caller's, so its lack is the caller's error."""
    with pytest.raises(UntrustedError):
        bench(case_with(function={"python": "json:dumps"}, gradient=None))


def test_a_sweep_over_an_undeclared_size(bench):
    """A size that is no dim is refused with its name."""
    with pytest.raises(UsageError, match="m=\\[1\\]"):
        bench(case_with(benchmark={"sweep": {"m": [1]}}))


@pytest.mark.parametrize(("device", "devices"), [("cpu", ("cpu", "cuda")), ("cuda:1", ("cpu", "cuda:1"))])
def test_the_cpu_is_always_timed(device, devices):
    """The CPU, and beside it the CUDA device that is named or there."""
    case = case_with()
    assert options_of(case, case.model.benchmark, seed=0, device=device, quick=False).devices == devices


def test_inputs_follow_from_seed_and_size():
    """Equal seeds and sizes give equal inputs, another seed others."""
    case = case_with()
    subject = build_subject(case, trust=Trust())
    first, again, other = (drawer(case, subject, seed)({"n": 4, "d": 2})["X"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("wanted", [False, True])
def test_ceilings_are_measured_when_asked_for(bench, monkeypatch, wanted):
    """Of the devices that are here; the one that is missing has its skipped row and no ceiling."""
    monkeypatch.setattr("harness.bench.run.measure_ceilings", lambda clock: (clock.name,))
    assert bench(ceilings=wanted).ceilings == (("cpu",) if wanted else ())


def test_a_device_that_cannot_reach_for_its_ceilings_is_timed(bench, monkeypatch):
    """Memory that is taken by others costs the ceilings and nothing else."""

    def full(clock):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("harness.bench.run.measure_ceilings", full)
    record = bench(ceilings=True)
    assert (record.outcome, record.ceilings) == (Outcome.PASS, ())
