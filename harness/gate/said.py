"""What a side's process says on standard error: kept in a file rather than in memory, and shown from its end."""

from __future__ import annotations

import os
from typing import IO

_SHOWN_OUTPUT = 2000
"""Characters that are shown."""
_LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8, at most."""


def last_words(python: str, said: IO[bytes]) -> str:
    """Return the end of what a process said that died, after the question that most often is the answer.

    Args:
        python: the interpreter that it was started with.
        said: the file that was its standard error.
    """
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _LONGEST_CHARACTER * _SHOWN_OUTPUT))
    text = said.read().decode(errors="replace").strip()[-_SHOWN_OUTPUT:]
    return f"Is this harness installed in {python!r}? It said:\n{text}"
