"""The command that makes a worktree ready before anything of it runs, such as a build of its extensions.

It is the user's own and trusted; whether it did what was meant cannot be seen here, only how it ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from harness.errors import UsageError

_SHOWN_OUTPUT = 2000
"""Characters of a failed preparation's output that are shown, from its end."""


def run_preparation(command: str, folder: Path) -> None:
    """Run a shell command in a folder; what it prints is shown only if it fails.

    An interrupt kills the shell with everything it started, and goes on.

    Args:
        command: as a person would type it.
        folder: where it runs.

    Raises:
        UsageError: it ended with anything but 0.
    """
    with subprocess.Popen(
        command, shell=True, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=os.name == "posix",
    ) as process:  # fmt: skip
        try:
            said, _ = process.communicate()
        except BaseException:
            _kill_all(process)
            raise
    if process.returncode != 0:
        raise UsageError(
            f"Cannot prepare the base: prepare={command!r} ended with {process.returncode} in its worktree. "
            f"Repair the command; it said:\n{said.strip()[-_SHOWN_OUTPUT:]}"
        )


def _kill_all(process: subprocess.Popen[str]) -> None:
    """Kill a shell and, where it leads a session of its own, what it started: compilers would go on by themselves."""
    if os.name != "posix":
        process.kill()
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
