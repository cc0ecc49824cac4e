"""Tests of harness.report.figures: each figure holds the frame's numbers, on the right axes, and is small."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import pytest

from harness.report import columns
from harness.report.figure_style import log_axis
from harness.report.figures import (
    convergence_figure,
    crossover_figure,
    detection_figure,
    digits_figure,
    fit_figure,
    outcomes_figure,
    path_figure,
    scaling_figure,
    step_error_figure,
)
from harness.report.tables import build

STEPS = [10.0**-k for k in range(9)]


def curves() -> pd.DataFrame:
    """An error curve with a valley, its extrapolated twin, and the chosen step 1e-2."""
    return build(
        (
            {
                "label": "∂f/∂x",
                "step_size": step,
                "error": step**2 + 1e-16 / step,
                "extrapolated_error": None if step == 1 else step**4 + 1e-15 / step,
                "chosen": step == STEPS[2],
            }
            for step in STEPS
        ),
        columns.CURVES,
    )


def trajectory(*, seeds: int = 1, offset: float = 0.0, steps: int = 20) -> pd.DataFrame:
    """A descent on (x²+y²), whose loss may be moved down by an offset."""
    return build(
        (
            {
                "case": "bowl",
                "descent": f"SGD(lr=0.1) · seed {seed}",
                "seed": seed,
                "step": step,
                "loss": 0.64**step * (1 + seed) - offset,
                "error": 0.8**step if step < steps - 1 else 0.0,
                "gradient_norm": 1.0,
                "parameters": [0.8**step, -(0.8**step)],
            }
            for seed in range(seeds)
            for step in range(steps)
        ),
        columns.TRAJECTORY,
    )


def converge() -> pd.DataFrame:
    """The tolerance of the same descent."""
    return build([{"case": "bowl", "tolerance": 1e-6}], columns.CONVERGE)


def contours() -> pd.DataFrame:
    """The surface x²+y² on a grid of 3 by 2."""
    return build(
        (
            {"descent": "SGD(lr=0.1) · seed 0", "x_label": "w₁", "y_label": "w₂", "x": x, "y": y, "loss": x * x + y * y}
            for y in (-1.0, 1.0)
            for x in (-1.0, 0.0, 1.0)
        ),
        columns.CONTOURS,
    )


def fits(steps: int = 3) -> pd.DataFrame:
    """Data on y = 2x with fits of slope 0, 1, 2, …."""
    data = [{"x_label": "x", "y_label": "y", "x": x, "y": 2 * x} for x in (0.0, 1.0, 2.0)]
    rows = [{**row, "step": step, "y": step * row["x"]} for step in range(steps) for row in data]
    return build([*data, *rows], columns.FITS)


def timings(devices: tuple[str, ...] = ("cpu",)) -> pd.DataFrame:
    """Timings of two passes over three sizes, and a skipped one."""
    rows = [
        {
            "what": what,
            "variant": "autograd",
            "device": device,
            "sizes": f"n={size}",
            "elements": size,
            "median_s": 1e-8 * size,
            "low_s": 0.9e-8 * size,
            "high_s": 1.3e-8 * size,
            "n": 30,
        }
        for what in ("backward", "forward")
        for device in devices
        for size in (1000, 10_000, 100_000)
    ]
    skipped = {"what": "forward", "variant": "autograd", "device": "cuda", "message": "CUDA is not available"}
    return build([*rows, skipped], columns.TIMINGS)


def scalings() -> pd.DataFrame:
    """A fitted exponent for one of the passes."""
    row = {"what": "forward", "variant": "autograd", "device": "cpu", "exponent": 1.02, "low": 0.97, "high": 1.07}
    return build([row], columns.SCALINGS)


def speedups(ratio: float | None = 2.0) -> pd.DataFrame:
    """CUDA against the CPU at two sizes, and a variant against autograd."""
    both = [
        {
            "case": "c",
            "what": "forward",
            "variant": "autograd",
            "device": "cuda",
            "against": "the CPU",
            "elements": size,
            "ratio": ratio,
            "low": ratio and 0.9 * ratio,
            "high": ratio and 1.1 * ratio,
        }
        for size in (1000, 10_000)
    ]
    other = {
        "case": "c",
        "what": "backward",
        "variant": "analytic",
        "device": "cpu",
        "against": "autograd",
        "ratio": 3.0,
    }
    return build([*both, {**other, "elements": 1000}], columns.SPEEDUPS)


def counts() -> pd.DataFrame:
    """Outcomes of a small run."""
    rows = [("pass", 8, 8, 70), ("fail", 1, 1, 5), ("not run", 1, 1, 0), ("error", 0, 0, 0)]
    return build(
        ({"outcome": name, "cases": cases, "verify": jobs, "findings": found} for name, cases, jobs, found in rows),
        columns.COUNTS,
    )


def findings() -> pd.DataFrame:
    """Comparisons with and without digits."""
    row = {"oracle": "ladder", "dtype": "float64", "order": 1, "outcome": "pass"}
    return build(
        [{**row, "digits": 9.1}, {**row, "digits": 8.9}, {**row, "digits": 2.0, "outcome": "fail"}, row],
        columns.FINDINGS,
    )


def detection() -> pd.DataFrame:
    """Detection limits in two decades."""
    return build([{"decade": -10, "cases": 3}, {"decade": -9, "cases": 1}], columns.DETECTION)


def made(figure: go.Figure | None) -> go.Figure:
    """A figure that must be there."""
    assert figure is not None
    return figure


def named(figure: go.Figure, name: str) -> list[go.Scatter]:
    """The traces of a name."""
    return [trace for trace in figure.data if trace.name == name]


ALL: dict[str, Callable[[], go.Figure | None]] = {
    "step error": lambda: step_error_figure(curves()),
    "convergence": lambda: convergence_figure(trajectory(seeds=3), converge()),
    "path": lambda: path_figure(contours(), trajectory()),
    "fit": lambda: fit_figure(fits()),
    "scaling": lambda: scaling_figure(timings(("cpu", "cuda")), scalings()),
    "speed-up": lambda: crossover_figure(speedups()),
    "outcomes": lambda: outcomes_figure(counts()),
    "digits": lambda: digits_figure(findings()),
    "detection": lambda: detection_figure(detection()),
}


@pytest.mark.parametrize("name", ALL)
def test_figures_are_strict_small_json(name: str) -> None:
    """A figure must be embeddable: strict JSON without NaN, without binary blobs, and small."""
    text = made(ALL[name]()).to_json()
    json.loads(text, parse_constant=pytest.fail)
    assert "bdata" not in text
    assert len(text) < 40_000


@pytest.mark.parametrize("name", ALL)
def test_figures_suit_light_and_dark_pages(name: str) -> None:
    """A figure must have no background of its own and take the page's width."""
    layout = made(ALL[name]()).layout
    assert layout.template.layout.paper_bgcolor == layout.template.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    assert layout.autosize is True and layout.width is None


