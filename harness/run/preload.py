"""Imported once, and last, by the server process that workers are forked from; importing is all it does.

Importing takes seconds and can be shared by forking, unlike anything that starts a thread or touches a device. Imported
are what every worker needs before its job, and the modules that torch would otherwise import inside every job, when it
first uses forward mode, nested derivatives or tracing (0.2 to 0.5 s each).
"""

from __future__ import annotations

import gc
import importlib
from contextlib import suppress

NEEDED = (
    "harness.run.worker",
    "harness.case.case",
    "harness.oracle.symbolic",  # imported late by verification, which a check of Python code does not need
    "harness.oracle.ball.oracle",
    "typer",  # each worker imports the script that started the run, most often the command line, once more
)
LATE_IMPORTS = (
    "torch._decomp.decompositions_for_jvp",
    "torch._dynamo",
    "torch._inductor.fx_passes.dedupe_symint_uses",
    "torch.profiler._cupti_monitor",
)
"""Private names of torch: one that is gone only costs its time."""

for name in (*NEEDED, *LATE_IMPORTS):
    with suppress(Exception):  # a job that needs what cannot be imported says so in its own record
        importlib.import_module(name)
# What was imported stays for good: a worker's garbage collector need not look at it, and so copy its memory.
gc.freeze()
