"""A whole subject timed on the CPU and on a fake CUDA device: every path a real device would take."""

from dataclasses import replace

import pytest
import torch

from harness.bench.cuda_clock import CudaClock
from harness.bench.measure import benchmark_subject
from harness.bench.options import BenchmarkOptions
from harness.bench.run import summary
from harness.bench.sampling import QUICK
from harness.bench.sizes import Sweep
from harness.case.subject import Input, Subject
from harness.records import DeviceState, Outcome

SIZES = ({"n": 100}, {"n": 1_000}, {"n": 10_000})
EFFORT = replace(QUICK, samples=8)
BOTH = ("cpu", "cuda")
UNIT = 1e-4
"""Long enough that a sample holds few calls, and the tests are short."""


@pytest.fixture
def timed(make_fake_cuda, make_fake_clock):
    """Time a sum of squares: 1/100 unit per element on the CPU; 5 and 1/10000 per element on the device, launch 2."""

    def run(cuda=None, function=None, **changes):
        cuda = cuda or make_fake_cuda(launch_s=2 * UNIT)
        cpu = make_fake_clock(name="cpu")

        def square(tensors):
            count = len(tensors["x"])
            cpu.spend(UNIT / 100 * count)
            cuda.kernel((5 + 1e-4 * count) * UNIT)()
            return (function or (lambda tensors: ((tensors["x"] ** 2).sum(),)))(tensors)

        subject = Subject(name="square", inputs={"x": Input(shape=("n",))}, function=square)
        options = {
            "sweeps": (Sweep(over=("n",), sizes=SIZES),),
            "devices": ("cuda",),
            "passes": ("value",),
            "effort": EFFORT,
        }
        return benchmark_subject(
            subject,
            BenchmarkOptions(**options | changes),
            lambda sizes: {"x": torch.ones(sizes["n"], dtype=torch.float64)},
            make_clock=lambda device: CudaClock(cuda) if device == "cuda" else cpu,
        )

    return run


def on_cuda(result, what="value"):
    """The accelerator's rows of one pass."""
    return [row for row in result.timings if row.device == "cuda" and row.what == what]


def test_three_times_and_two_caches(timed):
    """Device, host and end-to-end time are three figures, and a cold cache is another one, at every size."""
    for row, sizes in zip(on_cuda(timed()), SIZES, strict=True):
        device_s = (5 + 1e-4 * sizes["n"]) * UNIT
        assert row.outcome is Outcome.PASS
        assert row.median_s == pytest.approx(device_s, rel=1e-3)
        assert row.on_device.cold.median_s == pytest.approx(3 * device_s, rel=1e-3)
        assert row.on_device.host.median_s == pytest.approx(2 * UNIT, rel=1e-3)
        assert row.on_device.end_to_end.median_s == pytest.approx(device_s + 2 * UNIT, rel=1e-3)
        assert row.on_device.launch_exposed == 0


def test_every_figure_keeps_its_samples_and_interval(timed):
    """Raw samples of all of them are in the record, with the ends of their medians."""
    for row in on_cuda(timed()):
        for figure in (row.on_device.cold, row.on_device.host, row.on_device.end_to_end):
            assert len(figure.samples) == 8
            assert figure.low_s <= figure.median_s <= figure.high_s


def test_clocks_are_recorded_with_every_sample(timed):
    """As many states as samples, and the setting of float32 products."""
    for row in on_cuda(timed()):
        assert len(row.on_device.states) == len(row.samples) == 8
        assert {state.clock_mhz for state in row.on_device.states} == {1000}
        assert (row.on_device.precision, row.throttled) == ("matmul ieee, cudnn tf32", False)


def test_a_throttled_sample_is_said_and_tagged(timed, make_fake_cuda):
    """Samples taken under a power cap are counted, named in the message, and the row decides nothing."""
    states = (*[DeviceState(clock_mhz=1000, throttling=())] * 30, DeviceState(clock_mhz=600, throttling=("power cap",)))
    result = timed(make_fake_cuda(states=states), devices=BOTH)
    last = on_cuda(result)[-1]
    assert last.throttled
    assert last.on_device.throttled == len(last.samples)
    assert "8 of 8 samples throttled (power cap): not gated" in last.message
    assert not [one for one in result.crossovers if one.largest == 10_000]


