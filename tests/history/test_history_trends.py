"""Trends: one per series and machine, with changes between the right runs, and unlike machines kept apart."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from harness.errors import UsageError
from harness.history.document import history_json
from harness.history.fingerprint import differences, machine_of, memory_class, minor, place_of
from harness.history.metrics import METRICS, metric_named
from harness.history.store import append
from harness.history.trends import Direction
from harness.history.view import Question, since_when, view
from harness.history.words import arrow, between, meetings, size_text, sparkline
from harness.records import Counts, Outcome


@pytest.fixture
def grown(make_run, memory_url):
    """A history of 20 runs on one machine, from the tenth on 10 % slower, and 3 runs on another."""
    for day in range(20):
        wobble = 1 + 0.004 * (day % 3)
        slow = make_run.timing((1.1e-5 if day >= 10 else 1e-5) * wobble)
        even = make_run.timing(2e-5 * wobble, what="value")
        append(make_run(day, slow, even, digits=12 - 2 * (day >= 12)), memory_url)
    for day in range(3):
        append(make_run(day, cpu="Other CPU", torch="2.12.0+cpu"), memory_url)
    return memory_url


def ask(url, metric="time", here=None, **question):
    """A view of a history."""
    return view(url, Question(metric=METRICS[metric], **question), here)


def here_of(make_run):
    """The machine most runs are of."""
    return machine_of(place_of(make_run().header.environment))


def test_a_change_lies_between_the_right_commits(grown, make_run):
    """The slower pass is worse between the tenth run and the one before; the other pass is steady."""
    slow, even = ask(grown, here=here_of(make_run)).trends
    change = slow.changes[0]
    assert (slow.direction, even.direction) == (Direction.WORSE, Direction.STEADY)
    assert (change.last.run, change.first.run, change.position) == ("run-9", "run-10", 10)
    assert change.ratio == pytest.approx(1.1, rel=0.005)
    assert between(change) == "between 000000009 (2026-01-10) and 00000000a (2026-01-11)"
    assert (size_text(change, "time"), arrow(slow), arrow(even)) == ("+10.0 %", "↑", "→")
    assert (len(slow.points), slow.latest.low, slow.level) == (
        20,
        pytest.approx(0.99 * slow.latest.value),
        pytest.approx(1.1e-5, rel=0.01),
    )
    assert sparkline(slow)[0] < sparkline(slow)[-1]


def test_unlike_machines_are_never_in_one_trend(grown, make_run):
    """This machine's trends hold its runs alone; the other machine is named, with its runs and what differs."""
    seen = ask(grown, here=here_of(make_run))
    mine, other = seen.machines
    assert {len(trend.points) for trend in seen.trends} == {20}
    assert (mine.is_shown, mine.is_here, mine.runs, other.is_shown, other.runs) == (True, True, 20, False, 3)
    assert {part for part, _, _ in other.differs} == {"processor", "torch"}


def test_all_machines_stand_side_by_side(grown, make_run):
    """Each machine has its own trend of a series, this one's first; one with few runs says that they are too few."""
    seen = ask(grown, here=here_of(make_run), all_machines=True, keyword="backward")
    assert [(len(trend.points), trend.direction) for trend in seen.trends] == [(20, "worse"), (3, "too few")]
    assert "there are 3" in seen.trends[1].reason and not seen.trends[1].changes


def test_a_stranger_sees_the_newest_machine(grown, make_run):
    """From a machine without runs, the machine of the newest run is shown; another can be named."""
    stranger = replace(here_of(make_run), processor="Laptop")
    seen = ask(grown, here=stranger)
    assert (seen.machines[0].machine, seen.machines[0].is_here) == (here_of(make_run), False)
    named = ask(grown, here=stranger, machine=seen.machines[1].machine.id[:5])
    assert named.machines[0].machine.processor == "Other CPU"
    with pytest.raises(UsageError, match="names 0 of its machines"):
        ask(grown, machine="zzz")


def test_fewer_digits_are_worse(grown, make_run):
    """Digits are followed as differences, and losing them is worse though the figure falls."""
    (trend,) = ask(grown, "digits", here=here_of(make_run)).trends
    assert (trend.direction, size_text(trend.changes[0], "digits"), arrow(trend)) == ("worse", "-2.0", "↓")
    (power,) = ask(grown, "power", here=here_of(make_run)).trends
    assert (power.direction, power.latest.value) == ("steady", pytest.approx(0.95))


def test_counts_change_at_once(make_run, memory_url):
    """A count has no noise: one run with one operator more is a change."""
    for day, calls in enumerate((4, 4, 5)):
        counts = Counts(operators=(("aten::mul", calls),))
        append(make_run(day, make_run.timing(counts=counts)), memory_url)
    (trend,) = ask(memory_url, "operators").trends
    assert (trend.direction, trend.changes[0].first.run) == ("worse", "run-2")


