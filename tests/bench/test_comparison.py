"""Judging paired timings, on a simulated machine whose clock drifts, jumps, stutters and is interrupted."""

import json
import math
from dataclasses import asdict, dataclass, field, replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench.comparison import Decision, Margin, PairSamples, adjusted, confirm, screen, wide
from harness.bench.detectable import POWER, by_test
from harness.bench.statistics import Interval

MARGIN = Margin()
CALL_S = 1e-4
SEEDS = range(6)
QUIET = (Decision.SAME, Decision.INCONCLUSIVE)


@dataclass
class Machine:
    """A machine with a clock of its own: a call takes its time, times what the machine makes of it just then."""

    seed: int
    speed: object = None
    """(machine, side) → factor of the time a call takes."""
    noise: float = 0.01
    time_s: float = 0.0
    taken: int = 0
    random: Random = field(init=False)

    def __post_init__(self):
        self.random = Random(self.seed)

    def sample(self, side, call_s):
        """Time one sample of a side."""
        factor = self.speed(self, side) if self.speed else 1.0
        took = call_s * factor * math.exp(self.random.gauss(0.0, self.noise))
        self.time_s += 50 * took
        self.taken += 1
        return took

    def pair(self, head=1.0, samples=40, steady=True):
        """Time base and head alternately, in random order inside each pair; head takes `head` times as long."""
        times = {"base": [], "head": []}
        for _ in range(samples):
            for side in self.random.sample(("base", "head"), 2):
                times[side].append(self.sample(side, CALL_S * (head if side == "head" else 1.0)))
        return PairSamples(base=tuple(times["base"]), head=tuple(times["head"]), steady=steady)


def process_pairs(count, head=1.0, *, spread=0.01, seed=0, speed=None, samples=40):
    """Time fresh process pairs, which differ persistently by `spread`."""
    offsets = Random(f"offsets {seed}")
    return [
        Machine(seed=1000 * seed + place, speed=speed).pair(head * math.exp(offsets.gauss(0.0, spread)), samples)
        for place in range(count)
    ]


def decided(pairs):
    """Confirm a case that is the only one of its gate."""
    return adjusted([confirm(pairs, MARGIN)], MARGIN)[0].decision


def thermal(machine, side):
    """Slow down by 30 % while the processor heats up."""
    return 1.3 - 0.3 * math.exp(-machine.time_s / 0.15)


def thermal_of_head(machine, side):
    """Slow down by 20 % over the run, but in one process alone."""
    return 1.0 + (0.2 * machine.taken / 80 if side == "head" else 0.0)


def states(machine, side):
    """Run at one of two clock rates for about 80 ms at a time, for both sides."""
    return 1.25 if int(machine.time_s / 0.08) % 2 else 1.0


def states_by_chance(machine, side):
    """Run at one of two clock rates, drawn anew for every sample."""
    return 1.25 if machine.random.random() < 0.5 else 1.0


def states_of_head(machine, side):
    """Run head alone at two speeds, in turn."""
    return 1.15 if side == "head" and machine.taken % 8 < 4 else 1.0


def interrupts(machine, side):
    """Hit a tenth of the samples with an interrupt that makes them two to six times as long."""
    return machine.random.uniform(2.0, 6.0) if machine.random.random() < 0.1 else 1.0


def bursts_on_head(machine, side):
    """Hit head alone, for a fifth of the run, three times as long."""
    return 3.0 if side == "head" and 30 <= machine.taken < 46 else 1.0


def correlated(rho):
    """Vary the time of each side by 2 %, with a lag-1 correlation."""

    def speed(machine, side):
        memory = machine.__dict__.setdefault("memory", {"base": 0.0, "head": 0.0})
        memory[side] = rho * memory[side] + math.sqrt(1 - rho**2) * machine.random.gauss(0.0, 0.02)
        return math.exp(memory[side])

    return speed


NOISES = {
    "thermal": thermal,
    "thermal, head alone": thermal_of_head,
    "two rates": states,
    "two rates by chance": states_by_chance,
    "two rates, head alone": states_of_head,
    "interrupts": interrupts,
    "burst on head": bursts_on_head,
    "correlated 0.3": correlated(0.3),
    "correlated 0.6": correlated(0.6),
}
SHARED = ("thermal", "two rates", "interrupts", "correlated 0.3", "correlated 0.6")
"""What both sides go through alike, so that a slow-down can be told all the same."""


