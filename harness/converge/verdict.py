"""From what a descent did to a verdict and the sentences that explain it.

PASS needs an arrival that was not already there at the start; every other end has its own outcome. Nothing is run here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.case.schema import ConvergeModel
from harness.converge.descent import Descent
from harness.converge.minimum import Minimum, tolerance
from harness.converge.optimizers import GD, hyperparameter
from harness.converge.rates import Rates, steps_to_go
from harness.records import Outcome

MINIMUM_NAMES: Mapping[str, str] = {
    "given": "the given minimum",
    "least_squares": "the least squares solution",
    "scipy": "scipy's minimum",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """A classifier's accuracy before and after training, and what it should be at least."""

    start: float
    final: float
    at_least: float

    @property
    def enough(self) -> bool:
        """Whether the final accuracy is what it should be."""
        return self.final >= self.at_least


def judge(
    descent: Descent, entry: ConvergeModel, *, minimum: Minimum | None, rates: Rates, scores: Scores | None
) -> tuple[Outcome, str]:
    """Return the outcome of a descent and what to say about it.

    Args:
        descent: what happened.
        entry: what was declared.
        minimum: what it should reach, with any doubt about it; None when none is declared.
        rates: observed and theoretical.
        scores: accuracies, when declared.
    """
    if entry.expect == "diverges":
        return _judge_divergence(descent, entry, rates)
    if entry.expect == "misses":
        return _judge_miss(descent, entry, minimum, rates)
    if descent.diverged_at is not None:
        return Outcome.FAIL, divergence_message(descent, entry, rates)
    if minimum is not None and minimum.doubt is not None:
        return Outcome.FAIL, f"{_named(minimum)} is not one to within {tolerance(entry):g}: {minimum.doubt}"
    if minimum is None and entry.loss_below is None and scores is None:
        return Outcome.VACUOUS, (
            f"nothing says what arriving means: no minimum, loss_below or accuracy is declared; it {descent.reason}"
        )
    if _arrived_before(descent, entry, minimum, scores):
        goal = _goal(entry, minimum, scores)
        return Outcome.VACUOUS, f"it started where it should arrive ({goal}): nothing was shown"
    return _judge_arrival(descent, entry, minimum, rates, scores)


def divergence_message(descent: Descent, entry: ConvergeModel, rates: Rates) -> str:
    """Say when a descent diverged and, for gradient descent and SGD above their bound, why."""
    head = f"diverged at step {descent.diverged_at}"
    if rates.stable is None or rates.curvature is None:
        return f"{head}: it {descent.reason}"
    rate = hyperparameter(entry.optimizer, entry.options, "lr")
    plain = entry.optimizer == GD or not hyperparameter(entry.optimizer, entry.options, "momentum")
    bound = "2/λ_max" if plain else "for its momentum"
    where = "" if rates.quadratic else ", for the loss's local curvature"
    against = f"the bound {bound} = {rates.stable:.4g} (λ_max = {rates.curvature:.4g}{where})"
    if rate > rates.stable:
        return f"{head}: learning rate {rate:g} exceeds {against}; it {descent.reason}"
    return f"{head}: it {descent.reason}; learning rate {rate:g} is below {against}: {_suspect(entry, rates)}"


def _suspect(entry: ConvergeModel, rates: Rates) -> str:
    """Say what to look at when a descent diverged below the bound."""
    if entry.batches is not None or entry.fresh:
        return "a single batch may curve more"
    return "suspect the gradient" if rates.quadratic else "the loss may curve more elsewhere, or the gradient is wrong"


def _judge_divergence(descent: Descent, entry: ConvergeModel, rates: Rates) -> tuple[Outcome, str]:
    if descent.diverged_at is not None:
        return Outcome.PASS, f"{divergence_message(descent, entry, rates)} (as declared)"
    bound = "" if rates.stable is None else f"; the largest stable learning rate is {rates.stable:.4g}"
    return Outcome.FAIL, f"should diverge, but did not: it {descent.reason}{bound}"


