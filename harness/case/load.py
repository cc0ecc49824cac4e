"""Case files → cases: finds the files, reads them, and reports every fault of all of them at once, each at its place.

Nothing of a case runs here and torch is not imported; what a document may say is checked by `explain` (its form) and
`crosscheck` (how its parts fit together).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from harness.case import documents
from harness.case.case import Case
from harness.case.crosscheck import crosscheck
from harness.case.documents import Broken, Document, Place, Problem, read_documents
from harness.case.explain import validate
from harness.case.regression import written_out
from harness.case.selection import select
from harness.errors import CaseFileError, Fault, NothingToRunError, UsageError

MAX_BYTES = 1024 * 1024
MAX_MESSAGE = 400
"""Characters of a fault's message that are shown; names in a file may be of any length."""
SUFFIXES = (".yaml", ".yml")

_FIGURES = ("value", "gradient", "hessian")


def load_cases(
    paths: Sequence[str | Path], *, keyword: str | None = None, tags: Sequence[str] = ()
) -> tuple[Case, ...]:
    """Load the cases of files and folders.

    Args:
        paths: case files, and folders to search for them (``*.yaml``, ``*.yml``), at any depth.
        keyword: chooses among the cases by id and title, as pytest's ``-k`` does.
        tags: only cases that carry all of these.

    Raises:
        CaseFileError: some file is wrong; holds every fault of all files.
        UsageError: a path does not exist, or the keyword is malformed.
        NothingToRunError: there is no case, or none was chosen.
    """
    cases, faults = read_cases(paths)
    if faults:
        raise CaseFileError(faults)
    return choose_cases(cases, paths, keyword=keyword, tags=tags)


def read_cases(paths: Sequence[str | Path]) -> tuple[tuple[Case, ...], tuple[Fault, ...]]:
    """Read all cases of files and folders, for further checks before anything is refused.

    Returns:
        The cases, and every fault found so far; a case of the right form is there even if some of the faults are its.

    Raises:
        UsageError: a path does not exist.
    """
    faults: list[Fault] = []
    cases = tuple(case for file in case_files(paths) for case in _read(file, faults))
    return cases, (*faults, *_duplicates(cases))


def choose_cases(
    cases: Sequence[Case], paths: Sequence[str | Path], *, keyword: str | None = None, tags: Sequence[str] = ()
) -> tuple[Case, ...]:
    """Choose among the cases read from `paths`, see `load_cases`.

    Raises:
        UsageError: the keyword is malformed.
        NothingToRunError: there is no case, or none was chosen.
    """
    if not cases:
        where = ", ".join(str(path) for path in paths) or "nowhere"
        raise NothingToRunError(
            f"Cannot find a case: paths={where} hold no case in any *.yaml or *.yml. Name a folder that does."
        )
    chosen = select(cases, keyword=keyword, tags=tags)
    if not chosen:
        raise NothingToRunError(
            f"Cannot choose a case: keyword={keyword!r}, tags={list(tags)} match none of {len(cases)}. Loosen them."
        )
    return chosen


def faults_at(found: Iterable[tuple[Case, Problem]]) -> tuple[Fault, ...]:
    """Problems found in cases after loading, each at its place; their files are read once more to find it."""
    documents: dict[Path, dict[int, Document]] = {}
    faults = []
    for case, problem in found:
        if case.path not in documents:
            text = _text(case.path)
            parts = [] if isinstance(text, Fault) else read_documents(text, as_text=_as_text)
            whole = (written_out(part, case.path) for part in parts if isinstance(part, Document))
            documents[case.path] = {part.start.line: part for part in whole}
        document = documents[case.path].get(case.line) or Document(start=Place(case.line, 1))
        faults.append(_fault(document, problem, case.path))
    return tuple(dict.fromkeys(faults))


