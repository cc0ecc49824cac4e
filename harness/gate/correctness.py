"""Correctness first: the cases of both sides are verified, each side in a process of its own, from one seed.

Processes are started, fed, listened to and stopped here; what the records of both sides say about each other is
`verification`' job.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO

from harness.errors import UsageError
from harness.gate.records import Side, SideName
from harness.gate.said import last_words
from harness.gate.trees import Trees
from harness.gate.verifier import CaseName, VerifyRequest, encode_request
from harness.records import VerifyRecord
from harness.run.journal import decode

_STOP_S = 15.0

Records = Mapping[str, VerifyRecord]
"""Verifications by the id of their case."""
OnVerified = Callable[[SideName, VerifyRecord], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The verifications of both sides."""

    base: Records
    head: Records


def verify_sides(
    trees: Trees, base: Sequence[CaseName], head: Sequence[CaseName], request: VerifyRequest, on_verified: OnVerified
) -> Verified:
    """Verify cases on both sides, one side after the other, each in a process of its own.

    Args:
        trees: the two sides.
        base: cases to verify on the base.
        head: cases to verify on the head.
        request: how; its cases and its trust are filled in for each side.
        on_verified: told each record as it comes.

    Raises:
        UsageError: a side's process cannot be started, or ended without having done its work.
    """
    found = [
        _verify(side, replace(request, cases=tuple(cases), trust=side.trust), on_verified)
        for side, cases in ((trees.base, base), (trees.head, head))
    ]
    return Verified(base=found[0], head=found[1])


def _verify(side: Side, request: VerifyRequest, on_verified: OnVerified) -> Records:
    """Verify one side's cases, and return the records."""
    if not request.cases:
        return {}
    found: dict[str, VerifyRecord] = {}
    with tempfile.TemporaryFile() as said, _start(side, said) as process:
        try:
            with suppress(BrokenPipeError):
                pipe_of(process.stdin).write(encode_request(request))
                pipe_of(process.stdin).close()
            for line in pipe_of(process.stdout):
                record = decode(line)
                if isinstance(record, VerifyRecord):
                    found[record.case] = record
                    on_verified(side.name, record)
        except BaseException:
            _stop(process)
            raise
        if process.wait() != 0:
            raise UsageError(_died(side, process.returncode, said))
    return found


def _start(side: Side, said: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [side.python, "-P", "-m", "harness.gate.verifier"]
    try:
        # A session of its own: a Ctrl-C goes to the gate alone, which then ends its processes in order.
        return subprocess.Popen(
            command, cwd=side.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
            start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    except OSError as error:
        raise UsageError(
            f"Cannot verify the {side.name}: python={side.python!r} cannot be started ({error}). "
            "Name another interpreter."
        ) from error


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, its workers included, and wait until it is gone."""
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()


def pipe_of(pipe: IO[bytes] | None) -> IO[bytes]:
    """Return a pipe that a process was started with."""
    if pipe is None:
        raise ValueError("Cannot use the process: it was started without this pipe. Start it with subprocess.PIPE.")
    return pipe


def _died(side: Side, code: int, said: IO[bytes]) -> str:
    why = last_words(side.python, said)
    return f"Cannot verify the {side.name} ({side.shown}): its process ended with {code}. {why}"
