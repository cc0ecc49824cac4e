"""Figures of timings: raw samples, ratios, crossovers, rooflines, and those of the gate."""

from __future__ import annotations

import json
import random

import pytest

from harness.bench.comparison import Decision, Judgement, Margin, PairSamples
from harness.bench.statistics import Interval
from harness.gate.records import Compared, GateResult, Side, Workload
from harness.records import Outcome
from harness.report import columns, figures, frames
from harness.report.figures_distribution import MOST_POINTS, MOST_SIZES, distribution
from harness.report.figures_gate import MOST_SAMPLES, gate_forest_figure, gate_series_figure
from harness.report.gate_frames import gate_frame, gate_samples_frame
from harness.report.panels_timing import left_out
from harness.report.tables import build


def noisy(median_s: float, *, n: int = 40, seed: int = 0, spread: float = 0.01) -> tuple[float, ...]:
    """Samples around a median."""
    draw = random.Random(f"{median_s} {seed}")
    return tuple(median_s * (1 + spread * draw.uniform(-1, 1)) for _ in range(n))


def judged(factory, head_s, *, outcome=Outcome.PASS, **changes):
    """The comparison of an analytic gradient with autograd's, which takes 10 µs."""
    base = factory.timing(1e-5, what="backward", samples=noisy(1e-5), **changes)
    head = factory.timing(head_s, what="backward", variant="analytic", samples=noisy(head_s, seed=1), **changes)
    record = factory.benchmark("case", timings=(base, head))
    (row,) = frames.speedups_frame(factory.small_run(factory.verify("case", outcome), record)).itertuples()
    return row


@pytest.mark.parametrize(
    ("head_s", "decision"), [(1.3e-5, "slower"), (1e-5, "same"), (0.7e-5, "faster")], ids=["slower", "same", "faster"]
)
def test_a_variant_is_judged_by_its_raw_samples(head_s, decision, factory):
    """The interval is that of ratios of samples of one round, far narrower than quotients of two intervals' ends."""
    row = judged(factory, head_s)
    assert row.decision == decision
    assert row.low <= row.ratio <= row.high and row.ratio == pytest.approx(1e-5 / head_s, rel=0.01)
    assert (row.paired, row.n) == (True, 40)
    assert row.high / row.low < 1.02
    assert 0.03 < row.mde < 0.06


def test_what_was_not_steady_is_inconclusive(factory):
    """A ratio without a steady state is shown, and decides nothing."""
    row = judged(factory, 2e-5, steady=False)
    assert (row.decision, row.because) == ("inconclusive", "no steady state")


def test_devices_are_compared_by_their_medians(factory):
    """Samples of two devices are no pairs; end-to-end times have a row of their own."""
    run = factory.small_run(factory.verify("c"), factory.benchmark("c", cuda=True))
    cuda = frames.speedups_frame(run).query("device == 'cuda' and what == 'value'")
    assert set(cuda["by"]) == {"device", "end to end"}
    assert not cuda["paired"].any() and cuda["mde"].isna().all()
    assert set(cuda["decision"]) == {"slower", "faster"}


def test_slower_and_undecided_rows_come_first(factory):
    """A table is read from the top."""
    run = factory.small_run(factory.verify("c"), factory.benchmark("c", cuda=True))
    decisions = list(dict.fromkeys(frames.speedups_frame(run)["decision"]))
    assert decisions == ["slower", "inconclusive", "faster"]


def test_distributions_hold_the_samples_of_the_largest_size(factory):
    """Each pass has a curve from the fastest to the slowest sample; the other sizes wait for the reader's choice."""
    figure = figures.distribution_figure(frames.timings_frame(factory.full_run()))
    shown = [trace for trace in figure.data if trace.visible and trace.mode == "lines"]
    assert {trace.meta for trace in shown} == {"n=100000, d=3"} == {figure.layout.meta["chosen"]}
    assert len(shown) == 5
    assert all(len(trace.x) == 11 and trace.y[-1] == 1 for trace in shown)
    assert figure.layout.meta["choices"] == ["n=1000, d=3", "n=10000, d=3", "n=100000, d=3"]


