"""Points: a case's own with its claims, random and special ones; all repeatable."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from harness.case.build import build_subject
from harness.case.domains import generator_for
from harness.case.load import load_cases
from harness.case.points import case_points, draw_inputs, draw_points, initial_value, parse_value
from harness.case.specials import special_value
from harness.case.subject import Input, Point
from harness.case.trust import Trust
from harness.errors import UsageError

CASE = """\
case: points
title: Points
dims: {n: [1, 4], d: 2, m: [3, 5]}
inputs:
  X: {shape: [n, d], grad: false}
  w: {shape: [d]}
  v: {shape: [m]}
  labels: {shape: [n], draw: "integers(0, 3)"}
function: sum(X @ w) + sum(v)
points:
  - at: {w: [0.5, pi/2], X: [[1, 2], [3, 4], [5, 6]], v: ones, labels: [0, 1, 2]}
    claims:
      - {value: -1.7460, gradient: {w: [9, 1.2e1]}}
      - {gradient: {v: [2., pi - 1, 1]}, expected: refuted, reason: a slip}
  - {name: second, at: {}}
verify: {points: 2, special: [zeros, nonfinite]}
"""


def _points(folder: Path, text: str = CASE, seed: int = 0) -> dict[str, Point]:
    (folder / "a.yaml").write_text(text)
    (case,) = load_cases([folder])
    points = case_points(case, build_subject(case, trust=Trust()), seed=seed)
    assert len({point.name for point in points}) == len(points)
    return {point.name: point for point in points}


def test_points_come_in_order_and_number(tmp_path):
    """The case's own points come first, then two per combination of sizes, then the special ones."""
    names = list(_points(tmp_path))
    assert names == [
        "point 1",
        "second",
        *(f"random {index}" for index in range(8)),
        "special zeros",
        "special nonfinite",
    ]


def test_own_points_have_their_values_and_sizes(tmp_path):
    """Given values are taken exactly, sizes follow from them, and the rest is drawn to fit."""
    point = _points(tmp_path)["point 1"]
    assert point.sizes == {"n": 3, "d": 2, "m": 3}
    assert point.values["w"].tolist() == [0.5, math.pi / 2]
    assert point.values["v"].tolist() == [1.0, 1.0, 1.0]
    assert point.values["labels"].dtype == torch.int64
    assert list(point.values) == ["X", "w", "v", "labels"]


def test_claims_know_how_exactly_they_were_printed(tmp_path):
    """A decimal has half a unit of its last digit as half-width; integers and expressions are exact."""
    value, gradient, refuted = _points(tmp_path)["point 1"].claims
    assert (value.kind, value.name, value.numbers) == ("value", None, (-1.746, 0.00005))
    assert (gradient.name, gradient.numbers) == ("w", ((9.0, 0.0), (12.0, 0.5)))
    assert refuted.numbers == ((2.0, 0.5), (math.pi - 1, 0.0), (1.0, 0.0))
    assert refuted.refuted_because == "a slip"
    assert value.refuted_because is None


def test_points_repeat_by_seed(tmp_path):
    """A seed gives the same points again, another seed others, and an input's numbers do not depend on other inputs."""
    first, again, other = _points(tmp_path), _points(tmp_path), _points(tmp_path, seed=1)
    fewer = _points(tmp_path, CASE.replace("  X: {", "  Z: {shape: [2]}\n  X: {"))
    assert torch.equal(first["random 3"].values["w"], again["random 3"].values["w"])
    assert torch.equal(first["random 3"].values["w"], fewer["random 3"].values["w"])
    assert not torch.equal(first["random 3"].values["w"], other["random 3"].values["w"])
    assert not torch.equal(first["random 3"].values["w"], first["random 2"].values["w"])


def test_special_points_change_differentiable_inputs_only(tmp_path):
    """A special point replaces the inputs whose gradient is checked, at the largest sizes."""
    point = _points(tmp_path)["special zeros"]
    assert point.special == "zeros"
    assert point.sizes == {"n": 4, "d": 2, "m": 5}
    assert not point.values["w"].any()
    assert point.values["X"].any()


