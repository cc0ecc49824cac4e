"""Named sizes: pairwise coverage, and shapes checked when sizes are read off tensors."""

from __future__ import annotations

from itertools import combinations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.case.sizes import bind_sizes, pairwise, shape_for
from harness.case.subject import Input
from harness.errors import UsageError


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 5), min_size=0, max_size=5))
def test_every_pair_of_sizes_occurs(counts):
    """Every pair of values of two dims is in some combination, and there are no more combinations than needed."""
    dims = {f"d{index}": list(range(count)) for index, count in enumerate(counts)}
    rows = pairwise(dims)
    for first, second in combinations(dims, 2):
        assert {(row[first], row[second]) for row in rows} == set(product(dims[first], dims[second]))
    assert all(list(row) == list(dims) for row in rows)
    largest = sorted([1, 1, *counts])[-2:]
    assert len(rows) <= 2 * largest[0] * largest[1]


def test_sizes_alone_are_one_combination():
    """Plain sizes need one combination, no dims an empty one, one list one combination for each value."""
    assert pairwise({"n": 3, "d": 2}) == ({"n": 3, "d": 2},)
    assert pairwise({}) == ({},)
    assert pairwise({"n": [1, 7, 64]}) == ({"n": 1}, {"n": 7}, {"n": 64})


def test_the_full_product_is_avoided():
    """Four dims of four values need far fewer than 256 combinations."""
    assert len(pairwise({name: [1, 2, 3, 4] for name in "abcd"})) <= 24


def test_empty_dims_are_refused():
    """A dim without a size is a misuse."""
    with pytest.raises(UsageError, match="is empty"):
        pairwise({"n": []})


INPUTS = {"X": Input(shape=("n", "d")), "y": Input(shape=("n",)), "z": Input(shape=(2,))}


def test_sizes_are_read_off_tensors():
    """Named sizes follow from the tensors given, and take precedence over those known."""
    assert bind_sizes(INPUTS, {"X": torch.zeros(4, 3)}, known={"n": 9, "k": 5}) == {"n": 4, "d": 3, "k": 5}


@pytest.mark.parametrize("tensors", [{"X": (4,)}, {"X": (4, 3), "y": (5,)}, {"z": (3,)}])
def test_shapes_that_do_not_match_are_refused(tensors):
    """A wrong shape names the input, its shape and the declared one."""
    with pytest.raises(UsageError, match=r"Cannot use the input '[Xyz]': shape=\[.*\] is not its declared shape"):
        bind_sizes(INPUTS, {name: torch.zeros(shape) for name, shape in tensors.items()})


def test_shapes_need_every_size():
    """A shape whose name has no size is a misuse."""
    assert shape_for(INPUTS["X"], {"n": 1, "d": 2}) == (1, 2)
    with pytest.raises(UsageError, match="'d', which has no size"):
        shape_for(INPUTS["X"], {"n": 1})
