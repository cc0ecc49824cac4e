"""Whether every documented option is exercised, and does something.

An option that changes nothing where it should is a fault that no comparison with a rule can see if the rule's author
made it too, and an option that no set exercises is not verified at all.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import numpy as np

from harness.optimizers.catalogue import optimizer_classes
from harness.optimizers.findings import finding, holds
from harness.optimizers.option_sets import SETS
from harness.optimizers.pieces import ruled_pieces
from harness.optimizers.under_test import SWITCHES, UnderTest
from harness.optimizers.walk import Options
from harness.records import Finding, Outcome

STEPS = 30
LEAST = 1e-10
"""Smallest change, relative to what it changes, that is not rounding."""


def option_findings(tested: UnderTest) -> Iterator[Finding]:
    """Yield whether each option of each set matters, and whether all that are documented are exercised."""
    exercised: set[str] = set()
    done: set[tuple[str, str]] = set()
    for options in tested.sets:
        for name, value in options.items():
            if name in SWITCHES or value == tested.defaults.get(name) or (name, str(value)) in done:
                continue
            exercised.add(name)
            done.add((name, str(value)))
            yield _matters(tested, options, name)
    missing = [name for name in tested.defaults if name not in exercised and name not in SWITCHES]
    new = tested.name in optimizer_classes() and tested.name not in SETS
    if missing and (len(tested.sets) > 1 or new):
        # Of PyTorch's own all must be exercised; a user's is verified with the options it is used with.
        outcome = Outcome.INCONCLUSIVE if tested.name in optimizer_classes() else Outcome.SKIPPED
        message = f"No option set exercises {', '.join(missing)}."
        yield finding(tested.labels({}), "every option is exercised", outcome, message)


def _matters(tested: UnderTest, options: Options, name: str) -> Finding:
    """Compare a walk with one whose option `name` is left at its default."""
    check = f"option {name} matters"
    if tested.defaults.get(name, inspect.Parameter.empty) is inspect.Parameter.empty:
        return finding(tested.labels(options), check, Outcome.SKIPPED, f"{name} has no default to compare with.")
    without = {key: value for key, value in options.items() if key != name}
    try:
        plain = _walked(tested, without)
    except ValueError as reason:
        message = f"Without it the other options are refused: {reason}"
        return finding(tested.labels(options), check, Outcome.SKIPPED, message)
    changed = _walked(tested, options)
    furthest = max((_change(changed[key], plain[key]) for key in plain if key in changed), default=0.0)
    same = (
        None if furthest > LEAST or plain.keys() != changed.keys() else f"Option {name}={options[name]} does nothing."
    )
    return holds(tested.labels(options), check, same, f"It changes numbers by up to {furthest:.1g} of their size.")


def _walked(tested: UnderTest, options: Options) -> dict[str, np.ndarray]:
    steps = 3 if tested.needs.closure else STEPS
    return tested.walk(options, ruled_pieces(tested.needs, STEPS, tested.seed)).advance(steps).everything()


def _change(actual: np.ndarray, expected: np.ndarray) -> float:
    if actual.shape != expected.shape or not actual.size:
        return float(actual.shape != expected.shape)
    return float(np.max(np.abs(actual - expected)) / max(float(np.max(np.abs(expected))), 1e-300))
