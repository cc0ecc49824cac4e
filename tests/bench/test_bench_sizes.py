"""Sizes: how a sweep is read."""

import pytest

from harness.bench.sizes import Sweep, all_sizes, sweeps
from harness.errors import UsageError


def listed(plan):
    """The sizes of a plan's sweeps, as plain tuples."""
    return [[tuple(sizes.values()) for sizes in sweep.sizes] for sweep in plan]


def test_without_a_sweep_every_dim_has_its_first_size():
    """One combination, and nothing to fit along."""
    assert sweeps({"n": (1, 7), "d": (3,)}, {}) == (Sweep(over=(), sizes=({"n": 1, "d": 3},)),)


def test_one_list_is_swept_with_the_others_at_their_first_size():
    """Only the listed dim changes."""
    assert listed(sweeps({"n": (1, 7), "d": (3, 4)}, {"n": [10, 100]})) == [[(10, 3), (100, 3)]]


def test_equally_long_lists_are_walked_together():
    """Two lists of two give two combinations, as one sweep over both."""
    (sweep,) = sweeps({"n": 1, "d": 1}, {"n": [10, 100], "d": [2, 4]})
    assert (sweep.over, [tuple(sizes.values()) for sizes in sweep.sizes]) == (("n", "d"), [(10, 2), (100, 4)])


def test_lists_of_different_length_are_swept_apart():
    """Each list is a sweep of its own, the other dim at its first declared size."""
    plan = sweeps({"n": (5, 6), "d": (3, 4)}, {"n": [10, 100], "d": [2, 4, 8]})
    assert listed(plan) == [[(10, 3), (100, 3)], [(5, 2), (5, 4), (5, 8)]]


def test_a_list_of_one_holds_its_dim():
    """A single size is no sweep: it holds for all combinations."""
    assert listed(sweeps({"n": 1, "d": 1}, {"n": [10, 100], "d": [64]})) == [[(10, 64), (100, 64)]]


def test_an_undeclared_dim():
    """A swept name that is no dim is refused, with the dims there are."""
    with pytest.raises(UsageError, match=r"m=\[1, 2\].*Declared dims: n, d"):
        sweeps({"n": 1, "d": 1}, {"m": [1, 2]})


def test_an_empty_list():
    """Nothing to sweep is a mistake, not a sweep of nothing."""
    with pytest.raises(UsageError, match="n=\\[\\]"):
        sweeps({"n": 1}, {"n": []})


def test_a_size_that_two_sweeps_share_is_timed_once():
    """Where sweeps cross there is one combination."""
    assert len(all_sizes(sweeps({"n": 10, "d": 2}, {"n": [10, 100], "d": [2, 4, 8]}))) == 4


def test_thinning_keeps_the_ends():
    """The first and the last size stay."""
    sweep = Sweep(over=("n",), sizes=tuple({"n": size} for size in range(10)))
    assert [sizes["n"] for sizes in sweep.thinned(4).sizes] == [0, 3, 6, 9]


def test_thinning_leaves_short_sweeps_alone():
    """What is short enough already is the same."""
    sweep = Sweep(over=("n",), sizes=({"n": 1}, {"n": 2}))
    assert sweep.thinned(4) is sweep
