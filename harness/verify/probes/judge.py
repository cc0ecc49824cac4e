"""Judges the gradient at a point that a probe made: against the reference and slopes, and twice before it fails.

A first look is cheap. What disagrees there is looked at again with rounding bars, along single outputs where the
function has kinks, and in ball arithmetic where that can be had; it is a fault only if nothing speaks for the subject.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.case.subject import Point
from harness.oracle.ball.budget import Budget
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.oracle import ball_estimates
from harness.oracle.flat import FlatSubject, real_vector
from harness.oracle.rounding import SAFETY
from harness.verify.evidence import rounding_of
from harness.verify.probes.ask import MARGIN
from harness.verify.probes.effects import spoiled
from harness.verify.probes.probe import Sitting
from harness.verify.probes.tally import Tally
from harness.verify.probes.truth import Truth, Twin, scene_at, slopes_nearby, smooth_along, truth_at, twin_at
from harness.verify.routes import RouteUnavailableError, one_line, reverse
from harness.verify.scene import Scene, apart, number

CLOSE = 1e-8
"""Relative to the largest entry of an input's gradient: agreement with the reference that needs no second look."""
MATERIAL = 1e-6
"""Relative to the gradient: what a probe is for. Finer accuracy is judged at the case's own points."""
ENOUGH = 3
"""Failures after which a probe makes no further points."""
SINGLE_OUTPUTS = 32
"""Outputs looked at one by one at a kink."""
UNLIKE = 1e-3
"""Relative to the largest entry: disagreement with the reference that counts where finite differences are blind."""
BALL_BUDGET = Budget(operations=100_000, coordinate_operations=50_000, seconds=1.0)
"""What an enclosure at a probe's point may cost."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spot:
    """A probe's point with what is to be judged there."""

    scene: Scene
    situation: str
    gradient: Tensor
    twin: Twin | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """The worst direction: its row in the truth, the numbers along it, and its input."""

    row: int
    actual: float
    expected: float
    bar: float


def judge_at(
    tally: Tally, sitting: Sitting, parent: Scene, point: Point, situation: str, *, loud: bool = False,
    outside: bool = False,
) -> None:  # fmt: skip
    """Judge a subject's gradient at a new point; what is found goes to the tally.

    Args:
        tally: where findings are collected.
        sitting: the probe's sitting, whose memo keeps what does not depend on the backward.
        parent: a scene of the subject.
        point: where to look; its name and sizes identify it in the memo.
        situation: ends the sentence "The gradient is wrong when …".
        loud: whether a backward that raises where the value is finite is a fault.
        outside: whether the point may lie outside what the subject was made for: then only a gradient that is NaN where
            the reference's is finite counts.
    """
    try:
        scene = scene_at(parent, point)
    except Exception as reason:  # noqa: BLE001 - the subject's own code may raise anything at values it was not given
        tally.refuse(situation, f"it raises {one_line(reason)}")
        return
    if names := spoiled(scene):
        tally.fail(f"The forward overwrites its input {names[0]} when {situation}.", input=names[0])
        return
    if not bool(scene.value.isfinite().all() & real_vector(list(scene.flat.values.values())).isfinite().all()):
        tally.refuse(situation, "the value is not finite there")
        return
    gradient = _gradient(tally, scene, situation, loud=loud)
    if gradient is None:
        return
    key = ("twin", point.name, tuple(point.sizes.items()))
    if key not in sitting.memo:
        sitting.memo[key] = twin_at(scene)
    twin = sitting.memo[key]
    spot = Spot(scene=scene, situation=situation, gradient=gradient, twin=twin if isinstance(twin, Twin) else None)
    if scene.value.numel() == 0 or gradient.numel() == 0:
        _empty(tally, spot)
    elif not _wrong_value(tally, spot, outside=outside):
        _decide(tally, sitting, spot, outside=outside)


def _gradient(tally: Tally, scene: Scene, situation: str, *, loud: bool) -> Tensor | None:
    """The subject's gradient (N), or None when there is none to judge."""
    try:
        return reverse(scene.flat, scene.cotangents[:1]).value[0]
    except RouteUnavailableError as reason:
        tally.refuse(situation, str(reason))
    except Exception as reason:  # noqa: BLE001 - as above
        # Dividing by a size of 0 is how a mean over nothing says that it is not defined.
        if loud and not isinstance(reason, ZeroDivisionError) and not _raises_too(scene):
            tally.fail(f"The value is there but the backward raises when {situation}: {one_line(reason)}.")
        else:
            tally.refuse(situation, f"its backward raises {one_line(reason)}")
    return None


