"""Paths on contours, seeds as bands, and the names that keep descents apart."""

from dataclasses import replace

import numpy as np
import pytest

from harness.records import TrajectoryPoint
from harness.report import columns, frames
from harness.report.descents import descent_names
from harness.report.figures import journeys, path_figure
from harness.report.figures_trajectory import MOST_FRAMES, TAIL
from harness.report.seeds import seed_spread
from harness.report.tables import build


@pytest.fixture
def pictures(factory):
    """Contours and trajectory of two descents from one start and of one from another."""
    slow = factory.descent("bowl", seed=0)
    fast = replace(slow, job="converge bowl[1]", run="Adam()", trajectory=slow.trajectory[::40])
    elsewhere = replace(slow, job="converge bowl[2]", trajectory=slow.trajectory[50:])
    run = factory.small_run(slow, fast, elsewhere)
    return frames.contours_frame(run), frames.trajectory_frame(run)


def spread(*seeds, most=100):
    """The spread of losses given by step, a dictionary for each seed."""
    rows = [
        {"descent": f"SGD() · seed {seed}", "seed": seed, "step": step, "loss": loss}
        for seed, losses in enumerate(seeds)
        for step, loss in losses.items()
    ]
    return seed_spread(build(rows, columns.TRAJECTORY), "loss", most=most)


def test_descents_from_one_start_share_a_picture(pictures):
    """Two descents race on one surface; the third has its own."""
    together, alone = journeys(*pictures)
    assert (together.paths["descent"].nunique(), alone.paths["descent"].nunique()) == (2, 1)
    assert together.name == "Paths of 2 descents from (1.8, −1.2)"
    assert alone.name.startswith("Path of GD(lr=0.1)")


def test_a_descent_that_blew_up_does_not_choose_the_surface(factory):
    """Its surface is the largest, and everything else would be a dot on it."""
    calm = factory.descent("bowl")
    wide = replace(calm.contour, x=tuple(100 * x for x in calm.contour.x), y=tuple(100 * y for y in calm.contour.y))
    away = TrajectoryPoint(step=3, loss=1e9, error=None, gradient_norm=1.0, parameters=(1e6, 1e6))
    wild = replace(calm, job="converge bowl[1]", run="GD(lr=9)", contour=wide, trajectory=(calm.trajectory[0], away))
    run = factory.small_run(wild, calm)
    (one,) = journeys(frames.contours_frame(run), frames.trajectory_frame(run))
    assert one.surface["x"].max() == 2.0


def test_frames_move_every_head_at_the_same_step(pictures):
    """A frame holds tail and head of each descent, at the last kept step that is not after its own."""
    together, _ = journeys(*pictures)
    figure = path_figure(together.surface, together.paths)
    slow, fast = (trace for trace in figure.data[1:3])
    frame = next(frame for frame in figure.frames if int(frame.name) >= 60)
    step = int(frame.name)
    assert list(frame.traces) == [3, 4, 5, 6]
    assert frame.data[1].x == (slow.x[step],) and len(frame.data[0].x) == TAIL
    assert frame.data[3].x == (fast.x[step // 40],)
    assert (figure.frames[0].name, figure.frames[-1].name) == ("0", "159")
    assert len(figure.frames) <= MOST_FRAMES + 1
    assert figure.data[4].x == (slow.x[-1],)


def test_a_band_holds_the_middle_of_the_seeds():
    """Quantiles are those of NumPy, at every step."""
    found = spread(*({0: float(seed), 1: 2.0 * seed} for seed in range(11)))
    assert (list(found.low), list(found.middle), list(found.high)) == ([1.0, 2.0], [5.0, 10.0], [9.0, 18.0])


def test_a_seed_that_ended_early_stays_where_it_ended():
    """Else the band would be of those that are slow, from there on."""
    found = spread({0: 4.0, 2: 0.0}, {0: 4.0, 2: 2.0, 4: 1.0})
    assert list(found.steps) == [0, 2, 4]
    assert found.middle[-1] == pytest.approx(0.5)


def test_a_seed_that_diverged_leaves_the_median_of_the_others():
    """An infinite loss is above all others, and no gap in the middle."""
    found = spread({0: 1.0, 1: np.inf}, {0: 1.0, 1: 0.5}, {0: 1.0, 1: 0.25})
    assert found.middle[-1] == 0.5
    assert not np.isfinite(found.high[-1])


def test_steps_of_a_band_are_thinned_and_keep_their_ends():
    """A long run stays small on the page."""
    found = spread(*(dict.fromkeys(range(1000), 1.0) for _ in range(2)), most=50)
    assert (len(found.steps), found.steps[0], found.steps[-1]) == (50, 0, 999)


def test_descents_that_differ_in_their_start_alone_are_told_apart(factory):
    """By the start where it is known and short, else by the place under `converge`."""
    first = factory.descent("bowl")
    second = replace(first, job="converge bowl[1]", trajectory=first.trajectory[5:])
    third = replace(first, job="converge bowl[2]", run="Adam()")
    names = descent_names(factory.small_run(first, second, third))
    assert names["converge bowl[0]"] == "GD(lr=0.1), analytic gradient, from (1.8, −1.2)"
    assert names["converge bowl[0]"] != names["converge bowl[1]"] and names["converge bowl[2]"] == "Adam()"
    unknown = replace(second, trajectory=(), entry=1)
    names = descent_names(factory.small_run(first, unknown))
    assert names["converge bowl[1]"] == "GD(lr=0.1), analytic gradient [1]"
