"""Fixtures for the tests of the report."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def factory():
    """The module that makes synthetic runs (tests are no package, so it is loaded from its file)."""
    name = "harness_report_factory"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("factory.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def golden():
    """The text of a golden file; run with HARNESS_GOLDEN=write to make the file anew, and then read its diff."""

    def agreed(name: str, text: str) -> str:
        path = Path(__file__).parent / "golden" / name
        if os.environ.get("HARNESS_GOLDEN") == "write":
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return path.read_text(encoding="utf-8")

    return agreed
