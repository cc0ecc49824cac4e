"""Named rules for accepting a low-precision gradient, where a case asks for one instead of the rounding bar.

`flash-2x` is the rule of flash-attention's tests: no further from the truth than twice what an eager implementation in
the same dtype is. `rms-ratio` bounds the relative error in the root mean square, `allclose` every entry by
atol + rtol·|truth|. A rule sees only what it allows for: one that would accept a zero, doubled or sign-flipped gradient
cannot fail, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from harness.errors import UsageError

FLASH_FACTOR = 2.0
_WRONG = {"zero": 0.0, "doubled": 2.0, "sign-flipped": -1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a policy says: accepted if `error` ≤ `bar`, at the worst entry where the rule goes by entries."""

    accepted: bool
    error: float
    bar: float
    position: int | None = None


class Policy(Protocol):
    """A rule for one input's gradients; `needs_reference` says whether there has to be an eager implementation."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def needs_reference(self) -> bool:
        """Whether it compares with an eager implementation."""

    def judge(self, actual: Tensor, truth: Tensor, eager: Tensor | None, unit: float) -> Judged:
        """Judge gradients against the truth and an eager implementation's, all of one shape in float64."""


@dataclass(frozen=True, slots=True)
class FlashTwice:
    """Largest error at most twice the eager implementation's, plus one rounding of the largest entry."""

    @property
    def name(self) -> str:
        """What reports call it."""
        return "flash-2x"

    @property
    def needs_reference(self) -> bool:
        """It compares with an eager implementation."""
        return True

    def judge(self, actual: Tensor, truth: Tensor, eager: Tensor | None, unit: float) -> Judged:
        """Judge gradients against the truth and an eager implementation's, all of one shape in float64."""
        if eager is None:
            raise UsageError("Cannot use the policy 'flash-2x': there is no reference to run. Give one.")
        allowed = FLASH_FACTOR * float((eager - truth).abs().max()) + unit * float(truth.abs().max())
        return _entrywise(actual, truth, torch.full_like(truth, allowed))


@dataclass(frozen=True, slots=True)
class RmsRatio:
    """‖actual − truth‖₂ at most `ratio` · ‖truth‖₂."""

    ratio: float

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"rms-ratio {self.ratio:g}"

    @property
    def needs_reference(self) -> bool:
        """It does not compare with an eager implementation."""
        return False

    def judge(self, actual: Tensor, truth: Tensor, eager: Tensor | None, unit: float) -> Judged:  # noqa: ARG002 - one signature for all policies
        """Judge gradients against the truth, of one shape in float64."""
        error, size = float((actual - truth).norm()), float(truth.norm())
        relative = error / size if size else (0.0 if error == 0 else math.inf)
        return Judged(accepted=relative <= self.ratio, error=relative, bar=self.ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllClose:
    """Every entry within atol + rtol·|truth|."""

    rtol: float
    atol: float

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"allclose rtol={self.rtol:g} atol={self.atol:g}"

    @property
    def needs_reference(self) -> bool:
        """It does not compare with an eager implementation."""
        return False

    def judge(self, actual: Tensor, truth: Tensor, eager: Tensor | None, unit: float) -> Judged:  # noqa: ARG002 - one signature for all policies
        """Judge gradients against the truth, of one shape in float64."""
        return _entrywise(actual, truth, self.atol + self.rtol * truth.abs())


def _entrywise(actual: Tensor, truth: Tensor, allowed: Tensor) -> Judged:
    """Accept when every error is within what is allowed there; NaN never is."""
    error = (actual - truth).abs().reshape(-1)
    bar = allowed.reshape(-1)
    units = torch.where(error <= bar, error / bar.clamp(min=1e-300) - 1e300, error.nan_to_num(torch.inf))
    position = int(units.argmax())
    return Judged(
        accepted=bool((error <= bar).all()),
        error=float(error[position]),
        bar=float(bar[position]),
        position=position,
    )


def accepted_mistakes(policy: Policy, truth: Tensor, eager: Tensor | None, unit: float) -> tuple[str, ...]:
    """Name the grossly wrong gradients a policy would accept at a point: zero, doubled, sign-flipped.

    Empty where the truth is zero, as all three are right there.
    """
    if not bool(truth.any()):
        return ()
    return tuple(name for name, factor in _WRONG.items() if policy.judge(factor * truth, truth, eager, unit).accepted)


def policy_of(given: object) -> Policy | None:
    """Make a policy of what a caller wrote.

    Args:
        given: None, a policy, "flash-2x", {"rms-ratio": 0.005} or {"allclose": {"rtol": 1e-2, "atol": 1e-5}}.

    Raises:
        UsageError: it is none of these, or a number in it is negative or not finite.
    """
    if given is None or isinstance(given, (FlashTwice, RmsRatio, AllClose)):
        return given
    if given == "flash-2x":
        return FlashTwice()
    if isinstance(given, Mapping) and set(given) == {"rms-ratio"}:
        return RmsRatio(_number(given["rms-ratio"], "rms-ratio"))
    if isinstance(given, Mapping) and set(given) == {"allclose"}:
        inner = given["allclose"]
        if isinstance(inner, Mapping) and set(inner) == {"rtol", "atol"}:
            return AllClose(rtol=_number(inner["rtol"], "rtol"), atol=_number(inner["atol"], "atol"))
    raise UsageError(
        f"Cannot use policy={given!r:.80} (type {type(given).__name__}). Give 'flash-2x', {{'rms-ratio': number}} or "
        "{'allclose': {'rtol': number, 'atol': number}}."
    )


def _number(given: object, name: str) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < math.inf:
        raise UsageError(
            f"Cannot use a policy: {name}={given!r:.40} (type {type(given).__name__}) is no number from 0 on. Give one."
        )
    return float(given)
