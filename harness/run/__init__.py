"""Plan → execute → journal: one pipeline for every way in.

The package itself can be called: `harness.run(...)` is the Python entry to a run, while `harness.run.journal` and its
neighbours stay importable. (Importing any of them makes the package an attribute of `harness`, in place of a function
of that name.)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.records import Run
    from harness.run.options import Device, Effort, Kind


class _Callable(ModuleType):
    """This package, as something that can be called."""

    def __call__(
        self,
        paths: str | Path | Sequence[str | Path] = ("cases",),
        *,
        kinds: Sequence[Kind] = ("verify",),
        keyword: str | None = None,
        tags: Sequence[str] = (),
        seed: int = 0,
        device: Device = "cpu",
        effort: Effort = "standard",
        quick: bool = False,
        trust: Sequence[str] = (),
        out: str | Path | None = None,
        jobs: int | None = None,
        timeout_s: float | None = None,
        memory_gib: float | None = 8.0,
        strict: bool = False,
        inline: bool = True,
    ) -> Run:
        """Run case files and return what was found; a wrong gradient is in the records and never raises.

        Args:
            paths: case files and folders of them.
            kinds: any of verify, converge, power and benchmark.
            keyword: selects cases by id and title, as pytest's -k.
            tags: selects cases that carry all of these.
            seed: seed of every random draw.
            device: cpu, cuda or all.
            effort: quick, standard or thorough.
            quick: whether benchmarks make the short pass.
            trust: packages and folders whose Python code may run.
            out: directory for the journal; None writes nothing. `harness.write_report` writes the report.
            jobs: number of worker processes, when not `inline`.
            timeout_s: longest a job may take, when not `inline`.
            memory_gib: memory a job may take, when not `inline`.
            strict: whether the footer's exit code counts what is undecided as failed.
            inline: whether jobs run in this process, one by one; False isolates each in a worker process, and then
                the calling script needs the ``if __name__ == "__main__"`` guard, as always with multiprocessing.

        Returns:
            The run: its header, a record per job, and a footer with the exit code.

        Raises:
            CaseFileError: some case file cannot be used.
            UsageError: a path or an argument is wrong.
            NothingToRunError: there is nothing to do.
        """
        from harness.run.options import RunOptions
        from harness.run.run import run

        options = RunOptions(
            kinds=tuple(kinds), keyword=keyword, tags=tuple(tags), seed=seed, device=device, effort=effort, quick=quick,
            trust=tuple(trust), out=None if out is None else Path(out), jobs=jobs, timeout_s=timeout_s,
            memory_gib=memory_gib, strict=strict, inline=inline,
        )  # fmt: skip
        return run([paths] if isinstance(paths, str | Path) else paths, options)


sys.modules[__name__].__class__ = _Callable
