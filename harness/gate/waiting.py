"""How long this thread stood in the scheduler's queue: time in which it could have run and another process did.

On a shared machine that is most of the noise in a sample, and none of it is the code's. Linux counts it per thread, in
nanoseconds (`/proc/thread-self/schedstat`, second number). Sleeping is not in it: code that waits for a disk or a lock
is as slow as it is. With several threads, only the calling thread's waiting is known.
"""

from __future__ import annotations

import os
from contextlib import suppress

SCHEDSTAT = "/proc/thread-self/schedstat"


class Queue:
    """The scheduler's queue as this thread sees it; a system that does not count waiting shows none."""

    def __init__(self, path: str = SCHEDSTAT) -> None:
        """Open the counter of the thread that will ask."""
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(path, os.O_RDONLY)

    def waited_s(self) -> float:
        """Return how long this thread has waited for a core since it started, in seconds; 0 where nobody knows."""
        if self._file is None:
            return 0.0
        try:
            return int(os.pread(self._file, 96, 0).split()[1]) * 1e-9
        except (OSError, ValueError, IndexError):
            self._file = None
            return 0.0