@pytest.mark.parametrize(
    ("figure", "schema"),
    [
        (step_error_figure, columns.CURVES),
        (convergence_figure, columns.TRAJECTORY),
        (lambda empty: path_figure(empty, build([], columns.TRAJECTORY)), columns.CONTOURS),
        (fit_figure, columns.FITS),
        (scaling_figure, columns.TIMINGS),
        (crossover_figure, columns.SPEEDUPS),
        (outcomes_figure, columns.COUNTS),
        (digits_figure, columns.FINDINGS),
        (detection_figure, columns.DETECTION),
    ],
)
def test_without_rows_there_is_no_figure(figure: Callable[[pd.DataFrame], object], schema: object) -> None:
    """Nothing to draw must give None, not an empty figure."""
    assert figure(build([], schema)) is None


def test_step_error_is_log_log() -> None:
    """Both axes of the classic curve must be logarithmic."""
    layout = made(step_error_figure(curves())).layout
    assert (layout.xaxis.type, layout.yaxis.type) == ("log", "log")


def test_step_error_holds_both_curves() -> None:
    """The raw and the extrapolated errors must be drawn, with a gap where there is none."""
    figure = made(step_error_figure(curves()))
    raw, better, _ = figure.data
    assert raw.y[-1] == 1.0 and raw.y[0] == pytest.approx(1e-8, rel=1e-4)
    assert better.y[-1] is None and better.x == raw.x == tuple(sorted(STEPS))


