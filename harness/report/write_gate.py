"""Writes what a gate found: gate.json, junit.xml, summary.md and report.html, each whole or not there at all."""

from __future__ import annotations

import os
from pathlib import Path

from harness.gate.records import GateResult, from_json, to_json
from harness.report.gate_html import render_gate_html
from harness.report.gate_junit import render_gate_junit
from harness.report.gate_markdown import render_gate_markdown
from harness.report.write import replace

GATE_FILE = "gate.json"
GATE_FILES = (GATE_FILE, "junit.xml", "summary.md", "report.html")
"""What a gate's run directory holds."""
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""Variable that names the file whose Markdown GitHub Actions shows on the page of a run."""


def write_gate(result: GateResult, directory: str | Path) -> None:
    """Write a gate's files into a directory, which is made if need be.

    Raises:
        OSError: when the directory cannot be made or written to.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # The small files go first, so that CI has its summary even where the page cannot be made.
    replace(directory / GATE_FILE, to_json(result).encode(errors="replace"))
    replace(directory / "junit.xml", render_gate_junit(result).encode(errors="replace"))
    replace(directory / "summary.md", render_gate_markdown(result).encode(errors="replace"))
    replace(directory / "report.html", render_gate_html(result).encode(errors="replace"))


def add_step_summary(result: GateResult) -> None:
    """Append the summary to the page of the running CI job, where there is one.

    Raises:
        OSError: when the file that was named cannot be written to.
    """
    path = os.environ.get(STEP_SUMMARY)
    if path:
        with Path(path).open("a", encoding="utf-8", errors="replace") as file:
            file.write(render_gate_markdown(result))


def read_gate(directory: Path) -> GateResult | None:
    """Read a gate's result back from its directory (or from its file); None where there is none.

    Raises:
        UsageError: the file is no result of this version.
    """
    file = directory / GATE_FILE if directory.is_dir() else directory
    return from_json(file.read_bytes()) if file.name == GATE_FILE and file.is_file() else None
