"""What makes the page self-contained: text that is safe in HTML, compressed payloads, the policy against network.

Payloads are gzip in base64, so that nothing in them can end the element that holds them, a page of many cases stays
small, and the browser parses a case only when a reader opens it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from functools import cache
from importlib.resources import files

from markupsafe import Markup
from plotly.offline import get_plotlyjs


def asset(name: str) -> str:
    """Return the text of a file of `harness/report/assets`."""
    return files("harness.report").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def plotly_source() -> str:
    """Return the source of plotly.js that is embedded once in each page."""
    return str(get_plotlyjs())


def compressed(text: str) -> Markup:
    """Return text as gzip in base64; the same text gives the same result."""
    packed = gzip.compress(text.encode(errors="replace"), mtime=0)
    return Markup(base64.b64encode(packed).decode())  # the base64 alphabet holds no markup


def json_text(value: object) -> Markup:
    """Return JSON that may stand in a script element: whatever could end the element or start a comment is escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for harmful in "<>&\u2028\u2029":
        text = text.replace(harmful, f"\\u{ord(harmful):04x}")
    return Markup(text)  # whatever HTML could read as markup is escaped above


def content_policy(*scripts: str) -> str:
    """Return the policy that lets the browser run exactly these scripts, and reach no network at all."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