def test_without_nvml_the_reason_is_noted_once(timed, make_fake_cuda):
    """No clocks: no states, one note, and the timing stands."""
    row = on_cuda(timed(make_fake_cuda(states=(DeviceState(missing="nvidia-ml-py is not installed"),))))[0]
    assert (row.outcome, row.on_device.states, row.throttled) == (Outcome.PASS, (), False)
    assert row.on_device.notes == ("clocks and throttling are not known: nvidia-ml-py is not installed",)


def test_transfers_are_rows_of_their_own(timed):
    """Inputs there, gradients back, from both kinds of memory, at every size; in no pass's time."""
    result = timed()
    for what in ("host_to_device", "device_to_host"):
        rows = on_cuda(result, what)
        assert [(row.variant, row.elements) for row in rows] == [
            (variant, size["n"]) for size in SIZES for variant in ("pageable", "pinned")
        ]
        assert {row.outcome for row in rows} == {Outcome.PASS}
        assert rows[-1].median_s == pytest.approx(40_000 / 1e9, rel=1e-2)
        assert rows[-1].message.startswith("40,000 bytes; median of 8 samples")
        assert rows[-1].on_device.cold is None


def test_no_page_locked_memory_skips_those_rows_alone(timed, make_fake_cuda):
    """Transfers from memory that cannot be had are skipped with the reason on one line."""
    result = timed(make_fake_cuda(pinnable=False))
    rows = on_cuda(result, "host_to_device")
    assert [row.outcome for row in rows] == [Outcome.PASS, Outcome.SKIPPED] * 3
    assert rows[1].message == "no memory to move from or to: RuntimeError: CUDA error: cannot pin memory"


def test_accuracy_stands_beside_the_times(timed):
    """Value and gradient of every size have an error on both devices."""
    found = timed().agreements
    assert [(one.of, one.elements) for one in found] == [(of, size["n"]) for size in SIZES for of in ("value", "x")]
    assert all(one.cpu_error == one.device_error == 0.0 for one in found)


def test_the_crossover_is_found_by_both_times(timed):
    """1/100 unit per element meets 5 and 7 units of the accelerator between the same two sizes, at two places."""
    device, whole = timed(devices=BOTH).crossovers
    assert (device.by, whole.by) == ("device", "end to end")
    assert 100 < device.elements < whole.elements < 1_000
    assert (device.what, device.variant, device.smallest, device.largest) == ("value", "autograd", 100, 10_000)


def test_samples_are_bounded_by_what_is_queued(timed):
    """A block holds no more calls than the queue takes, however short they are."""
    one = (Sweep(over=(), sizes=SIZES[:1]),)
    result = timed(effort=replace(EFFORT, sample_s=1.0), sweeps=one)
    assert {row.inner for row in on_cuda(result)} == {256}


def test_out_of_memory_is_a_skipped_row_and_the_rest_goes_on(timed, make_fake_cuda):
    """A size that does not fit is skipped with the reason, memory is given back, and other sizes are timed."""
    cuda = make_fake_cuda()

    def greedy(tensors):
        if len(tensors["x"]) == 1_000:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return ((tensors["x"] ** 2).sum(),)

    result = timed(cuda, greedy)
    by_size = {row.elements: row for row in on_cuda(result, "all") + on_cuda(result)}
    assert [by_size[size["n"]].outcome for size in SIZES] == [Outcome.PASS, Outcome.SKIPPED, Outcome.PASS]
    assert by_size[1_000].message.startswith("it does not fit in the device's memory: OutOfMemoryError: CUDA out of")
    assert cuda.log.count("release") >= 3


def test_out_of_memory_while_sampling_is_skipped_too(timed, make_fake_cuda):
    """A pass that stops fitting after some calls is skipped, not an error; the reason is kept."""
    calls = []

    def leaking(tensors):
        calls.append(1)
        if len(calls) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return ((tensors["x"] ** 2).sum(),)

    result = timed(None, leaking, devices=("cuda",), sweeps=(Sweep(over=(), sizes=SIZES[:1]),))
    (row,) = on_cuda(result)
    assert (row.outcome, row.median_s) == (Outcome.SKIPPED, None)
    assert "does not fit" in row.message