@pytest.mark.parametrize("noise", NOISES)
def test_noise_is_never_slower_when_screened(noise):
    """Whatever a machine does to equal code, one process pair does not show it slower."""
    judged = [screen(Machine(seed=seed, speed=NOISES[noise]).pair(), MARGIN) for seed in SEEDS]
    assert all(each.decision in QUIET for each in judged)


@pytest.mark.parametrize("noise", NOISES)
def test_noise_is_never_slower_when_confirmed(noise):
    """Nor do several process pairs that differ persistently by a per cent."""
    decisions = [decided(process_pairs(5, speed=NOISES[noise], seed=seed)) for seed in range(3)]
    assert all(decision in QUIET for decision in decisions)


@pytest.mark.parametrize("noise", SHARED)
def test_shared_noise_falls_out(noise):
    """What hits both sides alike leaves equal code the same."""
    assert decided(process_pairs(6, speed=NOISES[noise], spread=0.005)) is Decision.SAME


@pytest.mark.parametrize("noise", [None, *SHARED])
@pytest.mark.parametrize("factor", [1.05, 1.10])
def test_a_slow_down_is_found(noise, factor):
    """+5 % and +10 % are passed on by the screening and confirmed, noise or not."""
    speed = NOISES.get(noise)
    assert screen(Machine(seed=1, speed=speed).pair(factor), MARGIN).decision is not Decision.SAME
    assert decided(process_pairs(5, factor, speed=speed, seed=3, spread=0.005)) is Decision.SLOWER


def test_a_speed_up_is_found():
    """Head that takes 5 % less is faster, and a large speed-up shows in a single process pair."""
    assert decided(process_pairs(5, 1 / 1.05)) is Decision.FASTER
    assert screen(Machine(seed=1).pair(0.8), MARGIN).decision is Decision.FASTER


def test_a_large_slow_down_shows_in_one_process_pair():
    """+20 % lies above the margin with the whole interval, process differences included."""
    assert screen(Machine(seed=1).pair(1.2), MARGIN).decision is Decision.SLOWER


def test_equal_code_is_the_same():
    """A quiet machine and equal code: the whole interval lies inside the margin."""
    judged = screen(Machine(seed=0, noise=0.002).pair(), MARGIN)
    assert judged.decision is Decision.SAME
    assert judged.ratio.low < 1.0 < judged.ratio.high < 1.03


def test_one_process_pair_does_not_show_a_small_slow_down():
    """+4.5 %, measured without any noise, is not decided by one process pair: equal code may differ by that."""
    exact = PairSamples(base=(CALL_S,) * 40, head=(1.045 * CALL_S,) * 40, steady=True)
    assert screen(exact, MARGIN).decision is Decision.INCONCLUSIVE
    assert screen(exact, replace(MARGIN, processes=0.0)).decision is Decision.SLOWER


@pytest.mark.parametrize(
    ("noise", "word"), [("thermal, head alone", "drifts"), ("two rates, head alone", "two speeds")]
)
def test_the_reason_is_told(noise, word):
    """A one-sided drift and a one-sided change of speed are inconclusive, and it says why."""
    judged = screen(Machine(seed=2, speed=NOISES[noise]).pair(), MARGIN)
    confirmed = confirm(process_pairs(5, speed=NOISES[noise]), MARGIN)
    assert judged.decision is confirmed.decision is Decision.INCONCLUSIVE
    assert word in judged.reason
    assert word in confirmed.reason


@pytest.mark.parametrize("samples", [0, 1, 2, 7])
def test_few_samples_decide_nothing(samples):
    """One timing against one timing is no evidence, however far apart they are."""
    judged = screen(Machine(seed=0).pair(2.0, samples), MARGIN)
    assert (judged.decision, judged.ratio, judged.p) == (Decision.INCONCLUSIVE, None, None)
    assert "too few" in judged.reason


def test_single_samples_of_many_processes_decide_nothing():
    """A process that gave one sample shows nothing of its own spread, so it does not count."""
    assert decided(process_pairs(10, 1.5, samples=1)) is Decision.INCONCLUSIVE


