"""One side's workloads, in this process and on a clock of the test's own."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import pytest
import torch

from harness.bench.block import Block
from harness.case.trust import Trust
from harness.errors import UsageError
from harness.gate import subjects as module
from harness.gate.protocol import Calibrate, Prepare, Sample, decode_answer, encode_request
from harness.gate.records import Candidate, Workload
from harness.gate.subjects import Subjects
from harness.gate.worker import serve

CASE = """\
case: squares
title: Sum of squares
dims: {n: [4]}
inputs: {x: {shape: [n]}}
function: sum(x*x)
benchmark: {sweep: {n: [8, 2, 4]}}
"""


@dataclass
class Clock:
    """Time passes with every call of a block, as the work says, and with every look at the clock."""

    per_call_s: object = lambda: 1e-3
    name: str = "cpu"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    time_s: float = 0.0
    calls: list[int] = field(default_factory=list)

    def now_s(self):
        self.time_s += 1e-5
        return self.time_s

    def block(self, call, calls):
        self.calls.append(calls)
        for _ in range(calls):
            call()
        return Block(time_s=calls * self.per_call_s())

    def settle(self):
        """Nothing is under way."""


@pytest.fixture
def clock(monkeypatch):
    """The clock that everything is timed with."""
    made = Clock()
    monkeypatch.setattr(module, "clock_for", lambda device: made)
    monkeypatch.setattr(module.Queue, "waited_s", lambda queue: 0.0)
    return made


def side(folder, text=CASE, *, seed=0, slowest_call_s=0.05):
    folder.mkdir(exist_ok=True)
    (folder / "a.yaml").write_text(text)
    return Subjects(folder, folder / "other", Trust(), seed, slowest_call_s)


def work(**changes):
    return Workload(**{"case": "squares", "path": "a.yaml", "what": "value", "sizes": (("n", 4),), **changes})


CANDIDATE = Candidate(
    case="squares", path="a.yaml", passes=("value",), sizes=tuple((("n", n),) for n in (8, 2, 4)), dtype="float32"
)


@pytest.mark.parametrize(
    ("limit_s", "expected"), [(1.0, (2, 8)), (0.005, (2, 4)), (0.002, (2,)), (0.0005, (2,)), (0.0001, ())]
)
def test_sizes_are_the_smallest_and_the_largest_that_is_quick_enough(tmp_path, clock, limit_s, expected):
    """A call takes 1 ms per element of n; the smallest size may take five times the limit, or there is none."""
    subjects = side(tmp_path, slowest_call_s=limit_s)
    clock.per_call_s = lambda: {2: 0.0005 * 2, 4: 0.004, 8: 0.008}[int(subjects._ready.setting.values["x"].numel())]
    found = subjects.survey(CANDIDATE)
    assert tuple(dict(sizes)["n"] for sizes in found.sizes) == expected
    assert found.elements == expected
    assert bool(found.reason) == (not expected)


def test_a_block_is_timed_per_call_after_its_prefix(tmp_path, clock):
    """The prefix runs and is not counted."""
    subjects = side(tmp_path)
    subjects.prepare(work())
    del clock.calls[:]
    assert subjects.sample(20, 3, 0.0).per_call_s == pytest.approx(1e-3)
    assert clock.calls == [3, 20]


@pytest.mark.parametrize(("calls", "share", "block"), [(100, 0.05, 105), (20, 0.05, 21), (30, 0.05, 31), (4, 0.1, 4)])
def test_what_is_injected_is_real_calls_and_a_rest(tmp_path, clock, calls, share, block):
    """Whole calls are run in the block, a fraction of a call is spent doing nothing; together they are the share."""
    subjects = side(tmp_path)
    subjects.prepare(work())
    del clock.calls[:]
    assert subjects.sample(calls, 0, share).per_call_s == pytest.approx(1e-3 * (1 + share), rel=0.01)
    assert clock.calls == [block]


def test_waiting_for_the_core_is_not_counted(tmp_path, clock, monkeypatch):
    """Time in the scheduler's queue is the machine's, not the code's; more of it than time is a clock's error."""
    subjects = side(tmp_path)
    subjects.prepare(work())
    waited = iter([0.0, 0.004, 0.004, 1.0])
    monkeypatch.setattr(module.Queue, "waited_s", lambda queue: next(waited))
    assert subjects.sample(10, 0, 0.0).per_call_s == pytest.approx(0.6e-3)
    assert 0 < subjects.sample(10, 0, 0.0).per_call_s < 1e-9


def test_inputs_are_the_same_on_both_sides_and_follow_the_seed(tmp_path, clock):
    """Two trees draw the same inputs; another seed, another size or another draw gives others."""
    digests = [
        side(tmp_path / "a").prepare(work()).inputs,
        side(tmp_path / "b").prepare(work()).inputs,
        side(tmp_path / "c", seed=1).prepare(work()).inputs,
        side(tmp_path / "d").prepare(work(sizes=(("n", 2),))).inputs,
        side(tmp_path / "e", CASE.replace("{shape: [n]}", "{shape: [n], draw: positive}")).prepare(work()).inputs,
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_passes_at_one_size_share_their_inputs(tmp_path, clock):
    """Drawing takes longer than timing: the setting stays while only the pass changes."""
    subjects = side(tmp_path)
    subjects.prepare(work())
    first = subjects._ready
    subjects.prepare(work(what="backward"))
    assert subjects._ready is first
    subjects.prepare(work(sizes=(("n", 2),)))
    assert subjects._ready is not first


def test_counts_are_of_what_is_prepared(tmp_path, clock):
    """One call's operators."""
    subjects = side(tmp_path)
    subjects.prepare(work())
    assert subjects.count().counts.operator_calls == 2


@pytest.mark.parametrize("ask", [lambda s: s.sample(1, 0, 0.0), lambda s: s.calibrate(1e-3), lambda s: s.count()])
def test_nothing_prepared_is_an_error(tmp_path, clock, ask):
    """Requests have an order."""
    with pytest.raises(UsageError, match="nothing is prepared"):
        ask(side(tmp_path))


def test_a_case_the_tree_does_not_have_is_refused(tmp_path, clock):
    """The message names the case and the file."""
    with pytest.raises(UsageError, match=r"Cannot time other: a.yaml"):
        side(tmp_path).prepare(work(case="other"))


def test_requests_are_answered_one_by_one(tmp_path, clock):
    """Each line has one answer, and a request that cannot be met does not end the process."""
    requests = [
        Sample(calls=1),
        Prepare(workload=work()),
        Calibrate(sample_s=5e-3),
        Sample(calls=5),
        Prepare(workload=work(case="no")),
    ]
    answers = io.BytesIO()
    serve(side(tmp_path), io.BytesIO(b"".join(map(encode_request, requests))), answers)
    found = [decode_answer(line) for line in answers.getvalue().splitlines()]
    assert [answer.kind for answer in found] == ["failed", "prepared", "calibrated", "sampled", "failed"]
    assert found[2].calls == 5
    assert found[3].per_call_s == pytest.approx(1e-3)