def test_step_error_marks_the_chosen_step() -> None:
    """The chosen step must be marked at its extrapolated error."""
    (chosen,) = named(made(step_error_figure(curves())), "∂f/∂x, chosen")
    assert (chosen.x, chosen.y) == ((0.01,), (pytest.approx(1e-8 + 1e-13, rel=1e-4),))


def test_step_error_without_any_error_is_not_drawn() -> None:
    """Differences that are exact at every step have no logarithm: an empty figure would say nothing."""
    exact = curves().assign(error=0.0, extrapolated_error=0.0)
    assert step_error_figure(exact) is None
    both = made(step_error_figure(pd.concat([curves(), exact.assign(label="∂f/∂y")])))
    assert {trace.legendgroup for trace in both.data} == {"∂f/∂x"}


def test_step_error_leaves_explosions_above_the_figure() -> None:
    """One step at which the function overflows must not press the valley flat."""
    explodes = curves().assign(error=lambda rows: rows["error"].where(rows["step_size"] < 1, 1e155))
    assert made(step_error_figure(explodes)).layout.yaxis.range[1] < 10
    assert made(step_error_figure(curves())).layout.yaxis.range is None


@pytest.mark.parametrize(
    ("how", "values", "ticks"),
    [
        ({"exponentformat": "none", "ticksuffix": "×"}, (0.4, 3.0), ["0.2×", "0.5×", "1×", "2×", "5×"]),
        ({"exponentformat": "SI", "ticksuffix": "s"}, (2e-4, 2e-3), ["100µs", "200µs", "500µs", "1ms", "2ms"]),
        ({}, (2e-6, 1.5e-5), ["10<sup>−6</sup>", "2·10<sup>−6</sup>", "5·10<sup>−6</sup>", "10<sup>−5</sup>"]),
    ],
)
def test_ticks_between_decades_say_their_whole_number(how: dict, values: tuple, ticks: list) -> None:
    """A half must read 0.5 and not 5, with its unit, where an axis spans about a decade."""
    text = log_axis("title", values, **how)["ticktext"]
    assert text[: len(ticks)] == ticks


def test_convergence_shows_loss_and_error() -> None:
    """Both loss and error must be drawn by step, on logarithmic axes."""
    figure = made(convergence_figure(trajectory()))
    assert [trace.yaxis for trace in figure.data] == ["y", "y2"]
    assert (figure.layout.yaxis.type, figure.layout.yaxis2.type) == ("log", "log")


def test_convergence_leaves_a_gap_at_error_zero() -> None:
    """An error of exactly zero has no logarithm and must be a gap."""
    assert made(convergence_figure(trajectory())).data[1].y[-1] is None


def test_convergence_of_a_loss_that_reaches_zero_is_logarithmic() -> None:
    """Arriving exactly must not hide how the loss came down: the axis stays logarithmic, the zero is a gap."""
    arrives = trajectory().assign(loss=lambda rows: rows["loss"].where(rows["step"] < 19, 0.0))
    figure = made(convergence_figure(arrives))
    assert figure.layout.yaxis.type == "log"
    assert figure.data[0].y[-1] is None


