"""The report: one HTML page that needs no network, made from a run and from nothing else.

The page's own policy forbids the browser to fetch anything and to run any script but the two embedded here. A case's
details are embedded compressed and drawn when a reader opens them, so that a page of many cases opens at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from types import SimpleNamespace

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.records import Outcome, Run
from harness.report import columns, embed, text
from harness.report.accuracy_table import accuracy_table
from harness.report.details import Details, case_details, timing_rank
from harness.report.frames import (
    NOT_RUN,
    accuracy_frame,
    cases_frame,
    ceilings_frame,
    converge_frame,
    counts_frame,
    crossovers_frame,
    detection_frame,
    findings_frame,
    jobs_frame,
    roofline_frame,
    speedups_frame,
    targets_frame,
    timings_frame,
)
from harness.report.headline import RED, UNDECIDED, headline
from harness.report.panels import endings, run_panels
from harness.report.panels_comparison import comparison
from harness.report.panels_timing import left_out, run_timing_panels
from harness.report.power import power_panels, power_summary
from harness.report.speedups import DECISIONS
from harness.report.tables import rows
from harness.verify.certificate import radius_text

MOST_DOUBTFUL = 20
"""Timings listed that decide nothing; the rest are counted."""


def render_html(run: Run) -> str:
    """Return the whole page as text."""
    scripts = [embed.plotly_source(), embed.asset("figures.js") + embed.asset("report.js")]
    return page(run, style=embed.asset("report.css"), plotly=scripts[0], script=scripts[1])


def page(run: Run, *, style: str, plotly: str, script: str) -> str:
    """Return the page with the given style sheet, plotly.js and script embedded."""
    templates = environment()
    details = case_details(run, templates)
    findings, detection, accuracy = findings_frame(run), detection_frame(run), accuracy_frame(run)
    timing = run_timing_panels(speedups_frame(run), crossovers_frame(run), roofline_frame(run))
    panels = (*run_panels(findings, detection, cases_frame(run), accuracy), *power_panels(run), *timing)
    compared = comparison(converge_frame(run), targets_frame(run))
    drawn = (*panels, *compared.panels)
    overview = Details(html="", figures={panel.id: panel.figure for panel in drawn})
    return templates.get_template("report.html.j2").render(
        **summary(run),
        panels=panels,
        comparison=compared,
        accuracy=accuracy_table(accuracy),
        endings=endings(cases_frame(run), findings),
        payloads=[_payload(case, found) for case, found in {"": overview, **details}.items()],
        speedups=rows(_comparisons(run)),
        doubtful=doubtful(run),
        ceilings=rows(ceilings_frame(run)),
        left_out=left_out(speedups_frame(run)),
        glossary=glossary(),
        policy=embed.content_policy(plotly, script),
        style=Markup(style),
        script=Markup(script),
        plotly=embed.compressed(plotly),
    )


def summary(run: Run) -> dict[str, object]:
    """Return what the summary and the table of cases show, by the names their templates use."""
    cases, counts = cases_frame(run), counts_frame(run)
    limits = cases["detection_limit"].dropna()
    listed = rows(cases)
    return {
        "run": run,
        "counts": rows(counts),
        "cases": listed,
        "filled": _filled(listed),
        "red": [case for case in listed if case.outcome in RED],
        "undecided": [case for case in listed if case.outcome in UNDECIDED],
        "not_run": list(run.not_run),
        "headline": headline(counts),
        "jobs": len(jobs_frame(run)),
        "power": power_summary(run),
        "median_limit": float(limits.median()) if len(limits) else None,
        "cases_with_limit": len(limits),
    }


def environment() -> Environment:
    """Return the templates, which escape everything and refuse a name that is not given."""
    made = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": text.number,
        "seconds": text.seconds,
        "memory": text.memory,
        "ratio": text.ratio,
        "percent": text.percent,
        "digits": text.digits,
        "ulps": text.units,
        "radius": radius_text,
        "slug": slug,
        "unbroken": _unbroken,
        "sortable": _sortable,
    }
    made.globals |= {
        "amount": text.amount,
        "count": text.count,
        "entry": text.entry,
        "interval_s": text.interval_s,
        "memory": text.memory,
        "pair": text.pair,
        "seconds": text.seconds,
        "severity": {outcome.value: outcome.severity for outcome in Outcome},
        "means": {name: columns.meanings(getattr(columns, name)) for name in _GLOSSARIES},
        "MOST_DOUBTFUL": MOST_DOUBTFUL,
        "NOT_RUN": NOT_RUN,
    }
    return made


def slug(case: str) -> str:
    """Return a case's id as an HTML id that no two case ids share."""
    return "case-" + re.sub(r"[^A-Za-z0-9.-]", lambda match: f"_{ord(match[0]):x}_", case)


