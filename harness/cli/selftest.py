"""`harness gate --self-test`: how often the gate is wrong on this machine, as `harness.gate.selftest` measures it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.gate.options import TimingOptions
from harness.records import ExitCode

SAMPLES = "selftest.json"
TABLE = "selftest.md"


def run_self_test(
    paths: Sequence[str],
    options: TimingOptions,
    directory: Path,
    *,
    keyword: str | None,
    tags: Sequence[str],
    trust: Sequence[str],
    comparisons: int,
) -> int:
    """Time the working tree against itself, as it is and slowed down, and print how the gate judged it.

    The raw samples are written after every repetition, so an interrupted self-test keeps what it has.

    Args:
        paths: case files and folders of them.
        options: how to time.
        directory: run directory; it exists.
        keyword: chooses cases, as pytest's -k.
        tags: cases must carry all of these.
        trust: packages and folders whose code may run.
        comparisons: how many for each slow-down, at least.

    Returns:
        0, or 3 when nothing could be timed.

    Raises:
        UsageError: a path or an option is wrong.
        NothingToRunError: there is no case.
    """
    from harness.case.load import load_cases
    from harness.gate.selftest import SelfTest, rates, self_test, table, to_json
    from harness.gate.trees import working_tree
    from harness.gate.workloads import candidates
    from harness.run.environment import environment as current
    from harness.terminal.gate import gate_progress

    def keep(test: SelfTest) -> None:
        (directory / SAMPLES).write_text(to_json(test), encoding="utf-8")

    side = working_tree(Path.cwd(), trust=trust)
    chosen, _ = candidates(load_cases(paths, keyword=keyword, tags=tags), Path(side.root), options)
    with gate_progress() as show:
        found = self_test(
            side,
            chosen,
            options,
            comparisons=comparisons,
            environment=current(),
            on_progress=show,
            on_repetition=keep,
        )
    keep(found)
    text = table(rates(found))
    (directory / TABLE).write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"{text}\n\nSamples: {directory / SAMPLES}\n")
    measured = any(row.screened is not None for one in found.repetitions for row in one.rows)
    return ExitCode.PASSED if measured else ExitCode.UNDECIDED
