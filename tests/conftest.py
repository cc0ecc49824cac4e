"""Settings every test shares: one thread, so that tests running side by side do not fight over cores."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
