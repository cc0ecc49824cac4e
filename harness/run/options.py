"""What a run is asked to do, once, for every way in; no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.converge.grid import Grid

Kind = Literal["verify", "converge", "sweep", "power", "benchmark"]
Device = Literal["cpu", "cuda", "all"]
Effort = Literal["quick", "standard", "thorough"]

TIMEOUT_S: dict[Kind, float] = {"verify": 300.0, "converge": 300.0, "sweep": 900.0, "power": 900.0, "benchmark": 900.0}
"""Longest a job may take when no `timeout_s` is given: far above what shipped cases need, so that only hangs end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Everything a run needs besides its paths.

    Args:
        kinds: what to do with each case; "power" is a verification with every fault injected at every point;
            "benchmark" brings the verification it depends on.
        keyword: expression that selects cases by id and title, as pytest's -k.
        tags: cases must carry all of these.
        out: run directory; None writes nothing (the command line always names one).
        seed: seed of every random draw of the run.
        device: where subjects run.
        strict: whether what is undecided fails the run.
        jobs: number of worker processes; None is one per CPU core this process may use.
        trust: packages and folders whose Python code may run, besides what `[tool.harness]` trusts.
        timeout_s: longest a job may take; None is `TIMEOUT_S`.
        memory_gib: memory a job may take on top of what its worker needs to start; None is no cap.
        quick: whether benchmarks make the short pass.
        effort: how hard verification looks.
        baseline: file of blessed step counts that descents are compared with; None is the project's.
        bless: whether this run makes blessed counts: then nothing is compared.
        nudge: whether every descent starts a few roundings beside its start.
        grid: the learning rates a sweep tries; None is the optimizer's own grid.
        seeds: how many seeds a sweep descends from at each rate; None is as many as the entry says.
        inline: run jobs in this process, one by one: no time limit, no memory cap, and a crash takes everything down.
        command: the command line, as a person would type it; recorded in the header.
    """

    kinds: tuple[Kind, ...] = ("verify",)
    keyword: str | None = None
    tags: tuple[str, ...] = ()
    out: Path | None = None
    seed: int = 0
    device: Device = "cpu"
    strict: bool = False
    jobs: int | None = None
    trust: tuple[str, ...] = ()
    timeout_s: float | None = None
    memory_gib: float | None = 8.0
    quick: bool = False
    effort: Effort = "standard"
    baseline: Path | None = None
    bless: bool = False
    nudge: bool = False
    grid: Grid | None = None
    seeds: int | None = None
    inline: bool = False
    command: str = "harness.run"

    def limit_s(self, kind: Kind) -> float:
        """Return the longest a job of this kind may take, in seconds."""
        return TIMEOUT_S[kind] if self.timeout_s is None else self.timeout_s
