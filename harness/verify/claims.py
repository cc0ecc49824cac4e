"""Published figures, checked like anything else: a claim is confirmed, or refuted with the true value named.

The true value is the subject's own float64 result, which the other checks of the same point hold against independent
oracles. A claim marked as refuted is excused for failing, and fails when it holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from harness.case.subject import Claim
from harness.oracle.analytic import output_cotangents
from harness.oracle.flat import real_vector
from harness.records import Finding, Outcome
from harness.verify.evidence import rounding_of
from harness.verify.first import FirstOrder
from harness.verify.routes import RouteUnavailableError, hessian_products, reverse
from harness.verify.scene import Scene, number


def check_claims(scene: Scene, first: FirstOrder) -> Iterator[Finding]:
    """Check every claim of a scene's point."""
    for claim in scene.point.claims:
        if claim.kind != "stationary":
            yield _check(scene, claim, first)
    about = [claim for claim in scene.point.claims if claim.kind == "stationary"]
    if about:
        yield _stationary(scene, about, first)


def unseen(finding: Finding, stationary: Collection[str]) -> Finding:
    """Return a finding as it counts at a point where the gradient vanishes; one at another point as it is.

    What is undecided because nothing is there to be a part of is skipped, and digits of what is all but zero are none.

    Args:
        finding: any.
        stationary: names of the points at which the gradient is claimed to vanish; the claim itself is a finding.
    """
    if finding.point not in stationary or finding.order not in (0, 1):
        return finding
    finding = replace(finding, digits=None, ulps=None)
    if finding.outcome not in (Outcome.INCONCLUSIVE, Outcome.VACUOUS):
        return finding
    message = f"The gradient vanishes here, so a fault that is a part of it cannot be seen: {finding.message}"
    return replace(finding, outcome=Outcome.SKIPPED, message=message)


def _stationary(scene: Scene, claims: Sequence[Claim], first: FirstOrder) -> Finding:
    """Hold the gradient against what the last printed digits of the point can move it by, Σⱼ |Hᵢⱼ| δⱼ, and rounding."""
    what = "claimed stationary point"
    if first.gradient is None or first.bar is None or not scene.scalar:
        return scene.finding(what, Outcome.FAIL, "There is no gradient of a single number here.")
    width = torch.zeros(scene.flat.size, dtype=torch.float64)
    for block in scene.flat.blocks:
        mine = [claim for claim in claims if claim.name == block.name]
        if mine:
            width[block.start : block.stop] = torch.tensor([half for _, half in _leaves(mine[0].numbers)])
    try:
        hessian = hessian_products(
            scene.flat, torch.ones_like(scene.cotangents[0]), torch.eye(scene.flat.size, dtype=torch.float64)
        )
    except RouteUnavailableError as reason:
        return scene.finding(what, Outcome.FAIL, f"There is nothing to hold the {what} against: {reason}.")
    gradient = first.gradient[0]
    allowed = first.bar[0] + (1 + 1e-6) * hessian.abs() @ width
    worst = int((gradient.abs() / allowed.clamp(min=1e-300)).nan_to_num(torch.inf, torch.inf).argmax())
    holds = bool((gradient.abs() <= allowed).all())
    block = next(block for block in scene.flat.blocks if block.start <= worst < block.stop)
    finding = scene.finding(
        what, Outcome.PASS if holds else Outcome.FAIL, "", input=block.name, actual=0.0,
        expected=float(gradient[worst]), error=float(gradient[worst].abs()), bar=float(allowed[worst]),
        bar_origin="digits printed of the point + rounding", question=f"{what}: {scene.point.name}",
        oracle="autograd, checked",
    )  # fmt: skip
    return _judged(finding, claims[0], holds=holds)


def _check(scene: Scene, claim: Claim, first: FirstOrder) -> Finding:
    what = "claimed value" if claim.kind == "value" else f"claimed {claim.kind} of {claim.name}"
    try:
        truth, bar = _truth(scene, claim, first)
    except RouteUnavailableError as reason:
        return scene.finding(what, Outcome.FAIL, f"There is nothing to hold the {what} against: {reason}.")
    numbers = _leaves(claim.numbers)
    if len(numbers) != truth.numel():
        return scene.finding(
            what,
            Outcome.FAIL,
            f"The {what} has {len(numbers)} numbers, but there are {truth.numel()}.",
            input=claim.name,
        )
    claimed = torch.tensor([n for n, _ in numbers], dtype=torch.float64)
    allowed = bar.reshape(-1) + torch.tensor([w * (1 + 1e-9) for _, w in numbers], dtype=torch.float64)
    allowed = allowed + 4 * 2.0**-53 * claimed.abs()
    error = torch.where(claimed == truth.reshape(-1), 0.0, (claimed - truth.reshape(-1)).abs())
    holds = bool((error <= allowed).all())
    worst = int((error / allowed.clamp(min=1e-300)).nan_to_num(torch.inf, torch.inf).argmax())
    finding = scene.finding(
        what, Outcome.PASS if holds else Outcome.FAIL, "", input=claim.name,
        index=(worst,) if truth.numel() > 1 else None, actual=float(claimed[worst]),
        expected=float(truth.reshape(-1)[worst]), error=float(error[worst]), bar=float(allowed[worst]),
        bar_origin="digits printed + rounding", question=f"{what} at {scene.point.name}", oracle="autograd, checked",
    )  # fmt: skip
    return _judged(finding, claim, holds=holds)


