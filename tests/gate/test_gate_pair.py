"""One pair of processes: order, warm-up, and what is said when a side cannot go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest

from harness.gate.options import TimingOptions
from harness.gate.pair import COLD, DROPPED, MOST_WARM, WINDOW, Pair, agree
from harness.gate.process import LostError
from harness.gate.protocol import (
    Calibrate,
    Calibrated,
    CountCalls,
    Counted,
    Failed,
    Prepare,
    Prepared,
    Sample,
    Sampled,
    Survey,
    Surveyed,
)
from harness.gate.records import Candidate, Workload
from harness.records import Counts

WORK = Workload(case="a", path="a.yaml", what="value")
COUNTS = Counts(flops=12)


@dataclass
class Side:
    """A process that answers at once; its times are those of `speed`, sample by sample."""

    name: str
    log: list[str]
    speed: object = lambda number: 1e-3
    calls: int = 50
    inputs: str = "same"
    fails: dict[type, object] = field(default_factory=dict)
    taken: int = 0
    closed: bool = False
    asked: list[object] = field(default_factory=list)

    def ask(self, request):
        self.asked.append(request)
        failure = self.fails.get(type(request))
        if isinstance(failure, Exception):
            raise failure
        if failure is not None:
            return failure
        if isinstance(request, Sample):
            self.log.append(self.name)
            self.taken += 1
            return Sampled(per_call_s=self.speed(self.taken - 1))
        return {
            Prepare: Prepared(inputs=self.inputs),
            Calibrate: Calibrated(calls=self.calls),
            CountCalls: Counted(counts=COUNTS),
            Survey: Surveyed(sizes=((("n", 2),),), elements=(2,)),
        }[type(request)]

    def close(self):
        self.closed = True


def pair(base=None, head=None):
    """Make a pair of scripted sides; the log tells who was sampled when."""
    log: list[str] = []
    left, right = Side("base", log, **(base or {})), Side("head", log, **(head or {}))
    return Pair(left, right, TimingOptions(), Random(1)), left, right, log


def measure(one: Pair, **options):
    return one.measure(WORK, **{"most": 40, "enough": lambda samples: len(samples.base) >= 30, **options})


def test_each_pair_has_both_sides_in_random_order():
    """Sides alternate pair by pair, and neither always goes first."""
    one, _, _, log = pair()
    measure(one)
    turns = [tuple(log[at : at + 2]) for at in range(0, len(log), 2)]
    assert set(turns) == {("base", "head"), ("head", "base")}
    assert 0.2 < sum(turn[0] == "base" for turn in turns) / len(turns) < 0.8


def test_calls_are_calibrated_once_on_the_base():
    """Both sides run the number of calls that the base found, after a short untimed prefix."""
    one, base, head, _ = pair(head={"calls": 7})
    found = measure(one)
    assert found.inner == 50
    assert {request for request in base.asked + head.asked if isinstance(request, Sample)} == {
        Sample(calls=50, prefix=5)
    }
    assert not any(isinstance(request, Calibrate) for request in head.asked)


def test_a_known_number_of_calls_is_taken():
    """Confirming processes run the calls that screening found."""
    one, base, _, _ = pair()
    assert measure(one, inner=3).inner == 3
    assert not any(isinstance(request, Calibrate) for request in base.asked)


def test_sampling_ends_when_it_is_enough_or_at_the_most():
    """The rule given decides between two windows and the most."""
    assert len(measure(pair()[0]).samples.base) == 30
    assert len(measure(pair()[0], enough=lambda _: False).samples.head) == 40
    assert len(measure(pair()[0], enough=lambda _: True).samples.head) == 2 * WINDOW


def test_steady_sides_lose_only_the_cold_samples():
    """Nothing is given up where the ratio does not move."""
    one, base, _, _ = pair()
    found = measure(one)
    assert found.samples.steady
    assert base.taken == 30 + COLD


def test_a_side_that_warms_up_is_waited_for():
    """Samples of a side that is still getting faster are dropped until the ratio stays."""
    warming = lambda number: 1e-3 * (1.5 if number < COLD + 8 else 1.0)  # noqa: E731
    found = measure(pair(head={"speed": warming})[0])
    assert found.samples.steady
    assert len(found.samples.base) == 30
    assert set(found.samples.head[WINDOW:]) == {1e-3}


def test_a_side_that_never_settles_is_not_steady():
    """The warm-up ends at its bound, and the samples say so."""
    one, base, _, _ = pair(head={"speed": lambda number: 1e-3 * 1.02**number})
    found = measure(one)
    assert not found.samples.steady
    assert base.taken == COLD + 2 * WINDOW + MOST_WARM // DROPPED * DROPPED


def test_a_machine_that_slows_both_sides_is_no_warm_up():
    """What moves both sides alike leaves the ratio where it is."""
    slowing = lambda number: 1e-3 * 1.02**number  # noqa: E731
    assert measure(pair({"speed": slowing}, {"speed": slowing})[0]).samples.steady


@pytest.mark.parametrize(("shift", "expected"), [(1.0, True), (1.005, True), (1.05, False)])
def test_windows_agree_within_a_per_cent(shift, expected):
    """Without any spread, a shift of more than a per cent between the halves is seen."""
    assert agree([1.0] * 20, [1.0] * 10 + [shift] * 10) is expected


def test_spread_excuses_what_it_explains():
    """A shift that is smaller than the medians' own noise is no disagreement; one much larger is."""
    noise = [1.0, 1.2, 0.8, 1.1, 0.9] * 4
    shifted = [each * (1.03 if at >= 10 else 1.0) for at, each in enumerate(noise)]
    far = [each * (2.0 if at >= 10 else 1.0) for at, each in enumerate(noise)]
    assert agree([1.0] * 20, shifted)
    assert not agree([1.0] * 20, far)


