"""The two trees that are compared: the working tree as it is, and the base, a commit checked out or a folder by name.

The base of a git ref is a worktree in a temporary folder outside the repository. It is removed when the block ends,
however it ends; only a process that is killed outright leaves it, and then the next gate in that repository clears it
away. What git does not keep, such as built extensions and ignored data, is not in a worktree: `prepare` is there to
build it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.gate import git
from harness.gate.preparation import run_preparation
from harness.gate.records import Side

PREFIX = "harness-gate-"
"""Temporary folders of worktrees are called so, followed by the number of the process that made them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """The two sides of a comparison."""

    base: Side
    head: Side


@contextmanager
def trees(
    base: str, *, start: Path, trust: Sequence[str] = (), base_python: str | None = None, prepare: str | None = None
) -> Iterator[Trees]:
    """Provide both trees while the block runs.

    Args:
        base: a git ref of the repository that `start` lies in, or a folder that holds another copy of the project. A
            name that is both is the ref; ``./name`` is the folder.
        start: the folder the command runs in. The project's root is the nearest folder from there upwards, within the
            repository, that holds a pyproject.toml; without any, the repository's top folder.
        trust: packages and folders whose code may run, folders relative to `start`.
        base_python: interpreter of the base's processes; None is this one.
        prepare: shell command that is run in the worktree before anything else.

    Raises:
        UsageError: the base is neither, git refuses, or the preparation failed.
    """
    start = start.resolve()
    top = git.toplevel(start)
    head = working_tree(start, trust=trust)
    root, trusted = Path(head.root), head.trust
    python = _interpreter(base_python)
    commit = None if top is None else git.commit_of(top, base)
    if top is None or commit is None:
        folder = _base_folder(base, start, root, top)
        if prepare is not None:
            raise UsageError(
                f"Cannot prepare: base={base!r} is a folder, which the gate leaves as it is. Run {prepare!r} there "
                "yourself, and leave --prepare out."
            )
        yield Trees(base=_base(folder, base, python, trusted, root), head=head)
        return
    with _worktree(top, commit) as worktree:
        folder = _same_place(root, top, worktree, base)
        if prepare is not None:
            run_preparation(prepare, folder)
        yield Trees(base=_base(folder, f"{base} ({commit[:8]})", python, trusted, root), head=head)


def working_tree(start: Path, *, trust: Sequence[str] = ()) -> Side:
    """Return the project that `start` lies in, as it is, as the head side; see `trees` for the arguments."""
    start = start.resolve()
    top = git.toplevel(start)
    root = project_root(start, top)
    trusted = tuple(_relative_trust(entry, start, root) for entry in trust)
    return Side(name="head", root=str(root), shown=_shown_head(root, top), trust=trusted)


def project_root(start: Path, top: Path | None) -> Path:
    """Return the folder that user code is imported from and case paths are relative to, see `trees`.

    Args:
        start: the folder the command runs in.
        top: top folder of its repository; None where it is in none.
    """
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder
        if folder == top:
            return folder
    return start


def place_in(root: Path, path: str | Path, start: Path) -> str:
    """Return a path relative to a tree's root, with forward slashes, so that it names the same place in another tree.

    Args:
        root: the tree's root.
        path: a file or folder, relative to `start` or absolute; links are followed.
        start: the folder the command runs in.

    Raises:
        UsageError: it lies outside.
    """
    real = (start / path).resolve()
    if not real.is_relative_to(root):
        raise UsageError(
            f"Cannot find path={str(path)!r} on the base: {str(real)!r} lies outside of {str(root)!r}, the project's "
            "root. Name cases inside it, or run the command in the project that holds them."
        )
    return real.relative_to(root).as_posix()


def _base(folder: Path, shown: str, python: str, trust: Sequence[str], root: Path) -> Side:
    """Return the base's side; folders that are trusted here and are not there are left out."""
    there = tuple(entry for entry in trust if not (root / entry).is_dir() or (folder / entry).is_dir())
    return Side(name="base", root=str(folder), shown=shown, python=python, trust=there)


@contextmanager
def _worktree(repository: Path, commit: str) -> Iterator[Path]:
    """Provide a commit's files in a temporary folder."""
    _clear_left_behind(repository)
    with suppress(git.GitError):
        git.prune(repository)
    parent = _temporary_folder(repository)
    folder = parent / "base"
    try:
        try:
            git.add_worktree(repository, folder, commit)
        except git.GitError as error:
            raise UsageError(
                f"Cannot check out the base: commit={commit[:12]!r}: {error}. Repair the repository, or name a folder."
            ) from error
        yield folder
    finally:
        with _uninterrupted():
            _remove(repository, parent, folder)


