"""A timing process seen from outside: started, asked, and stopped when it does not answer in time.

What it is asked is `pair`'s business. A process that ends or is stopped is lost: every later request says why.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO, Protocol, cast

from harness.errors import HarnessError
from harness.gate.protocol import PROTOCOL, Answer, Hello, Request, decode_answer, encode_request
from harness.gate.said import last_words

START_LIMIT_S = 120.0
"""Longest that starting may take: importing torch from a cold disk is slow."""
WATCH_S = 0.25
"""How often a process that is busy is looked after."""


class LostError(HarnessError):
    """A timing process is gone; the message says how it ended."""


class Asked(Protocol):
    """Something that answers requests: a process, or a stand-in in tests."""

    def ask(self, request: Request) -> Answer:
        """Send a request and wait for its answer; raise LostError when there will be none."""

    def close(self) -> None:
        """Let go of it."""


class TimingProcess:
    """One side's timing process."""

    def __init__(
        self,
        command: Sequence[str],
        cwd: str,
        *,
        limit_s: float,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the process, without waiting until it is ready; `greet` does.

        Args:
            command: what to run.
            cwd: the side's tree.
            limit_s: longest that one answer may take.
            environment: its environment variables; None is this process's.

        Raises:
            LostError: there is no such program.
        """
        self._limit_s = limit_s
        self._reason = ""
        self._deadline: float | None = None
        self._python = command[0]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        try:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=sys.platform != "win32",  # Ctrl-C reaches the gate alone, which stops its processes
            )
        except OSError as error:
            self._said.close()
            raise LostError(
                f"python={self._python!r} cannot be started ({error}). Name another interpreter."
            ) from error
        self._requests = cast("BinaryIO", self._process.stdin)
        self._answers = cast("BinaryIO", self._process.stdout)
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def greet(self) -> Hello:
        """Wait until the process is ready.

        Raises:
            LostError: it ended before, with the end of what it said; or it is of another version.
        """
        try:
            answer = self._read(max(START_LIMIT_S, self._limit_s))
        except LostError as lost:
            raise LostError(f"{lost}. {last_words(self._python, self._said)}") from lost
        if not isinstance(answer, Hello) or answer.protocol != PROTOCOL:
            self._reason = "it runs another version of the harness; install the same one on both sides"
            self.close()
            raise LostError(self._reason)
        return answer

    def ask(self, request: Request) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            LostError: the process is gone, or was stopped because the answer took too long.
        """
        if self._reason:
            raise LostError(self._reason)
        with suppress(OSError):  # a closed pipe shows when reading, with the reason
            self._requests.write(encode_request(request))
            self._requests.flush()
        return self._read(self._limit_s)

    def close(self) -> None:
        """End the process and wait until it is gone."""
        self._closed.set()
        self._reason = self._reason or "it was closed"
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._requests.close()
        self._answers.close()
        self._said.close()

    def _read(self, limit_s: float) -> Answer:
        self._deadline = time.monotonic() + limit_s
        line = self._answers.readline()
        timed_out, self._deadline = self._deadline is None, None
        if line.endswith(b"\n"):
            return decode_answer(line)
        status = self._process.wait()
        self._reason = f"did not answer within {limit_s:g} s and was stopped" if timed_out else ended(status)
        raise LostError(self._reason)

    def _watch(self) -> None:
        """Kill the process when an answer is overdue; reading then comes to an end."""
        while not self._closed.wait(WATCH_S):
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self._deadline = None
                self._process.kill()
                return


def ended(status: int) -> str:
    """Say how a process ended, from its exit status (negative: the signal)."""
    if status >= 0:
        return f"the process ended itself with status {status}"
    with suppress(ValueError):
        name = signal.Signals(-status).name
        hint = ", perhaps because memory was exhausted" if name in ("SIGKILL", "SIGABRT") else ""
        return f"the process was killed by {name}{hint}"
    return f"the process was killed by signal {-status}"
