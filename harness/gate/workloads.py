"""Which cases are timed, and what of them: read off the case files of head, without running anything.

A case that declares a `benchmark` is timed at the passes it lists, by autograd, at its smallest size and the largest
one that is quick enough (found later, on the base). Two passes are left out: the optimizer's step, which is torch's own
code, and `forward` where `value` and `forward_backward` are timed, since its time is part of the latter's. A case
without `benchmark` is not timed, unless all cases are asked for: then its declared sizes and the usual passes are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.bench.sizes import all_sizes, sweeps
from harness.case.case import Case
from harness.case.schema import BenchmarkModel
from harness.gate.options import TimingOptions
from harness.gate.records import Candidate, Untimed

MOST_SIZES = 4
"""Most sizes of a sweep that are looked at."""
UNTIMED_PASSES = ("step",)
NO_BENCHMARK = "the case declares no `benchmark` (--all-cases times it all the same)"


def candidates(
    cases: Sequence[Case], root: Path, options: TimingOptions
) -> tuple[tuple[Candidate, ...], tuple[Untimed, ...]]:
    """Say which cases are timed.

    Args:
        cases: head's, of those whose verification lets them be timed.
        root: head's tree, in which their files lie.
        options: on which device, and whether cases without `benchmark` are wanted.

    Returns:
        The candidates, in order, and the cases that are none with the reason.

    Raises:
        UsageError: a case sweeps a size it does not declare.
    """
    timed, untimed = list[Candidate](), list[Untimed]()
    for case in cases:
        model = case.model.benchmark
        if model is None and not options.all_cases:
            untimed.append(Untimed(case=case.id, reason=NO_BENCHMARK))
            continue
        model = model or BenchmarkModel(sweep={name: list(sizes) for name, sizes in case.sizes.items()})
        passes = _passes(model.passes)
        if not passes:
            untimed.append(Untimed(case=case.id, reason="its benchmark lists no pass but the optimizer's step"))
            continue
        found = all_sizes([sweep.thinned(MOST_SIZES) for sweep in sweeps(case.sizes, model.sweep)])
        timed += [
            Candidate(
                case=case.id,
                path=case.path.resolve().relative_to(root.resolve()).as_posix(),
                passes=passes,
                sizes=tuple(tuple(sizes.items()) for sizes in found),
                dtype=model.dtype,
                device=device,
            )
            for device in dict.fromkeys(("cpu", options.device))
        ]
    return tuple(timed), tuple(untimed)


def _passes(declared: Sequence[str]) -> tuple[str, ...]:
    """Choose the passes that are timed of those declared."""
    covered = ("forward",) if {"value", "forward_backward"} <= set(declared) else ()
    return tuple(dict.fromkeys(name for name in declared if name not in (*UNTIMED_PASSES, *covered)))
