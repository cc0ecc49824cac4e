"""The exact command lines that repeat a result, as a person would type them.

Strings only: nothing here runs anything, and neither torch nor a case file is touched.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

SUBCOMMANDS = {"verify": "verify", "converge": "converge", "power": "power", "benchmark": "bench"}
"""The subcommand of `harness` that makes each kind of record."""


def repeat_command(path: str | Path, case_id: str, seed: int, kind: str = "verify") -> str:
    """Return the command that repeats one case of one file.

    Args:
        path: the case file.
        case_id: the case's id, used as the `-k` expression.
        seed: the run's seed.
        kind: kind of the job: verify, converge, power or benchmark.

    Returns:
        A line for a POSIX shell, such as ``harness verify cases/square.yaml -k square --seed 0``.

    Raises:
        ValueError: for a kind of record that no subcommand makes.
    """
    if kind not in SUBCOMMANDS:
        kinds = ", ".join(SUBCOMMANDS)
        raise ValueError(f"Cannot name a command: kind={kind!r} makes no record. Use one of {kinds}.")
    return shlex.join(["harness", SUBCOMMANDS[kind], str(path), "-k", case_id, "--seed", str(seed)])


def with_trust(command: str, trust: Sequence[str]) -> str:
    """Return a command that trusts the same Python code as the run did, besides what is configured."""
    return " ".join([command, *(f"--trust {shlex.quote(entry)}" for entry in trust)])


def rates_command(
    path: str | Path, case_id: str, seed: int, *, grid: str | None = None, seeds: int | None = None, device: str = "cpu"
) -> str:
    """Return the command that repeats a sweep over learning rates.

    Args:
        path: the case file.
        case_id: the case's id, used as the `-k` expression.
        seed: the run's seed.
        grid: as ``--grid`` takes it; None is the optimizer's own.
        seeds: how many seeds; None is as many as the entry says.
        device: where it ran.
    """
    words = ["harness", "converge", str(path), "-k", case_id, "--seed", str(seed), "--sweep", "lr"]
    words += [] if grid is None else ["--grid", grid]
    words += [] if seeds is None else ["--seeds", str(seeds)]
    words += [] if device == "cpu" else ["--device", device]
    return shlex.join(words)


def sweep_command(
    operator: str, seed: int, *, dtype: str = "float64", samples: int | None = None, device: str = "cpu"
) -> str:
    """Return the command that repeats one of PyTorch's operators: ``harness torch addmm --seed 0 --samples 3``."""
    words = ["harness", "torch", operator, "--seed", str(seed)]
    words += [] if samples is None else ["--samples", str(samples)]
    words += [] if dtype == "float64" else ["--dtype", dtype]
    words += [] if device == "cpu" else ["--device", device]
    return shlex.join(words)


def optimizers_command(name: str, seed: int, *, device: str = "cpu", thorough: bool = False) -> str:
    """Return the command that repeats one of PyTorch's optimizers: ``harness optimizers Adam --seed 0``."""
    words = ["harness", "optimizers", name, "--seed", str(seed)]
    words += [] if device == "cpu" else ["--device", device]
    words += ["--effort", "thorough"] if thorough else []
    return shlex.join(words)
