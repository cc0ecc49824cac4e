"""A `Case`: one document of a case file, checked, with the place it came from. Holds no tensors and no code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.case.schema import CaseModel, FixedDim


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case: what its document says, the file it stands in, and the line (from 1) the document starts at."""

    model: CaseModel
    path: Path
    line: int

    @property
    def id(self) -> str:
        """The case's unique id."""
        return self.model.case

    @property
    def title(self) -> str:
        """The case's title."""
        return self.model.title

    @property
    def source(self) -> str:
        """Where the mathematics or a published figure comes from."""
        return self.model.source

    @property
    def tags(self) -> tuple[str, ...]:
        """The case's tags."""
        return tuple(self.model.tags)

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Every named size with the values declared for it."""
        return {name: _values(dim) for name, dim in self.model.dims.items()}

    @property
    def fixed(self) -> frozenset[str]:
        """Named sizes that no probe may vary."""
        return frozenset(name for name, dim in self.model.dims.items() if isinstance(dim, FixedDim))


def _values(dim: int | list[int] | FixedDim) -> tuple[int, ...]:
    if isinstance(dim, FixedDim):
        return (dim.fixed,)
    return (dim,) if isinstance(dim, int) else tuple(dim)
