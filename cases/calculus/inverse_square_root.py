"""1/√x from the bits of x, with and without Newton steps.

A positive float's bits, read as an integer, are roughly its logarithm, so halving and negating them gives the bits of
roughly 1/√x. PyTorch cannot differentiate through the integers; what a Newton step adds to that is the cases' subject.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BITS = {torch.float32: (torch.int32, 0x5F3759DF), torch.float64: (torch.int64, 0x5FE6EB50C7B537A9)}
"""By dtype: the integer of the same width, and the constant whose float is near 2^(3/2·(bias − σ))."""


def bit_trick(x: Tensor) -> Tensor:
    """Approximate 1/√x to 3.5 % from the bits of `x` (float32 or float64, positive)."""
    integer, magic = _BITS[x.dtype]
    return (magic - (x.view(integer) >> 1)).view(x.dtype)


def _newton(x: Tensor, estimate: Tensor) -> Tensor:
    """One Newton step for 1/y² − x = 0."""
    return estimate * (1.5 - 0.5 * x * estimate * estimate)


def one_newton_step(x: Tensor) -> Tensor:
    """Approximate 1/√x to 0.2 %."""
    return _newton(x, bit_trick(x))


def five_newton_steps(x: Tensor) -> Tensor:
    """Compute 1/√x to rounding; what the starting value would have added to the gradient has died out as well."""
    estimate = bit_trick(x)
    for _ in range(5):
        estimate = _newton(x, estimate)
    return estimate
