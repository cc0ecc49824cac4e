"""How things end: outcomes, and what the command line ends with."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a finding or a case ended; the members' order is from best to worst."""

    PASS = "pass"
    SKIPPED = "skipped"
    VACUOUS = "vacuous"
    INCONCLUSIVE = "inconclusive"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    ERROR = "error"
    FAIL = "fail"

    @property
    def severity(self) -> int:
        """Rank among the outcomes, 0 for PASS; a case is as bad as its worst unexcused finding."""
        return list(Outcome).index(self)

    @property
    def ran(self) -> bool:
        """Whether there is evidence behind the outcome (skipped, crashed and timed-out work has none)."""
        return self in (Outcome.PASS, Outcome.FAIL, Outcome.VACUOUS, Outcome.INCONCLUSIVE)


class ExitCode:
    """What the command line ends with."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    UNDECIDED = 3
    NOTHING_RAN = 5
    FAULT = 70
    """A fault of the harness itself: EX_SOFTWARE of sysexits.h."""
    INTERRUPTED = 130


def worst(outcomes: tuple[Outcome, ...]) -> Outcome:
    """The worst of some outcomes; SKIPPED when there are none or all were skipped, otherwise skips do not count."""
    ran = [outcome for outcome in outcomes if outcome is not Outcome.SKIPPED]
    return max(ran, key=lambda outcome: outcome.severity) if ran else Outcome.SKIPPED
