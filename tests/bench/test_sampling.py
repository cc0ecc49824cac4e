"""Sampling on a fake clock: calls per sample, warm-up, budgets, interleaving, and what happens when work raises."""

import gc
from dataclasses import replace
from random import Random

import pytest

from harness.bench.sampling import FULL, QUICK, Work, resting_collector, sample
from harness.bench.statistics import paired_ratio


def spending(clock, seconds, log=None, name=""):
    """Work that takes some time of a fake clock and writes its name into a log."""

    def call():
        clock.spend(seconds)
        if log is not None:
            log.append(name)

    return Work(call=call)


def one(work, clock, effort=FULL):
    """Sample a single piece of work."""
    (measurement,) = sample([work], clock, effort, Random(0))
    return measurement


def test_a_sample_is_as_long_as_asked(fake_clock):
    """Calls of 1 ms are made five at a time for samples of 5 ms."""
    assert one(spending(fake_clock, 1e-3), fake_clock).calls == 5


def test_a_slow_call_is_a_sample(fake_clock):
    """A call longer than a sample is timed alone."""
    assert one(spending(fake_clock, 0.02), fake_clock).calls == 1


def test_an_interrupted_block_does_not_set_the_calls(fake_clock):
    """One slow block while the calls are counted is not taken for the work's own time."""
    made = []

    def call():
        made.append(1)
        fake_clock.spend(1e-4 if len(made) != 2 else 2e-3)

    assert one(Work(call=call), fake_clock).calls == 50


def test_samples_are_seconds_per_call(fake_clock):
    """What is kept is the time of one call, not of the block."""
    assert set(one(spending(fake_clock, 1e-3), fake_clock).samples) == {1e-3}


def test_calls_are_bounded_where_preparing_them_takes_memory(fake_clock):
    """Work that prepares each call says how many at most."""
    work = replace(spending(fake_clock, 1e-6), most_calls=32)
    assert one(work, fake_clock).calls == 32


def test_at_most_the_samples_asked_for(fake_clock):
    """Fast work ends after `samples` samples."""
    assert len(one(spending(fake_clock, 1e-3), fake_clock).samples) == FULL.samples


def test_the_budget_ends_sampling(fake_clock):
    """Slow work ends when its time is used up, with no fewer than `fewest` samples."""
    assert len(one(spending(fake_clock, 0.2), fake_clock).samples) == FULL.fewest


def test_the_limit_ends_sampling_however_few_there_are(fake_clock):
    """Work that takes for ever is not sampled `fewest` times."""
    assert len(one(spending(fake_clock, 9.0), fake_clock).samples) == 3


def test_the_quick_pass_is_short(fake_clock):
    """A quick timing stays within a tenth of a second, warm-up and all."""
    one(spending(fake_clock, 1e-4), fake_clock, QUICK)
    assert fake_clock.time_s < 0.1


def test_the_first_call_is_a_figure_of_its_own(fake_clock):
    """What is compiled at the first call does not get into the samples."""
    pending = [3.0]
    work = Work(call=lambda: fake_clock.spend(1e-3 + (pending.pop() if pending else 0.0)))
    measurement = one(work, fake_clock)
    assert (measurement.first_call_s, max(measurement.samples)) == (pytest.approx(3.001), 1e-3)


def test_the_first_call_waits_for_the_device(fake_clock):
    """The device is settled before and after the first call, which is timed on the host."""
    one(spending(fake_clock, 1e-3), fake_clock)
    assert fake_clock.settled == 2


def test_what_is_prepared_is_not_timed(fake_clock):
    """Time spent before a block is outside its figure."""
    work = replace(spending(fake_clock, 1e-3), before=lambda calls: fake_clock.spend(0.01 * calls))
    assert set(one(work, fake_clock).samples) == {1e-3}


def test_every_block_is_prepared_for_its_calls(fake_clock):
    """As many calls are prepared as are made."""
    balance = [0]

    def before(calls):
        balance[0] += calls

    def call():
        balance[0] -= 1
        fake_clock.spend(1e-3)

    one(Work(call=call, before=before), fake_clock)
    assert balance == [0]


