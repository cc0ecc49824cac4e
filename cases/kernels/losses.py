"""Cross-entropy with label smoothing as a fused kernel, which keeps no softmax.

Only the row's log-sum-exp is saved; the softmax is computed again from it. Sums are taken in float32 at least.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

IGNORED = -100
"""Label of a row that does not count."""
SMOOTHING = 0.1


def _wide(x: Tensor) -> Tensor:
    """The tensor in the dtype sums are taken in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class FusedCrossEntropy(torch.autograd.Function):
    """Losses of rows of logits (n × k) given labels (n); smoothed targets are (1 − ε)·one-hot + ε/k."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute one loss per row, 0 where the label is ignored."""
        if labels.shape != logits.shape[:1]:
            raise ValueError(f"Cannot compute losses: {len(labels)} labels for {len(logits)} rows. Give one each.")
        z = _wide(logits)
        kept = labels != IGNORED
        picks = labels.clamp(min=0)[:, None]
        lse = torch.logsumexp(z, 1)
        own = z.gather(1, picks)[:, 0]
        loss = lse - (1 - SMOOTHING) * own - SMOOTHING * z.sum(1) / z.shape[1]
        ctx.save_for_backward(logits, lse, picks, kept)
        return torch.where(kept, loss, 0.0).to(logits.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None]:
        """Compute softmax − target from the saved log-sum-exp, times the row's upstream gradient."""
        logits, lse, picks, kept = ctx.saved_tensors
        z = _wide(logits)
        grad = torch.exp(z - lse[:, None])
        grad -= SMOOTHING / z.shape[1]
        grad.scatter_add_(1, picks, torch.full_like(picks, -1, dtype=grad.dtype) * (1 - SMOOTHING))
        grad *= torch.where(kept, _wide(grad_out), 0.0)[:, None]
        return grad.to(logits.dtype), None


def cross_entropy_rows(z: Tensor, labels: Tensor) -> Tensor:
    """One smoothed loss per row of logits."""
    loss: Tensor = FusedCrossEntropy.apply(z, labels)  # type: ignore[no-untyped-call]
    return loss


def cross_entropy(z: Tensor, labels: Tensor) -> Tensor:
    """Mean of the smoothed losses over the rows that count; 0 when none does."""
    count = (labels != IGNORED).sum().clamp(min=1)
    return _wide(cross_entropy_rows(z, labels)).sum().div(count).to(z.dtype)


def plain_rows(z: Tensor, labels: Tensor) -> Tensor:
    """The same losses in plain PyTorch."""
    return torch.nn.functional.cross_entropy(
        z, labels, ignore_index=IGNORED, label_smoothing=SMOOTHING, reduction="none"
    )


def plain_mean(z: Tensor, labels: Tensor) -> Tensor:
    """The same mean in plain PyTorch."""
    count = (labels != IGNORED).sum().clamp(min=1)
    return plain_rows(z, labels).sum() / count
