"""A panel: a figure as plotly.js takes it, with its heading and a sentence that says how to read it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

OWN_CONTROLS = ("updatemenus", "sliders")
"""Controls drawn inside a figure; the page has its own, which work by keyboard and read out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A figure with its words."""

    id: str
    section: str
    title: str
    caption: str
    figure: dict[str, Any]

    @property
    def animated(self) -> bool:
        """Whether the figure has frames to play."""
        return bool(self.figure.get("frames"))

    @property
    def height(self) -> int:
        """Height in pixels, reserved before the figure is drawn so that the page does not jump."""
        return int(self.figure.get("layout", {}).get("height") or 360)

    @property
    def least_width(self) -> int:
        """Pixels below which the figure cannot be read and is scrolled instead; 0 where it fits a phone."""
        return int(self._meta.get("least_width", 0))

    @property
    def choices(self) -> tuple[str, ...]:
        """What the reader may choose between; each trace belongs to the choice in its `meta`, or to all without one."""
        return tuple(self._meta.get("choices", ()))

    @property
    def chosen(self) -> str:
        """The choice that is shown at first."""
        return str(self._meta.get("chosen", ""))

    @property
    def choose(self) -> str:
        """What is chosen, such as "Size"."""
        return str(self._meta.get("choose", ""))

    @property
    def _meta(self) -> dict[str, Any]:
        return self.figure.get("layout", {}).get("meta") or {}


def make_panel(name: str, section: str, title: str, caption: str, figure: go.Figure | None) -> Panel | None:
    """Return a figure as a panel, or None where there is nothing to draw.

    Args:
        name: HTML id, unique on its page.
        section: the part of the page it stands in.
        title: its heading.
        caption: how to read it.
        figure: what is drawn.
    """
    if figure is None:
        return None
    described: dict[str, Any] = json.loads(figure.to_json())
    if described.get("frames"):
        for control in OWN_CONTROLS:
            described["layout"].pop(control, None)
    return Panel(id=name, section=section, title=title, caption=caption, figure=described)
