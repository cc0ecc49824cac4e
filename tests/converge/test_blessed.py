"""Corridors around blessed counts, medians, and the file they are kept in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.converge.blessed import (
    Counts,
    baseline_text,
    comparable,
    compare,
    counts_of,
    difference_words,
    inside,
    median,
    read_baseline,
    with_twin,
)
from harness.errors import UsageError
from harness.records import ConvergeRecord, Outcome, Target


def _record(steps: int | None, *, evaluations: int | None = None, **changes: object) -> ConvergeRecord:
    made = ConvergeRecord(
        job="converge made[1]", case="made", title="Made", source="", path="made.yaml", outcome=Outcome.PASS,
        message="", run="SGD(lr=0.1), autograd", optimizer="SGD", steps=200,
        status="budget" if steps is None else "hit",
        gradient_evaluations=200, steps_to_tolerance=steps,
        evaluations_to_tolerance=steps if evaluations is None else evaluations, entry=1,
        targets=(Target(tau=0.1, loss=0.1, step=5, evaluations=5), Target(tau=1e-3, loss=1e-3)),
    )  # fmt: skip
    return replace(made, **changes)


def _counts(steps: int | None = 82, **changes: object) -> Counts:
    return counts_of([_record(steps, **changes)], file="cases/made.yaml")


@pytest.mark.parametrize(
    ("actual", "blessed", "expected"),
    [
        (100, 82, True), (103, 82, False), (62, 82, True), (61, 82, False), (40, 82, False),
        (3, 1, True), (4, 1, False), (0, 2, True), (0, 3, False), (82, 82, True),
    ],
)  # fmt: skip
def test_the_corridor_is_a_quarter_and_at_least_two(actual: int, blessed: int, expected: bool) -> None:
    """A count is inside within ±25 % or ±2, whichever is more, in either direction."""
    assert inside(actual, 200, (blessed, blessed), 200) is expected


def test_what_was_not_reached_is_more_than_there_was() -> None:
    """A descent that did not get there is outside only if the whole corridor lies within what it had; and back."""
    assert inside(None, 100, (82, 82), 200)  # 102.5 is beyond 100
    assert not inside(None, 110, (82, 82), 200)
    assert inside(180, 200, (None, None), 200)  # 150 … is the corridor of a count above 200
    assert not inside(140, 200, (None, None), 200)
    assert inside(None, 200, (None, None), 200)


def test_a_count_that_hangs_on_rounding_has_a_corridor_around_both() -> None:
    """From 80 and 120 the corridor is 60 to 150; where one of them was not reached it has no upper end."""
    assert [inside(count, 200, (80, 120), 200) for count in (59, 60, 150, 151)] == [False, True, True, False]
    assert inside(199, 200, (80, None), 200)
    assert inside(None, 200, (80, None), 200)
    assert not inside(50, 200, (80, None), 200)


@given(blessed=st.integers(1, 10_000), share=st.floats(0.0, 2.0))
def test_the_corridor_holds_nothing_else(blessed: int, share: float) -> None:
    """Whatever the count: inside is being no further off than a quarter or two."""
    actual = round(share * blessed)
    assert inside(actual, 10**6, (blessed, blessed), 10**6) == (abs(actual - blessed) <= max(blessed / 4, 2))


def test_both_counts_are_named() -> None:
    """The words give the count, the blessed one, and each count that left its corridor."""
    found = compare(_counts(40), _counts(82))
    assert difference_words(found) == "arrives in 40 steps, blessed are 82"
    assert [count.what for count in found] == ["steps", "target 0.1", "target 0.001"]
    assert difference_words(compare(_counts(80), _counts(82))) == ""


def test_lost_and_won_goals_are_said() -> None:
    """Not arriving any more, and reaching a target that was out of reach, have words of their own."""
    lost = compare(_counts(None), _counts(40))
    assert difference_words(lost) == "does not arrive, blessed are 40"
    late = (Target(tau=0.1, loss=0.1, step=5), Target(tau=1e-3, loss=1e-3, step=20))
    won = compare(_counts(82, targets=late), _counts(82))
    assert difference_words(won) == "reaches target 0.001 in 20 steps, blessed are not reached"
    missed = compare(_counts(82), _counts(82, targets=late))
    assert difference_words(missed) == "misses target 0.001, blessed are 20"


def test_evaluations_count_where_a_step_takes_several() -> None:
    """Twice the gradients in as many steps is a difference."""
    found = compare(_counts(2, evaluations=60), _counts(2, evaluations=30))
    assert difference_words(found) == "takes 60 gradient evaluations, blessed are 30"


def test_medians_count_what_was_not_reached_as_most() -> None:
    """A censored count stands above all numbers, and a median among such is one."""
    assert median([1, None, 3]) == 3
    assert median([1, None, None]) is None
    assert median([10, 20]) == 15
    records = [_record(10), _record(20, seed=1), _record(None, seed=2)]
    counts = counts_of(records, file="f.yaml")
    assert (counts.seeds, counts.steps) == (3, (20.0, 20.0))
    assert difference_words(compare(counts, replace(counts, steps=(40.0, 40.0))), seeds=3).endswith("over 3 seeds)")


@pytest.mark.parametrize(
    "changes",
    [{"dtype": "float32"}, {"device": "cuda"}, {"status": "error"}, {"outcome": Outcome.SKIPPED}, {"entry": None}],
)
def test_only_float64_on_a_cpu_is_compared(changes: dict[str, object]) -> None:
    """What need not repeat, or did not run, or is from an old journal, has no counts."""
    assert comparable(_record(5))
    assert not comparable(_record(5, **changes))


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Sorted, one line per descent; pairs only where the two counts differ."""
    lines = (_counts(82), with_twin(_counts(9, case="before"), _counts(12)), _counts(None, seed=3))
    text = baseline_text(lines)
    (tmp_path / "b.json").write_text(text, encoding="utf-8")
    assert read_baseline(tmp_path / "b.json") == tuple(sorted(lines, key=lambda line: line.key))
    rows = text.splitlines()[1:-1]
    assert len(rows) == 3
    assert '"case": "before"' in rows[0]
    assert '"steps": [9, 12]' in rows[0]
    assert '"steps": 82' in rows[1]


def test_no_file_is_no_baseline(tmp_path: Path) -> None:
    """A baseline that is not there is None, not an error."""
    assert read_baseline(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version": 2, "counts": []}', '{"version": 1}', '{"version": 1, "counts": [{"case": "a"}]}',
             '{"version": 1, "counts": [1]}']
)  # fmt: skip
def test_what_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    """A damaged file, or one of another version, is an error that names it."""
    path = tmp_path / "b.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"Cannot read blessed counts: file=.*b\.json"):
        read_baseline(path)
