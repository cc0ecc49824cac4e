"""Checks gradients of differentiable PyTorch code, runs convergence cases, times them, and reports.

The public names are imported when first used, so that `import harness` (and the command line's help) needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness import run as run
    from harness.case.load import load_cases
    from harness.case.subject import Input
    from harness.records import Outcome
    from harness.report.write import write_report
    from harness.verify.api import Verdict, check

__all__ = ["Input", "Outcome", "Verdict", "check", "load_cases", "run", "write_report"]

_HOMES = {
    "Input": "harness.case.subject",
    "Outcome": "harness.records",
    "Verdict": "harness.verify.api",
    "check": "harness.verify.api",
    "load_cases": "harness.case.load",
    "write_report": "harness.report.write",
}


def __getattr__(name: str) -> object:
    """Import a public name from where it lives."""
    if name == "run":  # a package that can be called
        return importlib.import_module("harness.run")
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}. It has {', '.join(__all__)}.")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