def test_a_curve_without_a_steady_state_is_named_so(factory):
    """The reader must not take it for a measurement."""
    figure = figures.distribution_figure(frames.timings_frame(factory.full_run()))
    faint = {trace.name for trace in figure.data if trace.opacity is not None and trace.opacity < 1}
    assert faint == {"analytic on cpu (no steady state)"}


def test_many_samples_and_sizes_are_thinned(factory):
    """A page stays small whatever was sampled, and the extremes stay."""
    times, shares = distribution([float(k) for k in range(1, 2001)])
    assert (len(times), times[0], times[-1], shares[-1]) == (MOST_POINTS, 1.0, 2000.0, 1.0)
    rows = tuple(factory.timing(1e-5, n=10 * size) for size in range(1, 20))
    run = factory.small_run(factory.benchmark("c", timings=rows))
    choices = figures.distribution_figure(frames.timings_frame(run)).layout.meta["choices"]
    assert (len(choices), choices[0], choices[-1]) == (MOST_SIZES, "n=10, d=3", "n=190, d=3")


def test_ratios_stand_worst_first_with_their_intervals():
    """What is slower is on top, what is undecided is hollow, and 1 has its band."""
    given = [("faster", 2.0), ("slower", 0.5), ("inconclusive", 1.02), ("slower", 0.8)]
    rows = [
        {"case": "c", "what": "forward", "variant": f"v{ratio}", "device": "cpu", "against": "autograd", "sizes": "n=1"}
        | {"elements": 1, "ratio": ratio, "low": 0.9 * ratio, "high": 1.1 * ratio, "decision": kind, "because": "so"}
        for kind, ratio in given
    ]
    figure = figures.ratios_figure(build(rows, columns.SPEEDUPS))
    order = [note.text for note in figure.layout.annotations]
    assert order == ["v0.5 · forward", "v0.8 · forward", "v1.02 · forward", "v2.0 · forward"]
    slower, undecided, _ = figure.data
    assert (slower.x, slower.y) == ((0.5, 0.8), (0, 1))
    assert slower.error_x.array == pytest.approx((0.05, 0.08))
    assert undecided.marker.symbol == ("circle-open",)
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(pytest.approx(1 / 1.03), 1.03), (1.0, 1.0)]


def test_a_known_crossover_is_marked_at_its_size(factory):
    """The star stands on the level of the CPU, with its interval; a pass that never crosses has none."""
    run = factory.small_run(factory.verify("c"), factory.benchmark("c", cuda=True))
    figure = figures.crossover_figure(frames.speedups_frame(run), frames.crossovers_frame(run))
    (star,) = [trace for trace in figure.data if trace.marker.symbol == "star"]
    assert (star.x, star.y) == ((2.6e5,), (1.0,))
    assert (star.error_x.array, star.error_x.arrayminus) == ((78_000,), (52_000,))
    assert {trace.line.dash for trace in figure.data if trace.name} == {"solid", "dash"}


def test_what_has_no_ratio_is_said(factory):
    """A figure that leaves rows out says how many, and why."""
    assert (
        left_out(frames.speedups_frame(factory.full_run())) == f"Left out: 12 comparisons. {factory.NO_CUDA[:-1]} (12)."
    )
    assert left_out(build([], columns.SPEEDUPS)) == ""


def test_points_stand_under_the_measured_roof(factory):
    """Rates are counts over median times; the roof is the copy's rate up to the product's."""
    run = factory.small_run(factory.verify("c"), factory.benchmark("c"))
    frame = frames.roofline_frame(run)
    row = frame.query("what == 'forward' and sizes == 'n=1000, d=3'").iloc[0]
    assert row["flops_per_s"] == pytest.approx(row["flops"] / row["median_s"])
    assert row["intensity"] == pytest.approx(row["flops"] / row["bytes_moved"])
    assert row["share"] == pytest.approx(row["least_s"] / row["median_s"])
    figure = figures.roofline_figure(frame)
    roof = next(trace for trace in figure.data if trace.mode == "lines" and len(trace.x) == 3)
    assert roof.y[1] == roof.y[2] == row["most_flops_per_s"]
    assert roof.y[0] / roof.x[0] == pytest.approx(row["most_bytes_per_s"], rel=1e-3)
    assert figure.layout.meta["panels"] == 2


