"""The summary for CI: what went wrong, what did not run and how to repeat it, as Markdown.

Always well below the megabyte that CI systems show: lists and messages are cut, and say how much was left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from types import SimpleNamespace

from harness.records import Environment, Run
from harness.report import text
from harness.report.frames import cases_frame, counts_frame, jobs_frame
from harness.report.headline import RED, UNDECIDED, headline
from harness.report.tables import rows

MOST_CASES = 50
"""Cases listed in each section; with the lengths below, a summary of four-byte characters alone stays below 1 MiB."""
MOST_JOBS = 200
"""Planned jobs listed that never ran."""
LONGEST = 600
"""Characters kept of one message."""
LONGEST_COMMAND = 500
"""Characters kept of one command."""


def render_markdown(run: Run) -> str:
    """Return the summary of a run."""
    cases, counts = cases_frame(run), counts_frame(run)
    listed, jobs = rows(cases), rows(jobs_frame(run))
    limits = cases["detection_limit"].dropna()
    parts = [
        f"# {headline(counts).text}",
        _partial(run),
        _facts(run),
        table([name.capitalize() for name in counts.columns], counts.astype(str).itertuples(index=False)),
        _limit(float(limits.median()), len(limits)) if len(limits) else "",
        section("Went wrong", [_case(case) for case in listed if case.outcome in RED], MOST_CASES),
        section("Undecided", [_case(case) for case in listed if case.outcome in UNDECIDED], MOST_CASES),
        section("Declared failures", [_declared(job) for job in jobs if job.declared_reason], MOST_CASES),
        section("Not run", [f"- {code(job)}" for job in run.not_run], MOST_JOBS),
        environment_list(run.header.environment),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(words: str, longest: int = LONGEST) -> str:
    """Return text on one line that Markdown and HTML show as it is, cut to a length."""
    line = re.sub(r"[\x00-\x1f\x7f\s]+", " ", words).strip()
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#!|~$@])", r"\\\1", line)


def code(words: str, longest: int = 200) -> str:
    """Return text as inline code, whatever backticks are in it, cut to a length."""
    line = re.sub(r"[\x00-\x1f\x7f\s]+", " ", words).strip()
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    padding = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def _partial(run: Run) -> str:
    if run.footer is not None and not run.footer.interrupted:
        return ""
    missing = text.count(len(run.not_run), "planned job")
    return f"> **{'Partial' if run.footer is None else 'Interrupted'} run.** {missing} never got a result."


def _facts(run: Run) -> str:
    took = f", took {text.seconds(run.footer.duration_s)}" if run.footer else ""
    return f"Started {plain(run.header.started)}{took}, seed {run.header.seed}.\n\n{block(run.header.command)}"


def _limit(median: float, cases: int) -> str:
    return (
        f"Median detection limit: **{text.number(median, 2)}** over {text.count(cases, 'case')}: "
        "the smallest relative fault in a gradient that the checks were seen to catch."
    )


def _case(case: SimpleNamespace) -> str:
    command = f"\n\n{block(case.command)}" if case.command else ""
    return f"### {code(case.case)}: {case.outcome}\n\n{plain(case.message or '')}{command}"


def _declared(job: SimpleNamespace) -> str:
    return f"- {code(job.job)}: {plain(job.declared_reason)}"


def section(title: str, items: Sequence[str], most: int) -> str:
    """Return a section of at most so many items and a line for the rest; nothing where there are none."""
    if not items:
        return ""
    gap = "\n" if items[0].startswith("- ") else "\n\n"
    more = [f"\n… and {text.count(len(items) - most, 'more', 'more')}."] if len(items) > most else []
    return f"## {title} ({len(items):,})\n\n" + gap.join([*items[:most], *more])


def block(command: str) -> str:
    """Return a command as a block of code, on one line and cut to a length."""
    line = re.sub(r"[\x00-\x1f\x7f]+", " ", command)[:LONGEST_COMMAND]
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence}sh\n{line}\n{fence}"


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already; all columns but the first are numbers."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *lines])


def environment_list(env: Environment) -> str:
    """Return the section that says where something ran."""
    lines = [
        f"harness {env.harness}" + (f" ({env.git_commit[:12]})" if env.git_commit else ""),
        f"Python {env.python}, PyTorch {env.torch}, NumPy {env.numpy}",
        f"CUDA: {env.cuda or env.cuda_missing or 'none'}",
        f"{env.cpu}, {text.count(env.cpu_count, 'core')}; {env.platform}",
    ]
    return "## Environment\n\n" + "\n".join(f"- {plain(line)}" for line in lines)
