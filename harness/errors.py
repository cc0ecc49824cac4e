"""The exceptions of misuse and of a broken environment; a wrong gradient is a verdict and never raises.

Every message follows one form: ``Cannot <what>: name=value (type …) <why>. <What to do.>``
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class HarnessError(Exception):
    """Base of every exception this package raises on purpose; the CLI turns it into exit code 2."""


class UsageError(HarnessError):
    """The caller asked for something that cannot be done: a wrong argument, option or path."""


class UntrustedError(UsageError):
    """A case names Python code outside the packages and folders the caller trusts."""


class MissingPackageError(HarnessError):
    """A case needs an optional package that is not installed; it is skipped with this reason."""


class NothingToRunError(HarnessError):
    """The paths and filters left no case; the CLI turns it into exit code 5."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault of one case file, at a place a user can jump to.

    ``line`` and ``column`` count from 1, as editors do.
    """

    path: Path
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


class CaseFileError(HarnessError):
    """One or more case files cannot be used; carries every fault found, not only the first."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class CheckFailedError(HarnessError, AssertionError):
    """Raised by ``Verdict.raise_if_failed``, so that a failed check is a failed test."""
