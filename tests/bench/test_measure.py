"""Timing a whole subject on fake clocks: which rows there are, and that nothing made up stands in them."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch

from harness.bench import jacobians, measure, variants, weigh
from harness.bench.clocks import NoClockError
from harness.bench.compiler import Compilation, CompileLog
from harness.bench.measure import benchmark_subject
from harness.bench.options import BenchmarkOptions
from harness.bench.place import placed
from harness.bench.sampling import QUICK
from harness.bench.sizes import Sweep
from harness.case.subject import Input, Subject
from harness.errors import UsageError
from harness.records import Outcome

SIZES = ({"n": 10}, {"n": 100}, {"n": 1000})
EFFORT = replace(QUICK, samples=8)


def square(tensors):
    """Sum of squares."""
    return ((tensors["x"] ** 2).sum(),)


def analytic(tensors, cotangents):
    """Gradient of the sum of squares."""
    return {"x": 2 * tensors["x"] * cotangents[0]}


def draw(sizes):
    """Inputs at a size: ones."""
    return {"x": torch.ones(sizes["n"], dtype=torch.float64)}


SUBJECT = Subject(
    name="square", inputs={"x": Input(shape=("n",))}, function=square, gradient=analytic, reference=square
)


def options(**changes):
    """Options for three sizes on the CPU."""
    chosen = {"sweeps": (Sweep(over=("n",), sizes=SIZES),), "devices": ("cpu",), "effort": EFFORT}
    return BenchmarkOptions(**{**chosen, **changes})


@pytest.fixture
def bench(make_fake_clock):
    """Time a subject on clocks that take 1 ms per call; no CUDA unless told so."""

    def run(subject=SUBJECT, clocks=None, per_call_s=1e-3, **changes):
        def make_clock(device):
            if device == "cuda" and clocks is None:
                raise NoClockError("CUDA is not available")
            return (clocks or {}).get(device) or make_fake_clock(per_call_s=per_call_s, name=device)

        return benchmark_subject(subject, options(**changes), draw, make_clock=make_clock)

    return run


def test_every_pass_at_every_size(bench):
    """Three sizes times four passes, smallest size first, all timed."""
    timings = bench().timings
    assert [timing.elements for timing in timings] == [10] * 4 + [100] * 4 + [1000] * 4
    assert {timing.outcome for timing in timings} == {Outcome.PASS}


def test_a_timing_says_what_it_is(bench):
    """Point, interval, coverage, calls, threads, memory: all of it is there, from the clock's millisecond."""
    timing = bench(passes=("value",)).timings[-1]
    assert (timing.median_s, timing.low_s, timing.high_s) == (1e-3, 1e-3, 1e-3)
    assert (timing.inner, len(timing.samples), timing.steady, timing.threads) == (1, 8, True, torch.get_num_threads())
    assert timing.confidence >= 0.95
    assert timing.peak_memory_bytes >= 1000 * 4
    assert (timing.dtype, timing.sizes) == ("float32", (("n", 1000),))


def test_threads_are_pinned(bench):
    """A subject that changes the number of threads is timed with the number that is recorded all the same."""
    pinned, noted = torch.get_num_threads(), list[int]()

    def function(tensors):
        noted.append(torch.get_num_threads())
        if len(noted) == 1:
            torch.set_num_threads(pinned + 1)
        return square(tensors)

    try:
        timings = bench(replace(SUBJECT, function=function), passes=("value",)).timings
    finally:
        torch.set_num_threads(pinned)
    assert {timing.threads for timing in timings} == {pinned}
    assert noted[-1] == pinned


def test_variants_stand_beside_autograd(bench):
    """Analytic in the gradient's passes, the reference in all; the step once, under its optimizer's name."""
    passes = ("value", "backward", "step")
    timings = bench(passes=passes, against=("analytic", "reference"), sweeps=(Sweep(over=(), sizes=SIZES[:1]),)).timings
    assert [(timing.variant, timing.what) for timing in timings] == [
        ("autograd", "value"),
        ("autograd", "backward"),
        ("SGD", "step"),
        ("analytic", "backward"),
        ("reference", "value"),
        ("reference", "backward"),
    ]


def test_without_cuda_there_is_one_skipped_row(bench):
    """A device that is not there is a row with the reason and without a figure."""
    (row,) = [timing for timing in bench(devices=("cpu", "cuda")).timings if timing.device == "cuda"]
    assert (row.outcome, row.message, row.median_s, row.samples) == (
        Outcome.SKIPPED,
        "CUDA is not available: device times, transfers, accuracy beside the CPU's and the crossover were not measured",
        None,
        (),
    )


