"""Where a run happens: what has to be alike before two runs' timings may be compared."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.records import Environment

PACKAGES = ("scipy", "pandas", "sympy", "python-flint", "pydantic", "triton")
"""Packages a result may depend on; those not installed are left out."""


def environment(cases: Path | None = None) -> Environment:
    """Describe this machine and this installation.

    Args:
        cases: a case file or folder of the run; its repository's commit is recorded.
    """
    import torch

    cuda, missing = _cuda()
    return Environment(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=platform.platform(),
        cpu=_cpu_name(),
        cpu_count=os.cpu_count() or 1,
        memory_bytes=_memory_bytes(),
        torch=torch.__version__,
        torch_threads=torch.get_num_threads(),
        numpy=version_of("numpy") or "unknown",
        cuda=cuda,
        cuda_missing=missing,
        harness=version_of("harness") or "unknown",
        git_commit=None if cases is None else git_commit(cases),
        packages=_versions(PACKAGES),
    )


def version_of(package: str) -> str | None:
    """Return the version of an installed package, None where there is none; imports nothing of it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_commit(path: Path) -> str | None:
    """Return the commit of the repository a path lies in, "+changes" added where files differ; None outside of one."""
    folder = path if path.is_dir() else path.parent
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    return f"{commit}+changes" if _git(folder, "status", "--porcelain", "--untracked-files=no") else commit


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what a git command says, None where git or a repository is missing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _versions(packages: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = ((package, version_of(package)) for package in packages)
    return tuple((package, version) for package, version in found if version is not None)


def _cuda() -> tuple[str | None, str | None]:
    """Return CUDA's version and device, or None and why there is none."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.version.cuda}, {torch.cuda.get_device_name()}", None
    if torch.version.cuda is None:
        return None, f"torch {torch.__version__} is built without CUDA"
    return None, f"torch is built for CUDA {torch.version.cuda}, but finds no device or driver"


def _cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine() or "unknown"


def _memory_bytes() -> int | None:
    """Return the machine's memory, None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
