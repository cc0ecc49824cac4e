"""From what a descent did to a verdict and the sentences that explain it.

PASS needs an arrival that was not already there at the start; every other end has its own outcome. Nothing is run here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.case.schema import ConvergeModel
from harness.converge.descent import Descent
from harness.converge.explain import Place, divergence_words, stall_words
from harness.converge.minimum import Minimum, tolerance
from harness.converge.rates import Rates, steps_to_go
from harness.records import Outcome

MINIMUM_NAMES: Mapping[str, str] = {
    "given": "the given minimum",
    "least_squares": "the least squares solution",
    "scipy": "scipy's minimum",
}
BURST = 10.0
"""A distance this many times the tolerance, after arriving, is worth a word."""
TAILED = frozenset({"Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adafactor"})
"""Optimizers whose second moment forgets old gradients …"""
TAIL = ": at a constant learning rate its second moment forgets, until small gradients make large steps again"
"""… and what comes of it once they have arrived."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen around a descent's end and around its goal, as far as it explains how it ended."""

    end: Place | None = None
    bottom: Place | None = None
    """Of the minimum, or of the start where none is known."""
    travel: float | None = None
    """Distance from the start to the minimum (max-norm)."""
    minimum_loss: float | None = None


def judge(
    descent: Descent,
    entry: ConvergeModel,
    *,
    minimum: Minimum | None,
    rates: Rates,
    scores: Scores | None,
    sight: Sight | None = None,
) -> tuple[Outcome, str]:
    """Return the outcome of a descent and what to say about it.

    Args:
        descent: what happened.
        entry: what was declared.
        minimum: what it should reach, with any doubt about it; None when none is declared.
        rates: observed and theoretical.
        scores: accuracies, when declared.
        sight: what explains a descent that did not arrive.
    """
    sight = sight or Sight()
    if entry.expect == "diverges":
        return _judge_divergence(descent, entry, rates, sight)
    if entry.expect == "misses":
        return _judge_miss(descent, entry, minimum, rates, sight)
    if descent.diverged_at is not None:
        return Outcome.FAIL, divergence_message(descent, entry, rates, sight)
    if minimum is not None and minimum.doubt is not None:
        return Outcome.FAIL, f"{_named(minimum)} is not one to within {tolerance(entry):g}: {minimum.doubt}"
    if minimum is None and entry.loss_below is None and scores is None:
        return Outcome.VACUOUS, (
            f"nothing says what arriving means: no minimum, loss_below or accuracy is declared; it {descent.reason}"
        )
    if _arrived_before(descent, entry, minimum, scores):
        goal = _goal(entry, minimum, scores)
        return Outcome.VACUOUS, f"it started where it should arrive ({goal}): nothing was shown"
    return _judge_arrival(descent, entry, minimum, rates, scores, sight)


def divergence_message(descent: Descent, entry: ConvergeModel, rates: Rates, sight: Sight) -> str:
    """Say when a descent diverged and, as far as it is known, why."""
    why = divergence_words(entry, rates, sight.bottom, sight.travel)
    it = f"it {descent.reason}"
    below = f"; {why}" if why else ""
    after = "" if descent.hit is None else f" (it had arrived at step {descent.hit})"
    return f"diverged at step {descent.diverged_at}{after}: {it}{below}"


def _judge_divergence(descent: Descent, entry: ConvergeModel, rates: Rates, sight: Sight) -> tuple[Outcome, str]:
    if descent.diverged_at is not None:
        return Outcome.PASS, f"{divergence_message(descent, entry, rates, sight)} (as declared)"
    bound = "" if rates.stable is None else f"; the largest stable learning rate is {rates.stable:.4g}"
    return Outcome.FAIL, f"should diverge, but did not: it {descent.reason}{bound}"


def _judge_miss(
    descent: Descent, entry: ConvergeModel, minimum: Minimum | None, rates: Rates, sight: Sight
) -> tuple[Outcome, str]:
    if descent.diverged_at is not None:
        return Outcome.FAIL, f"should only miss, but {divergence_message(descent, entry, rates, sight)}"
    if descent.hit is not None:
        return Outcome.FAIL, (
            f"should miss ({entry.reason}), but arrived at step {descent.hit}: {_goal(entry, minimum, None)}; "
            "take `expect: misses` out"
        )
    return Outcome.PASS, f"{_missed(descent, entry, minimum, rates, sight)} (as declared: {entry.reason})"


