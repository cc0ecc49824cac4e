"""A run over PyTorch's optimizers and learning-rate schedulers: found by introspection, then run as any other jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence

from harness.optimizers.catalogue import choose_optimizers
from harness.records import Run
from harness.run.execute import OnRunning, untold, warm_up
from harness.run.options import RunOptions
from harness.run.plan import plan_optimizers
from harness.run.run import OnPlan, OnRecord, carry_out, check_options
from harness.run.work import OPTIMIZER_PART


def verify_optimizers(
    names: Sequence[str],
    options: RunOptions,
    *,
    on_plan: OnPlan = untold,
    on_record: OnRecord = untold,
    on_running: OnRunning = untold,
) -> Run:
    """Verify optimizers and schedulers of the installed PyTorch.

    Args:
        names: exact names; none means all that `RunOptions.keyword` selects.
        options: as for every run; paths, kinds and tags mean nothing here.
        on_plan: told the jobs before the first starts.
        on_record: told each record once it is in the journal.
        on_running: told which jobs are running, whenever that changes.

    Raises:
        UsageError: an argument is wrong, or a name unknown.
        NothingToRunError: nothing matches.
    """
    started = time.perf_counter()
    check_options(options)
    if not options.inline:
        warm_up((OPTIMIZER_PART,))  # while this process imports torch itself, to list what there is
    chosen = choose_optimizers(names, keyword=options.keyword)
    return carry_out(
        plan_optimizers(chosen, options), options, started=started, on_plan=on_plan, on_record=on_record,
        on_running=on_running,
    )  # fmt: skip
