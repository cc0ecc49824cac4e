"""What opens below a case's row: its evidence, as HTML and the figures that go into it.

All HTML comes from templates that escape; the only markup taken as it is, is MathML and the graph's SVG, whose makers
escape every text themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from types import SimpleNamespace
from typing import Any

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

from harness.graph.draw import draw_svg
from harness.records import Outcome, Run, VerifyRecord
from harness.report import frames as framed
from harness.report.headline import RED, UNDECIDED
from harness.report.mathml import equation_mathml, text_mathml
from harness.report.panel import Panel
from harness.report.panels import CaseFrames, case_panels
from harness.report.tables import rows
from harness.verify.certificate import CERTIFIED, certificate_text

MOST_PASSING = 400
"""Passing comparisons listed for one case; the rest are counted, and all are in results.parquet."""

WIDE = 1.0
"""Length of a growth exponent's interval above which it says little."""
UNSETTLED = ("inconclusive", "mixed")
"""What is known of a crossover where there is none to name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mathematics:
    """A case's formulae, as MathML; a Python subject has its name instead."""

    function: Markup | None
    python: str | None
    definitions: tuple[Markup, ...]
    gradient: tuple[Markup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """A case's evidence: HTML, and the figures to draw into it by the ids of their places."""

    html: str
    figures: Mapping[str, Any]


def case_details(run: Run, templates: Environment) -> dict[str, Details]:
    """Return every case's details by its id, in the order of `cases_frame`."""
    whole = all_frames(run)
    verdicts = {record.case: record for record in run.records if isinstance(record, VerifyRecord)}
    parts = {name: dict(iter(frame.groupby("case", sort=False))) for name, frame in whole.items()}
    unrun = {str(case): list(jobs["job"]) for case, jobs in _unrun(run).groupby("case", sort=False)}
    details = {}
    for case in rows(framed.cases_frame(run)):
        own = CaseFrames(**{name: groups.get(case.case, whole[name].iloc[:0]) for name, groups in parts.items()})
        details[case.case] = _details(case, own, verdicts.get(case.case), unrun.get(case.case, []), templates)
    return details


def all_frames(run: Run) -> dict[str, pd.DataFrame]:
    """Return the frames a case's details are made from, by the names of `CaseFrames`."""
    return {field.name: getattr(framed, f"{field.name}_frame")(run) for field in fields(CaseFrames)}


def mathematics(record: VerifyRecord) -> Mathematics:
    """Set a case's function, definitions and analytic gradient."""
    names = [*dict(record.let), *dict(record.gradient)]
    formula = (record.formula or "").strip()
    function = None
    if formula and record.is_expression:
        function = text_mathml(formula, names) if "\n" in formula else equation_mathml("f", formula)
    return Mathematics(
        function=Markup(function) if function else None,  # MathML, escaped by its maker
        python=formula if formula and not record.is_expression else None,
        definitions=_equations((name, text) for name, text in record.let),
        gradient=_equations((f"∂f/∂{name}", text) for name, text in record.gradient),
    )


def _equations(pairs: Iterable[tuple[str, str]]) -> tuple[Markup, ...]:
    return tuple(Markup(equation_mathml(name, text)) for name, text in pairs)  # MathML, escaped by its maker


def _details(
    case: SimpleNamespace, own: CaseFrames, verdict: VerifyRecord | None, missing: list[str], templates: Environment
) -> Details:
    panels = case_panels(own)
    findings = rows(own.findings)
    passing = [row for row in findings if row.outcome == Outcome.PASS and not row.excused]
    rest = _worst_first(row for row in findings if row.outcome != Outcome.PASS and not row.excused)
    deciding = RED if case.outcome == Outcome.PASS else (*RED, *UNDECIDED)
    html = templates.get_template("case.html.j2").render(
        case=case,
        missing=missing,
        certificate=_certificate(verdict),
        power=None if verdict is None else verdict.power,
        mathematics=mathematics(verdict) if verdict else None,
        graph=_drawing(verdict),
        decisive=[row for row in rest if row.outcome in deciding],
        aside=[row for row in rest if row.outcome not in deciding],
        declared=_worst_first(row for row in findings if row.excused),
        passing=passing[:MOST_PASSING],
        passing_left_out=max(0, len(passing) - MOST_PASSING),
        descents=sorted(rows(own.converge), key=lambda row: -Outcome(row.outcome).severity),
        sweeps=rows(own.rates.drop_duplicates("job")),
        timings=sorted(rows(own.timings), key=timing_rank),
        scalings=sorted(rows(own.scalings), key=lambda row: (row.high - row.low <= WIDE, -row.exponent)),
        speedups=rows(own.speedups),
        crossovers=sorted(rows(own.crossovers), key=lambda row: row.status not in UNSETTLED),
        agreements=sorted(rows(own.agreements), key=lambda row: -(row.device_error or math.inf)),
        panels=panels,
    )
    return Details(html=html, figures={panel.id: _embedded(panel) for panel in panels})


def _certificate(verdict: VerifyRecord | None) -> str | None:
    """Return what a green case's enclosures come to; nothing where its message claims no certificate."""
    if verdict is None or verdict.outcome is not Outcome.PASS or CERTIFIED not in verdict.message:
        return None
    return certificate_text(verdict.findings)


def _drawing(verdict: VerifyRecord | None) -> SimpleNamespace | None:
    if verdict is None or verdict.graph is None or not verdict.graph.nodes:
        return None
    svg = Markup(draw_svg(verdict.graph))  # SVG, escaped by its maker
    return SimpleNamespace(svg=svg, omitted=verdict.graph.omitted)


def _embedded(panel: Panel) -> dict[str, Any]:
    return asdict(panel)["figure"]  # type: ignore[no-any-return]


def _worst_first(findings: Iterable[SimpleNamespace]) -> list[SimpleNamespace]:
    return sorted(findings, key=lambda row: -Outcome(row.outcome).severity)


def timing_rank(row: SimpleNamespace) -> int:
    """Rank a timing for a table: what went wrong, is undecided, had no steady state; the rest; the skipped."""
    outcome = Outcome(row.outcome)
    if outcome is Outcome.SKIPPED:
        return 1
    doubtful = row.steady is False or bool(row.throttled_samples)
    return -2 * outcome.severity - doubtful


def _unrun(run: Run) -> pd.DataFrame:
    jobs = framed.jobs_frame(run)
    return jobs[jobs["outcome"].isna()]