def test_a_device_with_a_clock_is_timed(bench, make_fake_clock):
    """With a device's clock, the same passes are timed by it, under its name."""
    device = make_fake_clock(per_call_s=1e-4, name="cuda")
    timings = bench(devices=("cpu", "cuda"), clocks={"cuda": device}, passes=("value",)).timings
    assert [(timing.device, timing.median_s) for timing in timings] == [
        *[("cpu", 1e-3)] * 3,
        *[("cuda", pytest.approx(1e-4))] * 3,
    ]


def test_a_name_that_is_no_device_raises():
    """A misspelt device is misuse, not a row."""
    with pytest.raises(UsageError, match="device='gpu'"):
        benchmark_subject(SUBJECT, options(devices=("gpu",)), draw)


def test_a_missing_variant_is_one_skipped_row(bench):
    """What the case does not declare is skipped with the reason, once."""
    rows = bench(replace(SUBJECT, gradient=None), against=("analytic",)).timings
    skipped = [timing for timing in rows if timing.outcome is Outcome.SKIPPED]
    assert [(timing.variant, timing.message) for timing in skipped] == [
        ("analytic", "the case declares no analytic gradient")
    ]


def test_a_subject_that_raises_is_an_error_row_per_size(bench):
    """A function that cannot be called is an error with its reason, at the size it happened at; the others go on."""

    def picky(tensors):
        if len(tensors["x"]) == 100:
            raise ValueError("not a hundred")
        return square(tensors)

    result = bench(replace(SUBJECT, function=picky), passes=("value",))
    assert [timing.outcome for timing in result.timings] == [Outcome.PASS, Outcome.ERROR, Outcome.PASS]
    assert result.timings[1].message == "ValueError: not a hundred"
    assert "not a hundred" in result.traceback


def test_a_gradient_that_raises_stops_no_other_pass(bench):
    """An analytic gradient that raises is an error of its own rows."""

    def broken(tensors, cotangents):
        raise RuntimeError("no gradient today")

    timings = bench(replace(SUBJECT, gradient=broken), against=("analytic",), passes=("value", "backward")).timings
    outcomes = {timing.variant: timing.outcome for timing in timings}
    assert outcomes == {"autograd": Outcome.PASS, "analytic": Outcome.ERROR}


def test_a_variant_that_cannot_be_made_is_an_error_row(bench, monkeypatch):
    """A compiler that fails at once is an error of its variant only."""

    def refuse(function, **options):
        raise RuntimeError("Python 4 is not supported")

    monkeypatch.setattr(torch, "compile", refuse)
    monkeypatch.setattr(measure, "missing", lambda *given, **named: None)
    timings = bench(against=("compile",), passes=("value",), sweeps=(Sweep(over=(), sizes=SIZES[:1]),)).timings
    assert [(timing.variant, timing.outcome) for timing in timings] == [
        ("autograd", Outcome.PASS),
        ("compile", Outcome.ERROR),
    ]


def test_an_optimizer_that_needs_more_is_an_error_row(bench):
    """An optimizer whose step cannot be called alone says so; nothing else is lost."""
    timings = bench(passes=("value", "step"), optimizer="LBFGS").timings
    assert {(timing.variant, timing.outcome) for timing in timings} == {
        ("autograd", Outcome.PASS),
        ("LBFGS", Outcome.ERROR),
    }


def test_without_a_differentiable_input_gradients_are_skipped(bench):
    """Where nothing has a gradient, the value is timed and the gradient's rows say why they are empty."""
    subject = replace(SUBJECT, inputs={"x": Input(shape=("n",), grad=False)})
    timings = bench(subject, passes=("value", "backward"), sweeps=(Sweep(over=(), sizes=SIZES[:1]),)).timings
    assert [(timing.what, timing.outcome) for timing in timings] == [
        ("value", Outcome.PASS),
        ("backward", Outcome.SKIPPED),
    ]


def test_a_size_that_does_not_fit_is_skipped(bench, monkeypatch):
    """Where memory is short the large size is skipped with the reason, and never drawn."""
    monkeypatch.setattr(measure, "free_bytes", lambda device, accelerator=None: 20_000)
    timings = bench(passes=("value",)).timings
    assert [timing.outcome for timing in timings] == [Outcome.PASS, Outcome.PASS, Outcome.SKIPPED]
    assert "GB are free" in timings[-1].message


