"""What every test shares: one thread, so that tests running side by side do not fight over cores; interrupts."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let processes that a test starts be interrupted also where whoever runs the tests ignores it, as a shell does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
