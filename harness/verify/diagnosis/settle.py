"""Diagnoses of a whole case: what several findings say together.

One point can agree with a pattern by accident, several rarely do: names that another point of the case contradicts are
dropped. What passes in one place and fails in another is itself a diagnosis. Judges nothing: outcomes stay as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from harness.records import Diagnosis, Finding, Outcome
from harness.verify.diagnosis.probed import only_probed

_GLOBAL = ("factor", "sign")
"""Patterns that must hold at every point of a case to be believed."""
_SUBJECT = "autograd"
_FAILED = (Outcome.FAIL, Outcome.ERROR)


def settle(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Reconcile the diagnoses of a case's findings, and add the ones that only all of them together show.

    Args:
        findings: all findings about one subject, as the checks made them.

    Returns:
        The same findings in the same order, with `diagnosis` and the end of `message` settled.
    """
    listed = list(findings)
    groups: defaultdict[tuple[str | None, str | None], list[int]] = defaultdict(list)
    for number, finding in enumerate(listed):
        if finding.diagnosis is not None:
            groups[finding.input, finding.route].append(number)
    for numbers in groups.values():
        _reconcile(listed, numbers)
    listed = only_probed(listed)
    _contrast(listed)
    return tuple(_worded(finding) for finding in listed)


def _reconcile(findings: list[Finding], numbers: list[int]) -> None:
    """Keep of the guesses of one input's diagnoses those that hold at every point."""
    told = {number: diagnosis for number in numbers if (diagnosis := findings[number].diagnosis) is not None}
    spoken = [one for one in told.values() if one.pattern in _GLOBAL]
    if not spoken:
        return
    shared = set(spoken[0].guesses).intersection(*(one.guesses for one in spoken[1:]))
    factors = {one.sentence.split(" × ")[0] for one in spoken}
    for number, one in told.items():
        if one.pattern not in _GLOBAL:
            continue
        if not shared and len(factors) > 1:
            findings[number] = replace(findings[number], diagnosis=None)
        elif len(shared) < len(one.guesses):
            guesses = tuple(guess for guess in one.guesses if guess in shared)
            findings[number] = replace(findings[number], diagnosis=replace(one, guesses=guesses))


def _contrast(findings: list[Finding]) -> None:
    """Say of failures without a pattern where else the same question passes."""
    names = {finding.input for finding in findings if finding.input is not None}
    for name in sorted(names):
        failed = [
            n for n, f in enumerate(findings) if f.input == name and f.outcome is Outcome.FAIL and not f.diagnosis
        ]
        passed = [f for f in findings if f.input == name and f.outcome is Outcome.PASS and f.independent]
        passed = [f for f in passed if f.route == _SUBJECT and f.order == 1]
        if not failed or not passed:
            continue
        diagnosis = _only_where([findings[n] for n in failed], passed, findings)
        if diagnosis is not None:
            for number in failed:
                findings[number] = replace(findings[number], diagnosis=diagnosis)


def _only_where(failed: list[Finding], passed: list[Finding], findings: list[Finding]) -> Diagnosis | None:
    """What sets an input's failures apart from its passes, in the first of some ways."""
    wrong = [f for f in findings if f.outcome is Outcome.FAIL and f.input in (failed[0].input, None)]
    if any(f.order == 0 for f in findings if f.outcome is Outcome.FAIL):
        return None  # the values differ: not a matter of the gradient alone
    if len(failed) < len([f for f in wrong if f.input is not None]):
        return None  # some of its failures have a pattern of their own
    low = {f.dtype for f in failed}
    if "float64" not in low and all(f.dtype == "float64" for f in passed):
        where = f"Only in {_listed(low)}: in float64 the same gradient is right."
        sentence = f"{where} Is something kept or summed in low precision?"
        return Diagnosis(pattern="low precision", sentence=sentence)
    if all(f.order == 2 for f in failed):
        if any(f.outcome is Outcome.FAIL and f.order == 1 for f in findings):
            return None  # the second derivative differentiates every first one
        return Diagnosis(pattern="second order", sentence="Only the second derivative: the first one is right.")
    if all(f.route != _SUBJECT or not f.independent for f in failed):
        return None
    return _only_points(failed, passed)


def _only_points(failed: list[Finding], passed: list[Finding]) -> Diagnosis | None:
    """Failures at special points only, or beyond a size only."""
    bad, good = {f.point for f in failed}, {f.point for f in passed}
    if not bad & good and all(point.startswith("special ") for point in bad):
        kinds = {point.removeprefix("special ") for point in bad}
        pattern = next(iter(kinds)) if len(kinds) == 1 else "special points"
        sentence = f"Only at {_listed(bad)} points: it is right at {len(good)} others."
        return Diagnosis(pattern=pattern, sentence=sentence)
    for name in _dims(failed[0]):
        wrong = {size for f in failed if (size := _dims(f).get(name)) is not None}
        right = {size for f in passed if (size := _dims(f).get(name)) is not None}
        if wrong and right and max(right) < min(wrong):
            sentence = f"Only for {name} ≥ {min(wrong)}: it is right for {name} up to {max(right)}"
            return Diagnosis(pattern="size", sentence=sentence, guesses=("is a tile or block left out?",))
    return None


def _dims(finding: Finding) -> dict[str, int]:
    pairs = (part.partition("=") for part in finding.dims.split(", ") if "=" in part)
    return {name: int(size) for name, _, size in pairs}


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


def _worded(finding: Finding) -> Finding:
    """The finding with its diagnosis at the end of its message."""
    if finding.diagnosis is None or finding.diagnosis.text in finding.message:
        return finding
    return replace(finding, message=f"{finding.message} {finding.diagnosis.text}")
