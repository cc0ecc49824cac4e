"""A view of a history as one HTML page that needs no network, with the look and behaviour of the report.

A trend's figure is embedded compressed and drawn when a reader opens its row, as the report does with its cases.
"""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from harness.history.changes import FEWEST, SHORTEST
from harness.history.figure import trend_figure
from harness.history.metrics import METRICS
from harness.history.trends import Direction, Trend
from harness.history.view import View
from harness.history.words import between, change_text, difference_text, place_text, scaled, size_text
from harness.report import embed
from harness.report.html import environment
from harness.report.panel import Panel
from harness.report.text import count

TONES = {
    Direction.WORSE: "fail",
    Direction.BETTER: "pass",
    Direction.STEADY: "skipped",
    Direction.TOO_FEW: "not-run",
}
"""The report's classes whose colours suit."""
WIDTH, HEIGHT = 132, 26
"""Of a row's small picture, in pixels."""


def render_history(view: View) -> str:
    """Return the whole page as text."""
    templates = _templates()
    plotly, script = embed.plotly_source(), embed.asset("figures.js") + embed.asset("report.js")
    counts = {direction: sum(trend.direction is direction for trend in view.trends) for direction in Direction}
    return templates.get_template("history.html.j2").render(
        view=view,
        metric=view.metric,
        headline=_headline(view, counts),
        tone=TONES[next((direction for direction in Direction if counts[direction]), Direction.TOO_FEW)],
        counts=[(direction.value, TONES[direction], amount) for direction, amount in counts.items()],
        lines=[_line(trend) for trend in view.trends],
        shown=[place_text(seen) for seen in view.machines if seen.is_shown],
        others=[(place_text(seen), difference_text(seen)) for seen in view.machines if not seen.is_shown],
        several=sum(seen.is_shown for seen in view.machines) > 1,
        payloads=[_payload(trend, templates) for trend in view.trends],
        fewest=FEWEST,
        shortest=SHORTEST,
        policy=embed.content_policy(plotly, script),
        style=Markup(embed.asset("report.css")),
        script=Markup(script),
        plotly=embed.compressed(plotly),
    )


def picture(trend: Trend) -> Markup:
    """Return a trend's figures as a small line, with a mark at every change."""
    heights = scaled(trend)
    step = (WIDTH - 6) / max(len(heights) - 1, 1)
    places = [(3 + at * step, 3 + (HEIGHT - 6) * (1 - height)) for at, height in enumerate(heights)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    marks = "".join(
        f'<line x1="{places[change.position][0] - step / 2:.1f}" x2="{places[change.position][0] - step / 2:.1f}" '
        f'y1="0" y2="{HEIGHT}" class="{"fail" if change.worse else "pass"}"/>'
        for change in trend.changes
    )
    # Numbers and fixed words alone; nothing of a run reaches this markup.
    return Markup(
        f'<svg class="spark" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">'
        f'{marks}<polyline points="{line}"/><circle cx="{places[-1][0]:.1f}" cy="{places[-1][1]:.1f}" r="2.5"/></svg>'
    )


def _templates() -> Environment:
    made = environment()
    made.loader = ChoiceLoader([made.loader, PackageLoader("harness.history")] if made.loader else [])
    return made


def _headline(view: View, counts: dict[Direction, int]) -> str:
    if not view.trends:
        return f"No series of {view.metric.title.lower()}"
    worse, better = counts[Direction.WORSE], counts[Direction.BETTER]
    if not worse and not better:
        if counts[Direction.TOO_FEW] == len(view.trends):
            return f"{view.metric.title}: too few runs yet to look for changes"
        few = " that has runs enough" if counts[Direction.TOO_FEW] else ""
        return f"{view.metric.title}: no change of level in any series{few}"
    parts = [f"{amount} {word}" for amount, word in ((worse, "worse"), (better, "better")) if amount]
    return f"{view.metric.title}: {' and '.join(parts)} of {count(len(view.trends), 'series', 'series')}"


def _id(trend: Trend) -> str:
    key = json.dumps([trend.machine.id, trend.metric, trend.key])
    return f"trend-{hashlib.sha256(key.encode(errors='replace')).hexdigest()[:16]}"


def _line(trend: Trend) -> SimpleNamespace:
    """Return what a row of the table shows."""
    metric = METRICS[trend.metric]
    last = trend.changes[-1] if trend.changes else None
    return SimpleNamespace(
        id=_id(trend),
        name=trend.name,
        machine=trend.machine.id,
        direction=trend.direction.value,
        rank=list(Direction).index(trend.direction),
        tone=TONES[trend.direction],
        runs=len(trend.points),
        latest=metric.show(trend.latest.value),
        latest_value=trend.latest.value,
        level=metric.show(trend.level),
        level_value=trend.level,
        picture=picture(trend),
        change=size_text(last, trend.metric) if last else "",
        change_value=(last.ratio or last.after) if last else "",
        where=between(last) if last else trend.reason,
    )


def _payload(trend: Trend, templates: Environment) -> SimpleNamespace:
    """Return what opens below a row: the figure, and every change in words."""
    metric = METRICS[trend.metric]
    panel = Panel(
        id="trend",
        section="trend",
        title=metric.title,
        caption=(
            "A point is a run; bars are the interval of its median. Lines are levels, and a dashed line is a place "
            "where the level changed. Hover for the commit."
        ),
        figure=json.loads(trend_figure(trend).to_json()),
    )
    changes = [(change.worse, change_text(change, trend.metric)) for change in reversed(trend.changes)]
    html = templates.get_template("trend.html.j2").render(
        trend=trend, panel=panel, scope=_id(trend), changes=changes, tone=TONES[trend.direction], metric=metric
    )
    content = embed.json_text({"html": html, "figures": {panel.id: panel.figure}})
    return SimpleNamespace(id=_id(trend), data=embed.compressed(content))
