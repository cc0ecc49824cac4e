"""One side's verification process: run as ``python -P -m harness.gate.verifier`` with the tree as its working folder.

It reads one request from standard input, verifies the cases named there in worker processes, as every run does, and
writes each record to standard output as one line of a journal. The harness is imported before the tree is put in front
of the import path, so that what checks is the same on both sides and only what is checked differs. Neither comparing
nor deciding is done here.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from harness.case.case import Case
from harness.case.load import read_cases
from harness.errors import HarnessError
from harness.gate.origin import import_folders
from harness.gate.protocol import PROTOCOL
from harness.records import ExitCode
from harness.run.execute import execute, warm_up
from harness.run.journal import encode
from harness.run.options import Device, Effort, RunOptions
from harness.run.plan import plan
from harness.run.run import terminable
from harness.run.work import modules_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseName:
    """A case by its file, relative to the tree's root, and its id."""

    path: str
    case: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What a side is asked to verify, and how; the fields after `cases` are those of `RunOptions`."""

    protocol: int = PROTOCOL
    cases: tuple[CaseName, ...]
    seed: int = 0
    effort: Effort = "quick"
    device: Device = "cpu"
    jobs: int = 1
    trust: tuple[str, ...] = ()
    timeout_s: float | None = None
    memory_gib: float | None = 8.0


_REQUEST: TypeAdapter[VerifyRequest] = TypeAdapter(VerifyRequest)


def encode_request(request: VerifyRequest) -> bytes:
    """Return a request as one line."""
    return _REQUEST.dump_json(request) + b"\n"


def verify(request: VerifyRequest, root: Path, channel: int) -> None:
    """Verify what is asked for and write the records, as they come, to a file descriptor.

    Args:
        request: which cases, and how.
        root: the tree, which is also the working folder.
        channel: where lines go.

    Raises:
        HarnessError: a case cannot be found, or an option is wrong.
    """
    options = RunOptions(
        kinds=("verify",), seed=request.seed, effort=request.effort, device=request.device, jobs=request.jobs,
        trust=request.trust, timeout_s=request.timeout_s, memory_gib=request.memory_gib, command="harness gate",
    )  # fmt: skip
    jobs = plan(_chosen(request), options)
    # Before the tree is on the path: the server imports the harness, this module among it, and nothing of the tree.
    warm_up((__spec__.name, *modules_of(jobs)))
    sys.path[:0] = [str(folder) for folder in import_folders(root)]
    with terminable(), closing(execute(jobs, options)) as done:
        for records in done:
            for record in records:
                os.write(channel, encode(record).encode() + b"\n")


def _chosen(request: VerifyRequest) -> tuple[Case, ...]:
    """Return the cases that a request names."""
    wanted = {(name.path, name.case) for name in request.cases}
    cases, _ = read_cases(sorted({name.path for name in request.cases}))
    return tuple(case for case in cases if (Path(case.path).as_posix(), case.id) in wanted)


def main() -> int:
    """Do what standard input asks for and return the exit code."""
    channel = os.dup(1)
    os.dup2(2, 1)  # subjects that print do so on standard error
    request = _REQUEST.validate_json(sys.stdin.buffer.readline())
    if request.protocol != PROTOCOL:
        sys.stderr.write(f"this interpreter's harness speaks protocol {PROTOCOL}, the gate {request.protocol}\n")
        return ExitCode.USAGE
    try:
        verify(request, Path.cwd(), channel)
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.PASSED


if __name__ == "__main__":
    sys.exit(main())
