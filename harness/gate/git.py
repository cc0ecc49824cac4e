"""What the gate asks of git: where a repository is, which commit a name means, and worktrees made and removed.

Only these questions; no history is walked and nothing of the user's checkout is changed. Variables by which git hooks
point git at another repository are taken out, so that the folder alone decides.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness.errors import UsageError

_POINTERS = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
)
_TIMEOUT_S = 600.0
"""Longest a git command may take; checking out a large worktree over a slow disk takes minutes."""


class GitError(UsageError):
    """A git command failed; the message is git's own."""


def git(folder: Path, *arguments: str) -> str:
    """Return what a git command prints, without the last line feed.

    Args:
        folder: where it runs.
        arguments: the command, without ``git``.

    Raises:
        GitError: git is not installed, or the command failed; the message is what it said.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _POINTERS}
    environment["LC_ALL"] = "C"
    try:
        # A session of its own: a Ctrl-C is for the gate to handle, and must not stop git halfway through a worktree.
        done = subprocess.run(
            ["git", "-c", f"core.hooksPath={os.devnull}", "-C", str(folder), *arguments],
            capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False, env=environment,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitError(f"git cannot be run ({error})") from error
    if done.returncode != 0:
        raise GitError(done.stderr.strip() or f"git {arguments[0]} ended with {done.returncode}")
    return done.stdout.rstrip("\n")


def toplevel(folder: Path) -> Path | None:
    """Return the top folder of the checkout that a folder lies in; None where it lies in none.

    Raises:
        UsageError: there is a repository, and git refuses to read it.
    """
    try:
        return Path(git(folder, "rev-parse", "--show-toplevel"))
    except GitError as error:
        if "not a git repository" in str(error) or "must be run in a work tree" in str(error) or not _installed():
            return None
        raise UsageError(f"Cannot read the repository of {str(folder)!r}: {error}. Make it readable to git.") from error


def commit_of(folder: Path, ref: str) -> str | None:
    """Return the full hash of the commit that a ref means; None where it means none."""
    try:
        return git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except GitError:
        return None


def is_shallow(folder: Path) -> bool:
    """Whether a repository holds only a part of its history, as clones in CI do."""
    return git(folder, "rev-parse", "--is-shallow-repository") == "true"


def add_worktree(repository: Path, folder: Path, commit: str) -> None:
    """Check a commit out into a new folder, without hooks and without moving any branch.

    Raises:
        GitError: git could not.
    """
    git(repository, "worktree", "add", "--detach", "--quiet", str(folder), commit)


def remove_worktree(repository: Path, folder: Path) -> None:
    """Take a worktree out of a repository's books, and its folder off the disk as far as git does that itself.

    Raises:
        GitError: git could not.
    """
    git(repository, "worktree", "remove", "--force", "--force", str(folder))


def worktrees(repository: Path) -> tuple[Path, ...]:
    """List the folders of a repository's worktrees, the main one first."""
    lines = git(repository, "worktree", "list", "--porcelain").splitlines()
    return tuple(Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree "))


def prune(repository: Path) -> None:
    """Let git forget worktrees whose folders are gone.

    Raises:
        GitError: git could not.
    """
    git(repository, "worktree", "prune")


def _installed() -> bool:
    try:
        git(Path.cwd(), "version")
    except GitError:
        return False
    return True
