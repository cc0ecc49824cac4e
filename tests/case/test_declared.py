"""Values that a case declares: their places, shapes, domains and printed digits."""

from __future__ import annotations

import pytest

from harness.case.load import load_cases


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("x: {}", "x: {value: [1, 2]}", "4:14: the value has shape [2], but its input is declared as a single number"),
        ("x**2", "x**2\npoints: [{at: {y: 1}}]", "6:16: unknown input 'y'"),
        ("x**2", "x**2\npoints: [{at: {x: [1, 2]}}]", "6:19: the value has shape [2]"),
        ("x**2", "x**2\npoints: [{at: {x: pi/zz}}]", "6:22: unknown name 'zz'"),
        (
            "x**2",
            "x**2\npoints: [{at: {x: " + "9" * 400 + "}}]",
            "6:19: 9999999999999999999999999999999999999999… is too",
        ),
        (
            "x**2",
            "x**2\npoints: [{at: {x: 1}, claims: {value: 1, expected: refuted}}]",
            "6:31: a claim that is `expected: refuted` needs a `reason`",
        ),
        ("x**2", "x**2\npoints: [{at: {x: 1}, claims: {gradient: {y: 1}}}]", "6:43: unknown differentiable input 'y'"),
    ],
)
def test_a_wrong_value_is_one_message_at_its_place(faults, small, old, new, fault):
    """One mistake in a declared value gives exactly one fault, where it is, in plain words."""
    assert old in small
    (found,) = faults(small.replace(old, new, 1))
    assert found.startswith(fault)


def test_points_shapes_are_checked_against_each_other(faults, good):
    """Two inputs of a point that disagree about a named size are a fault."""
    found = faults(good + "points:\n  - at: {w: [1, 2], X: [[1, 2, 3]]}\n")
    assert found == ["12:24: the value has shape [1, 3], but its input is declared as shape [n, d] (here d is 2)"]


@pytest.mark.parametrize(
    ("spec", "value", "fault"),
    [
        ("{domain: [0, 2]}", "3", "7:11: 3 lies outside [0, 2], the domain of 'x'"),
        ("{domain: [0, 2]}", "-1.50", "7:11: -1.50 lies outside [0, 2], the domain of 'x'"),
        ("{domain: [0, 2]}", "2*pi", "7:11: 2*pi lies outside [0, 2], the domain of 'x'"),
        ("{domain: [2, 3], shape: [2]}", "[2, 4]", "7:15: 4 lies outside [2, 3], the domain of 'x'"),
        ("{domain: [2, 3], shape: [2]}", "zeros", "7:11: zeros lies outside [2, 3], the domain of 'x'"),
        ("{draw: positive}", "-1", "7:11: -1 lies outside [0, inf], the domain that the draw 'positive' gives 'x'"),
        ('{draw: "uniform(0, 1)", scale: -2}', "1", "7:11: 1 lies outside [-2, 0], the domain that the draw"),
    ],
)
def test_points_outside_their_domain_are_faults(faults, small, spec, value, fault):
    """A given number outside its input's domain is refused where it stands."""
    text = small.replace("{}", spec).replace("x**2", "sum(x)") + f"points:\n- at: {{x: {value}}}\n"
    (found,) = faults(text)
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("{domain: [0, 2]}", "2"),
        ("{domain: [0, 2]}", "k*3"),
        ('{draw: "uniform(0, 1)", domain: [0, 9]}', "5"),
        ("{}", "1.0e9"),
    ],
)
def test_points_inside_or_undecided_are_fine(tmp_path, small, spec, value):
    """The ends of a domain belong to it, `domain` widens what a draw implies, and named sizes are left to the run."""
    (tmp_path / "a.yaml").write_text(
        small.replace("x: {}", f"x: {spec}") + f"dims: {{k: 3}}\npoints: [{{at: {{x: {value}}}}}]\n"
    )
    assert load_cases([tmp_path])


def test_ragged_values_are_faults(faults, good):
    """A matrix with rows of unlike length is refused where it stands."""
    found = faults(good + "points:\n  - at: {X: [[1, 2, 3], [1, 2]]}\n")
    assert found[0].startswith("12:13: the lists are ragged")


def test_figures_keep_their_printed_digits(tmp_path, small):
    """Published decimals reach the model as their text; whole numbers and expressions stay what they are."""
    extra = "points:\n  - {at: {x: 1.50}, claims: {value: -1.7460, gradient: {x: [2, 1_0.0, pi - 1, -2.]}}}\n"
    extra += "converge: [{published: {x: 2.00}, within: 1.0e-3}]\n"
    (tmp_path / "a.yaml").write_text(small + extra)
    model = load_cases([tmp_path])[0].model
    claims = model.points[0].claims
    assert model.points[0].at["x"] == "1.50"
    assert claims.value == "-1.7460"
    assert claims.gradient["x"] == [2, "10.0", "pi - 1", "-2."]
    assert model.converge[0].published["x"] == "2.00"
    assert model.converge[0].within == 1e-3


def test_one_number_starts_and_ends_every_entry(tmp_path, faults, good):
    """A start or a minimum that is one number fits any shape; a list has to have the input's own."""
    path = tmp_path / "one.yaml"
    path.write_text(good + "converge:\n  - {start: {w: 1}, minimum: {w: 0.0}}\n", encoding="utf-8")
    (case,) = load_cases([path])
    assert (case.model.converge[0].start, case.model.converge[0].minimum) == ({"w": 1}, {"w": 0.0})
    (fault,) = faults(good + "converge:\n  - {start: {w: 1}, minimum: {w: [[[0.0]]]}}\n")
    assert fault.startswith("12:34: the value has shape [1, 1")