def case_files(paths: Sequence[str | Path]) -> tuple[Path, ...]:
    """The case files that paths stand for, each once, folders' own in alphabetical order.

    Raises:
        UsageError: a path does not exist.
    """
    found: dict[Path, Path] = {}
    for given in paths:
        path = Path(given)
        _check_path(path)
        for file in [path] if path.is_file() else _search(path):
            found.setdefault(file.resolve(), file)
    return tuple(found.values())


def _check_path(path: Path) -> None:
    """Refuse what is neither a file nor a folder."""
    try:
        usable = path.is_file() or path.is_dir()
        why = "is neither a file nor a folder" if path.exists() else "does not exist"
    except OSError as error:
        usable, why = False, f"cannot be opened ({error.strerror})"
    if not usable:
        raise UsageError(f"Cannot load cases: path={str(path)[:200]!r} {why}. Name a case file or a folder of them.")


def _search(folder: Path) -> list[Path]:
    """Case files below a folder; hidden folders are passed over."""
    files = (file for suffix in SUFFIXES for file in folder.rglob(f"*{suffix}") if file.is_file())
    return sorted(file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def _read(file: Path, faults: list[Fault]) -> Iterator[Case]:
    """The cases of one file; its faults are added to `faults`."""
    text = _text(file)
    if isinstance(text, Fault):
        faults.append(text)
        return
    empty = True
    for read in read_documents(text, as_text=_as_text):
        empty = False
        if isinstance(read, Broken):
            faults.append(Fault(file, read.place.line, read.place.column, read.message))
            continue
        document = written_out(read, file)
        case, problems = _case(document, file)
        # Descents that were written out from one entry share its place, and its faults are told once.
        faults.extend(dict.fromkeys(_fault(document, problem, file) for problem in problems))
        if case is not None:
            yield case
    if empty:
        faults.append(Fault(file, 1, 1, "the file holds no case; write one, or remove the file"))


def _text(file: Path) -> str | Fault:
    """A file's text, or the fault that keeps it from being read."""
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            return Fault(file, 1, 1, f"the file has {size:,} bytes; a case file may have {MAX_BYTES:,}")
        raw = file.read_bytes()
    except OSError as error:
        return Fault(file, 1, 1, f"the file cannot be read: {error.strerror or error}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        return Fault(file, line, column, "the file is not UTF-8 text; save it as UTF-8")


def _case(document: Document, file: Path) -> tuple[Case | None, list[Problem]]:
    """The case of one document, even when parts of it do not fit, and its problems."""
    model, problems = validate(document.data) if not document.problems else (None, [])
    if model is None:
        return None, [*document.problems, *problems]
    case = Case(model=model, path=file, line=document.start.line)
    return case, [*problems, *crosscheck(case)]


def _fault(document: Document, problem: Problem, file: Path) -> Fault:
    place = document.locate(problem)
    message = problem.message if len(problem.message) <= MAX_MESSAGE else f"{problem.message[:MAX_MESSAGE]}…"
    return Fault(file, place.line, place.column, message)


def _duplicates(cases: Sequence[Case]) -> Iterator[Fault]:
    """Faults for every case whose id an earlier one has."""
    first: dict[str, Case] = {}
    for case in cases:
        other = first.setdefault(case.id, case)
        if other is not case:
            yield Fault(
                case.path, case.line, 1, f"duplicate case id {case.id!r}; {other.path}:{other.line} has it already"
            )


def _as_text(path: documents.Path, kind: str) -> bool:
    """Whether a number keeps its digits: published figures and points do, and numbers that stand as expressions."""
    match path:
        case ("points", int(), "at", *_):
            return kind == "float"
        case ("points", int(), "claims", *rest):
            return kind == "float" and any(part in _FIGURES for part in rest[:2])
        case ("converge", int(), "published", *_):
            return kind == "float"
        case ("converge", int(), "fit", _):
            return True
        case ("nist", "model" | "response"):
            return True
        case ("function" | "residuals" | "reference",) | ("function" | "residuals", int()) | ("let" | "gradient", _):
            return True
        case _:
            return False