def _remove(repository: Path, parent: Path, folder: Path) -> None:
    """Remove a worktree and its temporary folder, whatever state it is in."""
    with suppress(git.GitError):
        git.remove_worktree(repository, folder)
    shutil.rmtree(parent, ignore_errors=True)
    with suppress(git.GitError):
        git.prune(repository)


def _clear_left_behind(repository: Path) -> None:
    """Remove the worktrees of gates that were killed: those in folders named as ours whose process is gone."""
    with suppress(git.GitError):
        for folder in git.worktrees(repository):
            name = folder.parent.name
            if name.startswith(PREFIX) and folder.exists() and not _runs(name.removeprefix(PREFIX).partition("-")[0]):
                _remove(repository, folder.parent, folder)


def _runs(number: str) -> bool:
    """Whether a process of that number runs; yes where that cannot be told."""
    if not number.isdigit() or os.name != "posix":
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _temporary_folder(repository: Path) -> Path:
    """Make a temporary folder outside of a repository."""
    place = Path(tempfile.gettempdir()).resolve()
    if place.is_relative_to(repository.resolve()):
        raise UsageError(
            f"Cannot check out the base: TMPDIR={str(place)!r} lies inside the repository, where searches for cases "
            "would find it. Point TMPDIR elsewhere."
        )
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=place))


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let no Ctrl-C or SIGTERM stop what must be finished; it takes well below a second."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _base_folder(base: str, start: Path, root: Path, top: Path | None) -> Path:
    """Return the root of a base that is named by its folder."""
    folder = start / base
    if not base.strip():
        raise UsageError(
            f"Cannot compare: base={base!r} names nothing. Pass a git ref or a folder: --base origin/main. (In CI, is "
            "the variable set for this event?)"
        )
    if not folder.is_dir():
        raise UsageError(_no_base(base, start, top))
    folder = folder.resolve()
    folder = folder if top is None else _same_place(root, top, folder, base, optional=True)
    if folder == root:
        raise UsageError(
            f"Cannot compare: base={base!r} is the working tree itself, {str(root)!r}, which is always found equal. "
            "Name a git ref, or a folder with another copy."
        )
    return folder


def _same_place(root: Path, top: Path, other: Path, base: str, *, optional: bool = False) -> Path:
    """Return the project's root in another checkout: as far below its top as here, or, `optional`, the top itself."""
    place = other / root.relative_to(top)
    if place.is_dir():
        return place
    if optional:
        return other
    raise UsageError(
        f"Cannot compare: base={base!r} has no folder {root.relative_to(top).as_posix()!r}, the project's root here. "
        "Name a later base."
    )


def _no_base(base: str, start: Path, top: Path | None) -> str:
    """Say why a base is none, and what to do."""
    head = f"Cannot compare: base={base!r} is"
    if top is None:
        return (
            f"{head} no folder, and {str(start)!r} lies in no git repository (or git is not installed). Name a folder, "
            "or run the command inside the repository."
        )
    if git.is_shallow(top):
        return (
            f"{head} neither a commit of this clone, which is shallow and holds only the latest history, nor a folder. "
            "Fetch all of it: `git fetch --unshallow`, or `fetch-depth: 0` under actions/checkout."
        )
    return (
        f"{head} neither a commit that this repository holds nor a folder. Name a branch, a tag or a commit; a branch "
        "of a remote has to be fetched first, and is called origin/NAME."
    )


def _shown_head(root: Path, top: Path | None) -> str:
    """Return what people call the head: "working tree (da1ba09c+changes)"."""
    commit = None if top is None else git.commit_of(top, "HEAD")
    if top is None or commit is None:
        return f"working tree {root}"
    changed = git.git(top, "status", "--porcelain", "--untracked-files=no") != ""
    return f"working tree ({commit[:8]}{'+changes' if changed else ''})"


def _relative_trust(entry: str, start: Path, root: Path) -> str:
    """Return an entry of --trust as `Side` takes it: folders relative to the root, where they lie in it."""
    folder = (start / entry).resolve()
    if not entry or not folder.is_dir():
        return entry
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)


def _interpreter(wanted: str | None) -> str:
    """Return the path of the base's interpreter."""
    if wanted is None:
        return sys.executable
    found = shutil.which(wanted)
    if found is None:
        raise UsageError(
            f"Cannot run the base: base-python={wanted!r} is no program that can be run. Name an interpreter, such as "
            ".venv-base/bin/python."
        )
    return str(Path(found).absolute())
