"""Fixtures for the tests of the report."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import factory as made


@pytest.fixture(scope="session")
def factory():
    """The module that makes synthetic runs."""
    return made


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
