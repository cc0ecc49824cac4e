"""Where a level changed: steps that are there are found, noise is not taken for one."""

import math

import numpy as np
import pytest

from harness.history.changes import FEWEST, change_points, exact_changes

LEAST = math.log(1.03)
STEP = math.log(1.1)


def noise(seed, count, spread, correlation):
    """Stationary AR(1) noise: count figures of a standard deviation, with the lag-1 correlation."""
    rng = np.random.default_rng(seed)
    found = [rng.normal()]
    for shock in rng.normal(size=count - 1):
        found.append(correlation * found[-1] + math.sqrt(1 - correlation**2) * shock)
    return spread * np.array(found)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("count", [16, 30, 60])
def test_noise_alone_is_no_change(count, correlation):
    """Of 150 stationary series with 2 % of noise, at most 4 % show any change, however alike neighbours are."""
    false = sum(bool(change_points(noise(seed, count, 0.02, correlation), least=LEAST)) for seed in range(150))
    assert false <= 6


@pytest.mark.parametrize(
    ("count", "at", "spread", "correlation"),
    [(16, 8, 0.02, 0.0), (16, 8, 0.01, 0.3), (30, 8, 0.02, 0.3), (30, 22, 0.02, 0.3), (60, 30, 0.02, 0.6)],
)
def test_a_tenth_slower_is_found_where_it_happened(count, at, spread, correlation):
    """A step of +10 % with eight runs or more on each side is found, and placed within two runs of where it is."""
    found = 0
    for seed in range(100):
        figures = noise(seed, count, spread, correlation)
        figures[at:] += STEP
        found += any(abs(place - at) <= 2 for place in change_points(figures, least=LEAST))
    assert found >= 90


def test_several_steps_are_found_in_order():
    """Up, down, and up again: three changes, each where it is."""
    figures = noise(1, 60, 0.01, 0.0) + STEP * np.repeat([0, 1, 0, 2], 15)
    assert change_points(figures, least=LEAST) == (15, 30, 45)


def test_a_single_run_far_off_is_no_change():
    """One run at twice the time, as a busy machine gives it, is an outlier and no level."""
    figures = noise(2, 40, 0.01, 0.0)
    figures[20] += math.log(2)
    assert change_points(figures, least=LEAST) == ()


def test_what_is_too_small_to_matter_is_no_change():
    """A step of 2 % without any noise is below the least change of 3 %; one of 4 % is not."""
    small, large = (np.repeat([0.0, math.log(step)], 20) for step in (1.02, 1.04))
    assert (change_points(small, least=LEAST), change_points(large, least=LEAST)) == ((), (20,))


def test_a_series_that_is_too_short_has_no_changes():
    """Below the fewest runs nothing is looked for, however large the step; from there on it is."""
    figures = [0.0] * 5 + [1.0] * 5
    assert (change_points(figures[:-1], least=LEAST), change_points(figures, least=LEAST)) == ((), (5,))
    assert len(figures) == FEWEST


def test_counts_change_from_one_run_to_the_next():
    """A figure without noise changes wherever it differs from the last."""
    assert (exact_changes([4, 4, 5, 5, 4]), exact_changes([7]), exact_changes([])) == ((2, 4), (), ())


def test_the_same_figures_give_the_same_changes():
    """Nothing is drawn: a result can be had again from the figures."""
    figures = noise(3, 50, 0.03, 0.5) + STEP * np.repeat([0, 1], 25)
    assert change_points(figures, least=LEAST) == change_points(list(figures), least=LEAST)