def _arrived_before(descent: Descent, entry: ConvergeModel, minimum: Minimum | None, scores: Scores | None) -> bool:
    """Return whether every declared goal was met at the start already."""
    judged_by_steps = minimum is not None or entry.loss_below is not None
    return (not judged_by_steps or descent.hit == 0) and (scores is None or scores.start >= scores.at_least)


def _judge_arrival(
    descent: Descent,
    entry: ConvergeModel,
    minimum: Minimum | None,
    rates: Rates,
    scores: Scores | None,
    sight: Sight,
) -> tuple[Outcome, str]:
    judged_by_steps = minimum is not None or entry.loss_below is not None
    if judged_by_steps and descent.hit is None:
        return Outcome.FAIL, _missed(descent, entry, minimum, rates, sight)
    if scores is not None and not scores.enough:
        return Outcome.FAIL, (
            f"the accuracy is {scores.final:.4g} after {descent.steps} steps, below {scores.at_least:g} "
            f"(at the start {scores.start:.4g})"
        )
    at = f"at step {descent.hit}" if descent.hit is not None else f"after {descent.steps} steps"
    arrived = f"arrived {at}: {_goal(entry, minimum, scores)}{_which(descent, entry, minimum)}"
    if entry.digits is not None and descent.best_error is not None:
        arrived += f", {correct_digits(descent.best_error):.1f} at best"
    left = f"{_growth_words(descent)}{_burst_words(descent, entry)}"
    return Outcome.PASS, f"{arrived}{_step_words(descent, rates)}{left}{_rate_words(rates)}"


def correct_digits(error: float) -> float:
    """Return the digits a relative error leaves correct: −log₁₀ of it, between 0 and 11, as NIST counts them."""
    return min(11.0, max(0.0, -math.log10(error))) if error > 0 else 11.0


def _which(descent: Descent, entry: ConvergeModel, minimum: Minimum | None) -> str:
    """Say which of several acceptable minima was reached."""
    if minimum is None or len(minimum.values) == 1 or descent.arrived is None:
        return ""
    return f" (number {minimum.nearest(descent.arrived, relative=entry.digits is not None) + 1})"


def _step_words(descent: Descent, rates: Rates) -> str:
    """Set the steps it took beside those of theory."""
    if rates.steps is None or descent.hit is None:
        return ""
    excess = rates.steps.excess_words(descent.hit, descent.steps)
    return f"; {excess}" if excess else f"; theory: {rates.steps.words}"


def _growth_words(descent: Descent) -> str:
    """Say that a descent came back from a loss far above the first."""
    return "" if descent.grew is None else f"; on the way its loss grew to {descent.grew:.3g} times the first"


def _burst_words(descent: Descent, entry: ConvergeModel) -> str:
    """Say that a descent left again after it had arrived; it is judged by the first arrival all the same."""
    worst = descent.worst_after
    if worst is None or not worst[1] > BURST * tolerance(entry):
        return ""
    step, distance = worst
    settled = min(descent.errors[descent.hit : step], default=distance) <= tolerance(entry) / BURST
    if not settled and descent.final_error is not None and descent.final_error <= tolerance(entry):
        return f"; it swung out to a distance of {distance:.3g} at step {step} before it settled"
    why = TAIL if entry.optimizer in TAILED and settled else ""
    last = "" if descent.final_error is None else f", {descent.final_error:.3g} at the end"
    return f"; later it left again (distance {distance:.3g} at step {step}{last}){why}, judged by its first arrival"


def _missed(descent: Descent, entry: ConvergeModel, minimum: Minimum | None, rates: Rates, sight: Sight) -> str:
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
    if descent.diverged_at is None:
        parts += stall_words(entry, descent, sight.end, sight.minimum_loss)
    excess = "" if rates.steps is None else rates.steps.excess_words(None, descent.steps)
    parts += [excess] if excess else []
    tolerances = (entry.options.get(name) for name in ("tolerance_grad", "tolerance_change"))
    if entry.optimizer == "LBFGS" and descent.status == "stalled" and any(value != 0 for value in tolerances):
        parts.append("LBFGS stops by its own tolerance_grad and tolerance_change: lower them in its options")
    return "; ".join(parts) + _growth_words(descent) + _rate_words(rates)


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
