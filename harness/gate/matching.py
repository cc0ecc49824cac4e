"""Which cases the gate is about: those of both sides, matched by their ids, and what keeps one from being compared.

Files are read here and nothing of a case runs. A case file of the head that is wrong is an error of the user's; one of
the base is history that nobody can repair, so it is told and left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.case.case import Case
from harness.case.load import read_cases
from harness.case.selection import select
from harness.errors import CaseFileError, Fault, NothingToRunError, UsageError
from harness.gate.records import VerificationChange
from harness.gate.trees import Trees, place_in
from harness.gate.verifier import CaseName
from harness.run.preflight import late_faults

UNUSABLE = "unusable"
"""What a verdict is called where the case file cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The cases of both sides by id, and where their files lie in either tree."""

    base: Mapping[str, Case]
    head: Mapping[str, Case]
    base_places: Mapping[str, str]
    head_places: Mapping[str, str]
    unusable: tuple[VerificationChange, ...] = ()
    """Files of the base that cannot be read, as things to tell."""
    unusable_places: frozenset[str] = frozenset()

    @property
    def both(self) -> tuple[str, ...]:
        """Ids of the cases that both sides have."""
        return tuple(case for case in self.head if case in self.base)

    def names(self, side: str, cases: Collection[str]) -> tuple[CaseName, ...]:
        """Name some cases of a side, as a verification asks for them."""
        places = self.base_places if side == "base" else self.head_places
        return tuple(CaseName(path=place, case=case) for case, place in places.items() if case in cases)

    def sure_to_agree(self, case: str) -> bool:
        """Whether both sides must give one verdict: the documents are equal, and name no code that could differ."""
        return self.head[case].model == self.base[case].model and not names_python(self.head[case])


def match(
    trees: Trees, paths: Sequence[str], *, start: Path, keyword: str | None = None, tags: Sequence[str] = ()
) -> Matched:
    """Read the cases of both sides and match them.

    Args:
        trees: the two sides.
        paths: case files and folders as the user gave them, relative to `start`; one that only one side has is fine.
        start: the folder the command runs in.
        keyword: chooses among the cases of both sides, as pytest's ``-k``.
        tags: only cases that carry all of these.

    Raises:
        CaseFileError: a case file of the head is wrong; holds every fault of all of them.
        UsageError: a path is on neither side, or outside the project; or the keyword is malformed.
        NothingToRunError: neither side has a case that was chosen.
    """
    head_root, base_root = Path(trees.head.root), Path(trees.base.root)
    places = [place_in(head_root, path, start) for path in paths]
    for path, place in zip(paths, places, strict=True):
        if not (head_root / place).exists() and not (base_root / place).exists():
            raise UsageError(
                f"Cannot load cases: path={str(path)[:200]!r} exists neither here nor on the base, {trees.base.shown}. "
                "Name a case file or a folder of them."
            )
    head, faults = _read(paths, start, exists=[(head_root / place).exists() for place in places])
    if faults:
        raise CaseFileError(faults)
    base, faults = _read(places, base_root, exists=[(base_root / place).exists() for place in places])
    broken = _by_place(faults, base_root)
    head_places = {case.id: place_in(head_root, case.path, start) for case in head}
    base = tuple(case for case in base if place_in(base_root, case.path, base_root) not in broken)
    base_places = {case.id: place_in(base_root, case.path, base_root) for case in base}
    wanted = {
        case.id for case in (*select(head, keyword=keyword, tags=tags), *select(base, keyword=keyword, tags=tags))
    }
    if not wanted:
        raise NothingToRunError(
            f"Cannot choose a case: keyword={keyword!r}, tags={list(tags)} match none of {len(head)} here and "
            f"{len(base)} on the base. Loosen them."
        )
    return Matched(
        base={case.id: case for case in base if case.id in wanted},
        head={case.id: case for case in head if case.id in wanted},
        base_places={case: place for case, place in base_places.items() if case in wanted},
        head_places={case: place for case, place in head_places.items() if case in wanted},
        unusable=tuple(_told(place, found, trees, head_places) for place, found in broken.items()),
        unusable_places=frozenset(broken),
    )


def names_python(case: Case) -> bool:
    """Whether a case names Python code anywhere."""
    return _holds_python(case.model.model_dump())


def _holds_python(value: object) -> bool:
    if isinstance(value, Mapping):
        return "python" in value or any(_holds_python(part) for part in value.values())
    return isinstance(value, list | tuple) and any(_holds_python(part) for part in value)


def _read(paths: Sequence[str], folder: Path, *, exists: Sequence[bool]) -> tuple[tuple[Case, ...], tuple[Fault, ...]]:
    """Read the cases of those paths that exist, with every fault of their files."""
    there = [path for path, is_there in zip(paths, exists, strict=True) if is_there]
    cases, faults = read_cases(there if folder == Path.cwd() else [folder / path for path in there])
    return cases, (*faults, *late_faults(cases))


def _by_place(faults: Sequence[Fault], root: Path) -> dict[str, list[Fault]]:
    """Group faults by their file's place in a tree."""
    grouped: dict[str, list[Fault]] = {}
    for fault in faults:
        grouped.setdefault(place_in(root, fault.path, root), []).append(fault)
    return grouped


def _told(place: str, faults: Sequence[Fault], trees: Trees, head_places: Mapping[str, str]) -> VerificationChange:
    """Say that a case file of the base cannot be used, with its faults."""
    lines = "; ".join(f"{place}:{fault.line}:{fault.column}: {fault.message}" for fault in faults)
    return VerificationChange(
        case=place,
        direction="other",
        before=UNUSABLE,
        after="usable" if place in head_places.values() else "gone",
        message=f"The base's case file cannot be used, and its cases are not compared. On {trees.base.shown}: {lines}",
    )
