"""Records of verification: findings and what a case's verdict rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.records.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What kind of mistake a wrong gradient looks like: one word for it, the evidence, and what it is likely to be."""

    pattern: str
    """factor · sign · zero · transpose · swapped · missing part · tail · ties · threshold · NaN · low precision …"""
    sentence: str
    guesses: tuple[str, ...] = ()
    """Likely causes, each a question; several when one point cannot tell them apart (2 and n = 2)."""

    @property
    def text(self) -> str:
        """The sentence with its guesses: "It is 0.5 × the true gradient at 40/40 entries: a missing factor 2?"."""
        if self.guesses:
            return f"{self.sentence}: {' Or '.join(self.guesses)}"
        return self.sentence if self.sentence.endswith((".", "?")) else f"{self.sentence}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How good a low-precision gradient is: against the truth, an eager implementation in its dtype, and rounding.

    Numbers that are not finite, or have nothing to be divided by, are None.
    """

    relative_l2: float | None = None
    """‖actual − truth‖ / ‖truth‖."""
    max_abs: float | None = None
    max_index: tuple[int, ...] = ()
    """Where |actual − truth| is largest."""
    cosine: float | None = None
    bias: float | None = None
    """Σ (actual − truth)·sign(truth) / Σ |truth|: below zero where the gradient is too small."""
    floors: float | None = None
    """The largest error in units of its rounding floor; above 8 it is outside the bar."""
    eager_relative_l2: float | None = None
    eager_floors: float | None = None
    ratio_to_eager: float | None = None
    """Relative L2 error over that of the eager implementation."""
    policy: str | None = None
    """The named policy that decided instead of the bar."""
    accepts: tuple[str, ...] = ()
    """Grossly wrong gradients that policy would accept here: zero, doubled, sign-flipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison, with its outcome and the evidence for it.

    `check` names what was compared with what ("reverse ~ ladder"); `index` is the worst entry of `input`, the one
    whose `error` is largest in units of its `bar`. `actual` is the subject's number there, `expected` the oracle's.
    `error` = |actual − expected|; PASS needs error ≤ bar. `resolution` is the smallest relative error of that input's
    gradient that this comparison could have noticed (largest bar / largest entry). `digits` is the agreement in decimal
    digits, norm-wise: −log₁₀(‖actual − expected‖ / ‖expected‖), capped at 17.
    `excused` is the reason a case file gives for a failure it declares; an excused finding does not turn a case red.
    """

    check: str
    outcome: Outcome
    message: str
    question: str = ""
    """What is decided, apart from who answers: findings with one question back each other up."""
    input: str | None = None
    index: tuple[int, ...] | None = None
    actual: float | None = None
    expected: float | None = None
    error: float | None = None
    bar: float | None = None
    bar_origin: str | None = None
    resolution: float | None = None
    digits: float | None = None
    ulps: float | None = None
    """Largest |actual − truth| over the entries whose truth is enclosed (or, in fewer bits than float64, known in
    float64), in units in the last place of the truth at `dtype`; at zero the unit is the smallest subnormal number."""
    radius_bits: int | None = None
    """b of the enclosure value·(1 ± 2⁻ᵇ) the truth was known to before it was rounded to float64."""
    detection_limit: float | None = None
    """Smallest ε of 10⁻¹, 10⁻², … at which (1+ε) times the subject's gradient was seen to fail this comparison."""
    independent: bool = False
    """Whether the oracle evaluates only the function, and so cannot share autograd's or the author's mistake."""
    route: str | None = None
    oracle: str | None = None
    order: int = 1
    dtype: str = "float64"
    device: str = "cpu"
    point: str = ""
    dims: str = ""
    seed: int | None = None
    excused: str | None = None
    command: str | None = None
    """The exact command that repeats the finding."""
    diagnosis: Diagnosis | None = None
    """What the failure looks like, where it follows a pattern; its text also ends `message`."""
    precision: Precision | None = None
    """Of a low-precision gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Error of a finite-difference estimate against its step, for one derivative."""

    label: str
    steps: tuple[float, ...]
    errors: tuple[float, ...]
    extrapolated_errors: tuple[float | None, ...]
    """Error of the twice-extrapolated (Richardson) estimate at the same steps; None where there is none."""
    chosen: int | None
    """Position of the step the ladder chose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """One value of a computation graph: an input, a constant, or the result of an operator."""

    id: str
    label: str
    kind: Literal["input", "constant", "operator", "output"]
    value: str
    """Short text: the number of a scalar, or shape and range of a larger tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEdge:
    """`target` was computed from `source`; `partial` is ∂target/∂source (short text; None where it is not defined)."""

    source: str
    target: str
    partial: str | None
    number: float | None = None
    """The partial unrounded, where both ends are single numbers: what products along paths are made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A computation graph at a point: values on the nodes, local partial derivatives on the edges."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    omitted: int = 0
    """How many further nodes the drawing leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch:
    """A fault put into a subject's backward on purpose, and the checks that noticed it."""

    fault: str
    label: str
    """The fault's name, with the input it sat in where it was put into each."""
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A fault put into a subject's backward on purpose that no check noticed."""

    fault: str
    label: str
    sentence: str
    """What such a backward does."""
    seen_by: str
    """What would notice it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionPower:
    """How many of the faults injected into a case's backward its checks noticed.

    `equivalent` are the labels of faults that change nothing for this subject; they count neither way.
    """

    injected: int
    caught: int
    equivalent: tuple[str, ...] = ()
    survivors: tuple[Survivor, ...] = ()
    catches: tuple[Catch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRecord:
    """The verdict on one case: is the gradient right?"""

    kind: Literal["verify"] = "verify"
    job: str
    """Name of the planned job this record came from."""
    case: str
    title: str
    source: str
    path: str
    tags: tuple[str, ...] = ()
    outcome: Outcome
    message: str
    findings: tuple[Finding, ...] = ()
    detection_limit: float | None = None
    """Smallest relative fault (1+ε) that an independent float64 check was seen to catch, for the case's worst input."""
    power: DetectionPower | None = None
    """None where no faults were injected: the case failed, has no gradient, or was checked quickly."""
    formula: str | None = None
    """The case's function as Python expression text (one line per output), or the name of its Python subject."""
    let: tuple[tuple[str, str], ...] = ()
    gradient: tuple[tuple[str, str], ...] = ()
    """(input, expression text) of the analytic gradient."""
    is_expression: bool = False
    graph: Graph | None = None
    curves: tuple[Curve, ...] = ()
    duration_s: float = 0.0
    traceback: str | None = None
    command: str | None = None
