"""PyTorch's own operators: what the operator database of `torch.testing` lists, and what of it can be verified.

The database (PyTorch's test suite is written against it) holds, for every operator, how to call it and a generator of
sample inputs. It is private to PyTorch, slow to import and needs packages that torch does not bring along, so it is
imported only when it is asked for. Turning a sample into a subject is `harness.case.samples`' job.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.case.peculiar import CUDA_ONLY, EXCLUDED
from harness.case.selection import keyword_predicate
from harness.errors import NothingToRunError, UsageError

DATABASE = "torch.testing._internal.common_methods_invocations:op_db"
"""Where PyTorch keeps its operator database: module, colon, attribute."""

DTYPES = ("float64", "float32", "float16", "bfloat16", "complex128", "complex64")
"""Dtypes an operator's samples can be drawn in."""

PATH = Path("torch")
"""What stands in the place of a case file."""

OPERATOR_TAG = "torch"
"""First tag of every operator's record; the others are its dtype and number of samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator of the database, named rather than held: it can be pickled and needs no torch.

    `excluded` says why it is not verified, None when it is.
    """

    id: str
    """Full name in the database: "add", "nn.functional.relu", "std.unbiased"."""
    dtype: str = "float64"
    samples: int = 3
    database: str = DATABASE
    excluded: str | None = None
    differentiable: bool = True
    """Whether autograd differentiates it; of an operator it does not, only the values can be verified."""
    torch: str = ""
    """Version of PyTorch, for the record."""

    @property
    def title(self) -> str:
        """What the operator is called in Python."""
        return f"torch.{self.id}"

    @property
    def path(self) -> Path:
        """What stands in the place of a case file."""
        return PATH

    @property
    def source(self) -> str:
        """Where the operator and its samples come from."""
        return f"operator database of PyTorch {self.torch}".strip()

    @property
    def tags(self) -> tuple[str, ...]:
        """What an operator's record is tagged with."""
        return (OPERATOR_TAG, self.dtype, f"samples={self.samples}")


def load_database(database: str = DATABASE) -> Mapping[str, Any]:
    """Import an operator database.

    Args:
        database: "module:attribute" of a sequence of `torch.testing`'s OpInfo.

    Returns:
        Every entry by its full name, in the database's order.

    Raises:
        UsageError: it cannot be imported; names the package that is missing.
    """
    module, _, attribute = database.partition(":")
    try:
        entries = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Cannot sweep PyTorch's operators: its operator database {module} needs the package {error.name!r}, which "
            f"is not installed. Install it: pip install {error.name}"
        ) from error
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"Cannot sweep PyTorch's operators: its operator database {database!r} cannot be imported ({error}). "
            "Use a version of PyTorch that has one."
        ) from error
    return {entry.full_name: entry for entry in entries}


def choose_operators(
    names: Sequence[str] = (),
    *,
    keyword: str | None = None,
    dtype: str = "float64",
    device: str = "cpu",
    samples: int = 3,
    database: str = DATABASE,
) -> tuple[Operator, ...]:
    """List the operators a caller wants, those that cannot be verified with the reason why.

    Args:
        names: exact names; none means all.
        keyword: names that match, in pytest's -k grammar.
        dtype: one of `DTYPES`.
        device: where they will run, "cpu" or "cuda".
        samples: how many samples of each to verify.
        database: see `load_database`.

    Raises:
        UsageError: the database cannot be imported, a name is not in it, or an argument is malformed.
        NothingToRunError: nothing matches.
    """
    if dtype not in DTYPES:
        raise UsageError(f"Cannot sweep: dtype={dtype!r} is unknown. Use one of {', '.join(DTYPES)}.")
    if samples < 1:
        raise UsageError(f"Cannot sweep: samples={samples!r} is below one. Verify at least one sample per operator.")
    entries = load_database(database)
    unknown = [name for name in names if name not in entries]
    if unknown:
        raise UsageError(
            f"Cannot sweep: operator={unknown[0]!r} is not in PyTorch's operator database."
            f"{_nearest(unknown[0], entries)}"
        )
    matches = keyword_predicate(keyword) if keyword and keyword.strip() else None
    version = str(importlib.import_module("torch").__version__)
    listed = (
        Operator(
            id=name,
            dtype=dtype,
            samples=samples,
            database=database,
            excluded=why_excluded(entry, dtype, device),
            differentiable=entry.supports_autograd,
            torch=version,
        )
        for name, entry in entries.items()
        if not names or name in names
    )
    chosen = tuple(operator for operator in listed if matches is None or matches(operator))
    if not chosen:
        raise NothingToRunError(f"Cannot sweep: no operator matches keyword={keyword!r}. Use a part of a name.")
    return chosen


def why_excluded(entry: Any, dtype: str, device: str) -> str | None:
    """Say why the database's entry of an operator rules out verifying it, None where it does not."""
    if entry.full_name in EXCLUDED:
        return f"Left out: {EXCLUDED[entry.full_name]}"
    torch = importlib.import_module("torch")
    if not entry.supports_autograd:
        if device == "cpu" and entry.full_name.startswith(CUDA_ONLY):
            return "Needs CUDA: it compiles code for a GPU when it is called."
        if getattr(torch, dtype) in entry.supported_dtypes(device):
            return None
        return f"Not differentiable, and has no {dtype} values on {device}."
    supported = entry.supported_backward_dtypes(device)
    if getattr(torch, dtype) in supported:
        return None
    if device == "cpu" and getattr(torch, dtype) in entry.supported_backward_dtypes("cuda"):
        return f"Needs CUDA: it has no {dtype} gradient on the CPU."
    have = sorted(str(one).removeprefix("torch.") for one in supported)
    return f"No {dtype} gradient on {device}: the operator database lists {', '.join(have) or 'none'}."


def _nearest(name: str, names: Mapping[str, object]) -> str:
    import difflib

    close = difflib.get_close_matches(name, names, n=3)
    return f" Did you mean {' or '.join(close)}?" if close else " Leave out names to sweep all."
