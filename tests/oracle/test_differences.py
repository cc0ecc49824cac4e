"""Finite differences of subjects: whole gradients, directions, domains, notes, and the search for a wrong entry."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.case.subject import Input, Point, Subject
from harness.oracle.differences import (
    MOST_COORDINATES,
    dense_directions,
    domain_of,
    finite_differences,
    localise,
    use_coordinates,
)
from harness.oracle.flat import FlatSubject


def flat_of(function, x: Tensor, *, domain: tuple[float, float] | None = None) -> FlatSubject:
    """The flat view of a function of one tensor x."""
    subject = Subject(
        name="f", inputs={"x": Input(shape=tuple(x.shape), domain=domain)}, function=lambda t: (function(t["x"]),)
    )
    return FlatSubject(subject, Point(name="p", values={"x": x}, sizes={}, seed=0))


def generator() -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(3)


def normal(*shape: int) -> Tensor:
    """Seeded normal numbers."""
    return torch.randn(*shape, generator=generator(), dtype=torch.float64)


def test_a_jacobian_is_within_its_bars() -> None:
    """Two cotangents of a vector function: the C × N gradients hold."""
    x, cotangents = normal(5), normal(2, 5)
    estimate, _ = finite_differences(flat_of(lambda x: x.sin().cumsum(0), x), cotangents, generator=generator())
    true = cotangents @ torch.func.jacrev(lambda x: x.sin().cumsum(0))(x)
    assert bool(((estimate.value - true).abs() <= estimate.bar).all())


def test_only_the_function_is_evaluated() -> None:
    """The estimate says that it is independent of autograd, and it is: it works under no_grad."""
    with torch.no_grad():
        estimate, _ = finite_differences(flat_of(torch.exp, normal(2)), torch.eye(2).double(), generator=generator())
    assert estimate.independent


def test_large_inputs_get_directions() -> None:
    """Beyond a few hundred entries the estimate holds projections instead of entries."""
    x = normal(MOST_COORDINATES + 1)
    estimate, ladder = finite_differences(
        flat_of(lambda x: (x**2).sum(), x), torch.ones(1, 1).double(), generator=generator()
    )
    assert estimate.directions is not None
    assert ladder is None


def test_projections_are_within_their_bars() -> None:
    """Projections of the gradient on dense directions hold."""
    x = normal(1000)
    estimate, _ = finite_differences(
        flat_of(lambda x: x.sin().sum(), x), torch.ones(1, 1).double(), generator=generator()
    )
    true = (estimate.directions @ x.cos())[None]
    assert bool(((estimate.value - true).abs() <= estimate.bar).all())


def test_directions_leave_no_entry_out() -> None:
    """Every entry of every input has a non-zero weight in every direction of its input."""
    directions = dense_directions(flat_of(torch.exp, normal(300)), generator())
    assert bool((directions != 0).all())


@pytest.mark.parametrize("place", [0, 617, 1999])
def test_a_wrong_entry_is_found(place: int) -> None:
    """Bisection ends at the one entry that is wrong."""
    x = normal(2000)
    flat = flat_of(lambda x: x.sin().sum(), x)
    wrong = x.cos()
    wrong[place] += 10
    direction = dense_directions(flat, generator())[0]
    found, value, bar = localise(flat, torch.ones(1).double(), wrong, direction)
    assert found == place
    assert abs(value - float(x[place].cos())) <= bar


def test_coordinates_for_small_inputs_only() -> None:
    """The choice between coordinates and directions follows the size."""
    assert use_coordinates(flat_of(torch.exp, normal(10)), 10)
    assert not use_coordinates(flat_of(torch.exp, normal(1000)), 1000)


def test_a_kink_is_named() -> None:
    """The note says which entry sits on a kink."""
    x = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    estimate, _ = finite_differences(
        flat_of(lambda x: x.abs().sum(), x), torch.ones(1, 1).double(), generator=generator()
    )
    assert estimate.note == "a kink at x[1]"


def test_a_jump_is_named() -> None:
    """The note says which entry sits on a jump."""
    x = torch.tensor([0.5, 1.0], dtype=torch.float64)
    estimate, _ = finite_differences(
        flat_of(lambda x: x.floor().sum(), x), torch.ones(1, 1).double(), generator=generator()
    )
    assert estimate.note == "a jump at x[1]"


def test_no_note_where_smooth() -> None:
    """A smooth function gives no note."""
    estimate, _ = finite_differences(flat_of(torch.exp, normal(3)), torch.eye(3).double(), generator=generator())
    assert estimate.note is None


def test_declared_domains_are_kept() -> None:
    """A function that is only defined on its domain is differentiated inside it, at its end too."""
    x = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    flat = flat_of(lambda x: torch.where((x < 0) | (x > 1), torch.nan, x**3), x, domain=(0.0, 1.0))
    estimate, _ = finite_differences(flat, torch.ones(1, 3).double(), generator=generator())
    assert bool(((estimate.value - 3 * x**2).abs() <= estimate.bar).all())
    assert float(estimate.bar.max()) < 1e-6


def test_no_domain_is_none() -> None:
    """Without a declared domain there are no ends."""
    assert domain_of(flat_of(torch.exp, normal(2))) == (None, None)


def test_functions_vmap_cannot_batch() -> None:
    """The loop path gives the same gradient."""
    x = normal(3).abs() + 1
    estimate, _ = finite_differences(
        flat_of(lambda x: (x**2).sum() if float(x.sum()) > 0 else x.sum(), x),
        torch.ones(1, 1).double(),
        generator=generator(),
    )
    assert bool(((estimate.value - 2 * x).abs() <= estimate.bar).all())


def test_correct_hard_gradients_hold() -> None:
    """sin(1e5·x), log at 1e-8, x² + 1e8 and x² at 1e8 are within their bars."""
    x = torch.tensor([1.0, 1e-8, 3.0, 1e8], dtype=torch.float64)

    def function(x: Tensor) -> Tensor:
        return torch.stack([torch.sin(1e5 * x[0]), torch.log(x[1]), x[2] ** 2 + 1e8, x[3] ** 2])

    estimate, _ = finite_differences(flat_of(function, x), torch.eye(4).double(), generator=generator())
    true = torch.func.jacrev(function)(x)
    assert bool(((estimate.value - true).abs() <= estimate.bar).all())


def test_tiny_inputs_do_not_overflow() -> None:
    """Entries below float32's range are differentiated like others."""
    x = torch.tensor([1e-200, 1.0], dtype=torch.float64)
    estimate, _ = finite_differences(
        flat_of(lambda x: (3 * x).sum(), x), torch.ones(1, 1).double(), generator=generator()
    )
    assert bool(((estimate.value - 3).abs() <= estimate.bar).all())
