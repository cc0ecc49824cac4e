"""The compiler's own time: told apart by what was compiled, in any order, and nobody is listened to afterwards."""

from types import SimpleNamespace

import pytest
import torch
from torch._dynamo.callback import callback_handler

from harness.bench.compiler import Compilation, CompileLog, compile_log
from harness.bench.timings import with_compile_time
from harness.records import Outcome, Timing

ROW = Timing(
    outcome=Outcome.PASS, message="timed", what="value", variant="compile", device="cpu", dtype="float32",
    first_call_s=3.0, median_s=0.5,
)  # fmt: skip


def told(trigger):
    """What torch tells at the start and the end of a compilation."""
    return SimpleNamespace(callback_trigger=SimpleNamespace(name=trigger))


def compilation(duration_s, *, training, backward=False):
    """A compilation that took so long."""
    return Compilation(training=training, backward=backward, duration_s=duration_s)


def test_what_torch_tells_is_noted():
    """Start to end is a compilation's time; gradients and backward passes are told apart."""
    times = iter((1.0, 3.0, 10.0, 10.5, 20.0, 24.0))
    log = CompileLog(now_s=lambda: next(times))
    with torch.no_grad():
        log.start(told("DYNAMO"))
        log.end(told("DYNAMO"))
    for trigger in ("DYNAMO", "LAZY_BACKWARD"):
        log.start(told(trigger))
        log.end(told(trigger))
    assert log.compilations == [
        compilation(2.0, training=False),
        compilation(0.5, training=True),
        compilation(4.0, training=True, backward=True),
    ]


@pytest.mark.parametrize(
    ("what", "seconds"), [("value", 1.0), ("forward", 2.0), ("backward", 6.0), ("forward_backward", 6.0)]
)
def test_a_pass_is_given_what_was_compiled_for_it(what, seconds):
    """A backward pass needs its forward pass compiled too; who had it compiled first does not matter."""
    done = [compilation(1.0, training=False), compilation(2.0, training=True)]
    log = CompileLog(compilations=[compilation(4.0, training=False, backward=True), *done])
    assert log.seconds_for(what) == seconds


def test_nothing_compiled_is_not_zero():
    """Where the compiler told nothing there is no figure, and the first call less the median stands in, said so."""
    assert CompileLog().seconds_for("value") is None
    stand_in = with_compile_time(ROW, None)
    assert (stand_in.compile_s, stand_in.message) == (2.5, "timed; compile time: the first call less the median")
    assert with_compile_time(ROW, 2.0).compile_s == 2.0
    assert with_compile_time(ROW, 2.0).message == "timed"


def test_torch_is_listened_to_while_it_compiles():
    """Torch calls back for a forward and a backward pass, once each, and not for a second call."""
    point = torch.ones(3, requires_grad=True)
    with compile_log() as log:
        square = torch.compile(lambda values: (values**2).sum(), backend="aot_eager", dynamic=False)
        for _ in range(2):
            torch.autograd.grad(square(point), point)
        kinds = [(each.training or each.backward, each.backward) for each in log.compilations]
    assert kinds.count((True, False)) == 1
    assert len(kinds) == len(set(kinds))
    assert log.start not in callback_handler.start_callbacks
    assert log.end not in callback_handler.end_callbacks


def test_a_reset_meanwhile_is_no_fault():
    """A reset throws out what listens; leaving the block afterwards raises nothing."""
    with compile_log():
        torch.compiler.reset()
    assert not callback_handler.start_callbacks
