"""Why a descent blew up, or why it stands where it stands: only what is known, from curvature, step and gradient.

For gradient descent and SGD (with momentum, Nesterov's too) the stable learning rates on a quadratic are known; for the
Adam family only how far a step can go is. What is not known is not guessed. Curvature is looked at where the
parameters are few enough for the whole Hessian; beyond that, gradient and step alone are told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.case.schema import ConvergeModel
from harness.converge.descent import Descent
from harness.converge.objective import HESSIAN_LIMIT, Objective
from harness.converge.optimizers import GD, LEAST_SQUARES, Option, hyperparameter
from harness.converge.pictures import parameter_labels
from harness.converge.rates import Rates, theoretical_rate

FLAT = 1e-2
"""A direction counts as flat when it curves less than this share of the steepest …"""
NO_CURVATURE = 1e-10
"""… and as without curvature below this share."""
NEARBY = 0.1
"""A stationary point nearer than this share of the distance to the minimum is another one."""
DOMINANT = 0.9
"""Share of a direction's length in one parameter from which it is called by that parameter's name."""
GROWN = 10.0
"""A recurrence that reaches this many times its start's distance explains a loss that grew."""
LONG = 2000
"""Steps after which Adam's bias corrections are taken as done."""
NAMED = 3
"""Parameters up to which a direction is written out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """A direction in parameter space in words, and the loss's curvature along it."""

    curvature: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The surroundings of a point: the extreme curvatures, and what is left from it to the minimum."""

    loss: float
    gradient_norm: float
    steepest: Direction
    flattest: Direction
    """The one of smallest curvature, negative ones included."""
    left: Direction | None = None
    """The one that most of the distance to the minimum lies along; None where no minimum is known."""
    stationary: float = math.inf
    """How far the Newton step says the next stationary point is (max-norm)."""


def survey(objective: Objective, point: Tensor, minimum: Tensor | None) -> Place | None:
    """Look around a point; None where there are too many parameters, or a number is not finite.

    Args:
        objective: the loss on the whole data.
        point: where to look, (n,).
        minimum: the minimiser, (n,), if one is known.
    """
    if objective.size > HESSIAN_LIMIT or not bool(torch.isfinite(point).all()):
        return None
    gradient, hessian = objective.gradient(point)[1], objective.hessian(point)
    if not bool(torch.isfinite(hessian).all()) or not bool(torch.isfinite(gradient).all()):
        return None
    curvatures, vectors = torch.linalg.eigh(hessian)
    labels = parameter_labels(objective)

    def direction(place: int) -> Direction:
        return Direction(curvature=float(curvatures[place]), words=direction_words(vectors[:, place], labels))

    largest = curvatures.abs().max()
    curved = curvatures.abs() > NO_CURVATURE * largest
    newton = torch.where(curved, (vectors.T @ gradient) / torch.where(curved, curvatures, 1.0), 0.0)
    return Place(
        loss=float(objective(point).detach()),
        gradient_norm=float(gradient.norm()),
        steepest=direction(int(curvatures.abs().argmax())),
        flattest=direction(0),
        left=None if minimum is None else direction(int((vectors.T @ (point - minimum)).abs().argmax())),
        stationary=float((vectors @ newton).abs().max()),
    )


def direction_words(vector: Tensor, labels: tuple[str, ...]) -> str:
    """Return a unit vector (n,) in the parameters' names: ``x[1]``, ``0.71·a − 0.71·b``, or how many it mixes."""
    sizes = vector.abs()
    if float(sizes.max()) ** 2 >= DOMINANT:
        return labels[int(sizes.argmax())]
    parts = [(float(vector[place]), labels[place]) for place in range(len(vector)) if float(sizes[place]) >= 0.1]
    if len(parts) > NAMED:
        return f"a mix of {len(parts)} parameters"
    words = "".join(f" {'−' if share < 0 else '+'} {abs(share):.2g}·{name}" for share, name in parts)
    return words[3:] if parts[0][0] > 0 else words[1:].replace("− ", "−", 1)


