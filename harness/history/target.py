"""Where a run is recorded, if it is: what the command line says, then the project, then the default.

`run` and `bench` are what people do to have figures, and are recorded; the other commands are recorded only where the
command line names a history, since much of what they do is trying something out.
"""

from __future__ import annotations

from pathlib import Path

from harness.case.trust import project_file, settings
from harness.errors import UsageError

DEFAULT = "reports/history"
"""Beside the run directories."""
OFF = "off"
RECORDED = frozenset({"run", "bench"})
"""Commands whose runs are recorded without being told."""


def record_at(option: str | None, *, command: str, has_out: bool, start: Path) -> str | None:
    """Return the history that a run is recorded in, None for none.

    Args:
        option: value of ``--history``; "off" is none.
        command: name of the command.
        has_out: whether the run directory was named: then nothing is written elsewhere that nobody asked for.
        start: the folder the command runs in.

    Raises:
        UsageError: the project's configuration cannot be read.
    """
    if option is not None:
        return None if option.strip().lower() == OFF else option
    if command not in RECORDED:
        return None
    named = configured(start)
    if named is not None:
        return None if named.lower() == OFF else named
    return None if has_out else DEFAULT


def shown(option: str | None, start: Path) -> str:
    """Return the history that `harness history` shows: the one named, the project's, or the default.

    Raises:
        UsageError: the project's configuration cannot be read.
    """
    named = option or configured(start)
    return DEFAULT if named is None or named.lower() == OFF else named


def configured(start: Path) -> str | None:
    """Return ``[tool.harness] history`` of the nearest pyproject.toml; a folder in it is relative to that file.

    Raises:
        UsageError: it cannot be read, or is no text.
    """
    config = project_file(start.resolve())
    if config is None:
        return None
    named = settings(config, "history").get("history")
    if named is None:
        return None
    if not isinstance(named, str) or not named.strip():
        raise UsageError(
            f"Cannot read history: file={str(config)!r} has a [tool.harness] history that is no text. "
            f'Write a folder, a URL such as "s3://bucket/history", or "{OFF}".'
        )
    named = named.strip()
    return named if "://" in named or "::" in named or named.lower() == OFF else str(config.parent / named)
