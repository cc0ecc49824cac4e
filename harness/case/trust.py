"""Which Python code may run: only what lies in packages and folders the caller named.

A case file never says what is trusted; the command line and the project's own configuration do.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UntrustedError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The packages and folders whose code may run; nothing, unless told."""

    packages: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()

    @classmethod
    def from_config(cls, start: Path, extra: Sequence[str] = ()) -> Trust:
        """Read ``[tool.harness] trust`` of the nearest pyproject.toml, and add what an option says.

        Args:
            start: the folder the command runs in (not the cases' folder: cases must not be able to trust themselves).
            extra: further packages and folders; folders are relative to `start`.

        Raises:
            UsageError: the configuration cannot be read, or an entry is no folder that exists and no package's name.
        """
        start = start.resolve()
        entries = [(entry, start, "--trust") for entry in extra]
        config = project_file(start)
        if config is not None:
            where = f"[tool.harness] trust of {config}"
            entries += [(entry, config.parent, where) for entry in _configured(config)]
        folders: list[Path] = []
        for entry, base, where in entries:
            if _is_folder(base / entry) and entry:
                folders.append((base / entry).resolve())
            elif not _is_package(entry) or _is_file(base / entry):
                raise UsageError(_no_such(entry, base / entry, where))
        packages = tuple(entry for entry, _, _ in entries if _is_package(entry))
        return cls(packages=packages, folders=tuple(folders))

    def check_package(self, module: str, *, who: str) -> None:
        """Refuse a module outside the trusted packages.

        Raises:
            UntrustedError: it is outside.
        """
        if not any(module == package or module.startswith(f"{package}.") for package in self.packages):
            raise UntrustedError(_refusal(f"module={module!r}", module.partition(".")[0], "package", who))

    def check_file(self, file: Path, *, who: str) -> None:
        """Refuse a file outside the trusted folders; links are followed first.

        Raises:
            UntrustedError: it is outside.
        """
        real = file.resolve()
        if not any(real.is_relative_to(folder) for folder in self.folders):
            raise UntrustedError(_refusal(f"file={str(real)!r}", str(real.parent), "folder", who))


def _refusal(what: str, entry: str, kind: str, who: str) -> str:
    return (
        f"Cannot run Python code of {who}: {what} lies in no trusted {kind}. If you trust it, pass --trust {entry}, "
        f'or add "{entry}" to trust in [tool.harness] of pyproject.toml.'
    )


def _no_such(entry: str, path: Path, where: str) -> str:
    """Say that an entry is nothing that can be trusted."""
    if not entry:
        return f"Cannot trust an empty entry (in {where}). Name a folder or a package, or remove it."
    if _is_file(path):
        return f"Cannot trust {entry!r} (in {where}): it is a file. Name the folder it lies in."
    is_path = "/" in entry or "\\" in entry or entry.startswith((".", "~"))
    why = "there is no such folder" if is_path else "it is neither a folder that exists nor the name of a package"
    return f"Cannot trust {entry!r} (in {where}): {why}. Name a folder that exists, or a package."


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # no path at all: a null character, or too long
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_package(entry: str) -> bool:
    """Whether an entry can be the name of a package."""
    return bool(entry) and all(part.isidentifier() for part in entry.split("."))


def project_file(start: Path) -> Path | None:
    """Return the nearest pyproject.toml of a folder or one above it, None where there is none."""
    found = (folder / "pyproject.toml" for folder in (start, *start.parents))
    return next((config for config in found if config.is_file()), None)


def settings(config: Path, what: str) -> dict[str, object]:
    """Return the table ``[tool.harness]`` of a pyproject.toml; `what` is wanted of it, for messages.

    Raises:
        UsageError: the file or the table cannot be read.
    """
    try:
        tables = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"Cannot read {what}: file={str(config)!r} is not readable TOML ({error}). Repair it."
        ) from error
    for table in ("tool", "harness"):
        tables = tables.get(table, {})
        if not isinstance(tables, dict):
            raise UsageError(f"Cannot read {what}: file={str(config)!r} has a {table!r} that is no table. Make it one.")
    return tables


def _configured(config: Path) -> list[str]:
    trust = settings(config, "trust").get("trust", [])
    if not isinstance(trust, list) or not all(isinstance(entry, str) for entry in trust):
        raise UsageError(
            f"Cannot read trust: file={str(config)!r} has a [tool.harness] trust that is not a list of texts. "
            "Make it one."
        )
    return trust