_SCIENTIFIC = re.compile(r"\d[\d.]*e-\d+")
_GLOSSARIES = (
    "ACCURACY",
    "AGREEMENTS",
    "CASES",
    "CONVERGE",
    "COUNTS",
    "CROSSOVERS",
    "FINDINGS",
    "SCALINGS",
    "SPEEDUPS",
    "TIMINGS",
)


def glossary() -> list[tuple[str, str]]:
    """Return the words a newcomer meets, with what they mean."""
    return [
        ("pass", "Error ≤ bar, and the bar is narrow enough that a fault would have been seen."),
        ("fail", "The two numbers differ by more than their uncertainties allow: the gradient, or a claim, is wrong."),
        ("inconclusive", "The comparison ran, and its bar is too wide to tell right from wrong."),
        ("vacuous", "The comparison ran, and would have passed whatever the gradient said, for example a zero."),
        ("skipped", "Did not run; the reason is given."),
        ("error", "An exception ended the work before there was an answer."),
        ("timeout", "Took longer than allowed and was stopped."),
        ("crashed", "The process that did the work died."),
        ("not run", "Planned, and never got a result, because the run ended first."),
        ("declared", "A failure that the case file announces, with a reason. Shown, and does not turn the case red."),
        ("oracle", "An independent source of a derivative, such as finite differences or a symbolic derivative."),
        ("route", "A way to get the subject's own derivative, such as reverse mode or double backward."),
        ("bar", "Half-width of what is known about a number: truncation, rounding, spread. Not a chosen tolerance."),
        ("resolution", "Smallest relative error that a comparison could have noticed."),
        ("detection limit", "Smallest fault, put into the gradient on purpose, that the checks were seen to catch."),
        ("detection power", "How many of the faults put into a gradient on purpose the checks of a case notice."),
        ("equivalent", "A fault that changes nothing for a case, such as the transpose of a symmetric gradient."),
        ("digits", "Decimal digits to which two results agree."),
        ("ULP", "Unit in the last place: the distance between neighbouring numbers of a format around the truth."),
        ("certified", "Held against an enclosure: the truth lies within value·(1 ± 2⁻ᵇ), proved and not estimated."),
    ]


def _filled(cases: Sequence[SimpleNamespace]) -> set[str]:
    """Return the columns of the table of cases that say anything: a run of descents alone has no digits."""
    optional = ("verify", "converge", "digits", "detection_limit", "gradient_to_value_ratio")
    filled = {name for name in optional if any(getattr(case, name) is not None for case in cases)}
    if any(case.findings or case.declared or case.jobs_not_run for case in cases):
        filled.add("findings")
    return filled | {"outcome", "case", "duration_s"}


def _unbroken(message: str) -> Markup:
    """Escape a message so that no line ends within one of its numbers, as after the e- of 1e-9."""
    return Markup(_SCIENTIFIC.sub(r'<span class="nowrap">\g<0></span>', str(escape(message))))


def _payload(case: str, details: Details) -> SimpleNamespace:
    content = embed.json_text({"html": details.html, "figures": details.figures})
    return SimpleNamespace(id=slug(case) if case else "overview", data=embed.compressed(content))


def doubtful(run: Run) -> list[SimpleNamespace]:
    """Return the timings of a run that decide nothing, worst first: errors, undecided ones, no steady state."""
    return sorted((row for row in rows(timings_frame(run)) if timing_rank(row) < 0), key=timing_rank)


def _comparisons(run: Run) -> pd.DataFrame:
    """Return the comparisons of devices at each case's largest size."""
    frame = speedups_frame(run)
    frame = frame[frame["against"] == "the CPU"]
    largest = frame.groupby("case")["elements"].transform("max")
    frame = frame[(frame["elements"] == largest) | frame["elements"].isna()]
    order = {decision: place for place, decision in enumerate(DECISIONS)}
    return frame.sort_values("decision", key=lambda column: column.map(order).fillna(len(order)), kind="stable")


def _sortable(value: float | None) -> str:
    """Return a number as the sort key of a table cell; empty sorts last."""
    return "" if value is None or math.isnan(value) else repr(value)
