"""What an optimizer wants of its parameters and callers, found by trying it out.

Most take any parameter and a bare `step()`. Some take matrices alone (Muon), sparse gradients alone (SparseAdam), a
closure and a single parameter group (LBFGS). Nothing here knows an optimizer by name, so that a new one, or a user's,
is given what it wants too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from harness.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What an optimizer wants; nothing special by default."""

    matrices: bool = False
    sparse: bool = False
    closure: bool = False
    one_group: bool = False


def discover(make: Callable[..., Any], options: Mapping[str, Any], name: str) -> Needs:
    """Try an optimizer on small parameters until a step succeeds.

    Raises:
        UsageError: no way of using it works; gives the first reason.
    """
    reasons: list[str] = []
    for sparse, closure, matrices in itertools.product((False, True), repeat=3):
        needs = Needs(matrices=matrices, sparse=sparse, closure=closure)
        reason = _refusal(make, options, needs)
        if reason is None:
            return Needs(matrices=matrices, sparse=sparse, closure=closure, one_group=_one_group(make, options))
        reasons.append(reason)
    raise UsageError(
        f"Cannot verify the optimizer {name}: no step succeeds, neither with matrices, sparse gradients nor a closure: "
        f"{reasons[0]}. Give it options with which it works."
    )


def steps(make: Callable[..., Any], options: Mapping[str, Any]) -> bool:
    """Whether an optimizer takes a step with some options, in whatever way."""
    try:
        discover(make, options, "")
    except UsageError:
        return False
    return True


def _refusal(make: Callable[..., Any], options: Mapping[str, Any], needs: Needs) -> str | None:
    """Say why an optimizer does not work on what `needs` describes, None where it does."""
    shapes = ((2, 2),) if needs.matrices else ((2, 2), (2,))
    parameters = [torch.ones(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def closure() -> torch.Tensor:
        for parameter in parameters:
            gradient = torch.full_like(parameter, 0.5).detach()
            parameter.grad = gradient.to_sparse(1) if needs.sparse else gradient
        return torch.tensor(1.0, dtype=torch.float64)

    try:
        optimizer = make(parameters, **options)
        if needs.closure:
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
    except Exception as error:  # noqa: BLE001  an optimizer refuses as it likes
        return f"{type(error).__name__}: {error}"
    return None


def _one_group(make: Callable[..., Any], options: Mapping[str, Any]) -> bool:
    """Whether an optimizer refuses a second parameter group."""
    parameters = [torch.ones((2, 2), dtype=torch.float64, requires_grad=True) for _ in range(2)]
    try:
        make([{"params": [one]} for one in parameters], **options)
    except Exception:  # noqa: BLE001  as above
        return True
    return False
