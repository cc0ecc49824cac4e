"""A view of a history as one JSON document, for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from harness.history.trends import Change, Point, Trend
from harness.history.view import Seen, View


def history_json(view: View) -> str:
    """Return the document as text of one line, with times in ISO 8601 and figures unrounded."""
    document = {
        "url": view.url,
        "metric": view.metric.name,
        "runs": view.runs,
        "machines": [_machine(seen) for seen in view.machines],
        "trends": [_trend(trend) for trend in view.trends],
        "left_out": [asdict(left) for left in view.left],
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def _machine(seen: Seen) -> dict[str, Any]:
    return {
        "id": seen.machine.id,
        "parts": dict(seen.machine.parts),
        "runs": seen.runs,
        "latest": seen.latest.isoformat(),
        "shown": seen.is_shown,
        "this_machine": seen.is_here,
        "differs": [{"part": part, "there": there, "here": here} for part, there, here in seen.differs],
    }


def _trend(trend: Trend) -> dict[str, Any]:
    return {
        "series": trend.name,
        **dict(trend.key),
        "machine": trend.machine.id,
        "n": len(trend.points),
        "latest": trend.latest.value,
        "level": trend.level,
        "direction": trend.direction.value,
        "reason": trend.reason or None,
        "changes": [_change(change) for change in trend.changes],
        "points": [_point(point) for point in trend.points],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "position": change.position,
        "before": change.before,
        "after": change.after,
        "ratio": change.ratio,
        "worse": change.worse,
        "last": _point(change.last),
        "first": _point(change.first),
    }


def _point(point: Point) -> dict[str, Any]:
    return {**asdict(point), "started": point.started.isoformat()}
