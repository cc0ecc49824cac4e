"""A sweep over PyTorch's own operators: chosen from its operator database, then run as any other jobs are.

With a baseline it is a gate: what is worse than before decides the exit code, and what was wrong already does not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.case.operators import DATABASE, choose_operators, load_database
from harness.records import ExitCode, Run
from harness.run.baseline import changes, check_comparable
from harness.run.changes import Change
from harness.run.execute import OnRunning, untold, warm_up
from harness.run.journal import read_run
from harness.run.options import RunOptions
from harness.run.plan import plan_operators
from harness.run.run import OnPlan, OnRecord, carry_out, check_options, exit_code
from harness.run.work import OPERATOR_PART

SAMPLES = 3
TIMEOUT_S = 120.0
"""Longest one operator may take when no other limit is given: several times its budget for three samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep is asked for besides what every run is.

    Args:
        names: exact names of operators; none means all that `RunOptions.keyword` selects.
        dtype: what samples are drawn in.
        samples: how many of each operator's samples are verified.
        baseline: a results.jsonl of an earlier sweep, or its directory.
        database: where the operators are listed, see `harness.case.operators.load_database`.
    """

    names: tuple[str, ...] = ()
    dtype: str = "float64"
    samples: int = SAMPLES
    baseline: Path | None = None
    database: str = DATABASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep found; `changes` is None when there was no baseline."""

    run: Run
    changes: tuple[Change, ...] | None


def sweep(
    wanted: Sweep,
    options: RunOptions,
    *,
    on_plan: OnPlan = untold,
    on_record: OnRecord = untold,
    on_running: OnRunning = untold,
) -> Swept:
    """Verify operators of the installed PyTorch.

    Args:
        wanted: which operators, and how.
        options: as for every run; paths, kinds and tags mean nothing here.
        on_plan: told the jobs before the first starts.
        on_record: told each record once it is in the journal.
        on_running: told which jobs are running, whenever that changes.

    Raises:
        UsageError: an argument is wrong, the database cannot be imported, or the baseline cannot be compared with.
        NothingToRunError: no operator matches.
    """
    started = time.perf_counter()
    check_options(options)
    baseline = None if wanted.baseline is None else read_run(wanted.baseline)
    if not options.inline:
        warm_up((OPERATOR_PART, wanted.database.partition(":")[0]))  # while this process imports the database itself
    operators = choose_operators(
        wanted.names, keyword=options.keyword, dtype=wanted.dtype, device="cuda" if options.device == "cuda" else "cpu",
        samples=wanted.samples, database=wanted.database,
    )  # fmt: skip
    if baseline is not None:
        check_comparable(baseline, tags=operators[0].tags, seed=options.seed)
    known = frozenset(load_database(wanted.database))
    compare = None if baseline is None else partial(changes, baseline=baseline, known=known)

    def decide(made: Run) -> int:
        return sweep_exit_code(made, None if compare is None else compare(made), strict=options.strict)

    run = carry_out(
        plan_operators(operators, options), options, started=started, on_plan=on_plan, on_record=on_record,
        on_running=on_running, decide=decide,
    )  # fmt: skip
    return Swept(run=run, changes=None if compare is None else compare(run))


def sweep_exit_code(run: Run, found: tuple[Change, ...] | None, *, strict: bool) -> int:
    """Return what the command line ends with: as every run does, but with a baseline 1 only for what is worse."""
    code = exit_code(run, strict=strict)
    if found is None or code in (ExitCode.INTERRUPTED, ExitCode.NOTHING_RAN):
        return code
    return ExitCode.FAILED if any(change.direction == "worse" for change in found) else ExitCode.PASSED
