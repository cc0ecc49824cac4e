"""Fixtures of the optimizers' tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `own` and `planted`, which pickle must find by name