def test_too_few_samples_are_inconclusive(bench):
    """A call so slow that it is sampled a few times only has no interval and no verdict."""
    timing = bench(passes=("value",), per_call_s=3.0).timings[0]
    assert (timing.outcome, timing.low_s) == (Outcome.INCONCLUSIVE, None)
    assert "too few" in timing.message


def test_work_that_never_settles_says_so(bench, make_fake_clock):
    """A timing whose warm-up ended at its bound is marked."""
    clock = make_fake_clock(name="cpu")
    lengths = iter(range(1, 10**6))
    clock.block_s = lambda call, calls: clock.spend(step := 2e-3 * next(lengths)) or step
    timing = bench(clocks={"cpu": clock}, passes=("value",)).timings[0]
    assert not timing.steady
    assert "no steady state" in timing.message


def test_growth_is_fitted_along_the_sweep(bench, make_fake_clock):
    """Time that grows with the square of the size has exponent two."""
    clock = make_fake_clock(name="cpu")

    def function(tensors):
        clock.spend(1e-8 * len(tensors["x"]) ** 2)
        return square(tensors)

    (fit,) = bench(replace(SUBJECT, function=function), clocks={"cpu": clock}, passes=("value",)).scalings
    assert fit.exponent == pytest.approx(2.0)
    assert (fit.what, fit.variant, fit.device, fit.points, fit.over) == ("value", "autograd", "cpu", 3, ("n",))


def test_two_sizes_have_no_growth(bench):
    """Two sizes say nothing about the error of an exponent, so there is none."""
    assert bench(sweeps=(Sweep(over=("n",), sizes=SIZES[:2]),)).scalings == ()


