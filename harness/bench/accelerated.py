"""What a benchmark on an accelerator has beside its passes: transfers as rows of their own, and what is said without.

`measure` calls this where a device has a `CudaClock`; passes, variants and sampling know nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import torch

from harness.bench.cuda_clock import CudaClock
from harness.bench.device_times import with_device_times
from harness.bench.passes import Setting
from harness.bench.sampling import Effort, Work, sample
from harness.bench.timings import failure, reason_of, timing_of
from harness.bench.transfers import Transfer, transfers
from harness.records import Outcome, Timing

WITHOUT = "device times, transfers, accuracy beside the CPU's and the crossover were not measured"
"""What is missing where there is no accelerator."""


def bounded(works: Sequence[Work], clock: CudaClock) -> list[Work]:
    """Bound the calls of a sample to what is queued at once.

    A sample of short calls is shorter than on a CPU then, which events can afford: a longer one would mostly be the
    host's time to queue it.
    """
    return [replace(work, most_calls=min(work.most_calls, clock.most_calls)) for work in works]


def transfer_rows(setting: Setting, clock: CudaClock, effort: Effort, template: Timing, order: Random) -> list[Timing]:
    """Time the inputs' way to the device and the gradients' way back.

    Args:
        setting: a subject's at some size, on the device.
        clock: the device's.
        effort: how long to sample.
        template: what the rows have in common.
        order: decides the order of sampling.
    """
    ways: list[Transfer] = []
    try:
        inputs = [value.cpu() for value in setting.values.values()]
        ways += transfers(inputs, [torch.zeros_like(leaf) for leaf in setting.wanted], clock.accelerator)
    except torch.OutOfMemoryError as error:
        return [failure(replace(template, what="transfers"), reason_of(error))]
    rows = [replace(template, what=way.what, variant=way.variant) for way in ways]
    made = [_made(way, row) for way, row in zip(ways, rows, strict=True)]
    works = bounded([each for each in made if isinstance(each, Work)], clock)
    measured = iter(zip(works, sample(works, clock, effort, order), strict=True))
    done = []
    for way, row, each in zip(ways, rows, made, strict=True):
        if isinstance(each, Timing):
            done.append(each)
            continue
        work, measurement = next(measured)
        timing = with_device_times(timing_of(measurement, row), measurement, work, clock, effort, cold=False)
        done.append(replace(timing, message=f"{way.moved_bytes:,} bytes; {timing.message}"))
    return done


def _made(way: Transfer, row: Timing) -> Work | Timing:
    """Prepare a transfer, or say why there is no such memory."""
    try:
        return way.make()
    except RuntimeError as error:
        return replace(row, outcome=Outcome.SKIPPED, message=f"no memory to move from or to: {reason_of(error)}")