def _raises_too(scene: Scene) -> bool:
    """Whether the reference has no gradient there either."""
    if scene.subject.reference is None:
        return False
    twin = twin_at(scene)
    return twin is None or twin.gradient is None


def _empty(tally: Tally, spot: Spot) -> None:
    """Without outputs every gradient is zero; without inputs there is nothing to compare."""
    if bool((spot.gradient == 0).all()):
        tally.agree(spot.situation)
    else:
        tally.fail(f"The result has no entries but its gradient is not zero when {spot.situation}.")


def _wrong_value(tally: Tally, spot: Spot, *, outside: bool) -> bool:
    """Whether the value itself is not the reference's."""
    if spot.twin is None or outside or not bool(spot.twin.value.isfinite().all()):
        return False
    actual, expected = spot.scene.value, spot.twin.value
    if bool(((actual - expected).abs() <= CLOSE * expected.abs().max()).all()):
        return False
    bar = _value_bar(spot.scene) + _value_bar(spot.scene, reference=True)
    excess = (actual - expected).abs() - MARGIN * bar
    position = int(excess.argmax())
    if not bool(excess[position] > 0):
        return False
    tally.fail(
        f"The value is not the reference's when {spot.situation}: f[{position}] is {number(float(actual[position]))} "
        f"instead of {number(float(expected[position]))}.",
        actual=float(actual[position]), expected=float(expected[position]), oracle="reference", order=0,
    )  # fmt: skip
    return True


def _value_bar(scene: Scene, *, reference: bool = False) -> Tensor:
    return _bars(scene, reference=reference)[0]


def _bars(scene: Scene, *, reference: bool = False) -> tuple[Tensor, Tensor]:
    """Rounding bars of values (M) and gradient (N), of the subject or of its reference."""
    function = scene.subject.reference if reference else None
    flat = scene.flat
    if function is not None:
        flat = FlatSubject(scene.subject, scene.point, device=scene.labels.device, function=function)
    value, gradient = rounding_of(flat, scene.cotangents[:1], scene.generator("probe rounding"))
    return value.nan_to_num(torch.inf, torch.inf), gradient[0].nan_to_num(torch.inf, torch.inf)


def _decide(tally: Tally, sitting: Sitting, spot: Spot, *, outside: bool) -> None:
    scene, gradient, twin = spot.scene, spot.gradient, spot.twin
    reference = None if twin is None else twin.gradient
    if reference is not None and _close(scene, gradient, reference):
        if bool(gradient.isfinite().all()):
            tally.agree(spot.situation)
        else:
            tally.refuse(spot.situation, "the gradient is not finite there, and neither is the reference's")
        return
    if reference is not None and _nan_alone(tally, spot, reference):
        return
    if outside:
        tally.refuse(spot.situation, "nothing is declared about such values")
        return
    key = ("truth", scene.point.name, tuple(scene.point.sizes.items()))
    if key not in sitting.memo:
        sitting.memo[key] = truth_at(scene)
    truth = sitting.memo[key]
    if not isinstance(truth, Truth):
        raise TypeError(f"Cannot read the memo: {key!r} holds {type(truth).__name__}.")
    if _worst(gradient, truth, torch.zeros_like(gradient)) is None and reference is None:
        if _blind(truth):
            tally.refuse(spot.situation, "finite differences cannot tell there")
        else:
            tally.agree(spot.situation)
        return
    _look_again(tally, spot, reference)


def _close(scene: Scene, actual: Tensor, expected: Tensor) -> bool:
    """Whether two gradients are as good as equal, each input against its own size; a NaN equals a NaN."""
    for block in scene.flat.blocks:
        a, b = actual[block.start : block.stop], expected[block.start : block.stop]
        size = b.abs().nan_to_num(0.0, 0.0, 0.0).max() if b.numel() else 0.0
        if not bool((((a - b).abs() <= CLOSE * size) | (a == b) | (a.isnan() & ~b.isfinite())).all()):
            return False
    return True