def test_what_was_not_timed_is_no_point(make_run, memory_url):
    """A timing that raised has no figure and a series without figures is none; a series may have gaps."""
    failed = replace(make_run.timing(), outcome=Outcome.ERROR, median_s=None, low_s=None, high_s=None)
    append(make_run(0, failed), memory_url)
    append(make_run(1), memory_url)
    (trend,) = ask(memory_url).trends
    assert [point.run for point in trend.points] == ["run-1"]


def test_a_change_within_one_commit_says_so(make_run, memory_url):
    """Where both runs are of the same sources, the change is not put down to a commit."""
    for day in range(12):
        append(make_run(day, make_run.timing(1e-5 if day < 6 else 2e-5), commit="f" * 40), memory_url)
    (trend,) = ask(memory_url).trends
    assert between(trend.changes[0]) == "within fffffffff, after 2026-01-06: not a change of these sources"


def test_changes_at_one_place_are_told_together(make_run, memory_url):
    """Passes that got slower at the same run are one meeting, smallest change first."""
    for day in range(12):
        factor = 1 if day < 6 else 1.5
        passes = (make_run.timing(1e-5 * factor), make_run.timing(3e-5 * factor**2, what="forward"))
        append(make_run(day, *passes), memory_url)
    (meeting,) = meetings(ask(memory_url).trends)
    assert "2 series worse, +50.0 % to +125.0 %" in meeting.text


def test_the_document_holds_every_figure(grown, make_run):
    """The JSON is strict, and has points, changes and the machines that are not shown."""
    document = json.loads(history_json(ask(grown, here=here_of(make_run))))
    first = document["trends"][0]
    assert (first["n"], len(first["points"]), first["changes"][0]["position"], first["what"]) == (
        20,
        20,
        10,
        "backward",
    )
    assert [machine["runs"] for machine in document["machines"]] == [20, 3]


def test_an_empty_answer_is_misuse(grown):
    """A history without runs of the asked time says so; so do words that mean no metric and no day."""
    with pytest.raises(UsageError, match="holds no runs since 2030"):
        ask(grown, since=datetime(2030, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="Name one of: time"):
        metric_named("speed")
    for wrong in ("yesterday", "2026-13-01", "-3d"):
        with pytest.raises(UsageError, match="is no date"):
            since_when(wrong, datetime(2026, 1, 31, tzinfo=UTC))


def test_days_are_read(make_run):
    """A day, a moment with a zone, and some days ago."""
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    found = [since_when(text, now) for text in ("2026-01-30", "2026-01-30T02:00+02:00", "30d")]
    assert found == [
        datetime(2026, 1, 30, tzinfo=UTC),
        datetime(2026, 1, 30, tzinfo=UTC),
        datetime(2026, 1, 1, 12, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("gib", "shown"),
    [(15.5, "16 GiB"), (16.0, "16 GiB"), (23.4, "24 GiB"), (0.49, "0.5 GiB"), (None, "unknown memory")],
)
def test_memory_is_what_was_built_in(gib, shown):
    """What firmware takes does not make another machine."""
    assert memory_class(None if gib is None else int(gib * 2**30)) == shown


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ("2.13.0+cpu", "2.13+cpu"),
        ("CPython 3.12.3", "CPython 3.12"),
        ("2.14.0.dev20260101+cu130", "2.14+cu130"),
        ("weird", "weird"),
    ],
)
def test_patch_releases_are_alike(version, shown):
    """A version is kept to its minor number, with its build."""
    assert minor(version) == shown


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("processor", {"cpu": "Other"}),
        ("cores", {"cpu_count": 4}),
        ("memory", {"memory_bytes": 2**36}),
        ("gpu", {"cuda": "13.0, GPU"}),
        ("threads", {"torch_threads": 1}),
        ("python", {"python": "CPython 3.13.0"}),
        ("torch", {"torch": "2.14.0+cpu"}),
        ("system", {"platform": "macOS-15-arm64"}),
    ],
)
def test_every_part_makes_another_machine(make_run, part, changes):
    """Whatever may change timings makes another fingerprint; kernels and patch releases do not."""
    mine = machine_of(place_of(make_run().header.environment))
    other = machine_of(place_of(make_run(**changes).header.environment))
    assert (other.id != mine.id, [name for name, _, _ in differences(other, mine)]) == (True, [part])
    alike = make_run(platform="Linux-6.9.1-x86_64-with-glibc2.40", python="CPython 3.12.9", torch="2.13.1+cpu")
    assert machine_of(place_of(alike.header.environment)).id == mine.id
