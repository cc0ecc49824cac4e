"""Putting drawn inputs where they are timed, and in what dtype."""

from __future__ import annotations

import torch

from harness.case.subject import Tensors


def placed(values: Tensors, dtype: torch.dtype, device: torch.device) -> Tensors:
    """Move inputs to a device: real ones in a dtype, complex ones in its counterpart, integers and masks unchanged."""
    return {name: value.to(device=device, dtype=_dtype_of(value, dtype)) for name, value in values.items()}


def _dtype_of(value: torch.Tensor, dtype: torch.dtype) -> torch.dtype:
    if value.is_complex():
        return dtype.to_complex()
    return dtype if value.is_floating_point() else value.dtype
