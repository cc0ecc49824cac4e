"""Second-order checks at one point in float64: products of the Hessian with dense directions.

Double backward is held against a ladder of first gradients, against forward-over-reverse mode, and against its own
symmetry. Sees second derivatives that are missing, silently zero or wrong. Cannot see an error that the first gradient
shares at every nearby point; the first-order checks are there for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.oracle.analytic import ROUNDING_ORIGIN
from harness.oracle.ball.errors import NotCertifiedError
from harness.oracle.ball.oracle import ball_hessian_products
from harness.oracle.differences import MOST_DIRECTION_STEPS, domain_of
from harness.oracle.estimate import Estimate
from harness.oracle.flat import FlatSubject, random_signs
from harness.oracle.ladder import UNIT_ROUNDOFF, Slopes, scales, slopes
from harness.oracle.rounding import FUSED, SAFETY, SAMPLES, rounding_bars
from harness.records import Finding, Outcome
from harness.verify.compare import Comparison, compare
from harness.verify.evidence import CERTIFICATE_BUDGET, unless_refuted
from harness.verify.first import FirstOrder
from harness.verify.routes import (
    RouteUnavailableError,
    cotangent_products,
    flat_gradient_function,
    forward_over_reverse,
    hessian_products,
    plain_gradient_function,
)
from harness.verify.scene import Scene, number

DIRECTIONS = 2
MOST_ENTRIES = 512
"""Products longer than this are compared through random projections."""
PROJECTIONS = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SecondEvidence:
    """What is known of the Hessian's products with some directions, from the function and its first gradients alone.

    `directions` is D × N, `bar` (D × N) bounds the rounding of double backward itself; every estimate in `expected`
    (D × P) is of products with the Hessian, along the rows of its own `directions` (P × N). `size` is the largest entry
    of the first gradient. `why_not_certified` says why there is no certified estimate among them.
    """

    directions: Tensor
    bar: Tensor
    expected: tuple[Estimate, ...]
    size: float
    why_not_certified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SecondOrder:
    """What the second-order checks found, and what they judged by; None where there is no second derivative."""

    findings: tuple[Finding, ...]
    evidence: SecondEvidence | None = None


def second_order(scene: Scene, first: FirstOrder, *, certify: bool = True, at_first: bool = True) -> SecondOrder:
    """Run the second-order checks on ⟨cotangent, outputs⟩ for the first cotangent.

    `certify` asks for enclosures; what tells no more at a second point is done `at_first` alone.
    """
    flat, cotangent = scene.flat, scene.cotangents[0]
    if first.kinked:
        message = "There is no second derivative: the function has a kink or a jump here."
        return SecondOrder(findings=(scene.finding("double backward", Outcome.SKIPPED, message, order=2),))
    directions = random_signs((DIRECTIONS, flat.size), scene.generator("second order")) * scales(flat.x)

    def double_backward(x: Tensor) -> Tensor:
        return hessian_products(flat.at(x), cotangent, directions).reshape(-1)

    try:
        products = double_backward(flat.x).reshape(DIRECTIONS, flat.size)
        bar = _own_rounding(scene, double_backward, products)
    except RouteUnavailableError as reason:
        message = f"No second derivative: {reason}."
        return SecondOrder(findings=(scene.finding("double backward", Outcome.SKIPPED, message, order=2),))
    ladder = _ladder(scene, directions, noise=None if first.bar is None else first.bar[0] / SAFETY)
    certificate, why_not = _certificate(scene, directions) if certify else (None, None)
    evidence = SecondEvidence(
        directions=directions,
        bar=bar,
        expected=(ladder,) if certificate is None else (unless_refuted(ladder, certificate), _placed(certificate)),
        size=0.0 if first.gradient is None else float(first.gradient[0].abs().max()),
        why_not_certified=why_not,
    )
    findings = (
        *judge_second(scene, products, evidence),
        *_against_forward(scene, products, evidence),
        *(_through_the_cotangent(scene, directions[0], first) if at_first else ()),
    )
    return SecondOrder(findings=findings, evidence=evidence)


def _own_rounding(scene: Scene, double_backward: Callable[[Tensor], Tensor], products: Tensor) -> Tensor:
    """Bound the rounding of double backward (D × N).

    While its operators are watched, torch takes other branches of some backward formulas (cumprod's, say), which may
    round less than those it takes otherwise: how far its results scatter as they are, at points a few roundings away,
    counts as well.
    """
    x, generator = scene.flat.x, scene.generator("second bars")
    watched = rounding_bars(double_backward, x, dtypes=(torch.float64,), generator=generator)[torch.float64]
    scatter = torch.zeros_like(products)
    for _ in range(SAMPLES):
        noise = 2 * torch.rand(x.shape, generator=generator, dtype=torch.float64) - 1
        near = double_backward(x * (1 + FUSED * UNIT_ROUNDOFF * noise)).reshape(products.shape)
        scatter = torch.maximum(scatter, (near - products).abs().nan_to_num(0.0, 0.0))
    return torch.maximum(watched.reshape(products.shape), SAFETY * scatter)


def judge_second(scene: Scene, products: Tensor, evidence: SecondEvidence) -> Iterator[Finding]:
    """Judge a subject's double backward (D × N) by evidence about its function, which any backward of it can share."""
    yield from _symmetry(scene, products, evidence)
    for expected in evidence.expected:
        yield from _against(scene, products, evidence, expected)
    if evidence.why_not_certified is not None:
        message = f"No certificate: {evidence.why_not_certified}."
        yield scene.finding("double backward ~ ball arithmetic", Outcome.SKIPPED, message, order=2)


def _symmetry(scene: Scene, products: Tensor, evidence: SecondEvidence) -> Iterator[Finding]:
    """⟨a, H·b⟩ = ⟨b, H·a⟩: the Hessian is symmetric wherever second derivatives are continuous."""
    directions, bar = evidence.directions, evidence.bar
    left, right = directions[1] @ products[0], directions[0] @ products[1]
    reach = directions[1].abs() @ bar[0] + directions[0].abs() @ bar[1]
    scale = max(evidence.size, 1e-300)
    found = compare(left[None], right[None], reach[None], required=scene.required(2), zero_scale=scale)
    yield _finding(scene, "Hessian symmetry", found, "⟨a, H·b⟩", "⟨b, H·a⟩", ROUNDING_ORIGIN)


def _against_forward(scene: Scene, products: Tensor, evidence: SecondEvidence) -> Iterator[Finding]:
    check = "double backward ~ forward over reverse"
    flat, bar = scene.flat, evidence.bar

    def compute(x: Tensor) -> Tensor:
        return forward_over_reverse(flat.at(x), scene.cotangents[0], evidence.directions).reshape(-1)

    def judge(bars: Tensor) -> Comparison:
        scale = max(evidence.size, 1e-300)
        return compare(products, other, bars, required=scene.required(2), zero_scale=scale)

    try:
        other = compute(flat.x).reshape(products.shape)
        found = judge(bar)
        if found.outcome is not Outcome.PASS:  # its own rounding, eight more passes, is worth asking for only now
            bars = rounding_bars(compute, flat.x, dtypes=(torch.float64,), generator=scene.generator("forward bars"))
            found = judge(bar + bars[torch.float64].reshape(bar.shape))
    except RouteUnavailableError as reason:
        yield scene.finding(check, Outcome.SKIPPED, f"No forward over reverse mode: {reason}.", order=2)
        return
    yield _finding(scene, check, found, "H·d by double backward", "forward over reverse mode", ROUNDING_ORIGIN)


def _through_the_cotangent(scene: Scene, direction: Tensor, first: FirstOrder) -> Iterator[Finding]:
    """Double backward to the upstream gradient against the function's own slopes: both are J·direction."""
    check = "double backward through the cotangent"
    flat, cotangent, what = scene.flat, scene.cotangents[0], "J·d by double backward through the cotangent"
    scaled = direction / direction.abs().max()

    def compute(x: Tensor) -> Tensor:
        return cotangent_products(flat.at(x), cotangent, scaled)

    def evaluate(xs: Tensor) -> Tensor:
        return flat.batch(xs).to("cpu", torch.float64)

    try:
        actual = compute(flat.x)
        bar = rounding_bars(compute, flat.x, dtypes=(torch.float64,), generator=scene.generator("cotangent bars"))
    except RouteUnavailableError as reason:
        yield scene.finding(check, Outcome.SKIPPED, f"No double backward through the cotangent: {reason}.", order=2)
        return
    low, high = domain_of(flat)
    level = UNIT_ROUNDOFF * scene.value.abs() if first.value_bar is None else first.value_bar / SAFETY
    ladder = slopes(evaluate, flat.x, scaled[None], floor=level, low=low, high=high, most_steps=MOST_DIRECTION_STEPS)
    if bool((ladder.kink | ladder.jump).any()) or not _credible(ladder, scaled, cotangent, first):
        message = "Finite differences along the direction have no answer to compare with."
        yield scene.finding(check, Outcome.SKIPPED, message, order=2)
        return
    found = compare(
        actual, ladder.value[0], bar[torch.float64] + ladder.bar[0], required=scene.required(2),
        zero_scale=max(float(scene.value.abs().max()), 1e-300),
    )  # fmt: skip
    origin = f"ladder: {ladder.steps.shape[1]} steps along a dense direction"
    yield replace(_finding(scene, check, found, what, "finite differences", origin), independent=True)


def _credible(ladder: Slopes, direction: Tensor, cotangent: Tensor, first: FirstOrder) -> bool:
    """Whether slopes (1 × M) along a direction are known at all, and not refuted by a certified gradient."""
    if not bool(ladder.bar.isfinite().all()):
        return False
    truth = first.truth
    if truth is None or not truth.rigorous or truth.directions is not None:
        return True
    gap = (ladder.value[0] @ cotangent - truth.value[0] @ direction).abs()
    return bool(gap <= ladder.bar[0] @ cotangent.abs() + truth.bar[0] @ direction.abs())


def _certificate(scene: Scene, directions: Tensor) -> tuple[Estimate | None, str | None]:
    """Enclose the Hessian's products in ball arithmetic, on a small budget; or say why they are not enclosed."""
    if scene.labels.device != "cpu":
        return None, None
    try:
        return ball_hessian_products(scene.flat, scene.cotangents[0], directions, budget=CERTIFICATE_BUDGET), None
    except NotCertifiedError as reason:
        return None, str(reason)


def _placed(products: Estimate) -> Estimate:
    """Whole products as products along the axes."""
    axes = torch.eye(products.value.shape[-1], dtype=torch.float64)
    return products if products.directions is not None else replace(products, directions=axes)


def _ladder(scene: Scene, directions: Tensor, *, noise: Tensor | None) -> Estimate:
    """Estimate the Hessian's products (D × P) by differences of first gradients along the directions.

    `noise` (N) is the gradient's rounding, where more is known than its size tells: one that cancels is coarser.
    """
    flat, project = scene.flat, _projection(scene)
    gradient = _gradient_batches(flat, scene.cotangents[0])

    def evaluate(xs: Tensor) -> Tensor:
        return gradient(xs) @ project.T

    low, high = domain_of(flat)
    center = gradient(flat.x[None])[0]
    level = UNIT_ROUNDOFF * center.abs()
    if noise is not None:
        level = torch.maximum(level, noise)
    floor = project.abs() @ level.nan_to_num(0.0, 0.0, 0.0)
    ladder = slopes(evaluate, flat.x, directions, floor=floor, low=low, high=high, most_steps=MOST_DIRECTION_STEPS)
    return Estimate(
        value=ladder.value,
        bar=ladder.bar,
        oracle="differences of gradients",
        origin=f"ladder of gradients: {ladder.steps.shape[1]} steps along {DIRECTIONS} dense directions",
        independent=True,
        note="a kink in the first derivative" if bool((ladder.kink | ladder.jump).any()) else None,
        directions=project,
    )


def _against(scene: Scene, products: Tensor, evidence: SecondEvidence, expected: Estimate) -> Iterator[Finding]:
    """The Hessian's products against an oracle's, along the same directions."""
    flat, project = scene.flat, expected.directions
    if project is None:
        raise ValueError("Cannot compare products with the Hessian: the estimate does not say along which rows.")
    actual, reach = products @ project.T, evidence.bar @ project.abs().T
    check = f"double backward ~ {expected.oracle}"
    if expected.note is not None:
        yield scene.finding(check, Outcome.SKIPPED, f"There is no second derivative: {expected.note}.", order=2)
        return
    whole = len(project) == flat.size
    for block in flat.blocks if whole else (None,):
        part = slice(None) if block is None else slice(block.start, block.stop)
        found = compare(
            actual[:, part], expected.value[:, part], reach[:, part] + expected.bar[:, part],
            required=scene.required(2), zero_scale=max(evidence.size, 1e-300),
        )  # fmt: skip
        finding = _finding(scene, check, found, "H·d by double backward", expected.oracle, expected.origin)
        index = None
        if block is not None and found.position is not None:
            index = block.index(found.position % (block.stop - block.start))
        yield replace(
            finding,
            input=None if block is None else block.name,
            index=index,
            independent=True,
            question=f"second derivative by {'all inputs' if block is None else block.name} at {scene.point.name}",
        )


def _projection(scene: Scene) -> Tensor:
    """Rows to project long products on (P × N): the identity while they are short."""
    size = scene.flat.size
    if size <= MOST_ENTRIES:
        return torch.eye(size, dtype=torch.float64)
    return random_signs((PROJECTIONS, size), scene.generator("projections"))


def _gradient_batches(flat: FlatSubject, cotangent: Tensor) -> Callable[[Tensor], Tensor]:
    """Make B × N points ↦ B × N first gradients, batched where torch.func can and agrees with plain autograd."""
    view = flat.at(flat.x)
    view.batched = None
    plain = plain_gradient_function(flat, cotangent)
    transformed = flat_gradient_function(flat, cotangent)
    try:
        reliable = bool(torch.allclose(transformed(flat.x), plain(flat.x), rtol=1e-9, atol=0, equal_nan=True))
    except Exception:  # noqa: BLE001 - torch.func refuses for many reasons and with many types: every one means "use plain autograd"
        reliable = False
    chosen = transformed if reliable else plain
    view.batched = None if reliable else False

    def gradients(xs: Tensor) -> Tensor:
        return view.batch_of(chosen, xs).to("cpu", torch.float64)

    return gradients


def _finding(scene: Scene, check: str, found: Comparison, what: str, oracle: str, origin: str) -> Finding:
    message = (
        f"{what} is {number(found.actual)} but {number(found.expected)} by {oracle}: off by {number(found.error)}, "
        f"allowed {number(found.bar)}."
        if found.outcome is Outcome.FAIL
        else f"{what} and {oracle}: {found.reason}"
    )
    return scene.judged(
        check, found, message, question=f"{check} at {scene.point.name}", bar_origin=origin, route="double backward",
        oracle=oracle, order=2,
    )  # fmt: skip
