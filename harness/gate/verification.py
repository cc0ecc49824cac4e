"""What the verifications of both sides say about each other: which verdicts got worse, better, or only other.

Records in, changes out. Both sides were drawn from one seed, so that findings of one name are about the same numbers.
What cannot be seen here: a loss that stays within one digit, or within what rounding may do where few points were
compared; and whatever no check of the case looks at.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from statistics import median

import torch

from harness.gate.records import VerificationChange
from harness.records import Finding, Outcome, VerifyRecord
from harness.run.changes import LOST_DIGITS, Change, as_change, change, comparison_key

FEW_POINTS = 3
LOST_AT_FEW = 2.0
"""Digits that a comparison made at fewer than `FEW_POINTS` points has to lose: those of few numbers scatter when sums
are reordered."""
LOST_AT_ONE = 3.0
"""A loss of more digits than this counts at a single point, however many others lost nothing."""
_DID_NOT_RUN = (Outcome.ERROR, Outcome.TIMEOUT, Outcome.CRASHED)
_MOST_NAMED = 5
GONE = "gone"
NEW = "new"

Records = Mapping[str, VerifyRecord]
"""Verifications by the id of their case."""
_ORDER = ("worse", "better", "other")


def verification_changes(base: Records, head: Records) -> tuple[VerificationChange, ...]:
    """Say how the verdicts of both sides differ, worse changes first.

    Worse is: a case that passed and does not, or is gone; a comparison that fails and did not; more than a digit lost
    (at most of a comparison's points; more than two digits where there are fewer than three points, and more than three
    at any single one); a kind of injected fault that was noticed and is not; and a new case that fails.

    Args:
        base: records of the base.
        head: records of the head, drawn from the same seed.
    """
    found = [_case_change(case, base.get(case), record) for case, record in head.items()]
    gone = (
        as_change(case, "worse", record, None, "The case is gone: nothing checks any more what it checked.")
        for case, record in base.items()
        if case not in head
    )
    made = (_as_verification(each) for each in (*filter(None, found), *gone))
    return tuple(sorted(made, key=lambda each: _ORDER.index(each.direction)))


def settled(first: Sequence[VerificationChange], again: Sequence[VerificationChange]) -> tuple[VerificationChange, ...]:
    """Keep as worse only what is worse in both of two comparisons; what is worse once is told as other.

    Args:
        first: all changes.
        again: the changes of a second verification of those cases of `first` that are worse and not gone.
    """
    still = {change.case for change in again if change.direction == "worse"}
    kept = []
    for each in first:
        if each.direction != "worse" or each.after == GONE or each.case in still:
            kept.append(each)
        else:
            message = f"Seen once, and not when verified again: the verdict differs from run to run. {each.message}"
            kept.append(replace(each, direction="other", message=message))
    return tuple(sorted(kept, key=lambda each: _ORDER.index(each.direction)))


def _as_verification(found: Change) -> VerificationChange:
    return VerificationChange(
        case=found.job,
        direction=found.direction,
        before=NEW if found.before is None else found.before.value,
        after=GONE if found.after is None else found.after.value,
        message=found.message,
    )


def _case_change(case: str, before: VerifyRecord | None, after: VerifyRecord) -> Change | None:
    """Say how one case's verdict changed, None where it did not."""
    found = change(case, before, after, noun="case")
    if before is None or (found is not None and found.direction == "worse"):
        return found
    lost = next(chain(_lost_power(before, after), _lost_digits(before, after)), None)
    if lost is not None:
        return as_change(case, "worse", before, after, lost)
    if found is None:
        fewer = _no_longer_compared(before, after)
        return as_change(case, "other", before, after, fewer) if fewer else None
    if before.outcome in _DID_NOT_RUN and before.outcome is not after.outcome:
        return replace(found, message=f"{found.message} (the base did not run: {before.message})")
    return found


def _no_longer_compared(before: VerifyRecord, after: VerifyRecord) -> str:
    """Name the kinds of comparisons that were made and are not, "" for none; a case file may have left them out."""
    now = {_kind(finding) for finding in after.findings}
    made = dict.fromkeys(_kind(finding) for finding in before.findings if finding.outcome is Outcome.PASS)
    left = [kind for kind in made if kind not in now]
    if not left:
        return ""
    named = [*left[:_MOST_NAMED], *([f"{len(left) - _MOST_NAMED} more"] if len(left) > _MOST_NAMED else [])]
    return f"It passes, and less is compared: {len(left)} of {len(made)} kinds are left out now: {', '.join(named)}."


def _kind(finding: Finding) -> str:
    """Return what kind of comparison a finding is, whatever its point: what, of which input, in which dtype."""
    return f"{finding.check}{f' of {finding.input}' if finding.input else ''} in {finding.dtype}"


def _lost_power(before: VerifyRecord, after: VerifyRecord) -> Iterator[str]:
    """Say which kinds of injected faults were noticed and are not; kinds no longer injected do not count."""
    if before.power is None or after.power is None:
        return
    noticed = {catch.fault for catch in after.power.catches}
    missed = {survivor.fault: survivor for survivor in after.power.survivors if survivor.fault not in noticed}
    lost = [missed[kind] for kind in dict.fromkeys(catch.fault for catch in before.power.catches) if kind in missed]
    if lost:
        kinds = ", ".join(f"{survivor.fault} (it takes {survivor.seen_by})" for survivor in lost)
        yield (
            f"Its checks notice less: {before.power.caught} of {before.power.injected} injected faults before, "
            f"{after.power.caught} of {after.power.injected} now. No longer noticed: {kinds}."
        )


def _lost_digits(before: VerifyRecord, after: VerifyRecord) -> Iterator[str]:
    """Say which comparisons agree to fewer digits than they did, the greatest loss first."""
    earlier = {_place(finding): finding for finding in before.findings if finding.digits is not None}
    lost: dict[tuple[object, ...], list[tuple[float, Finding, Finding]]] = defaultdict(list)
    for finding in after.findings:
        known = earlier.get(_place(finding))
        if known is not None and finding.digits is not None and finding.outcome is not Outcome.FAIL:
            digits = _digits_lost(known, finding)
            lost[finding.check, finding.input, finding.dtype, finding.order].append((digits, known, finding))
    for places in sorted(lost.values(), key=lambda found: -max(digits for digits, _, _ in found)):
        digits, known, finding = max(places, key=lambda place: place[0])
        typical = median(digits for digits, _, _ in places)
        if digits > LOST_AT_ONE or typical > (LOST_DIGITS if len(places) >= FEW_POINTS else LOST_AT_FEW):
            of = f" of {finding.input}" if finding.input else ""
            yield (
                f"It passes, and lost digits: {finding.check}{of} in {finding.dtype} agreed to {known.digits:.1f} and "
                f"agrees to {finding.digits:.1f} at {finding.point or 'its point'}; the median loss over its "
                f"{len(places)} points is {typical:.1f}."
            )


def _place(finding: Finding) -> tuple[object, ...]:
    """Return what tells one comparison at one point from another."""
    return (*comparison_key(finding), finding.dims, finding.device)


def _digits_lost(before: Finding, after: Finding) -> float:
    """Return how many digits were lost, of those that the dtype has at all: agreement beyond them is luck."""
    most = -math.log10(torch.finfo(getattr(torch, after.dtype)).eps)
    return min(before.digits or 0.0, most) - min(after.digits or 0.0, most)
