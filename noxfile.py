"""The only entry to everything this project does with itself: `nox -l` lists it, `nox -s NAME` runs it.

Sessions share one environment, installed once and checked in a second or two afterwards; `lint` needs no torch and has
its own.
What follows `--` on the command line goes to the session's main command: `nox -s verify -- cases/calculus`.
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["verify", "tests", "lint", "types"]

SHARED = str(Path(".nox") / "harness")
CONSTRAINTS = ("-c", "constraints.txt")


def _install(session: nox.Session) -> None:
    """Install the project with its development tools, within the constraints."""
    session.install("-q", *CONSTRAINTS, "-e", ".[dev]")


@nox.session(venv_location=SHARED)
def verify(session: nox.Session) -> None:
    """Verify every case, run its descents and a short timing pass, and write the report."""
    _install(session)
    session.run("harness", "run", *(session.posargs or ["cases"]))


@nox.session(venv_location=SHARED)
def tests(session: nox.Session) -> None:
    """Run the test-suite, browser tests included where there is a Chromium."""
    _install(session)
    session.run("pytest", "-n", str(os.cpu_count() or 1), "--dist", "loadfile", *session.posargs)


@nox.session(venv_location=SHARED)
def report(session: nox.Session) -> None:
    """Make the full performance report: everything, at full timing length."""
    _install(session)
    session.run("harness", "run", "--full", *(session.posargs or ["cases"]))


@nox.session(venv_location=SHARED)
def bench(session: nox.Session) -> None:
    """Time the harness itself against its peers, as ratios measured in one run."""
    _install(session)
    session.run(
        "pytest", "tests/benchmarks", "-o", "addopts=--import-mode=importlib", "-p", "no:xdist", *session.posargs
    )


@nox.session(reuse_venv=True)
def lint(session: nox.Session) -> None:
    """Check style, formatting and the one-way imports."""
    session.install("-q", *CONSTRAINTS, "ruff", "import-linter")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "."})


@nox.session(venv_location=SHARED)
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    _install(session)
    session.run("mypy", *session.posargs)


@nox.session(venv_location=SHARED)
def docs(session: nox.Session) -> None:
    """Regenerate the case-file reference and its JSON Schema, and build the documentation into build/docs."""
    _install(session)
    session.install("-q", "mkdocs")
    session.run("python", "docs/generate.py")
    session.run("mkdocs", "build", "--strict", "--quiet")
