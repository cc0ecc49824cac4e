"""The gate's page: one HTML file that needs no network, worst and inconclusive rows first.

Made from a result and from nothing else; style, figures and policy are those of the run's report.
"""

from __future__ import annotations

from types import SimpleNamespace

from markupsafe import Markup

from harness.gate.counts import count_changes
from harness.gate.records import Compared, GateResult
from harness.records import ExitCode
from harness.report import embed, text
from harness.report import gate_words as words
from harness.report.figures_gate import gate_forest_figure, gate_series_figure
from harness.report.gate_frames import gate_frame, gate_samples_frame
from harness.report.html import environment
from harness.report.panel import Panel, make_panel

MOST_ROWS = 2000
"""Rows of one table; gate.json has all of them."""
_TONES = {ExitCode.PASSED: "pass", ExitCode.FAILED: "fail"}
GLOSSARY = (
    *((decision.value, meaning) for decision, meaning in words.MEANINGS.items()),
    ("detectable", "Smallest slow-down that so many samples of this spread would have found with 90 % power."),
    ("interval", "What the ratio can be, at the error rate given above; per cent of the base's time."),
    ("p", "Probability of so slow a head if it were not slower at all, after the correction for the number of rows."),
    ("worse", "A verification that passed and does not, lost digits, lost detection power, or is gone."),
    ("other", "A change that fails nothing: a new case, or a verdict that differs from run to run."),
    ("exact counts", "Operators, FLOPs and bytes of one call: functions of the code, the same in every run."),
)


def render_gate_html(result: GateResult) -> str:
    """Return the whole page as text."""
    plotly, script = embed.plotly_source(), embed.asset("figures.js")
    panels = _panels(result)
    figures = embed.json_text({"html": "", "figures": {panel.id: panel.figure for panel in panels}})
    rows = words.ordered(result)
    return (
        environment()
        .get_template("gate.html.j2")
        .render(
            result=result,
            headline=words.headline(result),
            tone=_TONES.get(result.exit_code, "inconclusive"),
            margin=words.margin(result),
            phases=words.phases(result),
            duration_s=words.duration_s(result),
            tiles=words.counts(result),
            worse=words.changes(result, "worse"),
            changed=words.changes(result, "other", "better"),
            rows=[_row(row) for row in rows[:MOST_ROWS]],
            left_out=max(0, len(rows) - MOST_ROWS),
            counts=words.count_rows(result)[:MOST_ROWS],
            panels=panels,
            glossary=GLOSSARY,
            payloads=[SimpleNamespace(id="overview", data=embed.compressed(figures))],
            policy=embed.content_policy(plotly, script),
            style=Markup(embed.asset("report.css")),
            script=Markup(script),
            plotly=embed.compressed(plotly) if panels else "",
        )
    )


def _panels(result: GateResult) -> tuple[Panel, ...]:
    """Return the figures, those with nothing to draw left out."""
    samples = gate_samples_frame(result)
    drawn = (
        make_panel(
            "gate-ratios",
            "timing",
            "Head against base",
            "Time of head over time of base with its interval, worst first; inside the grey band the difference does "
            "not matter. Each small mark is one pair of processes; the first, hollow, is the screening.",
            gate_forest_figure(gate_frame(result), samples, result.margin),
        ),
        make_panel(
            "gate-samples",
            "timing",
            "Sample by sample",
            "The ratio of every pair of samples, in the order they were taken. A trend, or two levels, would mean that "
            "the machine or the code was not steady.",
            gate_series_figure(samples, result.margin),
        ),
    )
    return tuple(panel for panel in drawn if panel is not None)


def _row(row: Compared) -> SimpleNamespace:
    """Return what the table shows of a row, as text."""
    judged = row.judgement
    pairs = text.count(len(row.confirmed), "fresh pair of processes", "fresh pairs of processes")
    samples = 0 if row.screened is None else len(row.screened.base)
    return SimpleNamespace(
        decision=row.decision.value,
        case=row.workload.case,
        label=row.workload.label.removeprefix(f"{row.workload.case} "),
        slowdown=words.slowdown(judged),
        interval=words.interval(judged),
        detectable=words.detectable(judged),
        p=words.probability(judged),
        base=text.seconds(words.base_s(row)),
        message=row.message,
        evidence=f"{text.count(samples, 'pair')} of samples screened" + (f", {pairs}" if row.confirmed else ""),
        counts=bool(count_changes(row)),
    )