@pytest.mark.parametrize("count", [0, 1, 4])
def test_few_process_pairs_confirm_nothing(count):
    """Fewer than five process pairs are inconclusive, and more are wanted."""
    pairs = process_pairs(count, 1.5)
    judged = confirm(pairs, MARGIN)
    assert (judged.decision, judged.p) == (Decision.INCONCLUSIVE, None)
    assert wide(pairs, MARGIN)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_times_that_are_none(bad):
    """Zeros and what is no number at all are left out, not divided by; alone, they decide nothing."""
    broken = PairSamples(base=(bad,) * 40, head=(CALL_S,) * 40, steady=True)
    assert screen(broken, MARGIN).decision is Decision.INCONCLUSIVE
    assert confirm([broken] * 5, MARGIN).decision is Decision.INCONCLUSIVE
    good = Machine(seed=0, noise=0.002).pair()
    mixed = replace(good, base=(bad, *good.base[1:]))
    assert screen(mixed, MARGIN).decision is Decision.SAME


def test_a_clock_that_mostly_reads_zero():
    """A base that mostly takes no time has no ratio, even where some of its samples have."""
    coarse = PairSamples(base=(0.0,) * 30 + (1e-6,) * 15, head=(1e-6,) * 45, steady=True)
    judged = screen(coarse, MARGIN)
    assert (judged.decision, judged.mde) == (Decision.INCONCLUSIVE, None)


def test_identical_samples():
    """A coarse clock that always reads the same is the same as itself, and its slow-down is found."""
    same = PairSamples(base=(CALL_S,) * 40, head=(CALL_S,) * 40, steady=True)
    slower = replace(same, head=(1.06 * CALL_S,) * 40)
    assert screen(same, MARGIN).decision is Decision.SAME
    assert decided([same] * 5) is Decision.SAME
    assert decided([slower] * 5) is Decision.SLOWER


def test_no_steady_state_is_not_judged():
    """Samples from before a steady state are inconclusive, however clear."""
    pair = Machine(seed=0).pair(1.5, steady=False)
    assert screen(pair, MARGIN).reason == "no steady state"
    assert "no steady state" in confirm([pair] * 5, MARGIN).reason


def test_a_doubtful_process_pair_is_set_aside():
    """One of six that drifts is left out; where most do, nothing is said."""
    good = process_pairs(5, 1.06, spread=0.005)
    drifting = process_pairs(6, speed=thermal_of_head)
    assert confirm([*good, drifting[0]], MARGIN).ratio.samples == 5
    assert confirm([*good, drifting[0]], MARGIN).decision is Decision.SLOWER
    assert confirm([*good, *drifting], MARGIN).decision is Decision.INCONCLUSIVE


def test_a_disturbed_process_pair_raises_no_alarm():
    """One process pair of five that is 30 % off lifts the mean over the margin, but not above its own spread."""
    pairs = [*process_pairs(4, spread=0.003), *process_pairs(1, 1.3, spread=0.0, seed=9)]
    judged = confirm(pairs, MARGIN)
    assert judged.ratio.point > 1.03
    assert judged.decision is Decision.INCONCLUSIVE
    assert "differ too much" in judged.reason


def test_a_significant_difference_below_the_margin_does_not_matter():
    """+1.5 %, known for certain, is not slower."""
    judged = confirm(process_pairs(8, 1.015, spread=0.002), MARGIN)
    assert judged.p < 1e-3
    assert judged.decision is Decision.SAME


def test_the_absolute_floor():
    """40 ns on calls of 200 ns are 20 %, and below the floor all the same; 80 ns are not."""
    base = (200e-9,) * 40
    by_40, by_80 = (PairSamples(base=base, head=(200e-9 + more,) * 40, steady=True) for more in (40e-9, 80e-9))
    assert screen(by_40, MARGIN).decision is Decision.SAME
    assert screen(by_40, MARGIN).threshold == pytest.approx(0.25)
    assert decided([by_40] * 5) is Decision.SAME
    assert decided([by_80] * 5) is Decision.SLOWER


@given(st.integers(min_value=0, max_value=10**6), st.sampled_from(["screen", "confirm"]))
@settings(max_examples=20, deadline=None)
def test_swapped_sides_give_the_mirror_image(seed, step):
    """What is slower one way round is faster the other way round, by the same interval."""
    pairs = process_pairs(5, 1.0 + (seed % 10) / 100, seed=seed)
    swapped = [replace(pair, base=pair.head, head=pair.base) for pair in pairs]
    judge = (lambda each: screen(each[0], MARGIN)) if step == "screen" else (lambda each: confirm(each, MARGIN))
    one, other = judge(pairs), judge(swapped)
    mirrored = {Decision.SLOWER: Decision.FASTER, Decision.FASTER: Decision.SLOWER}
    assert other.decision is mirrored.get(one.decision, one.decision)
    assert other.ratio.low == pytest.approx(1.0 / one.ratio.high)


