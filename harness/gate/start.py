"""Start a pair of timing processes: which command, in which surroundings, on which core. Values and one function."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random

from harness.gate.options import TimingOptions
from harness.gate.pair import Pair
from harness.gate.process import LostError, TimingProcess
from harness.gate.records import Side

WORKER = "harness.gate.worker"

KEPT_MEMORY: Mapping[str, str] = {"MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2), "MALLOC_TRIM_THRESHOLD_": str(1024**3)}
"""Memory that is let go stays with the process (glibc). Otherwise blocks of some sizes go back to the system and come
anew with every call, or do not, as the heap of each process happens to lie: two processes of the same code then differ
by tens of per cent for good."""


def start_pair(base: Side, head: Side, options: TimingOptions, number: int) -> Pair:
    """Start both processes and wait until they are ready.

    Both run on one core, so that whatever else the machine does slows both; the cores take turns from pair to pair.
    Each pair has a hash seed of its own, which its processes share: the order of sets is no difference between them.

    Args:
        base: the base side.
        head: the head side.
        options: how they time.
        number: the pair's number: with the seed, it gives the core and every random choice.

    Raises:
        LostError: one of them did not come up; says of which side, and what it said.
    """
    order = Random(f"{options.seed} pair {number}")
    environment = {**os.environ, **KEPT_MEMORY, "PYTHONHASHSEED": str(order.randrange(1, 2**32))}
    environment |= {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    core = core_for(number) if options.threads == 1 else None
    started: list[TimingProcess] = []
    try:
        for side, other in ((base, head), (head, base)):
            command = command_of(side, other, options, core)
            with _named(side):
                process = TimingProcess(command, side.root, limit_s=options.limit_s, environment=environment)
            started.append(process)
        for side, process in zip((base, head), started, strict=True):
            with _named(side):
                process.greet()
    except BaseException:
        for process in started:
            process.close()
        raise
    return Pair(started[0], started[1], options, order)


@contextmanager
def _named(side: Side) -> Iterator[None]:
    """Say which side's process did not start."""
    try:
        yield
    except LostError as lost:
        raise LostError(f"Cannot time the {side.name} ({side.shown or side.root}): {lost}") from lost


def core_for(number: int) -> int | None:
    """Return the core a pair runs on, one after the other of those this process may use; None where none can be set."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return cores[number % len(cores)]


def command_of(side: Side, other: Side, options: TimingOptions, core: int | None) -> list[str]:
    """Return the command line of one side's process."""
    command = [side.python, "-P", "-m", WORKER, "--other", other.root, "--threads", str(options.threads)]
    command += ["--seed", str(options.seed), "--slowest-call-s", str(options.slowest_call_s)]
    command += [part for entry in side.trust for part in ("--trust", entry)]
    command += [] if core is None else ["--core", str(core)]
    command += [] if options.memory_gib is None else ["--memory-gib", str(options.memory_gib)]
    return command + (["--injected", str(options.injected)] if side.name == "head" and options.injected else [])