def _judged(finding: Finding, claim: Claim, *, holds: bool) -> Finding:
    """Say what became of a claim, taking into account what the case expects of it."""
    place = f"[{finding.index[0]}]" if finding.index else ""
    figures = f"{number(finding.actual)}; the true value is {number(finding.expected)}"
    if not holds:
        message = f"Refuted: the {finding.check}{place} is {figures}, off by {number(finding.error)}."
        return replace(finding, message=message, excused=claim.refuted_because)
    if claim.refuted_because is not None:
        message = f"The {finding.check} is marked as refuted ({claim.refuted_because}), but it holds."
        return replace(finding, outcome=Outcome.FAIL, message=message)
    return replace(finding, message=f"Confirmed: the {finding.check}{place} is {number(finding.actual)}.")


def _truth(scene: Scene, claim: Claim, first: FirstOrder) -> tuple[Tensor, Tensor]:
    """The true numbers a claim is about and their bars, flat."""
    if claim.kind == "value":
        bar = first.value_bar if first.value_bar is not None else 16 * 2.0**-53 * scene.value.abs()
        return scene.value, bar
    block = next((b for b in scene.flat.blocks if b.name == claim.name), None)
    if claim.kind == "hessian":
        if block is None:
            raise RouteUnavailableError(f"{claim.name} is not a differentiable input")
        count = block.stop - block.start
        basis = torch.zeros(count, scene.flat.size, dtype=torch.float64)
        basis[:, block.start : block.stop] = torch.eye(count, dtype=torch.float64)
        rows = hessian_products(scene.flat, torch.ones_like(scene.cotangents[0]), basis)[:, block.start : block.stop]
        return rows.reshape(-1), 64 * 2.0**-53 * rows.abs().max().expand(rows.numel())
    if block is not None:
        part = slice(block.start, block.stop)
        if first.gradient is None or first.bar is None:
            raise RouteUnavailableError("there is no gradient")
        if not scene.scalar:
            ones = torch.ones_like(scene.cotangents[:1])
            _, bars = rounding_of(scene.flat, ones, scene.generator("claims"))
            return reverse(scene.flat, ones).value[0, part], bars[0, part]
        return first.gradient[0, part], first.bar[0, part]
    return _retained(scene, claim)


def _retained(scene: Scene, claim: Claim) -> tuple[Tensor, Tensor]:
    """The gradient retained at a named intermediate value after `.backward()`."""
    intermediates = scene.subject.intermediates
    if intermediates is None:
        raise RouteUnavailableError(f"{claim.name} is neither an input nor an intermediate value")
    named = {name: value.clone() for name, value in scene.flat.values.items()}
    for block in scene.flat.blocks:
        named[block.name].requires_grad_(True)
    values, outputs = intermediates(named)
    kept = values.get(claim.name or "")
    if kept is None or not kept.requires_grad:
        raise RouteUnavailableError(f"{claim.name} is not an intermediate value with a gradient")
    kept.retain_grad()
    seeds = output_cotangents(scene.flat, outputs, torch.ones(scene.value.numel(), dtype=torch.float64))
    active = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o.requires_grad]
    torch.autograd.backward([o for o, _ in active], [s for _, s in active])
    if kept.grad is None:
        raise RouteUnavailableError(f"no gradient reached {claim.name}")
    flat = real_vector((kept.grad.detach(),)).to("cpu", torch.float64)
    return flat, 64 * 2.0**-53 * flat.abs()


def _leaves(numbers: object) -> list[tuple[float, float]]:
    """Flatten nested tuples of (number, half-width) pairs."""
    if isinstance(numbers, tuple) and len(numbers) == 2 and isinstance(numbers[0], complex):
        return [(numbers[0].real, float(numbers[1])), (numbers[0].imag, float(numbers[1]))]
    if isinstance(numbers, tuple) and len(numbers) == 2 and all(isinstance(n, (int, float)) for n in numbers):
        return [(float(numbers[0]), float(numbers[1]))]
    if isinstance(numbers, (tuple, list)):
        return [leaf for part in numbers for leaf in _leaves(part)]
    raise TypeError(f"Cannot read claimed numbers: {numbers!r} is not a pair of number and half-width.")