def test_constant_work_is_steady(fake_clock):
    """Two windows of equal samples end the warm-up."""
    assert one(spending(fake_clock, 1e-3), fake_clock).steady


def test_drifting_work_is_not_steady(fake_clock):
    """Work that gets slower with every call never reaches a steady state, and the warm-up ends all the same."""
    length = [6e-3]

    def call():
        length[0] *= 1.01
        fake_clock.spend(length[0])

    assert not one(Work(call=call), fake_clock).steady


def test_work_that_raises_is_an_error_with_its_reason(fake_clock):
    """The reason and the traceback are kept; nothing is raised."""

    def call():
        raise ValueError("no such size")

    measurement = one(Work(call=call), fake_clock)
    assert (measurement.error, measurement.samples) == ("ValueError: no such size", ())


def test_work_that_raises_later_keeps_its_samples(fake_clock):
    """Samples taken before an error stay, beside the error."""
    left = [400]

    def call():
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("worn out")
        fake_clock.spend(1e-3)

    measurement = one(Work(call=call), fake_clock)
    assert (measurement.error, len(measurement.samples) > 0) == ("RuntimeError: worn out", True)


def test_the_others_go_on(fake_clock):
    """An error of one piece of work takes no sample from another."""

    def call():
        raise ValueError("no")

    _, good = sample([Work(call=call), spending(fake_clock, 1e-3)], fake_clock, FULL, Random(0))
    assert (good.error, len(good.samples)) == (None, FULL.samples)


def test_an_interrupt_is_not_a_result(fake_clock):
    """Ctrl-C goes through, and the collector runs again."""

    def call():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one(Work(call=call), fake_clock)
    assert gc.isenabled()


def rounds_of(order, clock_type, names="abc", rounds=4):
    """The order in which equally slow pieces of work are sampled, round by round."""
    clock, log = clock_type(), []
    effort = replace(FULL, samples=rounds, fewest=rounds)
    sample([spending(clock, 5e-3, log, name) for name in names], clock, effort, order)
    taken = "".join(log)[-rounds * len(names) :]
    return [taken[start : start + len(names)] for start in range(0, len(taken), len(names))]


def test_each_round_has_every_piece_once(make_fake_clock):
    """Pieces are interleaved: no round goes by without one of them."""
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds_of(Random(0), make_fake_clock))


def test_rounds_differ_in_their_order(make_fake_clock):
    """The order inside a round is random, so that no piece always follows the same other."""
    assert len(set(rounds_of(Random(0), make_fake_clock, rounds=8))) > 1


def test_the_order_follows_from_the_seed(make_fake_clock):
    """One seed gives one order, another seed another."""
    first, again, other = (rounds_of(Random(seed), make_fake_clock, rounds=8) for seed in (0, 0, 1))
    assert first == again != other


def test_a_slow_spell_hits_all_alike(fake_clock):
    """When the machine slows down by half for good, the ratio of two equal pieces of work stays at one."""
    calls = [0]

    def call():
        calls[0] += 1
        fake_clock.spend(5e-3 if calls[0] < 100 else 7.5e-3)

    first, second = sample([Work(call=call), Work(call=call)], fake_clock, FULL, Random(0))
    assert paired_ratio(first.samples, second.samples).point == pytest.approx(1.0)


def test_the_collector_rests_and_is_restored():
    """Inside, the collector is off and what exists is frozen; afterwards everything is as before."""
    with resting_collector():
        inside = (gc.isenabled(), gc.get_freeze_count() > 0)
    assert (inside, gc.isenabled(), gc.get_freeze_count()) == ((False, True), True, 0)


def test_garbage_is_collected_before_sampling(no_collecting):
    """What is left over from before is not carried along: one collection, at the start."""
    with resting_collector():
        assert no_collecting == [1]


def test_a_collector_that_was_off_stays_off():
    """A caller who switched collecting off finds it off."""
    gc.disable()
    try:
        with resting_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_caller_who_froze_objects_keeps_them_frozen():
    """Objects the caller froze are not given back to the collector."""
    gc.freeze()
    try:
        with resting_collector():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
