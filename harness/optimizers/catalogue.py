"""What `harness optimizers` verifies: every optimizer and every learning-rate scheduler of the installed PyTorch.

Both are found by introspection, so that a new one appears by itself. Nothing is verified here.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.case.selection import keyword_predicate
from harness.errors import NothingToRunError, UsageError

PATH = Path("torch.optim")
"""What stands in the place of a case file."""
TAG = "optimizer"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedOptimizer:
    """One optimizer or scheduler of PyTorch, named rather than held: it can be pickled and needs no torch."""

    id: str
    kind: Literal["optimizer", "scheduler"] = "optimizer"
    torch: str = ""
    """Version of PyTorch, for the record."""

    @property
    def title(self) -> str:
        """What it is called in Python."""
        return f"torch.optim.{'lr_scheduler.' if self.kind == 'scheduler' else ''}{self.id}"

    @property
    def path(self) -> Path:
        """What stands in the place of a case file."""
        return PATH

    @property
    def source(self) -> str:
        """Where it comes from."""
        return f"PyTorch {self.torch}".strip()

    @property
    def tags(self) -> tuple[str, ...]:
        """What its record is tagged with."""
        return (TAG, self.kind)


def optimizer_classes() -> Mapping[str, type]:
    """Return every optimizer that `torch.optim` exports, by name in alphabetical order."""
    optim = importlib.import_module("torch.optim")
    found = {
        name: value
        for name, value in vars(optim).items()
        if inspect.isclass(value) and issubclass(value, optim.Optimizer) and value is not optim.Optimizer
    }
    return dict(sorted(found.items()))


def choose_optimizers(names: Sequence[str] = (), *, keyword: str | None = None) -> tuple[NamedOptimizer, ...]:
    """List the optimizers and schedulers a caller wants.

    Args:
        names: exact names; none means all.
        keyword: names that match, in pytest's -k grammar.

    Raises:
        UsageError: a name is unknown, or the keyword malformed.
        NothingToRunError: nothing matches.
    """
    from harness.optimizers.schedulers import scheduler_classes

    version = str(importlib.import_module("torch").__version__)
    listed = [NamedOptimizer(id=name, torch=version) for name in optimizer_classes()]
    listed += [NamedOptimizer(id=name, kind="scheduler", torch=version) for name in scheduler_classes()]
    known = [one.id for one in listed]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name.lower(), {one.lower(): one for one in known}, n=1)
            meant = next((one for one in known if near and one.lower() == near[0]), None)
            advice = f"Did you mean {meant}?" if meant else "Leave out names to verify all."
            raise UsageError(
                f"Cannot verify: optimizer={name!r} is in neither torch.optim nor its lr_scheduler. {advice}"
            )
    matches = keyword_predicate(keyword) if keyword and keyword.strip() else None
    chosen = tuple(one for one in listed if (not names or one.id in names) and (matches is None or matches(one)))
    if not chosen:
        raise NothingToRunError(f"Cannot verify: no optimizer matches keyword={keyword!r}. Use a part of a name.")
    return chosen