def test_convergence_tells_many_runs_apart() -> None:
    """No two runs may share colour and dash, nor two tolerances the place of their words."""
    many = pd.concat([trajectory().assign(descent=f"run {number} · seed 0") for number in range(15)])
    within = build([{"tolerance": value} for value in (1e-2, 1e-5, 1e-6)], columns.CONVERGE)
    figure = made(convergence_figure(many, within))
    looks = [(trace.line.color, trace.line.dash) for trace in figure.data if trace.yaxis == "y"]
    assert len(set(looks)) == len(looks) == 15
    assert len({note.x for note in figure.layout.annotations}) == 3


def test_convergence_with_negative_losses_is_linear() -> None:
    """A loss that is below zero somewhere must be on a linear axis, with nothing lost."""
    figure = made(convergence_figure(trajectory(offset=5.0)))
    assert figure.layout.yaxis.type == "linear"
    assert None not in figure.data[0].y


def test_convergence_shows_seeds_as_a_median_in_a_band() -> None:
    """Seeds of one run must be a median inside a band of the same colour, with a legend entry that counts them."""
    figure = made(convergence_figure(trajectory(seeds=3)))
    assert len({trace.line.color for trace in figure.data}) == 1
    assert [trace.name for trace in figure.data if trace.showlegend] == ["SGD(lr=0.1) (3 seeds)"]
    band, line = figure.data[:2]
    assert (line.y[0], band.y[0], band.y[-1]) == pytest.approx((2.0, 1.2, 2.8))


def test_convergence_draws_the_tolerance() -> None:
    """The distance that counts as arrived must be a line on the error's panel."""
    (line,) = made(convergence_figure(trajectory(), converge())).layout.shapes
    assert (line.y0, line.yref) == (1e-6, "y2")


def test_path_lies_on_the_surface() -> None:
    """The path's points must be the parameters, over a grid whose rows are y."""
    figure = made(path_figure(contours(), trajectory()))
    surface, path, _, _ = figure.data
    assert [list(row) for row in surface.customdata] == [[2.0, 1.0, 2.0], [2.0, 1.0, 2.0]]
    assert (path.x[:2], path.y[:2]) == ((1.0, 0.8), (-1.0, -0.8))


def test_path_levels_are_logarithmic() -> None:
    """Heights must be drawn by their logarithm, the colour bar labelled with losses."""
    surface = made(path_figure(contours(), trajectory())).data[0]
    assert [round(10**value, 2) for value in surface.z[0]] == [1.0, 0.5, 1.0]
    assert float(surface.colorbar.ticktext[-1]) == pytest.approx(10 ** surface.colorbar.tickvals[-1], rel=0.1)


def test_path_skips_descents_with_more_parameters() -> None:
    """Only parameters that are pairs can be drawn on a plane."""
    other = trajectory()
    other["parameters"] = None
    assert len(made(path_figure(contours(), other)).data) == 1


def test_fit_has_a_frame_for_each_step() -> None:
    """The animation must hold the prediction of every kept step, and start from the last."""
    figure = made(fit_figure(fits()))
    assert [(frame.name, frame.data[0].y) for frame in figure.frames] == [
        ("0", (0.0, 0.0, 0.0)),
        ("1", (0.0, 1.0, 2.0)),
        ("2", (0.0, 2.0, 4.0)),
    ]
    assert figure.data[1].y == (0.0, 2.0, 4.0)


def test_fit_keeps_the_data_still() -> None:
    """Frames must move the curve only."""
    figure = made(fit_figure(fits()))
    assert figure.data[0].y == (0.0, 2.0, 4.0)
    assert {frame.traces for frame in figure.frames} == {(1,)}


def test_fit_can_be_played_paused_and_scrubbed() -> None:
    """There must be play and pause, and a slider with an entry for each frame."""
    layout = made(fit_figure(fits())).layout
    assert [button.method for button in layout.updatemenus[0].buttons] == ["animate", "animate"]
    assert [step.label for step in layout.sliders[0].steps] == ["0", "1", "2"]


def test_long_fits_are_thinned() -> None:
    """A long descent must not make a long animation; its first and last steps stay."""
    names = [frame.name for frame in made(fit_figure(fits(500))).frames]
    assert (len(names), names[0], names[-1]) == (60, "0", "499")


