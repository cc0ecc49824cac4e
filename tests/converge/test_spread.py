"""How runs over several seeds spread, with those that did not arrive kept in."""

from __future__ import annotations

import pytest

from harness.converge.spread import spread
from harness.records import ConvergeRecord, Outcome


def record(steps: int | None) -> ConvergeRecord:
    """Return the record of a run that arrived after `steps`, or did not."""
    return ConvergeRecord(
        job="j",
        case="c",
        title="t",
        source="s",
        path="p",
        outcome=Outcome.PASS if steps is not None else Outcome.FAIL,
        message="",
        run="r",
        optimizer="SGD",
        status="budget" if steps is None else "hit",
        steps_to_tolerance=steps,
    )


def test_quartiles_are_interpolated() -> None:
    """Of 10, 20, 30, 40 the median is 25, the quartiles 17.5 and 32.5."""
    result = spread([record(steps) for steps in (40, 10, 30, 20)])
    assert (result.lower, result.median, result.upper) == (17.5, 25.0, 32.5)


def test_runs_that_did_not_arrive_count() -> None:
    """One of four not arrived: the upper quartile is beyond what was tried, the median is not."""
    result = spread([record(steps) for steps in (10, 20, 30, None)])
    assert (result.hits, result.total, result.median, result.upper) == (3, 4, 25.0, None)
    assert "3 of 4 seeds arrived" in str(result)
    assert "not reached" in str(result)


@pytest.mark.parametrize("records", [[], [record(None)]])
def test_nothing_arrived_has_no_median(records: list[ConvergeRecord]) -> None:
    """No hits, no median, no made-up figure."""
    assert spread(records).median is None
    assert spread(records).hits == 0