def test_the_gradients_cost_is_taken_at_the_largest_size(bench, make_fake_clock):
    """The ratio is forward+backward over value, where the inputs are largest."""
    clock = make_fake_clock(name="cpu")

    class Costly(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            ctx.size = len(values)
            clock.spend(1e-3)
            return values.sum()

        @staticmethod
        def backward(ctx, cotangent):
            clock.spend(4e-3 if ctx.size == 1000 else 9e-3)
            return cotangent.expand(ctx.size)

    result = bench(replace(SUBJECT, function=lambda t: (Costly.apply(t["x"]),)), clocks={"cpu": clock})
    assert (result.gradient_to_value_ratio, result.ratio_elements) == (pytest.approx(5.0), 1000)


def test_without_both_passes_there_is_no_ratio(bench):
    """A ratio needs a value and a gradient."""
    assert bench(passes=("value", "backward")).gradient_to_value_ratio is None


def test_inputs_take_the_dtype_that_is_timed():
    """Real inputs are converted, complex ones to the complex counterpart, integers and masks stay."""
    values = {"x": torch.ones(2).double(), "z": torch.ones(2, dtype=torch.complex128), "k": torch.ones(2).long()}
    dtypes = {name: value.dtype for name, value in placed(values, torch.float32, torch.device("cpu")).items()}
    assert dtypes == {"x": torch.float32, "z": torch.complex64, "k": torch.int64}


def test_the_compiled_subject_is_timed(bench, monkeypatch):
    """A compiled subject is timed like any other, gradient and all.

    The back end is one that traces and needs no C++ compiler, because compiling for real takes many seconds.
    """
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    monkeypatch.setattr(measure, "missing", lambda *given, **named: None)
    sweeps = (Sweep(over=(), sizes=SIZES[:1]),)
    timings = bench(against=("compile",), passes=("backward", "forward_backward"), sweeps=sweeps).timings
    assert [(timing.variant, timing.what, timing.outcome) for timing in timings] == [
        ("autograd", "backward", Outcome.PASS),
        ("autograd", "forward_backward", Outcome.PASS),
        ("compile", "backward", Outcome.PASS),
        ("compile", "forward_backward", Outcome.PASS),
    ]


def test_transforms_stand_beside_autograd(bench):
    """Of a function with one number as value, jacrev and jacfwd are gradients; the Jacobian is a pass of its own."""
    passes = ("value", "backward", "forward_backward", "jacobian")
    timings = bench(passes=passes, against=("jacrev", "jacfwd"), sweeps=(Sweep(over=(), sizes=SIZES[:1]),)).timings
    assert {timing.outcome for timing in timings} == {Outcome.PASS}
    assert [(timing.variant, timing.what) for timing in timings] == [
        *[("autograd", what) for what in passes],
        *[(variant, what) for variant in ("jacrev", "jacfwd") for what in ("forward_backward", "jacobian")],
    ]


def test_a_jacobian_is_no_gradient(bench):
    """Of several outputs, jacrev in the gradient's place is skipped with the reason, without a figure."""
    several = replace(SUBJECT, function=lambda tensors: (tensors["x"] ** 2,))
    one = (Sweep(over=(), sizes=SIZES[:1]),)
    timings = bench(several, passes=("forward_backward", "jacobian"), against=("jacrev",), sweeps=one).timings
    rows = {(timing.variant, timing.what): timing for timing in timings}
    skipped = rows[("jacrev", "forward_backward")]
    assert (skipped.outcome, skipped.median_s) == (Outcome.SKIPPED, None)
    assert "the pass `jacobian` times it" in skipped.message
    assert rows[("jacrev", "jacobian")].outcome is Outcome.PASS


class Untransformable(torch.autograd.Function):
    """Squares in the old style, which torch.func cannot take."""

    @staticmethod
    def forward(ctx, values):
        """Square."""
        ctx.save_for_backward(values)
        return values**2

    @staticmethod
    def backward(ctx, cotangent):
        """Differentiate."""
        return 2 * ctx.saved_tensors[0] * cotangent


def test_what_torch_func_cannot_take_is_skipped(bench):
    """A function that works by autograd alone is no error: the row says what torch.func said."""
    old = replace(SUBJECT, function=lambda tensors: (Untransformable.apply(tensors["x"]).sum(),))
    result = bench(old, passes=("forward_backward",), against=("jacrev",))
    rows = [timing for timing in result.timings if timing.variant == "jacrev"]
    assert {timing.outcome for timing in rows} == {Outcome.SKIPPED}
    assert all("jacrev cannot run this function: RuntimeError" in timing.message for timing in rows)
    assert (rows[0].samples, rows[0].first_call_s, result.traceback) == ((), None, None)


def test_a_transform_that_is_wrong_is_not_timed(bench, monkeypatch):
    """What is not autograd's gradient has a reason and no figure."""
    monkeypatch.setattr(jacobians, "TRANSFORMS", {"jacrev": lambda function, argnums: lambda *at: ((0 * at[0],),)})
    (row,) = [
        row
        for row in bench(passes=("forward_backward",), against=("jacrev",)).timings
        if row.elements == 10 and row.variant == "jacrev"
    ]
    assert (row.outcome, row.median_s, row.counts) == (Outcome.SKIPPED, None, None)
    assert "does not give autograd's gradient" in row.message


def test_counts_stand_beside_times(bench):
    """Every timed pass has its counts, equal in two runs."""
    first, second = (bench(passes=("value", "forward_backward", "step")).timings for _ in range(2))
    assert [timing.counts for timing in first] == [timing.counts for timing in second]
    assert all(timing.counts.operator_calls and timing.counts.bytes_moved for timing in first)


def test_what_cannot_be_counted_is_timed_all_the_same(bench, monkeypatch):
    """A subject that fails under the counters keeps its time."""

    def refuse(*_):
        raise RuntimeError("no modes here")

    monkeypatch.setattr(weigh, "warm_counts", refuse)
    timing = bench(passes=("value",)).timings[0]
    assert (timing.outcome, timing.median_s, timing.counts) == (Outcome.PASS, 1e-3, None)


@pytest.mark.parametrize("own", [False, True])
def test_compiling_is_a_figure_of_its_own(bench, monkeypatch, own):
    """Told by the compiler; of a subject that compiles itself, the first call less the median stands in."""
    log = CompileLog(compilations=[Compilation(training=False, backward=False, duration_s=2.0)] if own else [])

    def compiling(setting):
        log.compilations[:] = [Compilation(training=False, backward=False, duration_s=2.0)]
        return setting

    monkeypatch.setattr(measure, "compile_log", lambda: nullcontext(log))
    monkeypatch.setattr(measure, "fresh_compiler", lambda device: nullcontext())
    monkeypatch.setattr(variants, "compiled", compiling)
    monkeypatch.setattr(variants, "_has_compiler", lambda: True)
    timings = bench(passes=("value",), against=("compile",), sweeps=(Sweep(over=(), sizes=SIZES[:1]),)).timings
    plain, compiled = timings
    assert plain.compile_s is None
    assert compiled.compile_s == (0.0 if own else 2.0)
    assert ("first call less the median" in compiled.message) is own