def divergence_words(entry: ConvergeModel, rates: Rates, place: Place | None, travel: float | None) -> str:
    """Say what is known of why a descent diverged; "" where nothing is.

    Args:
        entry: what was declared.
        rates: curvature and bounds.
        place: the surroundings of the minimum, or of the start.
        travel: the distance from the start to the minimum (max-norm), if one is known.
    """
    name = entry.optimizer_name
    if not isinstance(entry.optimizer, str):
        return f"nothing is known here of when {name} diverges"
    if entry.options.get("maximize"):
        return "maximize=True climbs the loss"
    if name in (GD, "SGD"):
        return _plain_words(entry, rates, place)
    if name == "LBFGS" and not entry.options.get("line_search_fn"):
        return "without a line search nothing bounds a step of LBFGS: set line_search_fn to strong_wolfe"
    if name == LEAST_SQUARES:
        return "it takes no step that raises the loss: look at the start, the data and the model"
    reach = step_bound(name, entry.options)
    unknown = f"no bound on the learning rate of {name} is known"
    if reach is None:
        return unknown
    far = "" if travel is None else f", and the minimum lies {travel:.3g} from the start"
    return f"{unknown}; a step of it moves a parameter by {reach:.3g} at most{far}"


def step_bound(name: str, options: Mapping[str, Option]) -> float | None:
    """Return how far one step can move a parameter, apart from weight decay; None where that is not known.

    Adagrad: η, as its sum of squares holds the present gradient; RMSprop: η/√(1−α), for the same reason. Adam and
    Adamax set an average of gradients over one of their sizes, which Cauchy and Schwarz (Hölder, for Adamax) bound.
    """
    rate = hyperparameter(name, options, "lr")
    betas = options.get("betas")
    first, second = (float(beta) for beta in betas) if isinstance(betas, list | tuple) else (0.9, 0.999)
    if name in ("Adam", "AdamW"):
        reach = adam_reach(first, second)
        return None if reach is None else rate * reach
    if name == "Adamax":
        return rate * (1 - first) / (1 - first / second) if first < second else None
    if name == "RMSprop" and not options.get("momentum") and not options.get("centered"):
        share = hyperparameter(name, options, "alpha")
        return rate / math.sqrt(1 - share) if share < 1 else None
    return rate if name == "Adagrad" else None


def adam_reach(first: float, second: float) -> float | None:
    """Return the largest |m̂|/√v̂ of Adam over all gradients and steps; None where it has no bound.

    m_t = (1−β₁)Σβ₁ʲg_{t−j} and v_t = (1−β₂)Σβ₂ʲg²_{t−j} over j < t give |m_t|/√v_t ≤ (1−β₁)/√(1−β₂)·√(Σrʲ) with
    r = β₁²/β₂; the bias corrections multiply it by √(1−β₂ᵗ)/(1−β₁ᵗ). Kingma and Ba ("Adam", 2015, section 2.1) give
    the first factor alone, which holds for a single gradient after zeros; several in a row go further.
    """
    if not first**2 < second < 1:
        return None
    ratio, factor = first**2 / second, (1 - first) / math.sqrt(1 - second)
    corrected = (
        math.sqrt((1 - ratio**step) / (1 - ratio) * (1 - second**step)) / (1 - first**step) for step in range(1, LONG)
    )
    return factor * max(1 / math.sqrt(1 - ratio), *corrected)


def stall_words(entry: ConvergeModel, descent: Descent, place: Place | None, minimum_loss: float | None) -> list[str]:
    """Say what a descent that did not arrive looks like at its end: gradient, last step, and what is flat there.

    Args:
        entry: what was declared.
        descent: what happened.
        place: the surroundings of its end; None where they are not known.
        minimum_loss: the loss at the minimum, if one is known.
    """
    last = descent.trajectory[-1] if descent.trajectory else None
    if last is None or last.step != descent.steps:
        return []
    words = [f"at its end the gradient's norm is {last.gradient_norm:.3g} and the last step moved {descent.moved:.3g}"]
    around = _place_words(place, descent.final_error, minimum_loss) if place and descent.final_error else []
    if around or descent.moved > 0 or not _lost_to_rounding(entry, descent, last.gradient_norm):
        return [*words, *around]
    return [*words, f"its steps are lost to the rounding of {entry.dtype}"]


