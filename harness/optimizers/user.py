"""Optimizers that case files name by Python path: which of them a run has to verify, with which options.

Only names are collected here; nothing is imported, so that planning needs neither torch nor trust.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.case.case import Case
from harness.case.schema import ConvergeModel, OptimizerRef
from harness.optimizers.catalogue import TAG

Option = bool | float | int | str | list[float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserOptimizer:
    """An optimizer of a case file: where its code and its rule are, and every option set that is used with it."""

    case: Case
    """The first case that names it; its place is what relative paths start from."""
    reference: OptimizerRef
    options: tuple[tuple[tuple[str, Option], ...], ...] = ((),)

    @property
    def id(self) -> str:
        """What its record is called: its Python path."""
        return self.reference.python

    @property
    def title(self) -> str:
        """The same."""
        return self.reference.python

    @property
    def path(self) -> Path:
        """The case file."""
        return self.case.path

    @property
    def source(self) -> str:
        """Where it is used."""
        return f"optimizer of case {self.case.id}"

    @property
    def tags(self) -> tuple[str, ...]:
        """What its record is tagged with."""
        return (TAG, *self.case.tags)


def user_optimizers(cases: Iterable[Case]) -> tuple[UserOptimizer, ...]:
    """Return each distinct optimizer that cases name by Python path, with all option sets it is used with."""
    found: dict[tuple[str, str | None, Path | None], tuple[Case, OptimizerRef, dict[str, ConvergeModel]]] = {}
    for case in cases:
        for entry in case.model.converge:
            if not isinstance(entry.optimizer, OptimizerRef):
                continue
            reference = entry.optimizer
            is_file = ".py" in reference.python or "/" in reference.python
            key = (reference.python, reference.rule, case.path.parent if is_file else None)
            _, _, entries = found.setdefault(key, (case, reference, {}))
            entries[repr(sorted(entry.options.items()))] = entry
    return tuple(
        UserOptimizer(
            case=case,
            reference=reference,
            options=tuple(tuple(entry.options.items()) for entry in entries.values()),
        )
        for case, reference, entries in found.values()
    )
