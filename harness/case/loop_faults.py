"""What the keys of a training loop ask of each other, told when the case file is read. Nothing is run here."""

from __future__ import annotations

from collections.abc import Iterator

from harness.case.schema import ConvergeModel


def loop_faults(entry: ConvergeModel, *, module: bool) -> Iterator[tuple[str, str]]:
    """Yield every key of a convergence entry that asks for what cannot be, with what is wrong.

    Args:
        entry: the entry.
        module: whether the case's subject is Python code, which may be a module.
    """
    if entry.accumulate > 1 and entry.batches is None:
        yield "accumulate", "gradients are accumulated over mini-batches, and the entry declares no `batches`"
    if entry.schedule is not None and entry.schedule.every == "epoch" and entry.batches is None:
        yield "schedule", "`every: epoch` needs epochs, and the entry declares no `batches`"
    if entry.clip is not None and (entry.clip.norm is None) == (entry.clip.value is None):
        yield "clip", "say either `norm` or `value`"
    if entry.autocast is not None and entry.dtype != "float32":
        yield "autocast", "mixed precision needs float32 parameters: set `dtype: float32`"
    if entry.gradient == "analytic" and (entry.accumulate > 1 or entry.autocast is not None):
        yield "gradient", "gradient accumulation and mixed precision are autograd's: leave out `gradient: analytic`"
    if entry.resume and entry.fresh:
        yield "resume", "fresh inputs have no loader whose place could be stored; use `batches`"
    if entry.moved and not module:
        yield "moved", "only a module can be moved; the case's function is an expression"
