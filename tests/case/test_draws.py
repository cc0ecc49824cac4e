"""Draws: their grammar, and that every drawn tensor is what its name says."""

from __future__ import annotations

import math
import re

import pytest
import torch

from harness.case.domains import draw_tensor, generator_for, push_away, with_domain
from harness.case.draws import ARITIES, parse_draw
from harness.case.subject import Input
from harness.errors import UsageError


def _draw(draw: str, shape: tuple[int, ...] = (200,), seed: int = 0, **spec) -> torch.Tensor:
    return draw_tensor(Input(shape=shape, draw=draw, **spec), shape, generator_for(seed, "test", draw))


@pytest.mark.parametrize(
    "text", ["normal", "uniform(-pi, 2*pi)", "uniform", "integers(0, 5)", "choice(1, 2.5)", " mask(0.3) "]
)
def test_good_draws_parse(text):
    """Draws with constant arguments are read."""
    assert parse_draw(text).name in ARITIES


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nromal", "did you mean 'normal'"),
        ("foo", "known draws are"),
        ("normal(1)", "takes 0 arguments"),
        ("uniform(1)", "uniform(low, high)"),
        ("uniform(2, 1)", "first argument below"),
        ("integers(0.5, 2)", "whole numbers"),
        ("integers(3)", "takes 2 arguments"),
        ("mask(2)", "probability"),
        ("choice", "at least 1"),
        ("choice(x)", "must be numbers"),
        ("uniform(0, inf)", "finite"),
        ("uniform(0, 9**9**9)", "finite"),
        ("a.b(1)", "is not a draw"),
        ("normal(", "is not a draw"),
    ],
)
def test_bad_draws_are_refused(text, words):
    """A draw that does not exist, or has wrong arguments, is a clear error."""
    with pytest.raises(UsageError, match=re.escape(words)):
        parse_draw(text)


PROPERTIES = {
    "normal": lambda t: t.std() > 0.5,
    "uniform(2, 3)": lambda t: (t >= 2).all() and (t <= 3).all(),
    "positive": lambda t: (t > 0).all(),
    "spd": lambda t: torch.equal(t, t.mT) and torch.linalg.eigvalsh(t).min() >= 0.999,
    "symmetric": lambda t: torch.equal(t, t.mT),
    "simplex": lambda t: (t > 0).all() and (t.sum(-1) - 1).abs().max() < 1e-14,
    "sorted": lambda t: (t.diff(dim=-1) >= 0).all(),
    "unit": lambda t: (t.norm(dim=-1) - 1).abs().max() < 1e-14,
    "orthogonal": lambda t: (t @ t.mT - torch.eye(6, dtype=t.dtype)).abs().max() < 1e-14,
    "integers(-2, 3)": lambda t: t.dtype == torch.int64 and set(t.unique().tolist()) == {-2, -1, 0, 1, 2},
    "permutation": lambda t: torch.equal(t.sort(-1).values, torch.arange(6).expand(6, 6)),
    "mask": lambda t: t.dtype == torch.bool and 0 < t.sum() < t.numel(),
    "choice(1, 5)": lambda t: t.dtype == torch.int64 and set(t.unique().tolist()) == {1, 5},
    "choice(1, 2.5)": lambda t: t.dtype == torch.float64 and set(t.unique().tolist()) == {1.0, 2.5},
}


@pytest.mark.parametrize("draw", PROPERTIES)
def test_every_draw_is_what_its_name_says(draw):
    """Each draw has the property it is named after, and float draws are float64."""
    tensor = _draw(draw, (6, 6))
    assert tensor.shape == (6, 6)
    assert tensor.dtype in (torch.float64, torch.int64, torch.bool)
    assert PROPERTIES[draw](tensor)


def test_every_draw_is_tested():
    """No draw is left out of the properties above."""
    real = {"digits_images", "digits_labels"}  # in test_digits.py
    assert {parse_draw(text).name for text in PROPERTIES} == set(ARITIES) - real


def test_draws_repeat_by_seed_and_leave_the_global_generator_alone():
    """The same purpose gives the same numbers, another purpose others, and torch's own generator does not move."""
    before = torch.get_rng_state()
    assert torch.equal(_draw("normal"), _draw("normal"))
    assert not torch.equal(_draw("normal"), _draw("normal", seed=1))
    a, b = (torch.rand(5, generator=generator_for(0, *purpose)) for purpose in (("ab", "c"), ("a", "bc")))
    assert not torch.equal(a, b)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("draw", "shape"), [("spd", (3,)), ("spd", (2, 3)), ("unit", ()), ("orthogonal", (3,))])
def test_shapes_a_draw_cannot_have_are_refused(draw, shape):
    """Structured draws say what shape they need."""
    with pytest.raises(UsageError, match="Cannot draw"):
        _draw(draw, shape)


@pytest.mark.parametrize("domain", [(-0.5, 0.5), (0.0, math.inf), (-math.inf, -1.0)])
def test_draws_stay_in_their_domain(domain):
    """Whatever is drawn lies in the declared domain, and not all on its border."""
    tensor = _draw("normal", domain=domain)
    assert (tensor >= domain[0]).all()
    assert (tensor <= domain[1]).all()
    assert tensor.unique().numel() == tensor.numel()


def test_draws_imply_their_domain():
    """Positive implies (0, inf), uniform(a, b) implies [a, b], scaled; a declared domain stays."""
    assert with_domain(Input(draw="positive")).domain == (0.0, math.inf)
    assert with_domain(Input(draw="uniform(1, 2)", scale=-2.0)).domain == (-4.0, -2.0)
    assert with_domain(Input(draw="uniform(1, 2)", domain=(0.0, 9.0))).domain == (0.0, 9.0)
    assert with_domain(Input(draw="normal")).domain is None


def test_entries_are_pushed_away_from_values():
    """Entries keep the margin from avoided values, neighbourhoods that touch count as one, others do not move."""
    tensor = _draw("normal", (2000,), away_from=(0.0, 0.15, 1.0), margin=0.1)
    for value in (0.0, 0.15, 1.0):
        assert (tensor - value).abs().min() >= 0.1 - 1e-15
    plain = _draw("normal", (2000,))
    far = ((plain < -0.11) | (plain > 0.26)) & ((plain < 0.89) | (plain > 1.11))
    assert torch.equal(tensor[far], plain[far])


def test_pushing_stays_inside_the_domain():
    """Beside a border, entries are pushed to the inner side."""
    pushed = push_away(torch.tensor([0.01, 0.05, 0.3]), [0.0], 0.1, (0.0, math.inf))
    torch.testing.assert_close(pushed, torch.tensor([0.1, 0.1, 0.3]))


def test_complex_inputs_are_complex128():
    """A complex input has independent real and imaginary parts; unit ones have length one."""
    tensor = _draw("normal", complex=True)
    assert tensor.dtype == torch.complex128
    assert (tensor.real - tensor.imag).abs().max() > 0.1
    assert _draw("unit", (4, 3), complex=True).abs().square().sum(-1).sub(1).abs().max() < 1e-14