def test_a_device_too_small_for_a_size_is_not_tried(timed, make_fake_cuda):
    """The device's free memory decides, not the host's."""
    result = timed(make_fake_cuda(total_bytes=100_000), devices=BOTH)
    skipped = [row for row in result.timings if row.outcome is Outcome.SKIPPED]
    assert [(row.device, row.elements) for row in skipped] == [("cuda", 10_000)]
    assert "it needs about" in skipped[0].message


def test_no_room_for_the_flush_costs_the_cold_figure_alone(timed, make_fake_cuda):
    """Without a buffer to flush with there is no cold time, a note says so, and everything else is there."""
    row = on_cuda(timed(make_fake_cuda(flushable=False)))[0]
    assert (row.outcome, row.on_device.cold) == (Outcome.PASS, None)
    assert row.on_device.notes == ("no cold times: the device has no memory left for them",)
    assert row.on_device.end_to_end is not None


def test_odd_event_times_are_an_error_with_the_number(timed, make_fake_cuda):
    """Events that go backwards give no figure."""
    for row in on_cuda(timed(make_fake_cuda(odd_ms=-2.0))):
        assert (row.outcome, row.median_s) == (Outcome.ERROR, None)
        assert "elapsed_time=-2.0" in row.message


def test_event_times_of_zero_are_no_figure(timed, make_fake_cuda):
    """A time below the events' resolution is not told, and no ratio is made of it."""
    result = timed(make_fake_cuda(odd_ms=0.0), devices=BOTH)
    for row in on_cuda(result):
        assert (row.outcome, row.median_s) == (Outcome.INCONCLUSIVE, None)
        assert "below their resolution" in row.message
    assert [one for one in result.crossovers if one.by == "device"] == []


def test_exposed_launches_are_said(timed, make_fake_cuda):
    """Where the device cannot sleep, the samples hold launches, and the row says in how many."""
    row = on_cuda(timed(make_fake_cuda(can_sleep=False)))[0]
    assert row.on_device.launch_exposed == len(row.samples)
    assert "launch latency may be in 8 of 8 samples" in row.message


def test_a_backward_pass_has_all_figures_and_clears_nothing_inside(timed, make_fake_cuda):
    """Backward passes have every figure too, and no pass leaves a gradient on the inputs that had to be cleared."""
    cuda, leaves = make_fake_cuda(), []

    def watched(tensors):
        leaves.append(tensors["x"])
        value = (tensors["x"] ** 2).sum()
        if value.requires_grad:
            value.register_hook(lambda cotangent: cuda.kernel(5 * UNIT)())
        return (value,)

    one = (Sweep(over=(), sizes=SIZES[:1]),)
    result = timed(cuda, watched, passes=("backward", "forward_backward"), sweeps=one)
    for what, units in (("backward", 5), ("forward_backward", 10)):
        (row,) = on_cuda(result, what)
        assert row.median_s == pytest.approx(units * UNIT, rel=0.01)
        assert row.on_device.end_to_end is not None and row.on_device.cold is not None
    assert all(leaf.grad is None for leaf in leaves)


def test_peak_memory_is_the_devices(timed):
    """The allocator's counters are asked through the seam."""
    assert {row.peak_memory_bytes for row in on_cuda(timed())} == {4096}


def test_threads_are_of_the_cpu_alone(timed):
    """Rows of an accelerator do not claim threads."""
    threads = {row.device: row.threads for row in timed(devices=BOTH).timings}
    assert threads == {"cpu": torch.get_num_threads(), "cuda": None}


def test_a_figure_that_raises_is_a_note(timed, make_fake_cuda):
    """Work that no longer runs when cold times are taken keeps its timing, with the reason as a note."""
    cuda = make_fake_cuda()
    flush = cuda.flush

    def broken():
        if "flush" in cuda.log:
            raise RuntimeError("flush failed")
        flush()

    cuda.flush = broken
    row = on_cuda(timed(cuda))[0]
    assert row.outcome is Outcome.PASS
    assert "no cold times: RuntimeError: flush failed" in row.on_device.notes


def test_the_summary_counts_them_all(timed):
    """A line of people's text: 3 on the CPU, 3 passes and 12 transfers on the device."""
    assert summary(timed(devices=BOTH)).startswith("18 timed")