def test_a_judgement_follows_from_recorded_samples():
    """Samples that went through JSON are judged as they were, to the last bit."""
    pairs = process_pairs(5, 1.03, speed=correlated(0.6))
    again = [PairSamples(**json.loads(json.dumps(asdict(pair)))) for pair in pairs]
    again = [replace(pair, base=tuple(pair.base), head=tuple(pair.head)) for pair in again]
    assert [screen(pair, MARGIN) for pair in again] == [screen(pair, MARGIN) for pair in pairs]
    assert confirm(again, MARGIN) == confirm(pairs, MARGIN)


@given(st.floats(min_value=0.5, max_value=2.0), st.integers(min_value=0, max_value=1000))
@settings(max_examples=25, deadline=None)
def test_stopping_looks_at_the_width_alone(factor, seed):
    """Whether more process pairs are run does not change when all of head is slower or faster."""
    pairs = process_pairs(5, spread=0.004 * (1 + seed % 5), seed=seed)
    moved = [replace(pair, head=tuple(factor * time for time in pair.head)) for pair in pairs]
    assert wide(moved, MARGIN) == wide(pairs, MARGIN)


def test_stopping():
    """Five process pairs that agree are enough; five that do not are too few, and ten are better."""
    assert not wide(process_pairs(5, spread=0.003), MARGIN)
    assert wide(process_pairs(5, spread=0.03), MARGIN)
    assert not wide(process_pairs(10, spread=0.015), MARGIN)


def test_chance_findings_among_many_are_dropped():
    """A slow-down with p = 0.03 alone stands; as one of fifty tests it does not, and its detectable effect grows."""
    chance = replace(confirm(process_pairs(5, 1.05, spread=0.01), MARGIN), p=0.03)
    null = confirm(process_pairs(5, spread=0.01, seed=1), MARGIN)
    alone, among = (adjusted([chance, *[null] * more], MARGIN)[0] for more in (0, 49))
    assert (alone.decision, among.decision) == (Decision.SLOWER, Decision.INCONCLUSIVE)
    assert among.p > alone.p == pytest.approx(0.03)
    assert among.mde > alone.mde


def test_what_was_not_tested_takes_no_part():
    """Screened rows are handed back as they are, in place, and do not make the test of the others stricter."""
    screened = screen(Machine(seed=0, noise=0.002).pair(), MARGIN)
    slower = replace(confirm(process_pairs(5, 1.06, spread=0.004), MARGIN), p=0.04)
    first, second, *_ = adjusted([screened, slower, *[screened] * 98], MARGIN)
    assert first is screened
    assert second.decision is Decision.SLOWER
    assert adjusted([screened], MARGIN) == (screened,)


def test_the_detectable_effect_is_found_as_often_as_it_says():
    """Effects of the size stated are confirmed in nine of ten simulated experiments."""
    rng = np.random.default_rng(5)
    for count, spread in ((5, 0.02), (10, 0.01)):
        effect = by_test(spread / math.sqrt(count), count, 0.03, 0.05)
        drawn = rng.normal(math.log1p(effect), spread, (4000, count))
        mean, error = drawn.mean(axis=1), drawn.std(axis=1, ddof=1) / math.sqrt(count)
        critical = {5: 2.1318, 10: 1.8331}[count]  # one-sided 5 % points of Student's t, from tables
        found = np.mean((mean / error > critical) & (mean >= math.log1p(0.03)))
        assert POWER - 0.03 <= found <= POWER + 0.03


def test_more_process_pairs_find_smaller_effects():
    """The detectable effect shrinks with the number of process pairs and grows with their spread."""
    few, many, wild = (
        confirm(process_pairs(count, spread=spread), MARGIN).mde for count, spread in ((5, 0.01), (10, 0.01), (5, 0.04))
    )
    assert 0.03 < many < few < wild


def test_a_ratio_says_what_it_is_of():
    """A confirmed ratio is an interval at 1 − 2α with as many observations as process pairs."""
    ratio = confirm(process_pairs(5, 1.05), MARGIN).ratio
    assert isinstance(ratio, Interval)
    assert (ratio.samples, ratio.confidence) == (5, pytest.approx(0.9))
    assert ratio.low < 1.05 < ratio.high
