"""What is under test, wherever it was declared: a `Subject` with its inputs, and a `Point` to evaluate it at.

Both the YAML loader and `harness.check` make these; everything after this folder works on them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from harness.case.expression import Expression

Tensors = Mapping[str, "Tensor"]
"""Named tensors; the order is the subject's order of inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One named input of a subject: shape in named sizes, how values are drawn, and where the subject is defined.

    Args:
        shape: sizes, each a number or the name of a dim; () is a scalar.
        draw: ``normal``, ``uniform(a, b)``, ``positive``, ``integers(a, b)``, ``spd``, ``symmetric``, ``simplex``,
            ``sorted``, ``unit``, ``orthogonal``, ``permutation``, ``mask`` or ``choice(a, b, …)``.
        grad: whether the gradient with respect to this input is checked.
        domain: closed interval outside which the subject is not defined; None is the whole line.
        scale: factor applied to what was drawn.
        away_from: values that drawn entries keep a distance of at least `margin` from.
        complex: whether entries are complex numbers.
        value: a constant (nested tuples of numbers) used instead of a draw.
    """

    shape: tuple[str | int, ...] = ()
    draw: str = "normal"
    grad: bool = True
    domain: tuple[float, float] | None = None
    scale: float = 1.0
    away_from: tuple[float, ...] = ()
    margin: float = 0.1
    complex: bool = False
    value: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The function under test.

    `function` takes the inputs by name (a mapping of tensors of one dtype) and returns a tuple of output tensors. It is
    pure: two calls with equal inputs give equal outputs, unless the subject is at fault.

    `gradient`, when there is one, takes the inputs and one cotangent per output and returns the analytic gradient of
    ⟨cotangents, outputs⟩ by input name; inputs it says nothing about are absent. `reference` has the type of `function`
    and is a plain implementation of the same thing, trusted more than the subject. `intermediates` computes the named
    intermediate values (`let`) inside one evaluation: it returns (values by name, outputs), with autograd history.
    `expressions` holds one parsed expression per output when the subject is an expression (with `let` as parsed
    expressions in order), which is what symbolic differentiation and typesetting read.
    """

    name: str
    inputs: Mapping[str, Input]
    function: Callable[[Tensors], tuple[Tensor, ...]]
    gradient: Callable[[Tensors, tuple[Tensor, ...]], Mapping[str, Tensor]] | None = None
    reference: Callable[[Tensors], tuple[Tensor, ...]] | None = None
    intermediates: Callable[[Tensors], tuple[Mapping[str, Tensor], tuple[Tensor, ...]]] | None = None
    expressions: tuple[Expression, ...] = ()
    let: Mapping[str, Expression] = field(default_factory=dict)
    gradient_expressions: Mapping[str, Expression] = field(default_factory=dict)
    residuals: Callable[[Tensors], tuple[Tensor, ...]] | None = None
    """The residuals whose sum of squares `function` is, where the case says them."""
    module: Callable[[], object] | None = None
    """Makes a fresh torch.nn.Module when the subject is one; its parameters are inputs too, by their dotted names."""

    @property
    def differentiable(self) -> tuple[str, ...]:
        """Names of the inputs whose gradient is asked for, in order."""
        return tuple(name for name, spec in self.inputs.items() if spec.grad)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One published figure: `kind` is value, gradient or hessian, `name` the input (or `let` name) it is about.

    Of kind stationary are the numbers of the point itself, one claim for each input it gives: its decimals say how well
    the place is known at which the gradient vanishes. `numbers` is nested tuples of (number, half-width): a decimal
    counts as rounded to its last printed digit, so 0.9894 is (0.9894, 0.00005); integers and expressions have
    half-width 0. `refuted_because` is the reason of a claim marked
    ``expected: refuted``.
    """

    kind: str
    name: str | None
    numbers: object
    refuted_because: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Named live tensors a subject is evaluated at: float64 or complex128, integers or masks."""

    name: str
    """"point 1", "random 0", "special zeros", or the name its case file gives it."""
    values: Tensors
    sizes: Mapping[str, int]
    seed: int | None
    claims: tuple[Claim, ...] = ()
    special: str | None = None

    @property
    def stationary(self) -> bool:
        """Whether the gradient is said to vanish here."""
        return any(claim.kind == "stationary" and claim.refuted_because is None for claim in self.claims)
