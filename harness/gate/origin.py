"""Where the code that was timed came from: files of the case's Python code, and which of them lie outside the tree.

Two trees that import one installed copy of a package would run the same code and look the same however much they
differ. What cannot be seen: a package that is imported by a case's own file, lies outside both trees, and has no module
of its name in the tree, is taken for a library.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

from harness.case.case import Case
from harness.case.schema import PythonRef

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of this package."""

LIBRARIES = ("site-packages", "dist-packages")


def import_folders(root: Path) -> tuple[Path, ...]:
    """List the folders that user code of a tree is imported from, foremost first.

    A tree that holds this package itself gives none: the instrument has to be the same on both sides, and the code of
    its cases is named by file.
    """
    if (root / PACKAGE.name / "gate" / "worker.py").is_file():
        return ()
    source = root / "src"
    return (source, root) if source.is_dir() else (root,)


def code_of(case: Case) -> tuple[str, ...]:
    """List the files of the Python code that a case names, as far as it has been imported; none for expressions."""
    model = case.model
    named = [ref.python.rpartition(":")[0] for ref in (model.function, model.gradient) if isinstance(ref, PythonRef)]
    return tuple(dict.fromkeys(str(file) for where in named for file in _files(where, case)))


def _files(where: str, case: Case) -> Iterable[Path]:
    if where.endswith(".py") or "/" in where:
        return [(case.path.parent / where).resolve()]
    file = file_of(sys.modules.get(where))
    return [] if file is None else [file]


def file_of(module: ModuleType | None) -> Path | None:
    """Return the file a module was loaded from, links followed; None where it has none."""
    file = getattr(module, "__file__", None)
    return _resolved(file) if isinstance(file, str) and file else None


@cache
def _resolved(file: str) -> Path:
    """Follow links once per file: thousands of modules are looked at again for every workload."""
    return Path(file).resolve()


def foreign_code(code: Iterable[str], root: Path, other: Path) -> tuple[str, ...]:
    """List what should have come from the tree and did not.

    Args:
        code: files of the case's Python code; without any there is nothing that could be foreign.
        root: the tree.
        other: the tree it is compared with.

    Returns:
        Files of `code` outside the tree, loaded modules of a name the tree has that came from elsewhere, and loaded
        modules of the other tree.
    """
    wanted = dict.fromkeys(map(Path, code))
    if not wanted:
        return ()
    own = {name for folder in import_folders(root) for name in _top_level(folder)} - sys.stdlib_module_names
    for name, module in list(sys.modules.items()):
        file = file_of(module)
        if file is not None and (name.partition(".")[0] in own or lies_in(file, other)):
            wanted[file] = None
    return tuple(str(file) for file in wanted if not (lies_in(file, root) or file.is_relative_to(PACKAGE)))


def lies_in(file: Path, root: Path) -> bool:
    """Whether a file belongs to a tree; what was installed into an environment inside the tree does not."""
    folder = str(_resolved(str(root)))
    if not str(file).startswith(folder):  # far cheaper than the same question asked of paths
        return False
    return file.is_relative_to(folder) and not set(LIBRARIES) & set(file.relative_to(folder).parts)


def _top_level(folder: Path) -> set[str]:
    """List the names of the packages and modules that lie in a folder."""
    packages = {entry.parent.name for entry in folder.glob("*/__init__.py")}
    return packages | {entry.stem for entry in folder.glob("*.py")}
