"""The self-test counts what the same engine decides, from samples that can be judged again."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest

from harness.bench.comparison import Margin, PairSamples, confirm, screen
from harness.gate.options import TimingOptions
from harness.gate.pair import Measured
from harness.gate.records import Candidate, Side, Workload
from harness.gate.selftest import clopper_pearson, from_json, rates, self_test, table, to_json
from harness.gate.verdict import compared, settled

SIDE = Side(name="head", root="/tree")
MARGIN = Margin()


def candidate(case):
    return Candidate(case=case, path="a.yaml", passes=("value", "forward_backward"), sizes=((),), dtype="float32")


def pair(random, shift):
    base = tuple(1e-3 * math.exp(random.gauss(0, 0.1)) for _ in range(20))
    slow = shift + random.gauss(0, 0.003)
    return PairSamples(
        base=base, head=tuple(each * math.exp(slow + random.gauss(0, 0.01)) for each in base), steady=True
    )


def fake_time(asked, *, measurable=True):
    """Make an engine whose head is slower by what is injected, and that logs what it was asked."""

    def time(base, head, candidates, options, on_progress):
        asked.append((options.seed, options.injected, tuple((each.case, each.passes) for each in candidates)))
        random = Random(f"{options.seed} {options.injected}")
        rows = []
        for each in candidates:
            work = Workload(case=each.case, path=each.path, what=each.passes[0])
            if not measurable:
                rows.append(compared(work, Measured(reason="no"), None, (), None, None))
                continue
            shift = math.log1p(options.injected)
            first = pair(random, shift)
            screening = screen(first, options.margin)
            fresh = () if settled(screening) else tuple(pair(random, shift) for _ in range(5))
            alone = confirm(fresh, options.margin) if fresh else None
            rows.append(compared(work, Measured(samples=first), screening, fresh, alone, alone))
        return tuple(rows)

    return time


@pytest.fixture(scope="module")
def found():
    """A self-test of three cases, ten comparisons for each effect, and what the engine was asked."""
    asked = []
    candidates = [candidate(case) for case in ("a", "b", "c")]
    test = self_test(SIDE, candidates, TimingOptions(seed=5), comparisons=10, time=fake_time(asked))
    return test, asked


def test_repetitions_go_on_until_there_are_comparisons_enough(found):
    """Four repetitions of three rows give at least ten comparisons, for each effect; each has its own seed."""
    test, asked = found
    assert [(one.number, one.injected) for one in test.repetitions] == [
        (number, effect) for number in (1, 2, 3, 4) for effect in (0.0, 0.05, 0.10)
    ]
    assert {seed for seed, _, _ in asked} == {6, 7, 8, 9}


def test_each_case_takes_part_with_its_costliest_pass(found):
    """One pass a case."""
    assert found[1][0][2] == tuple((case, ("forward_backward",)) for case in ("a", "b", "c"))


def test_rates_tell_alarms_from_what_was_found(found):
    """The same code raises no alarm, ten per cent are found in all comparisons; each workload has its own rate."""
    by_effect = {rate.injected: rate for rate in rates(found[0]) if not rate.workload}
    assert (by_effect[0.0].slower, by_effect[0.0].comparisons) == (0, 12)
    assert (by_effect[0.10].slower, by_effect[0.10].comparisons) == (12, 12)
    assert by_effect[0.0].high == pytest.approx(1 - 0.025 ** (1 / 12))
    assert by_effect[0.10].low == pytest.approx(0.025 ** (1 / 12))
    assert sum(bool(rate.workload) for rate in rates(found[0])) == 9


def test_rates_follow_the_margin_they_are_asked_for(found):
    """Samples can be judged again with another margin: what is below it is found no more."""
    by_effect = {rate.injected: rate for rate in rates(found[0], replace(MARGIN, relative=0.2)) if not rate.workload}
    assert by_effect[0.10].slower == 0


def test_a_slow_row_is_judged_among_rows_that_are_not(found):
    """The correction counts the null rows that were confirmed, so it can only make a finding harder."""
    test, _ = found
    noisy = Random(1)
    shaky = tuple(
        PairSamples(base=(1e-3,) * 20, head=(1e-3 * math.exp(noisy.gauss(0.0, 0.05)),) * 20, steady=True)
        for _ in range(5)
    )
    edge = tuple(
        PairSamples(base=(1e-3,) * 20, head=(1e-3 * math.exp(0.05 + shift),) * 20, steady=True)
        for shift in (-0.06, 0.05, -0.02, 0.03, 0.02)
    )
    row = replace(test.repetitions[1].rows[0], confirmed=edge)
    nulls = tuple(replace(each, confirmed=shaky) for each in test.repetitions[0].rows)
    alone = replace(
        test, repetitions=(replace(test.repetitions[0], rows=()), replace(test.repetitions[1], rows=(row,)))
    )
    among = replace(
        test, repetitions=(replace(test.repetitions[0], rows=nulls), replace(test.repetitions[1], rows=(row,)))
    )
    count = {
        name: next(rate.slower for rate in rates(each) if rate.injected == 0.05 and not rate.workload)
        for name, each in (("alone", alone), ("among", among))
    }
    assert count["among"] <= count["alone"]


def test_samples_survive_the_disk(found):
    """What is read back gives the same rates."""
    assert rates(from_json(to_json(found[0]))) == rates(found[0])


def test_the_table_has_a_line_for_every_rate(found):
    """Shares, counts and intervals are printed."""
    lines = table(rates(found[0])).splitlines()
    assert len(lines) == 2 + 12
    assert "| +10% | all | 12 of 12 | 100.0% |" in lines[-4]


def test_what_cannot_be_timed_ends_the_test():
    """Without a single sample there is nothing to repeat."""
    test = self_test(SIDE, [candidate("a")], TimingOptions(), comparisons=9, time=fake_time([], measurable=False))
    assert len(test.repetitions) == 1
    assert rates(test) == ()
    assert self_test(SIDE, [], TimingOptions(), comparisons=9).repetitions == ()


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [(0, 200, (0.0, 0.0182753)), (200, 200, (0.9817247, 1.0)), (1, 10, (0.0025286, 0.4450161))],
)
def test_exact_intervals(count, total, expected):
    """Published values of Clopper and Pearson's interval."""
    assert clopper_pearson(count, total) == pytest.approx(expected, abs=1e-6)