def _nan_alone(tally: Tally, spot: Spot, reference: Tensor) -> bool:
    """Fail a gradient that is NaN where the reference's is finite; whether it is."""
    alone = spot.gradient.isnan() & reference.isfinite()
    if not bool(alone.any()):
        return False
    position = int(alone.long().argmax())
    block = next(b for b in spot.scene.flat.blocks if b.start <= position < b.stop)
    index = block.index(position - block.start)
    tally.fail(
        f"The gradient is NaN when {spot.situation}: {spot.scene.symbol(block, index)} is nan but "
        f"{number(float(reference[position]))} by the reference; {int(alone.sum())} of {alone.numel()} are NaN.",
        input=block.name, index=index, expected=float(reference[position]), oracle="reference",
    )  # fmt: skip
    return True


def _look_again(tally: Tally, spot: Spot, reference: Tensor | None) -> None:
    """Second look, with rounding bars of values and gradients."""
    scene, gradient = spot.scene, spot.gradient
    value_bar, bar = _bars(scene)
    if reference is not None:
        off = (gradient - reference).abs()
        allowed = MARGIN * (bar + _bars(scene, reference=True)[1])
        if bool(((off <= allowed) | (gradient == reference)).all()):
            tally.agree(spot.situation)
            return
    truth = truth_at(scene, noise=torch.where(value_bar.isfinite(), value_bar, 0.0) / SAFETY)
    worst = _worst(gradient, truth, bar)
    if worst is not None:
        worst = _nearby(scene, truth, worst, value_bar, bar)
    if worst is None:
        if reference is None or truth.kinked or not _unlike(tally, spot, reference):
            tally.refuse(spot.situation, "finite differences cannot tell there")
        return
    if not truth.kinked and _certified(scene, gradient, bar):  # along axes alone, balls cannot tell at a kink
        tally.refuse(spot.situation, "finite differences cannot tell there")
        return
    _fail(tally, spot, truth, worst)


def _unlike(tally: Tally, spot: Spot, reference: Tensor) -> bool:
    """Fail a gradient that is nothing like the reference's, where finite differences are blind; whether it is."""
    known = reference.isfinite() & ~spot.gradient.isinf()
    size = reference[known].abs().max() if bool(known.any()) else torch.tensor(0.0)
    off = torch.where(known, (spot.gradient - reference).abs(), 0.0)
    position = int(off.argmax())
    if not bool(off[position] > UNLIKE * size):
        return False
    block = next(b for b in spot.scene.flat.blocks if b.start <= position < b.stop)
    index = block.index(position - block.start)
    actual, expected = float(spot.gradient[position]), float(reference[position])
    tally.fail(
        f"The gradient is not the reference's when {spot.situation}: {spot.scene.symbol(block, index)} is "
        f"{apart(actual, expected)} instead of {apart(expected, actual)}.",
        input=block.name, index=index, actual=actual, expected=expected, error=abs(actual - expected),
        oracle="reference",
    )  # fmt: skip
    return True


def _worst(gradient: Tensor, truth: Truth, bar: Tensor) -> Disagreement | None:
    """The direction along which a gradient lies furthest outside what is known, or None."""
    actual = _along(gradient, truth)
    value, width = truth.found.value[:, 0], truth.found.bar[:, 0]
    reach = truth.directions.abs() @ (bar + MATERIAL * gradient.abs()).nan_to_num(0.0, 0.0, 0.0)
    bars = width + reach
    known = bars.isfinite() & ~value.isnan()
    wrong = known & ~((actual - value).abs() <= bars) & ~actual.isinf()
    if not bool(wrong.any()):
        return None
    excess = ((actual - value).abs() / bars.clamp(min=1e-300)).nan_to_num(torch.inf, torch.inf)
    # An axis names an entry, which tells people more than a dense direction does.
    ranked = torch.where(wrong, torch.where(truth.axis >= 0, 1.0, 0.0) + excess.clamp(max=1e9) / 1e9, -1.0)
    row = int(ranked.argmax())
    return Disagreement(row=row, actual=float(actual[row]), expected=float(value[row]), bar=float(bars[row]))


def _along(gradient: Tensor, truth: Truth) -> Tensor:
    """Products of a gradient with directions (D); a NaN counts only where a direction goes."""
    through = torch.where(truth.directions != 0, truth.directions * gradient, 0.0)
    return through.sum(-1)