def test_other_inputs_are_not_compared():
    """Times on different inputs say nothing about the code."""
    found = measure(pair(head={"inputs": "other"})[0])
    assert found.samples is None
    assert "inputs differ" in found.reason


@pytest.mark.parametrize("request_kind", [Prepare, Sample])
def test_a_refusal_names_the_side(request_kind):
    """The reason of a row says which side it was; the pair goes on."""
    found = measure(pair(head={"fails": {request_kind: Failed(message="ValueError: no")}})[0])
    assert (found.samples, found.reason, found.lost) == (None, "head: ValueError: no", False)


def test_a_lost_process_is_told():
    """The pair cannot go on without one of its processes."""
    found = measure(pair(base={"fails": {Sample: LostError("the process was killed by SIGKILL")}})[0])
    assert (found.reason, found.lost) == ("base: the process was killed by SIGKILL", True)


def test_counts_are_of_both_sides_when_wanted():
    """Exact counts come with the samples, where they are asked for and can be had."""
    assert (measure(pair()[0]).base_counts, measure(pair()[0]).head_counts) == (None, None)
    found = measure(pair(head={"fails": {CountCalls: Failed(message="no")}})[0], count=True)
    assert (found.base_counts, found.head_counts) == (COUNTS, None)
    assert found.samples is not None


def test_the_base_is_surveyed():
    """Sizes are found on the base; a refusal is a reason."""
    candidate = Candidate(case="a", path="a.yaml", passes=("value",), sizes=((("n", 2),),), dtype="float32")
    one, _, head, _ = pair()
    assert one.survey(candidate).elements == (2,)
    assert head.asked == []
    refused = pair(base={"fails": {Survey: Failed(message="ImportError: x")}})[0].survey(candidate)
    assert (refused.sizes, refused.reason) == ((), "base: ImportError: x")


def test_closing_ends_both():
    """No process is left behind."""
    one, base, head, _ = pair()
    one.close()
    assert base.closed
    assert head.closed
