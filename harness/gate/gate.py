"""The whole gate: both trees, the verification of both, the timing of what passed on both, the decision.

What is worse decides the exit code: a slow-down that was confirmed, a verification that got worse, and, where asked
for, an exact count that rose. What could not be measured fails nothing, and is told. How the result is shown and
written is the report's and the command line's.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from harness.bench.comparison import Decision
from harness.case.trust import Trust
from harness.gate.correctness import OnVerified, Verified, verify_sides
from harness.gate.counts import count_changes
from harness.gate.engine import time_sides
from harness.gate.matching import Matched, match
from harness.gate.options import OnProgress, Progress, TimingOptions, untold
from harness.gate.records import (
    Candidate,
    GateResult,
    Phase,
    SideName,
    Untimed,
    VerificationChange,
)
from harness.gate.trees import Trees, trees
from harness.gate.verification import GONE, NEW, settled, verification_changes
from harness.gate.verifier import VerifyRequest
from harness.gate.workloads import candidates
from harness.records import ExitCode, Outcome, VerifyRecord
from harness.run.environment import environment
from harness.run.options import Device, Effort
from harness.run.run import terminable

CountRule = Literal["report", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """What the gate is asked for.

    Args:
        base: a git ref, or a folder, see `harness.gate.trees.trees`.
        paths: case files and folders of them.
        keyword: selects cases by id and title, as pytest's -k.
        tags: cases must carry all of these.
        trust: packages and folders whose Python code may run.
        base_python: interpreter of the base's processes; None is this one.
        prepare: shell command that is run in the base's worktree first.
        effort: how hard both sides are verified; "quick" injects no faults, and so compares no detection power.
        jobs: worker processes that verify at a time; 0 means one per core.
        verify_limit_s: longest one verification may take; None is the limit of every run.
        counts: whether an exact count that rose fails the gate.
        timing: how both sides are timed; its seed and device are those of the verification as well.
        command: the command line, as a person would type it.
    """

    base: str
    paths: tuple[str, ...] = ("cases",)
    keyword: str | None = None
    tags: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    base_python: str | None = None
    prepare: str | None = None
    effort: Effort = "quick"
    jobs: int = 0
    verify_limit_s: float | None = None
    counts: CountRule = "report"
    timing: TimingOptions = field(default_factory=TimingOptions)
    command: str = "harness.gate"


def gate(options: GateOptions, *, on_progress: OnProgress = untold) -> GateResult:
    """Compare the working tree that the command runs in with a base.

    An interrupt (Ctrl-C, SIGTERM) stops every process, removes the worktree, and goes on as KeyboardInterrupt.

    Args:
        options: what to compare, and how.
        on_progress: told where the gate stands.

    Raises:
        CaseFileError: a case file of the head is wrong.
        UsageError: the base, a path or an option is wrong.
        NothingToRunError: there is no case to compare.
    """
    here = Path.cwd().resolve()
    Trust.from_config(here, options.trust)  # a wrong entry is the caller's mistake, and no case's
    started, clock = datetime.now(UTC), _Phases()
    with (
        terminable(),
        trees(
            options.base, start=here, trust=options.trust, base_python=options.base_python, prepare=options.prepare
        ) as both,
    ):
        clock.ended("base provided")
        matched = match(both, options.paths, start=here, keyword=options.keyword, tags=options.tags)
        verified = _verified(both, matched, options, on_progress)
        changes = _changes(both, matched, verified, options)
        clock.ended("verification")
        chosen, untimed = _candidates(matched, verified, both, options)
        compared = time_sides(both.base, both.head, chosen, options.timing, on_progress=on_progress)
        clock.ended("timing")
        result = GateResult(
            command=options.command, started=started.isoformat(timespec="seconds"), base=both.base, head=both.head,
            margin=options.timing.margin, threads=options.timing.threads, seed=options.timing.seed,
            environment=environment(Path(both.head.root)), compared=compared, untimed=untimed, changes=changes,
            verified=tuple(case for case in verified.head if case in verified.base), counts=options.counts,
            phases=clock.phases,
        )  # fmt: skip
    return replace(result, exit_code=exit_code(result))


def exit_code(result: GateResult) -> int:
    """Return what the command line ends with.

    1 for a confirmed slow-down, a verification that got worse and, where counts fail the gate, a count that rose; 3
    where nothing could be measured: no timing was decided although some were asked for, or there was nothing to compare
    at all; 0 otherwise.
    """
    worse = any(change.direction == "worse" for change in result.changes)
    risen = any(count.risen for row in result.compared for count in count_changes(row))
    if worse or result.rows(Decision.SLOWER) or (risen and result.counts == "fail"):
        return ExitCode.FAILED
    decided = any(row.decision is not Decision.INCONCLUSIVE for row in result.compared)
    if decided or (result.verified and not result.compared and not result.untimed):
        return ExitCode.PASSED
    return ExitCode.UNDECIDED


def _verified(both: Trees, matched: Matched, options: GateOptions, on_progress: OnProgress) -> Verified:
    """Verify both sides; verdicts that cannot differ are taken over from the head."""
    agreeing: set[str] = set()
    if options.base_python is None:
        agreeing = {case for case in matched.both if matched.sure_to_agree(case)}
    base = matched.names("base", matched.base.keys() - agreeing)
    head = matched.names("head", matched.head)
    found = verify_sides(both, base, head, _request(options), _counter(len(base) + len(head), on_progress))
    taken_over = {case: found.head[case] for case in agreeing if case in found.head}
    return Verified(base={**found.base, **taken_over}, head=found.head)


def _changes(both: Trees, matched: Matched, verified: Verified, options: GateOptions) -> tuple[VerificationChange, ...]:
    """Say what changed between the verdicts; what looks worse is looked at once more."""
    first = verification_changes(verified.base, verified.head)
    suspects = {change.case for change in first if change.direction == "worse" and change.after != GONE}
    if suspects:
        base, head = matched.names("base", suspects), matched.names("head", suspects)
        again = verify_sides(both, base, head, _request(options), lambda _side, _record: None)
        first = settled(first, verification_changes(again.base, again.head))
    unreadable = {case for case, place in matched.head_places.items() if place in matched.unusable_places}
    known = (change for change in first if not (change.before == NEW and change.case in unreadable))
    return (*known, *matched.unusable)


def _candidates(
    matched: Matched, verified: Verified, both: Trees, options: GateOptions
) -> tuple[tuple[Candidate, ...], tuple[Untimed, ...]]:
    """Choose what is timed: cases that ask for it, passed on both sides, and lie at one place in both trees."""
    asked = [
        case for case, read in matched.head.items() if options.timing.all_cases or read.model.benchmark is not None
    ]
    reasons = {case: _why_not(case, matched, verified) for case in asked}
    cases = [matched.head[case] for case, reason in reasons.items() if reason is None]
    chosen, left = candidates(cases, Path(both.head.root), options.timing)
    untimed = (Untimed(case=case, reason=reason) for case, reason in reasons.items() if reason is not None)
    return chosen, (*untimed, *left)


def _why_not(case: str, matched: Matched, verified: Verified) -> str | None:
    """Say why a case of the head is not timed, or None."""
    if case not in matched.base:
        return "it is new: there is nothing to compare it with"
    bad = [_not_passed(side, records.get(case)) for side, records in (("base", verified.base), ("head", verified.head))]
    if any(bad):
        return " and ".join(filter(None, bad))
    if matched.base_places[case] != matched.head_places[case]:
        return f"its file was moved from {matched.base_places[case]} to {matched.head_places[case]}"
    return None


def _not_passed(side: str, record: VerifyRecord | None) -> str:
    """Say that a side's verification did not pass, "" where it did."""
    if record is None:
        return f"its verification on the {side} gave no answer"
    return "" if record.outcome is Outcome.PASS else f"its verification on the {side} ended as {record.outcome}"


def _request(options: GateOptions) -> VerifyRequest:
    device: Device = "cuda" if options.timing.device.startswith("cuda") else "cpu"
    return VerifyRequest(
        cases=(), seed=options.timing.seed, effort=options.effort, device=device, jobs=options.jobs,
        timeout_s=options.verify_limit_s, memory_gib=options.timing.memory_gib,
    )  # fmt: skip


def _counter(total: int, on_progress: OnProgress) -> OnVerified:
    """Return what turns records into progress."""
    done = itertools.count(1)

    def count(side: SideName, record: VerifyRecord) -> None:
        on_progress(Progress(stage="verify", done=next(done), total=total, text=f"{record.case} on the {side}"))

    on_progress(Progress(stage="verify", done=0, total=total))
    return count


class _Phases:
    """Keeps how long each part took."""

    def __init__(self) -> None:
        self.phases: tuple[Phase, ...] = ()
        self._since = time.perf_counter()

    def ended(self, name: str) -> None:
        """Take note that a part ends now."""
        now = time.perf_counter()
        self.phases = (*self.phases, Phase(name=name, duration_s=now - self._since))
        self._since = now