def test_draw_points_take_inputs_of_python():
    """Points can be drawn for inputs that were never in a case file."""
    points = draw_points({"a": Input(shape=("n",))}, {"n": [2, 3]}, name="f", seed=0, count=1, special=["ties"])
    assert [tuple(point.values["a"].shape) for point in points] == [(2,), (3,), (3,)]
    assert points[-1].values["a"].unique().numel() == 1


def test_draw_inputs_continue_one_generator():
    """Fresh data come from one generator, drawn on and on."""
    generator = generator_for(0, "fresh")
    inputs = {"a": Input(shape=("n",)), "b": Input(value=(1, 2), shape=(2,))}
    first, second = (draw_inputs(inputs, {"n": 3}, generator=generator) for _ in range(2))
    assert not torch.equal(first["a"], second["a"])
    assert first["b"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, 2.0),
        ("0.5", 0.5),
        ("pi/2", math.pi / 2),
        ([[1, "n"], ["1e-3", 2.5]], [[1.0, 4.0], [0.001, 2.5]]),
        ((1, (2,))[0:1], [1.0]),
        ("arange(n)", [0.0, 1.0, 2.0, 3.0]),
        (float("inf"), math.inf),
        ([], []),
    ],
)
def test_values_become_float64(value, expected):
    """Numbers, expressions and nested lists of them become float64 tensors."""
    tensor = parse_value(value, {"n": 4})
    assert tensor.dtype == torch.float64
    assert tensor.tolist() == expected


def test_values_with_complex_numbers_are_complex():
    """An imaginary literal makes the tensor complex128."""
    assert parse_value([1, "1+2j"], {}).tolist() == [1, 1 + 2j]


@pytest.mark.parametrize("value", [[[1, 2], [3]], "foo(", None, {"a": 1}, [1, 2, 3]])
def test_bad_values_are_refused(value):
    """Ragged lists, things that are no numbers, and wrong shapes are misuse."""
    with pytest.raises(UsageError):
        parse_value(value, {}, shape=(2,))


def test_descents_start_where_told():
    """A start may be a value, zeros, or a draw."""
    spec = Input(shape=("n",))
    generator = generator_for(0, "start")
    assert initial_value("zeros", spec, {"n": 2}, generator=generator).tolist() == [0.0, 0.0]
    assert initial_value([1, "2.5"], spec, {"n": 2}, generator=generator).tolist() == [1.0, 2.5]
    drawn = initial_value("uniform(5, 6)", spec, {"n": 2}, generator=generator)
    assert ((drawn >= 5) & (drawn <= 6)).all()


DRAWN = torch.tensor([0.3, 1.2, 0.8, -0.4], dtype=torch.float64)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("zeros", [0.0] * 4),
        ("ones", [1.0] * 4),
        ("ties", [0.3] * 4),
        ("saturated", [20.0, -20.0, 40.0, -40.0]),
        ("borders", [0.3, 1.2, 0.8, -0.4]),
        ("huge", [0.3e100, 1.2e100, 0.8e100, -0.4e100]),
        ("tiny", [0.3e-100, 1.2e-100, 0.8e-100, -0.4e-100]),
    ],
)
def test_special_values(kind, expected):
    """Each kind of special value is what it says."""
    torch.testing.assert_close(
        special_value(kind, Input(shape=(4,)), DRAWN), torch.tensor(expected, dtype=torch.float64)
    )


def test_special_values_outside_a_domain_are_left_out():
    """An input keeps its drawn values where the domain excludes the special ones; borders and saturation fit in."""
    spec = Input(shape=(4,), domain=(0.5, 50.0))
    drawn = DRAWN.abs() + 0.5
    assert torch.equal(special_value("zeros", spec, drawn), drawn)
    assert special_value("borders", spec, drawn).tolist() == [0.5, 50.0, 0.5, 50.0]
    assert special_value("saturated", spec, drawn).tolist() == [20.0, 40.0, 20.0, 40.0]


def test_nonfinite_values_cover_all_three():
    """inf, -inf and nan are among the entries, beside drawn ones."""
    values = special_value("nonfinite", Input(shape=(9,)), torch.ones(9, dtype=torch.float64))
    assert values.isnan().sum() == 1
    assert values.isinf().sum() == 2
    assert (values == 1).sum() == 6