def test_work_without_flops_stands_beside_the_copy_alone(factory):
    """A product with no counted FLOPs has no place under the roof."""
    frame = frames.roofline_frame(factory.small_run(factory.benchmark("c")))
    figure = figures.roofline_figure(frame.query("what == 'value'").assign(intensity=None, flops_per_s=None))
    assert figure.layout.meta["panels"] == 1
    assert figures.roofline_figure(frame.iloc[:0]) is None


def side(name: str) -> Side:
    """One of two trees."""
    return Side(name=name, root=f"/{name}")  # type: ignore[arg-type]


@pytest.fixture
def gate(factory):
    """A gate with a slow row, an undecided one and one that is the same."""

    def row(case, decision, ratio):
        samples = [PairSamples(base=noisy(1e-3), head=noisy(1e-3 * ratio, seed=k), steady=True) for k in range(6)]
        interval = Interval(point=ratio, low=ratio - 0.01, high=ratio + 0.01, samples=5)
        judgement = Judgement(decision=decision, ratio=interval, mde=0.04, p=0.01, reason="so")
        return Compared(
            workload=Workload(case=case, path="c.yaml", what="forward"), judgement=judgement, message="So.",
            screened=samples[0], confirmed=tuple(samples[1:]) if decision is not Decision.SAME else (),
        )  # fmt: skip

    unmeasured = Judgement(decision=Decision.INCONCLUSIVE, ratio=None, mde=None, p=None, reason="it crashed")
    rows = (
        row("same", Decision.SAME, 1.0),
        row("slow", Decision.SLOWER, 1.2),
        Compared(workload=Workload(case="gone", path="c.yaml", what="value"), judgement=unmeasured, message="Crashed."),
        row("unsure", Decision.INCONCLUSIVE, 1.03),
    )
    return GateResult(
        command="harness gate", started="", base=side("base"), head=side("head"), margin=Margin(), threads=1, seed=0,
        environment=factory.environment(), compared=rows,
    )  # fmt: skip


def test_gate_rows_stand_worst_first_with_a_dot_for_each_pair_of_processes(gate):
    """Intervals, decisions and the medians they rest on are drawn together; a row without a ratio is not."""
    figure = gate_forest_figure(gate_frame(gate), gate_samples_frame(gate), Margin())
    names = [note.text.split()[0] for note in figure.layout.annotations]
    assert names == ["slow", "unsure", "same"]
    dots = figure.data[-1]
    assert (len(dots.x), dots.marker.symbol.count("diamond-open")) == (13, 3)
    assert figure.data[0].x == (1.2,)
    json.loads(figure.to_json(), parse_constant=pytest.fail)


def test_gate_series_show_the_worst_row_first(gate):
    """Ratios of samples in their order; other workloads wait for the reader's choice."""
    figure = gate_series_figure(gate_samples_frame(gate), Margin())
    shown = [trace for trace in figure.data if trace.visible]
    assert {trace.meta for trace in shown} == {figure.layout.meta["chosen"]} == {"slow forward float32 cpu"}
    assert [trace.name for trace in shown] == ["screening", *(f"pair {k}" for k in range(1, 6))]
    assert all(len(trace.x) <= MOST_SAMPLES for trace in shown)
    assert shown[1].y[0] == pytest.approx(
        gate.compared[1].confirmed[0].head[0] / gate.compared[1].confirmed[0].base[0], rel=1e-4
    )


def test_a_gate_that_measured_nothing_has_no_figures(gate):
    """Nothing to draw gives None, not an empty figure."""
    assert gate_forest_figure(build([], columns.GATE), build([], columns.GATE_SAMPLES), Margin()) is None
    assert gate_series_figure(build([], columns.GATE_SAMPLES), Margin()) is None