def _blind(truth: Truth) -> bool:
    """Whether slopes are known too badly to have seen a fault of a hundredth."""
    width, size = truth.found.bar, truth.found.value.abs().nan_to_num(0.0, 0.0, 0.0).max()
    return not bool((width[~truth.found.kink] <= 1e-2 * size).all() if size > 0 else width.isfinite().all())


def _nearby(
    scene: Scene, truth: Truth, worst: Disagreement, value_bar: Tensor, gradient_bar: Tensor
) -> Disagreement | None:
    """The same disagreement in one output alone, held against the slopes at points close by.

    Where the function has no gradient (at ties, at kinks) any slope like those nearby is right, and every output may
    choose its own. Where it has one, the slopes nearby are all the same. What rounding may do to values (M) and to the
    gradient (N) is granted here too: near a singularity both may be as good as unknown.
    """
    count = scene.value.numel()
    outputs = torch.arange(count) if count <= SINGLE_OUTPUTS else torch.linspace(0, count - 1, SINGLE_OUTPUTS).long()
    direction = truth.directions[worst.row]
    picked = torch.zeros(len(outputs), count, dtype=torch.float64)
    picked[torch.arange(len(outputs)), outputs] = 1.0
    gradients = reverse(scene.flat, picked).value
    actual = torch.where(direction != 0, direction * gradients, 0.0).sum(-1)
    near, noise = slopes_nearby(scene, direction, value_bar=value_bar)
    near, noise = near[:, outputs], noise[outputs]
    low = near.nan_to_num(torch.inf, torch.inf, -torch.inf).amin(0)
    high = near.nan_to_num(-torch.inf, torch.inf, -torch.inf).amax(0)
    slack = (high - low) / 2 + MATERIAL * torch.maximum(low.abs(), high.abs()) + noise
    slack = slack + torch.where(direction != 0, direction.abs() * gradient_bar, 0.0).sum()
    known = low.isfinite() & high.isfinite() & ~actual.isinf()
    wrong = known & ~((actual >= low - slack) & (actual <= high + slack))
    # A NaN is no slope at all, but where the function has none either only a reference could say what is due.
    if bool((wrong & actual.isnan()).any()) and not smooth_along(scene, direction):
        wrong = wrong & ~actual.isnan()
    if not bool(wrong.any()):
        return None
    place = int(wrong.long().argmax())
    middle = float((low + high)[place] / 2)
    return replace(worst, actual=float(actual[place]), expected=middle, bar=float((high - middle + slack)[place]))


def _certified(scene: Scene, gradient: Tensor, bar: Tensor) -> bool:
    """Whether ball arithmetic speaks for the gradient."""
    if scene.labels.device != "cpu":
        return False
    try:
        _, found = ball_estimates(
            scene.flat, scene.cotangents[:1], generator=scene.generator("probe balls"), budget=BALL_BUDGET
        )
    except NotCertifiedError:
        return False
    actual = gradient[None]
    if found.directions is not None:
        bar, actual = found.directions.abs() @ bar, actual @ found.directions.T
    return bool(((actual - found.value).abs() <= found.bar + bar).all())


def _fail(tally: Tally, spot: Spot, truth: Truth, worst: Disagreement) -> None:
    scene, axis = spot.scene, int(truth.axis[worst.row])
    entry = int(truth.directions[worst.row].nonzero()[0, 0])
    block = next(b for b in scene.flat.blocks if b.start <= entry < b.stop)
    index = block.index(axis - block.start) if axis >= 0 else None
    scale = float(truth.directions[worst.row, axis]) if axis >= 0 else 1.0
    actual, expected, bar = worst.actual / scale, worst.expected / scale, worst.bar / abs(scale)
    moved = [b.name for b in scene.flat.blocks if bool(truth.directions[worst.row, b.start : b.stop].any())]
    what = scene.symbol(block, index) if axis >= 0 else f"the slope along a direction in {', '.join(moved)}"
    tally.fail(
        f"The gradient is wrong when {spot.situation}: {what} is {apart(actual, expected)} by autograd but "
        f"{apart(expected, actual)} by finite differences, allowed {number(bar)}.",
        input=block.name, index=index, actual=actual, expected=expected, error=abs(actual - expected), bar=bar,
        bar_origin="slopes along a few directions + rounding", oracle="finite differences", independent=True,
        point=scene.point.name, dims=", ".join(f"{name}={size}" for name, size in scene.point.sizes.items()),
    )  # fmt: skip
