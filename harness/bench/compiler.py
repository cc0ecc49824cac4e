"""The compiler: how long `torch.compile` took, told by the compiler itself and apart from what it compiled.

torch calls back when a compilation starts and ends (`torch._dynamo.on_compile_start`), the one that is put off to the
first backward pass included. A first call less a steady one is what is left where it does not. What a compiler keeps
between processes would make the second run of the same case look cheap, so it is given empty folders; and what it does
once per process (imports, headers) is done before anything is noted down.

`torch.compiler.reset()` also ends the listening, so that nothing else may call it meanwhile.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """One compilation: whether gradients were recorded when it was asked for, and whether it was of a backward pass."""

    training: bool
    backward: bool
    duration_s: float


@dataclass(slots=True)
class CompileLog:
    """Compilations of this process, as they end."""

    now_s: Callable[[], float] = time.perf_counter
    compilations: list[Compilation] = field(default_factory=list)
    _training: bool = False
    _start_s: float = 0.0

    def seconds_for(self, what: str) -> float | None:
        """Add up what was compiled for a pass, whichever pass had it compiled first.

        Args:
            what: name of the pass; all but `value` record gradients, and only a forward pass needs no backward.

        Returns:
            Seconds; None where nothing was compiled for it.
        """
        if what == "value":
            found = [each for each in self.compilations if not each.training and not each.backward]
        else:
            found = [each for each in self.compilations if each.training or each.backward]
        if what == "forward":
            found = [each for each in found if not each.backward]
        return sum(each.duration_s for each in found) if found else None

    def start(self, _: object) -> None:
        """Note the start of a compilation, as torch calls it."""
        self._training, self._start_s = torch.is_grad_enabled(), self.now_s()

    def end(self, told: Any) -> None:
        """Note the end of a compilation, as torch calls it."""
        trigger = getattr(getattr(told, "callback_trigger", None), "name", "")
        duration_s = self.now_s() - self._start_s
        self.compilations.append(
            Compilation(training=self._training, backward=trigger == "LAZY_BACKWARD", duration_s=duration_s)
        )


@contextmanager
def compile_log() -> Iterator[CompileLog]:
    """Drop what is compiled already, and listen to the compiler while the block runs."""
    from torch._dynamo.callback import callback_handler

    torch.compiler.reset()
    log = CompileLog()
    callback_handler.register_start_callback(log.start)
    callback_handler.register_end_callback(log.end)
    try:
        yield log
    finally:
        # A reset in the block has thrown out what listened.
        with suppress(ValueError):
            callback_handler.remove_start_callback(log.start)
        with suppress(ValueError):
            callback_handler.remove_end_callback(log.end)


@contextmanager
def fresh_compiler(device: torch.device) -> Iterator[None]:
    """Give the compiler empty caches while the block runs, and let it do first what it does once per process.

    Args:
        device: what it compiles for.
    """
    from torch._inductor.utils import fresh_cache

    with warnings.catch_warnings(action="ignore"), fresh_cache():
        with suppress(Exception):  # What keeps it from compiling this is the reason of every row that is compiled.
            warm = torch.compile(lambda tensor: tensor + 1, dynamic=False)
            warm(torch.zeros(8, device=device))
        yield