def _place_words(place: Place, distance: float, minimum_loss: float | None) -> list[str]:
    """Say which stationary point is near, or how flat the direction is that is left to go."""
    largest, flattest = abs(place.steepest.curvature), place.flattest
    if place.stationary < NEARBY * distance:
        level = "" if minimum_loss is None else f", with a loss of {place.loss:.4g} against {minimum_loss:.4g}"
        if flattest.curvature < -NO_CURVATURE * largest:
            return [f"a saddle or a maximum is near: the loss curves down along {flattest.words}{level}"]
        if flattest.curvature <= NO_CURVATURE * largest:
            return [f"the loss is flat along {flattest.words}{level}"]
        return [f"another minimum is near{level}"]
    left = place.left
    if left is None or not abs(left.curvature) < FLAT * largest:
        return []
    against = f"its curvature is {left.curvature:.3g}, the largest is {place.steepest.curvature:.3g}"
    return [f"what is left lies along {left.words}, a flat direction: {against}"]


def _lost_to_rounding(entry: ConvergeModel, descent: Descent, gradient_norm: float) -> bool:
    """Return whether a plain step lr·‖∇f‖ is not zero, but below the spacing of the largest parameter."""
    if entry.optimizer not in (GD, "SGD") or gradient_norm == 0:
        return False
    step = hyperparameter(str(entry.optimizer), entry.options, "lr") * gradient_norm
    return step <= float(torch.finfo(getattr(torch, entry.dtype)).eps) * float(descent.final.abs().max())


def _plain_words(entry: ConvergeModel, rates: Rates, place: Place | None) -> str:
    """Set the learning rate of gradient descent or SGD against its bound, and say what the steepest direction does."""
    name, rate = str(entry.optimizer), hyperparameter(str(entry.optimizer), entry.options, "lr")
    if (
        place is not None
        and rates.quadratic
        and place.flattest.curvature < -NO_CURVATURE * abs(place.steepest.curvature)
    ):
        flattest = place.flattest
        return (
            f"no learning rate is stable: the loss is unbounded below along {flattest.words} "
            f"(λ_min = {flattest.curvature:.4g})"
        )
    if rates.stable is None or rates.curvature is None:
        return ""
    along = "" if place is None else f" along {place.steepest.words}"
    where = "" if rates.quadratic else ", for the loss's local curvature"
    against = f"the bound {bound_formula(entry)} = {rates.stable:.4g} (λ_max = {rates.curvature:.4g}{along}{where})"
    if rate > rates.stable:
        factor = theoretical_rate(name, entry.options, [rates.curvature]) if rates.quadratic else None
        grows = "" if factor is None else f", where a step multiplies the error by {factor:.4g}"
        return f"learning rate {rate:g} exceeds {against}{grows}"
    return f"learning rate {rate:g} is below {against}: {_suspect(entry, rates)}"


def _suspect(entry: ConvergeModel, rates: Rates) -> str:
    """Say what to look at when a descent diverged below the bound."""
    if entry.batches is not None or entry.fresh:
        return "a single batch may curve more"
    if not rates.quadratic:
        return "the loss may curve more elsewhere, or the gradient is wrong"
    if rates.growth is not None and rates.growth >= GROWN:
        return (
            f"momentum lets an error grow before it shrinks, and the exact recurrence, too, reaches {rates.growth:.3g} "
            "times the start's distance: give it more steps, or lower the momentum"
        )
    return "suspect the gradient"


def bound_formula(entry: ConvergeModel) -> str:
    """Return the formula of the largest stable learning rate of gradient descent or SGD on a quadratic."""
    name = str(entry.optimizer)
    if name == GD or not hyperparameter(name, entry.options, "momentum"):
        return "2/λ_max"
    if entry.options.get("nesterov"):
        return "(2+2μ)/((1+2μ)·λ_max) of Nesterov's momentum"
    dampened = bool(hyperparameter(name, entry.options, "dampening"))
    return "2(1+μ)/((1−τ)·λ_max) of dampened momentum" if dampened else "2(1+μ)/λ_max of momentum"
