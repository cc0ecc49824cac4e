"""What an emulation is: a gradient bug that really shipped, its correct twin, and a plain reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulation:
    """One shipped bug, reduced to a function on the CPU.

    `wrong` and `right` have the same forward; `reference` is plain PyTorch. `inputs` and `dims` are what an ordinary
    user would hand to `harness.check`: small, random, and away from whatever makes the bug show. `sees` names the
    checks that notice the bug: one of them must be part of the name of a finding that fails. `probes` are those to ask
    for by name, where the bug breaks a promise that only its author knows of, or takes more than every subject should.
    """

    slug: str
    wrong: Callable[..., Any]
    right: Callable[..., Any]
    reference: Callable[..., Any]
    inputs: Mapping[str, Any]
    sees: tuple[str, ...]
    dims: Mapping[str, int] = field(default_factory=dict)
    effort: str = "standard"
    probes: tuple[str, ...] | None = None


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Seeded normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def as_if_contiguous(tensor: Tensor) -> Tensor:
    """Read a tensor's storage in row-major order from its first element, as a kernel that ignores strides does.

    Past the end of the storage it reads zeros.
    """
    if tensor.is_contiguous():
        return tensor
    stored = tensor.untyped_storage().nbytes() // tensor.element_size() - tensor.storage_offset()
    flat = tensor.as_strided((stored,), (1,))
    missing = max(0, tensor.numel() - stored)
    return torch.cat([flat, flat.new_zeros(missing)])[: tensor.numel()].reshape(tensor.shape)
