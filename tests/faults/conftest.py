"""Makes the emulations importable from the tests beside them, and starts each test from the same state."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def fresh_launches() -> Iterator[None]:
    """Start the launch counters of races over, so that no test depends on which ran before it."""
    from emulations.state import restart_launches

    restart_launches()
    yield
    restart_launches()