def _judge_miss(descent: Descent, entry: ConvergeModel, minimum: Minimum | None, rates: Rates) -> tuple[Outcome, str]:
    if descent.diverged_at is not None:
        return Outcome.FAIL, f"should only miss, but {divergence_message(descent, entry, rates)}"
    if descent.hit is not None:
        return Outcome.FAIL, (
            f"should miss ({entry.reason}), but arrived at step {descent.hit}: {_goal(entry, minimum, None)}; "
            "take `expect: misses` out"
        )
    return Outcome.PASS, f"{_missed(descent, entry, minimum, rates)} (as declared: {entry.reason})"


def _arrived_before(descent: Descent, entry: ConvergeModel, minimum: Minimum | None, scores: Scores | None) -> bool:
    """Return whether every declared goal was met at the start already."""
    judged_by_steps = minimum is not None or entry.loss_below is not None
    return (not judged_by_steps or descent.hit == 0) and (scores is None or scores.start >= scores.at_least)


def _judge_arrival(
    descent: Descent, entry: ConvergeModel, minimum: Minimum | None, rates: Rates, scores: Scores | None
) -> tuple[Outcome, str]:
    judged_by_steps = minimum is not None or entry.loss_below is not None
    if judged_by_steps and descent.hit is None:
        return Outcome.FAIL, _missed(descent, entry, minimum, rates)
    if scores is not None and not scores.enough:
        return Outcome.FAIL, (
            f"the accuracy is {scores.final:.4g} after {descent.steps} steps, below {scores.at_least:g} "
            f"(at the start {scores.start:.4g})"
        )
    at = f"at step {descent.hit}" if descent.hit is not None else f"after {descent.steps} steps"
    return Outcome.PASS, f"arrived {at}: {_goal(entry, minimum, scores)}{_rate_words(rates)}"


def _missed(descent: Descent, entry: ConvergeModel, minimum: Minimum | None, rates: Rates) -> str:
    """Say how far a descent that did not arrive came, and how much further it would have had to go."""
    parts = [f"did not arrive ({_goal(entry, minimum, None)}): it {descent.reason}"]
    if minimum is not None and descent.final_error is not None:
        best = descent.best_error if descent.best_error is not None else math.inf
        closest = f", at best {best:.3g}" if best < descent.final_error else ""
        parts.append(f"the distance is {descent.final_error:.3g}{closest}")
        more = steps_to_go(descent.final_error, tolerance(entry), rates.observed)
        if more is not None and descent.status == "budget":
            parts.append(f"at the observed rate {rates.observed:.4g} it needs about {more} steps more")
    if entry.loss_below is not None:
        parts.append(f"the loss is {descent.final_loss:.4g}")
    if entry.optimizer == "LBFGS" and descent.status == "stalled":
        parts.append("LBFGS stops by its own tolerance_grad and tolerance_change: lower them in its options")
    return "; ".join(parts) + _rate_words(rates)


def _goal(entry: ConvergeModel, minimum: Minimum | None, scores: Scores | None) -> str:
    """Say what arriving means."""
    goals = []
    if minimum is not None:
        exact = f"within {entry.within:g}" if entry.digits is None else f"{entry.digits:g} digits"
        goals.append(f"{exact} of {_named(minimum)}")
    if entry.loss_below is not None:
        goals.append(f"loss at most {entry.loss_below:g}")
    if scores is not None:
        goals.append(f"accuracy {scores.final:.4g} of at least {scores.at_least:g}")
    return ", ".join(goals)


def _named(minimum: Minimum) -> str:
    name = MINIMUM_NAMES[minimum.source]
    return name if len(minimum.values) == 1 else f"one of {len(minimum.values)} given minima"


def _rate_words(rates: Rates) -> str:
    """Say when the observed rate disagrees with the one of the exact recurrence on the same quadratic."""
    if not rates.disagree:
        return ""
    return (
        f"; the observed rate {rates.observed:.4f} disagrees with {rates.expected:.4f}, that of the exact recurrence "
        f"(theory: {rates.theoretical:.4f}): check that the gradient followed is the loss's own"
    )