def test_scaling_is_log_log_with_units() -> None:
    """Time against size must be log-log, times in seconds."""
    layout = made(scaling_figure(timings())).layout
    assert (layout.xaxis.type, layout.yaxis.type, layout.yaxis.ticksuffix) == ("log", "log", "s")


def test_scaling_has_a_panel_for_each_pass() -> None:
    """Passes must stand in their own panels, in the order they run."""
    titles = [note.text for note in made(scaling_figure(timings())).layout.annotations]
    assert titles == ["forward", "backward"]


def test_scaling_shows_intervals() -> None:
    """Error bars must reach to the interval's ends."""
    bars = made(scaling_figure(timings())).data[0].error_y
    assert bars.array[0] == pytest.approx(0.3e-5) and bars.arrayminus[0] == pytest.approx(0.1e-5)


def test_scaling_writes_the_exponent_into_its_own_panel() -> None:
    """A fitted exponent must stand in the panel of its pass only, with its interval."""
    notes = made(scaling_figure(timings(), scalings())).layout.annotations
    written = {note.xref: note.text for note in notes if "∝" in note.text}
    assert list(written) == ["x domain"]
    assert "autograd ∝ n<sup>1.02</sup> [0.97, 1.07]" in written["x domain"]


def test_scaling_leaves_out_what_was_skipped() -> None:
    """A skipped timing has no number and must not be drawn."""
    assert {trace.name for trace in made(scaling_figure(timings())).data} == {"autograd on cpu"}


def test_speedup_compares_devices_only() -> None:
    """Only ratios against the CPU belong in this figure."""
    low, high, line = made(crossover_figure(speedups())).data
    assert (line.name, line.x, line.y) == ("forward", (1000, 10_000), (2.0, 2.0))
    assert (low.y, high.y, high.fill) == ((1.8, 1.8), (2.2, 2.2), "tonexty")


def test_no_speedup_without_both_devices() -> None:
    """Without a CUDA timing there must be no speed-up figure."""
    assert crossover_figure(speedups(ratio=None)) is None


def test_outcomes_show_what_never_ran() -> None:
    """Every outcome that occurred must be a bar, with what never ran among them."""
    figure = made(outcomes_figure(counts()))
    assert [(bar.name, bar.x) for bar in figure.data] == [
        ("pass", (8, 8, 70)),
        ("fail", (1, 1, 5)),
        ("not run", (1, 1, 0)),
    ]


def test_digits_count_comparisons() -> None:
    """Comparisons must be counted by oracle, outcome and half digit; those without digits do not count."""
    figure = made(digits_figure(findings()))
    assert {(trace.name, trace.x, tuple(count for _, count in trace.customdata)) for trace in figure.data} == {
        ("pass", (9.0,), (2,)),
        ("fail", (2.0,), (1,)),
    }


def test_digits_name_their_rows_in_the_figure() -> None:
    """Every line of discs must have its name above it, which takes no room from the discs on a phone."""
    figure = made(digits_figure(findings()))
    assert sorted(note.y for note in figure.layout.annotations) == sorted({y for trace in figure.data for y in trace.y})


def test_detection_has_a_bar_for_each_decade() -> None:
    """Decades must be in order, with their counts, and no tick between whole numbers of cases."""
    figure = made(detection_figure(detection()))
    assert figure.layout.yaxis.dtick == 1
    (bar,) = figure.data
    assert (bar.x, bar.y) == (("10<sup>−10</sup>", "10<sup>−9</sup>"), (3, 1))


def test_numbers_that_are_not_finite_become_gaps() -> None:
    """Infinities and NaN of a diverged run must be gaps, not invalid JSON."""
    frame = trajectory()
    frame.loc[3, "loss"] = math.inf
    figure = made(convergence_figure(frame))
    assert figure.data[0].y[3] is None
