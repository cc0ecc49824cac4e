"""The engine's logic on scripted processes: screen, confirm, stop by width, correct for the number of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

import pytest

from harness.bench.comparison import Decision, PairSamples
from harness.gate.engine import time_sides
from harness.gate.options import TimingOptions
from harness.gate.pair import Measured
from harness.gate.process import LostError
from harness.gate.protocol import Prepared, Surveyed
from harness.gate.records import Candidate, Side
from harness.gate.verdict import rejudged

BASE = Side(name="base", root="/tree/base")
HEAD = Side(name="head", root="/tree/head")
FINE = Prepared(inputs="1")
FEWEST = 20
"""Pairs of samples that a pair of processes gives in any case."""


@dataclass
class Machine:
    """What scripted pairs of processes answer: by case, the relative slow-down of head, or what goes wrong."""

    slower: dict[str, float] = field(default_factory=dict)
    between: float = 0.003
    """Standard deviation of what two processes differ by for good."""
    within: float = 0.01
    broken: dict[str, Measured] = field(default_factory=dict)
    no_size: dict[str, str] = field(default_factory=dict)
    pairs: list[list[str]] = field(default_factory=list)
    """By pair of processes: the cases measured in it."""
    closed: int = 0

    def make(self, number: int) -> ScriptedPair:
        """Start a pair."""
        self.pairs.append([])
        return ScriptedPair(self, Random(number))


@dataclass
class ScriptedPair:
    """A pair of processes that makes its samples up."""

    machine: Machine
    random: Random

    def survey(self, candidate):
        reason = self.machine.no_size.get(candidate.case)
        return Surveyed(reason=reason) if reason else Surveyed(sizes=(candidate.sizes[0],), elements=(8,))

    def measure(self, workload, *, inner, most, enough, count):
        machine, case = self.machine, workload.case
        machine.pairs[-1].append(case)
        if case in machine.broken:
            return machine.broken[case]
        shift = math.log1p(machine.slower.get(case, 0.0)) + self.random.gauss(0.0, machine.between)
        base, head = [], []
        samples = PairSamples(base=(), head=(), steady=True)
        while len(base) < FEWEST or (len(base) < most and not enough(samples)):
            level = 1e-3 * math.exp(self.random.gauss(0.0, 0.2))
            base.append(level)
            head.append(level * math.exp(shift + self.random.gauss(0.0, machine.within)))
            samples = PairSamples(base=tuple(base), head=tuple(head), steady=True)
        return Measured(samples=samples, inner=inner or 7, base=FINE, head=FINE)

    def close(self):
        self.machine.closed += 1


def candidate(case: str, passes: tuple[str, ...] = ("value",)) -> Candidate:
    return Candidate(case=case, path="cases/a.yaml", passes=passes, sizes=((("n", 8),),), dtype="float32")


def timed(machine: Machine, *cases: str, **options) -> dict[str, object]:
    """Time cases on a scripted machine; rows by case."""
    rows = time_sides(BASE, HEAD, [candidate(case) for case in cases], TimingOptions(**options), make_pair=machine.make)
    return {row.workload.case: row for row in rows}


def test_the_same_code_is_the_same_after_screening():
    """A quiet row without a difference needs one pair of processes, and few samples."""
    machine = Machine()
    row = timed(machine, "plain")["plain"]
    assert row.decision is Decision.SAME
    assert len(machine.pairs) == 1
    assert len(row.screened.base) == TimingOptions().fewest_pairs
    assert row.confirmed == ()


def test_a_slower_head_is_confirmed_by_five_fresh_pairs():
    """Screening alone never raises an alarm; what it suspects is timed in five more pairs of processes."""
    machine = Machine(slower={"slow": 0.08})
    row = timed(machine, "slow")["slow"]
    assert row.decision is Decision.SLOWER
    assert machine.pairs == [["slow"]] * 6
    assert len(row.confirmed) == 5
    assert "8." in row.message or "7." in row.message


def test_a_faster_head_is_no_alarm():
    """The mirror image is confirmed and called faster."""
    row = timed(Machine(slower={"fast": -0.1}), "fast")["fast"]
    assert row.decision is Decision.FASTER


def test_only_open_rows_are_confirmed():
    """Fresh pairs go through what screening left open and through nothing else."""
    machine = Machine(slower={"slow": 0.1})
    timed(machine, "plain", "slow", "other")
    assert machine.pairs[0] == ["plain", "slow", "other"]
    assert machine.pairs[1:] == [["slow"]] * 5


def test_wide_rows_get_more_pairs_up_to_the_most():
    """Where processes differ a lot, pairs are added until the most of them."""
    machine = Machine(slower={"noisy": 0.5}, between=0.15)
    assert len(timed(machine, "noisy", most_processes=8)["noisy"].confirmed) == 8


def test_stopping_does_not_look_at_where_the_interval_lies():
    """The number of pairs of a row is that of the same row shifted to another ratio."""
    counts = {
        shift: len(timed(Machine(slower={"row": shift}, between=0.04), "row")["row"].confirmed)
        for shift in (0.2, 0.3, 0.5)
    }
    assert len(set(counts.values())) == 1


def test_correction_raises_p_values():
    """With several confirmed rows, the least p-value of them is multiplied."""
    slower = {f"row{place}": 0.06 for place in range(3)}
    rows = timed(Machine(slower={**slower, "null": 0.0}, between=0.02), *slower, "null")
    tested = [row for row in rows.values() if row.confirmation is not None and row.confirmation.p is not None]
    assert len(tested) >= 3
    assert all(row.judgement.p >= row.confirmation.p for row in tested)
    assert any(row.judgement.p > row.confirmation.p for row in tested)


def test_a_row_that_cannot_be_timed_says_why():
    """A refusal is inconclusive with its reason, and the next row is timed."""
    machine = Machine(broken={"bad": Measured(reason="head: ValueError: no")})
    rows = timed(machine, "bad", "good")
    assert (rows["bad"].decision, rows["bad"].message) == (Decision.INCONCLUSIVE, "head: ValueError: no")
    assert rows["good"].decision is Decision.SAME
    assert len(machine.pairs) == 1


def test_a_lost_process_is_replaced():
    """A crash costs its row, and the rest goes on in a new pair of processes."""
    machine = Machine(broken={"crash": Measured(reason="head: the process was killed by SIGSEGV", lost=True)})
    rows = timed(machine, "crash", "good")
    assert rows["crash"].decision is Decision.INCONCLUSIVE
    assert "SIGSEGV" in rows["crash"].message
    assert rows["good"].decision is Decision.SAME
    assert machine.pairs == [["crash"], ["good"]]
    assert machine.closed == 2


def test_other_passes_of_a_case_that_lost_a_process_are_left_out():
    """A hang costs its time limit once, not once for every pass."""
    machine = Machine(broken={"hang": Measured(reason="base: did not answer", lost=True)})
    rows = time_sides(BASE, HEAD, [candidate("hang", ("value", "backward"))], TimingOptions(), make_pair=machine.make)
    assert [row.workload.what for row in rows] == ["value", "backward"]
    assert machine.pairs == [["hang"]]
    assert "did not answer" in rows[1].message


def test_a_case_without_a_size_that_fits_is_a_row():
    """Nothing asked for goes missing."""
    row = timed(Machine(no_size={"huge": "one call takes 3 s even at the smallest size"}), "huge")["huge"]
    assert row.decision is Decision.INCONCLUSIVE
    assert "3 s" in row.message


@pytest.mark.parametrize("decided", [Decision.SAME, Decision.INCONCLUSIVE])
def test_code_from_outside_the_tree_is_never_the_same(decided):
    """Both sides may have run one installed copy: nothing can be said, whatever the samples say."""
    outside = Prepared(inputs="1", code=("/env/lib/own.py",), foreign=("/env/lib/own.py",))
    samples = PairSamples(base=(1e-3,) * 30, head=(1e-3,) * 30, steady=True)
    machine = Machine(broken={"own": Measured(samples=samples, inner=3, base=outside, head=outside)})
    if decided is Decision.SAME:
        machine.broken["own"] = Measured(samples=samples, inner=3, base=FINE, head=FINE)
    row = timed(machine, "own")["own"]
    assert row.decision is decided
    assert (decided is Decision.SAME) or "/env/lib/own.py" in row.message


def test_rows_can_be_judged_again_from_their_samples():
    """What was recorded gives the judgement that was made."""
    rows = timed(Machine(slower={"slow": 0.1}), "plain", "slow")
    for row in rows.values():
        expected = row.confirmation or row.judgement
        assert rejudged(row, TimingOptions().margin) == expected


def test_processes_that_never_start_are_an_error():
    """There is nothing to report without a single process."""

    def never(number):
        raise LostError("the process ended itself with status 1")

    with pytest.raises(LostError, match="status 1"):
        time_sides(BASE, HEAD, [candidate("any")], TimingOptions(), make_pair=never)


def test_progress_is_told():
    """Both stages tell where they stand."""
    told = []
    machine = Machine(slower={"slow": 0.1})
    time_sides(BASE, HEAD, [candidate("slow")], TimingOptions(), told.append, make_pair=machine.make)
    assert {progress.stage for progress in told} == {"screen", "confirm"}
    assert all(progress.done <= progress.total for progress in told)
