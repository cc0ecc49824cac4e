"""The gate's summary for CI, as Markdown: what got slower or less right first, then what could not be told.

Always below the megabyte that CI systems show, whatever the number of cases: sections take from one budget in the order
of their importance, and each says how much of it was left out. The whole is in gate.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.bench.comparison import Decision
from harness.gate.records import Compared, GateResult, VerificationChange
from harness.report import gate_words as words
from harness.report import text
from harness.report.markdown import block, code, environment_list, plain, table

MOST_BYTES = 900_000
"""Of the whole summary; GitHub refuses one of more than 1 MiB (1,048,576 bytes)."""
MOST_LINES = 200
"""Rows of one section: more than that nobody reads, and the details are in the run directory."""
_LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """A heading, the lines above its rows, and its rows, worst first."""

    title: str
    above: str
    rows: tuple[str, ...]
    most: int = MOST_LINES


def render_gate_markdown(result: GateResult) -> str:
    """Return the summary of a gate's result."""
    head = [f"# {words.headline(result)}", _facts(result), _counts(result)]
    foot = environment_list(result.environment)
    left = MOST_BYTES - sum(len(part.encode(errors="replace")) + 2 for part in (*head, foot))
    parts = []
    for section in _sections(result):
        if section.rows:
            shown = _fitted(section, left)
            left -= len(shown.encode(errors="replace")) + 2
            parts.append(shown)
    return "\n\n".join([*head, *parts, foot]) + "\n"


def _fitted(section: _Section, budget: int) -> str:
    """Return a section with as many of its rows as fit, and how many do not."""
    title = f"## {section.title} ({len(section.rows):,})\n\n{section.above}"
    budget -= len(title.encode(errors="replace")) + 100
    rows: list[str] = []
    for row in section.rows[: section.most]:
        budget -= len(row.encode(errors="replace")) + 1
        if budget < 0:
            break
        rows.append(row)
    missing = len(section.rows) - len(rows)
    more = f"\n\n… and {text.count(missing, 'more', 'more')}, in gate.json." if missing else ""
    return title + "\n".join(rows) + more


def _sections(result: GateResult) -> Iterable[_Section]:
    """Yield what there is to say, the most important first."""
    yield _Section(title="Verification got worse", above="", rows=_verdicts(words.changes(result, "worse")))
    rows = words.ordered(result)
    yield _timed("Slower", [row for row in rows if row.decision is Decision.SLOWER])
    yield _counted(result)
    yield _undecided([row for row in rows if row.decision is Decision.INCONCLUSIVE])
    untimed = tuple(f"- {code(case.case)}: {plain(case.reason, _LONGEST)}" for case in result.untimed)
    yield _Section(title="Not timed", above="", rows=untimed)
    yield _Section(title="Verification changed", above="", rows=_verdicts(words.changes(result, "other", "better")))
    yield _timed("Faster", [row for row in rows if row.decision is Decision.FASTER])
    yield _timed("Same", [row for row in rows if row.decision is Decision.SAME])


def _facts(result: GateResult) -> str:
    facts = [
        f"**Base** {code(result.base.shown)}, **head** {code(result.head.shown)}.",
        f"Slower means by more than {words.margin(result)}.",
        f"{text.count(result.threads, 'thread').capitalize()}, seed {result.seed}.",
        f"Took {text.seconds(words.duration_s(result))}: {words.phases(result)}." if result.phases else "",
    ]
    return " ".join(filter(None, facts)) + f"\n\n{block(result.command)}"


def _counts(result: GateResult) -> str:
    counted = words.counts(result)
    line = [str(number) for _, number in counted]
    return table(["Timing", *(name.capitalize() for name, _ in counted)], [["workloads", *line]])


def _verdicts(changes: Sequence[VerificationChange]) -> tuple[str, ...]:
    return tuple(
        f"- {code(change.case)}: {plain(change.before)} → **{plain(change.after)}**. {plain(change.message)}"
        for change in changes
    )


def _timed(title: str, rows: Sequence[Compared]) -> _Section:
    """Return a table of rows with their ratios."""
    above = _header("Workload", numbers=("Head against base", "Interval", "Detectable", "p", "Base takes"))
    return _Section(title=title, above=above, rows=tuple(_row(row) for row in rows))


def _row(row: Compared) -> str:
    judged = row.judgement
    cells = [
        code(row.workload.label),
        f"**{words.slowdown(judged)}**",
        words.interval(judged),
        words.detectable(judged),
        words.probability(judged),
        text.seconds(words.base_s(row)),
    ]
    return f"| {' | '.join(cells)} |"


def _undecided(rows: Sequence[Compared]) -> _Section:
    lines = (
        f"| {code(row.workload.label)} | {plain(row.message, _LONGEST)} | {words.slowdown(row.judgement)} | "
        f"{words.interval(row.judgement)} | {words.detectable(row.judgement)} |"
        for row in rows
    )
    above = _header("Workload", "Why", numbers=("Head against base", "Interval", "Detectable"))
    return _Section(title="Inconclusive", above=above, rows=tuple(lines))


def _counted(result: GateResult) -> _Section:
    """Return the exact counts that changed."""
    lines = []
    for row in words.count_rows(result):
        change = row.change
        cells = [code(row.label), change.name, plain(change.detail, _LONGEST), f"{change.base:,}", f"{change.head:,}"]
        lines.append(f"| {' | '.join(cells)} |")
    above = _header("Workload", "Count", "Of these", numbers=("Base", "Head"))
    return _Section(title="Exact counts that changed", above=above, rows=tuple(lines))


def _header(*texts: str, numbers: Sequence[str]) -> str:
    """Return the first two lines of a table: columns of text, then columns of numbers."""
    rule = ["---"] * len(texts) + ["--:"] * len(numbers)
    return f"| {' | '.join((*texts, *numbers))} |\n| {' | '.join(rule)} |\n"
