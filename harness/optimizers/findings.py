"""Comparisons of what an optimizer did with what it should have done, as findings.

A number passes when it lies within its bar, which must be small enough to have seen a fault: a bar wider than
`WIDEST` of what moved decides nothing. Where the bars come from is the checks' job.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.records import Finding, Outcome

Numbers = NDArray[np.float64]

WIDEST = 0.5
"""Bar, as a part of the largest number compared, beyond which agreement says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What every finding about an optimizer carries; `options` is the option set as text."""

    seed: int
    options: str = ""
    command: str | None = None
    device: str = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One array compared: its name, both sides, what they may differ by, and after which step (None where no matter).

    `scale` is the size against which the bar's width is judged; None is the largest expected number.
    """

    name: str
    actual: Numbers
    expected: Numbers
    bar: Numbers | float = 0.0
    step: int | None = None
    scale: float | None = None


def finding(labels: Labels, check: str, outcome: Outcome, message: str, *, dtype: str = "float64") -> Finding:
    """Return a finding without numbers."""
    return Finding(
        check=check, outcome=outcome, message=message, question=f"{check} [{labels.options}]", point=labels.options,
        seed=labels.seed, device=labels.device, command=labels.command, dtype=dtype,
    )  # fmt: skip


def holds(labels: Labels, check: str, fault: str | None, passed: str) -> Finding:
    """Return a pass, or a failure that says what is wrong."""
    return finding(labels, check, Outcome.PASS if fault is None else Outcome.FAIL, fault or passed)


def compared(
    labels: Labels,
    check: str,
    entries: Iterable[Entry],
    *,
    oracle: str,
    bar_origin: str = "equal bit by bit",
    dtype: str = "float64",
    independent: bool = False,
) -> Finding:
    """Compare arrays and say how it came out.

    Args:
        labels: what the finding carries.
        check: what is compared with what.
        entries: the arrays; those of the earliest step that is outside its bar are reported.
        oracle: who says what is expected, as it stands in "… by the update rule".
        bar_origin: where the bars come from.
        dtype: what the optimizer ran in.
        independent: whether what is expected was had without the optimizer.

    Returns:
        A failure at the first step out of bounds and the entry furthest out there; inconclusive where the bars are too
        wide to tell; else a pass with the narrowest margin.
    """
    listed = list(entries)
    misfits = [one for one in listed if one.actual.shape != one.expected.shape]
    if misfits:
        one = misfits[0]
        message = f"{one.name} has shape {one.actual.shape}, {oracle} gives {one.expected.shape}."
        return finding(labels, check, Outcome.FAIL, message, dtype=dtype)
    judged = [_Judged.of(one) for one in listed if one.actual.size]
    if not judged:
        return finding(labels, check, Outcome.SKIPPED, "There are no numbers to compare.", dtype=dtype)
    wrong = [one for one in judged if not one.ratio <= 1]
    first = min((one.entry.step or 0 for one in wrong), default=0)
    worst = max((one for one in wrong if (one.entry.step or 0) == first) if wrong else judged, key=lambda one: one.key)
    resolution = max(one.resolution for one in judged)
    finest = min((one.resolution for one in judged if one.resolution > 0), default=0.0)
    if wrong:
        outcome, message = Outcome.FAIL, f"{worst.sentence(oracle)}; {len(wrong)} of {len(judged)} comparisons are off."
    elif finest > WIDEST:
        outcome = Outcome.INCONCLUSIVE
        message = f"The bars are too wide to tell ({finest:.1g} of the largest number compared): {bar_origin}."
    else:
        outcome, message = Outcome.PASS, f"{len(judged)} comparisons agree with {oracle}."
    return Finding(
        check=check, outcome=outcome, message=message, question=f"{check} [{labels.options}]", input=worst.entry.name,
        index=worst.index, actual=_finite(worst.actual), expected=_finite(worst.expected), error=_finite(worst.error),
        bar=_finite(worst.bar), bar_origin=bar_origin, resolution=_finite(resolution), independent=independent,
        oracle=oracle, dtype=dtype, device=labels.device, point=labels.options, seed=labels.seed,
        command=labels.command,
    )  # fmt: skip


def equal(labels: Labels, check: str, pairs: Sequence[tuple[str, Numbers, Numbers]], *, oracle: str) -> Finding:
    """Compare (name, actual, expected) bit by bit."""
    return compared(labels, check, [Entry(name=n, actual=a, expected=e) for n, a, e in pairs], oracle=oracle)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """The entry of an array that is furthest out of its bar."""

    entry: Entry
    index: tuple[int, ...]
    actual: float
    expected: float
    error: float
    bar: float
    ratio: float
    resolution: float

    @classmethod
    def of(cls, entry: Entry) -> _Judged:
        bars = np.broadcast_to(np.asarray(entry.bar, dtype=np.float64), entry.actual.shape)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            errors = np.abs(entry.actual - entry.expected)
            ratios = np.where(errors <= bars, np.where(bars > 0, errors / bars, 0.0), np.maximum(errors / bars, 1.0001))
            same = (entry.actual == entry.expected) | (np.isnan(entry.actual) & np.isnan(entry.expected))
            ratios = np.where(same, 0.0, np.where(np.isnan(ratios), np.inf, ratios))
        place = np.unravel_index(int(np.argmax(ratios)), ratios.shape)
        scale = float(np.max(np.abs(entry.expected))) if entry.scale is None else entry.scale
        return cls(
            entry=entry,
            index=tuple(int(one) for one in place),
            actual=float(entry.actual[place]),
            expected=float(entry.expected[place]),
            error=float(errors[place]),
            bar=float(bars[place]),
            ratio=float(ratios[place]),
            resolution=float(np.max(bars)) / scale if scale > 0 else 0.0,
        )

    @property
    def key(self) -> float:
        """What the furthest is chosen by."""
        return self.ratio

    def sentence(self, oracle: str) -> str:
        """Say where the two differ, by how much, and what was allowed."""
        when = "" if self.entry.step is None else f" after step {self.entry.step}"
        place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        return (
            f"{self.entry.name}{place}{when} is {self.actual:.10g}, by {oracle} {self.expected:.10g}: off by "
            f"{self.error:.3g}, allowed {self.bar:.3g}"
        )


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
