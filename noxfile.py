"""The only entry to everything this project does with itself: `nox -l` lists it, `nox -s NAME` runs it.

The sessions share one environment, `.nox/harness`: torch is large, so it is installed once and only checked afterwards.
What follows `--` on the command line goes to the session's main command: `nox -s verify -- cases/calculus`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["verify", "tests", "lint", "types"]

SHARED = Path(".nox", "harness").resolve()
PROGRAMS = SHARED / ("Scripts" if os.name == "nt" else "bin")


class Environment:
    """The shared environment, ready for use: made if missing, and brought up to date with the project."""

    def __init__(self, session: nox.Session, *further: str) -> None:
        self.session = session
        if not (PROGRAMS / "python").exists() and not (PROGRAMS / "python.exe").exists():
            session.run(sys.executable, "-m", "venv", str(SHARED), external=True)
        quiet = ("--quiet", "--disable-pip-version-check")
        self.run("python", "-m", "pip", "install", *quiet, "-c", "constraints.txt", "-e", ".[dev]", *further)

    def run(self, program: str, *arguments: str, **variables: str) -> None:
        """Run one of the environment's programs with further environment variables; the session fails when it fails."""
        path = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", "")])
        self.session.run(str(PROGRAMS / program), *arguments, external=True, env={"PATH": path, **variables})


@nox.session(venv_backend="none")
def verify(session: nox.Session) -> None:
    """Verify every case, run its descents and a short timing pass, and write the report."""
    Environment(session).run("harness", "run", *(session.posargs or ["cases"]))


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the test-suite, browser tests included where there is a Chromium."""
    workers = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    Environment(session).run("pytest", "-n", workers, "--dist", "loadfile", *session.posargs)


@nox.session(venv_backend="none")
def nightly(session: nox.Session) -> None:
    """Hold what balls promise against 20,000 fresh random expressions and more; `HARNESS_DRAWS=100` makes it longer."""
    draws = os.environ.get("HARNESS_DRAWS", "24")
    options = ("--hypothesis-show-statistics", *session.posargs)
    Environment(session).run("pytest", "tests/oracle_ball/test_ball_properties.py", *options, HARNESS_DRAWS=draws)


@nox.session(venv_backend="none")
def power(session: nox.Session) -> None:
    """Inject every fault into every case, and print which check noticed which."""
    Environment(session).run("harness", "power", *(session.posargs or ["cases"]))


@nox.session(venv_backend="none")
def report(session: nox.Session) -> None:
    """Make the full performance report: everything, at full timing length."""
    Environment(session).run("harness", "run", "--full", *(session.posargs or ["cases"]))


@nox.session(venv_backend="none")
def gate(session: nox.Session) -> None:
    """Compare the working tree with a git ref: nox -s gate -- --base origin/main; HEAD if none is named."""
    named = any(word == "--self-test" or word.startswith("--base") for word in session.posargs)
    Environment(session).run("harness", "gate", *(() if named else ("--base", "HEAD")), *session.posargs)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Time the harness itself against its peers, as ratios measured in one run."""
    options = ("-o", "addopts=--import-mode=importlib", "-p", "no:xdist")
    Environment(session).run("pytest", "tests/benchmarks", *options, *session.posargs)


@nox.session(venv_backend="none")
def reference(session: nox.Session) -> None:
    """Make the report that compares the CPU with CUDA; for a machine with a GPU: nox -s reference -- --out FOLDER."""
    Environment(session, "nvidia-ml-py").run("harness", "bench", "cases/benchmarks", *session.posargs)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Check style, formatting and the one-way imports."""
    environment = Environment(session)
    environment.run("ruff", "check", ".")
    environment.run("ruff", "format", "--check", ".")
    environment.run("lint-imports", "--no-cache")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    Environment(session).run("mypy", *session.posargs)


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """Regenerate the case-file reference and its JSON Schema, and build the documentation into build/docs."""
    environment = Environment(session, "mkdocs")
    environment.run("python", "docs/generate.py")
    environment.run("mkdocs", "build", "--strict", "--quiet")
