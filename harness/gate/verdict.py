"""From measurements and judgements to a row people read: the final decision of a workload, and one sentence for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.bench.comparison import BOTH, Decision, Judgement, Margin, PairSamples, confirm, screen
from harness.gate.pair import Measured
from harness.gate.records import Compared, Workload

NOT_SLOWER = "it is not slower by more than the margin; whether it is faster was not pursued"
SHOWN_FILES = 2
"""Most files that a message names."""


def settled(screening: Judgement) -> bool:
    """Whether screening leaves nothing to confirm: the row is the same, or at least not slower by the margin.

    A row whose interval reaches from below −δ into the middle may be a little faster. Whether it is takes several pairs
    of processes to find out and decides nothing, so it is left at that.
    """
    return screening.decision is Decision.SAME or _not_slower(screening)


def _not_slower(screening: Judgement) -> bool:
    ratio, threshold = screening.ratio, screening.threshold
    if screening.reason != BOTH or ratio is None or ratio.high is None or threshold is None:
        return False
    return ratio.high <= 1.0 + threshold


def why_not_comparable(measured: Measured, *, one_python: bool) -> str:
    """Say why samples of the two sides say nothing about their code, or "" when they do.

    Code from outside a tree is the same on both sides, unless their interpreters differ and with them what is installed
    there.

    Args:
        measured: what the sides told about where their code came from.
        one_python: whether both run the same interpreter.
    """
    base, head = measured.base, measured.head
    if base is None or head is None:
        return ""
    if one_python and (base.foreign or head.foreign):
        name, files = ("base", base.foreign) if base.foreign else ("head", head.foreign)
        return (
            f"{name} ran code from outside its tree ({_listed(files)}), so both sides may have run the same; import it "
            "from the tree: keep it at its top or under src/, or name the code by file"
        )
    shared = tuple(sorted(set(base.foreign) & set(head.foreign)))
    return f"both sides ran the same code ({_listed(shared)})" if shared else ""


def _listed(files: Sequence[str]) -> str:
    more = len(files) - SHOWN_FILES
    return ", ".join(files[:SHOWN_FILES]) + (f" and {more} more" if more > 0 else "")


def compared(
    workload: Workload,
    first: Measured,
    screening: Judgement | None,
    confirmed: Sequence[PairSamples],
    alone: Judgement | None,
    final: Judgement | None,
) -> Compared:
    """Make the row of a workload.

    Args:
        workload: what was timed.
        first: what the screening pair of processes gave.
        screening: its judgement; None where there is nothing to judge.
        confirmed: samples of the fresh pairs of processes.
        alone: their judgement by itself; None where screening settled the row.
        final: the same, adjusted for the number of rows that were confirmed.
    """
    alone_screened = _unmeasured(first.reason) if screening is None else _final_screening(screening)
    judgement = final or alone_screened
    return Compared(
        workload=workload,
        judgement=judgement,
        message=sentence(judgement),
        screened=first.samples,
        screening=screening,
        confirmed=tuple(confirmed),
        confirmation=alone,
        inner=first.inner,
        base_counts=first.base_counts,
        head_counts=first.head_counts,
        base_code=first.base.code if first.base else (),
        head_code=first.head.code if first.head else (),
    )


def rejudged(row: Compared, margin: Margin) -> Judgement:
    """Judge a row's samples again, by itself: what the gate decides before it accounts for the other rows."""
    if row.screened is None or row.screening is None:
        return row.judgement
    screening = screen(row.screened, margin)
    if not row.confirmed:
        return _final_screening(screening)
    return confirm(row.confirmed, margin)


def _final_screening(screening: Judgement) -> Judgement:
    if _not_slower(screening):
        return replace(screening, decision=Decision.SAME, reason=NOT_SLOWER)
    return screening


def _unmeasured(reason: str) -> Judgement:
    return Judgement(decision=Decision.INCONCLUSIVE, ratio=None, mde=None, p=None, reason=reason)


def sentence(judgement: Judgement) -> str:
    """Say a judgement in one sentence, such as "5.1 % slower (3.9 % to 6.4 %, p = 0.0004): 5 process pairs agree …"."""
    ratio = judgement.ratio
    if ratio is None:
        return judgement.reason
    change = 100.0 * (ratio.point - 1.0)
    text = f"{abs(change):.1f} % {'slower' if change >= 0 else 'faster'}"
    if ratio.low is not None and ratio.high is not None:
        text += f" ({100.0 * (ratio.low - 1.0):+.1f} % to {100.0 * (ratio.high - 1.0):+.1f} %"
        text += f", p = {judgement.p:.2g})" if judgement.p is not None else ")"
    return f"{text}: {judgement.reason}"
