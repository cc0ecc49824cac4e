"""Every faulty optimizer, in one table: importing this module fills it."""

from __future__ import annotations

import planted_adam_calls
import planted_adam_formula
import planted_adam_state
import planted_kin
import planted_others
import planted_sgd
from planting import TABLE

MODULES = (planted_adam_calls, planted_adam_formula, planted_adam_state, planted_kin, planted_others, planted_sgd)

__all__ = ["MODULES", "TABLE"]
