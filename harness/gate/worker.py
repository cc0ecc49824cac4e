"""One side's timing process: `python -P -m harness.gate.worker`, started in that side's tree.

This package is imported first and from where it is installed, so the instrument is the same on both sides; only then is
the tree put in front of what user code is imported from. Requests come as lines on standard input, answers go out as
lines on what was standard output when the process started. Standard error has what keeps the process from starting;
what user code prints from then on is dropped. The process ends when its input does.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import torch

from harness.bench.sampling import resting_collector
from harness.bench.timings import reason_of
from harness.case.trust import Trust
from harness.gate.origin import import_folders
from harness.gate.protocol import (
    PROTOCOL,
    Answer,
    Calibrate,
    CountCalls,
    Failed,
    Hello,
    Prepare,
    Request,
    Sample,
    Survey,
    decode_request,
    encode_answer,
)
from harness.gate.subjects import Subjects
from harness.run.worker import GIB, cap_memory, redirect


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer requests until there are no more.

    Args:
        arguments: the command line; None is the process's own.
    """
    options = _parser().parse_args(arguments)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    redirect(None)
    torch.set_num_threads(options.threads)
    if options.core is not None and hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, {options.core})
    if options.memory_gib is not None:
        cap_memory(round(options.memory_gib * GIB))
    root = Path.cwd()
    sys.path[:0] = [str(folder) for folder in import_folders(root)]
    subjects = Subjects(
        root,
        Path(options.other),
        Trust.from_config(root, options.trust),
        seed=options.seed,
        slowest_call_s=options.slowest_call_s,
    )
    answers.write(encode_answer(Hello(protocol=PROTOCOL, python=platform.python_version(), torch=torch.__version__)))
    redirect(Path(os.devnull))  # calls by the million may print; only what keeps a process from starting is kept
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        serve(subjects, sys.stdin.buffer, answers, injected=options.injected)
    return 0


def serve(subjects: Subjects, requests: BinaryIO, answers: BinaryIO, *, injected: float = 0.0) -> None:
    """Answer every request that comes.

    Args:
        subjects: this side's.
        requests: lines.
        answers: lines, one for each request.
        injected: share of time added to samples on purpose.
    """
    with resting_collector():
        for line in requests:
            answers.write(encode_answer(_answer(subjects, decode_request(line), injected)))


def _answer(subjects: Subjects, request: Request, injected: float) -> Answer:
    try:
        match request:
            case Sample(calls=calls, prefix=prefix):
                return subjects.sample(calls, prefix, injected)
            case Survey(candidate=candidate):
                return subjects.survey(candidate)
            case Prepare(workload=workload):
                return subjects.prepare(workload)
            case Calibrate(sample_s=sample_s):
                return subjects.calibrate(sample_s)
            case CountCalls():
                return subjects.count()
    except (Exception, SystemExit) as error:  # noqa: BLE001  The case boundary: whatever user code raises is its row's reason.
        return Failed(message=_described(error))


def _described(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the subject tried to end the process: SystemExit({error.code!r})"
    return reason_of(error) if isinstance(error, Exception) else repr(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -P -m harness.gate.worker")
    parser.add_argument("--other", required=True, help="root of the other side's tree")
    parser.add_argument("--trust", action="append", default=[])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--core", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slowest-call-s", type=float, default=0.02)
    parser.add_argument("--memory-gib", type=float)
    parser.add_argument("--injected", type=float, default=0.0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
