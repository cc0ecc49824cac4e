"""Accuracy by case and number type: which truth counts, what is worst, and how it is shown."""

import math

import pytest

from harness.records import Outcome
from harness.report.accuracy import accuracy_frame, lost_digits
from harness.report.accuracy_table import MOST_LISTED, accuracy_table
from harness.report.figures import ulps_figure
from harness.report.frames import cases_frame, findings_frame
from harness.report.panels import endings
from harness.report.text import digits, units


def frame_of(factory, *findings, case="a"):
    return accuracy_frame(factory.small_run(factory.verify(case, findings=findings)))


def own(factory, **changes):
    """An enclosed gradient."""
    base = {"oracle": "ball arithmetic", "digits": 15.5, "ulps": 1.5, "radius_bits": 120}
    return factory.finding(**{**base, **changes})


def only(frame, case="a"):
    """The one row of a case."""
    frame = frame[frame["case"] == case]
    assert len(frame) == 1
    return frame.iloc[0]


def test_an_enclosure_outranks_every_other_oracle(factory):
    """The digits must be those against the enclosure, not those a coarser oracle can confirm."""
    row = only(frame_of(factory, factory.finding(digits=7.0, resolution=1e-20), own(factory)))
    assert (row["digits"], row["ulps"], row["radius_bits"], row["oracle"]) == (15.5, 1.5, 120, "ball arithmetic")


def test_among_other_oracles_the_sharpest_counts(factory):
    """Without an enclosure the oracle that could have noticed the smallest error must be the truth."""
    coarse = factory.finding(digits=6.0, resolution=1e-6)
    fine = factory.finding(digits=12.0, resolution=1e-12, oracle="symbolic")
    row = only(frame_of(factory, coarse, fine))
    assert (row["digits"], row["oracle"]) == (12.0, "symbolic")


def test_a_case_is_as_accurate_as_its_worst_point(factory):
    """Fewest digits, most units and the widest enclosure over the points must be the case's."""
    row = only(
        frame_of(
            factory,
            own(factory, point="one", digits=12.0),
            own(factory, point="two", ulps=9.0, radius_bits=80),
            own(factory, point="three", input="b"),
        )
    )
    assert (row["digits"], row["ulps"], row["radius_bits"], row["point"]) == (12.0, 9.0, 80, "one")
    assert row["comparisons"] == 3


def test_one_point_without_enclosure_takes_the_certificate(factory):
    """A case must not be called enclosed when one of its gradients is not."""
    row = only(frame_of(factory, own(factory, point="one"), factory.finding(point="two")))
    assert row.isna()["radius_bits"]


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": Outcome.VACUOUS},
        {"outcome": Outcome.SKIPPED},
        {"excused": "known"},
        {"route": "double backward", "order": 2},
        {"route": "forward"},
        {"independent": False, "oracle": "analytic"},
        {"digits": None, "ulps": None},
    ],
    ids=["zero gradient", "skipped", "declared", "second order", "forward", "analytic", "no numbers"],
)
def test_what_does_not_measure_a_gradient_is_left_out(change, factory):
    """Only autograd's own first gradient against an independent truth may count."""
    frame = frame_of(factory, own(factory, **change))
    assert "a" not in set(frame["case"])


def test_a_float64_twin_is_the_truth_of_float32(factory):
    """In fewer bits the twin must count, in that format's own row."""
    twin = own(factory, dtype="float32", oracle="its float64 twin", independent=False, radius_bits=None, digits=7.0)
    frame = frame_of(factory, own(factory), twin)
    assert set(frame["dtype"][frame["case"] == "a"]) == {"float64", "float32"}


def test_the_case_that_lost_most_comes_first(factory):
    """Loss must count against what a format has: six digits are good for float32 and bad for float64."""
    records = [
        factory.verify("fine", findings=(own(factory),)),
        factory.verify("single", findings=(own(factory, dtype="float32", digits=6.5),)),
        factory.verify("poor", findings=(own(factory, digits=6.5),)),
    ]
    frame = accuracy_frame(factory.small_run(*records))
    order = [case for case in frame["case"] if case != "parabola"]
    assert order == ["poor", "single", "fine"]
    assert lost_digits("float64", None, 1000.0) == 3
    assert lost_digits("float64", None, None) == 0


def test_the_table_puts_number_types_side_by_side(factory):
    """Types must stand in the order of their bits, a type a case was not verified in must be empty."""
    both = factory.verify("both", findings=(own(factory), own(factory, dtype="bfloat16", digits=2.0, ulps=1.0)))
    frame = accuracy_frame(factory.small_run(both, factory.verify("one", findings=(own(factory, device="cuda"),))))
    table = accuracy_table(frame)
    assert table.head == ("float64", "float64, cuda", "bfloat16")
    cells = {line.case: [cell is not None for cell in line.cells] for line in table.lines}
    assert cells["both"] == [True, False, True]
    assert cells["one"] == [False, True, False]


def test_a_long_table_is_cut(factory):
    """The worst must be listed at once and the others on demand, none lost."""
    table = accuracy_table(accuracy_frame(factory.sweep_run(MOST_LISTED + 5)))
    assert (len(table.lines), len(table.rest)) == (MOST_LISTED, 5)
    assert table.lines[0].cells[0].level == 4
    assert table.rest[-1].cells[0].level == 0


def test_units_are_counted_by_number_type(factory):
    """Every case with units must be in one bar; what is beyond all bounds, and NaN, in the last."""
    found = [own(factory, ulps=u) for u in (0.0, 0.5, 0.6, 2.0, 1e300, math.inf, math.nan)]
    records = [factory.verify(f"case {n}", findings=(f,)) for n, f in enumerate(found)]
    (bars,) = ulps_figure(accuracy_frame(factory.small_run(*records))).data
    assert dict(zip(bars.x, bars.y, strict=True)) | {"≤ ½": 2, "1": 1, "2": 1, "more": 3} == dict(
        zip(bars.x, bars.y, strict=True)
    )
    assert sum(bars.y) == len(found)


def test_without_units_there_is_no_figure(factory):
    """A run whose truths are estimates must have no histogram."""
    assert ulps_figure(accuracy_frame(factory.small_run())) is None


def test_endings_of_operators_are_counted_in_words(factory):
    """Certified, agreed by ladder and failing must be told apart; a run of cases has none."""
    run = factory.sweep_run(10)
    counted = {words: amount for _, words, amount in endings(cases_frame(run), findings_frame(run))}
    assert counted == {"certified": 8, "agreed by ladder": 1, "failing": 1}
    cases = factory.full_run()
    assert endings(cases_frame(cases), findings_frame(cases)) == ()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.0, "0.0"), (28.54, "28.5"), (123_456.0, "123,456"), (2.72e8, "2.7e8"), (math.inf, "∞")],
)
def test_units_read_well(value, shown):
    """Few digits, and a power of ten where there are many units."""
    assert units(value) == shown


def test_digits_have_one_decimal():
    """A column of them must line up."""
    assert (digits(16.0), digits(None)) == ("16.0", "–")
