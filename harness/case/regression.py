"""A case that names a NIST data file → the case written out: inputs, residuals, points and descents.

This is how a ten-line document becomes an ordinary case; everything after the loader sees that case alone. What the
data file says is `nist`'s to read, what the model may contain is checked with every other expression.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.case import documents
from harness.case.documents import Document, Problem
from harness.case.functions import CONSTANTS
from harness.case.nist import NistData, read_nist
from harness.errors import UsageError

KEY = "nist"
GIVEN = ("dims", "inputs", "let", "function", "residuals")
"""Parts of a case that the data file and the model give; points they give are added to the case's own."""

_UNREAD: dict[str, Any] = {"inputs": {}, "function": "0"}

DIGITS = 6.0
"""Correct digits of every parameter that count as arrived, where the case does not say."""

DETERMINED = 3e-6
"""Least root-mean-square residual, relative to the largest response, whose sum of squares parameters of eleven digits
determine to eleven digits: their rounding moves each response by 1e-11 of it, and the sum by that, squared."""


_LEFT_HAND = re.compile(r"^\s*\w+(?:\s*[\[(]\s*\w+\s*[\])])?\s*=(?!=)")
_ERROR_TERM = re.compile(r"\+\s*(e)\s*$")
_NAME = re.compile(r"\b[A-Za-z_]\w*\b(?!\s*[(\[])")
"""A name that is not called; `exp[` counts as a call, as NIST writes it."""


def written_out(document: Document, file: Path) -> Document:
    """Return a document with what its data file says in the place of `nist`; others as they are.

    Args:
        document: as read; what `nist` itself may hold is checked by the schema.
        file: the case file; data files are named relative to it.

    Returns:
        A document of the same places; a data file that cannot be read is a problem of it.
    """
    data = document.data
    block = data.get(KEY) if isinstance(data, dict) else None
    if block is None:
        return document
    if not isinstance(block, dict) or not isinstance(block.get("data"), str) or not isinstance(block.get("model"), str):
        # What is wrong with `nist` is told by the schema; that the parts it would have given are missing is no news.
        return replace(document, data={**_UNREAD, **data})
    clashes = [
        Problem((key,), f"`{KEY}` gives {key} of this case; remove one of them", at_key=True)
        for key in GIVEN
        if key in data
    ]
    try:
        found = read_nist(file.parent / block["data"])
    except UsageError as error:
        clashes.append(Problem((KEY, "data"), str(error)))
    else:
        clashes += _model_problems(block["model"], found)
    if clashes:
        return replace(document, problems=[*document.problems, *clashes])
    # A fault of the residuals as a whole, such as their shape, is one of the model.
    values = {("residuals",): document.values[(KEY, "model")], **document.values}
    document = replace(document, values=values)
    parts = _parts(found, block)
    own = data.get("points", [])
    parts["points"] = [*own, *parts["points"]] if isinstance(own, list) else own
    return _with_descents({**data, **parts}, document, found)


def _model_problems(model: str, data: NistData) -> Iterator[Problem]:
    """What NIST's formula has and a model must not, and parameters that no descent could find."""
    path, known = (KEY, "model"), {*data.parameters, *data.columns}
    if _LEFT_HAND.search(model):
        yield Problem(path, "this is an equation; give its right-hand side alone (and `response`, if that is not y)")
    error = _ERROR_TERM.search(model)
    if error is not None and "e" not in known:
        yield Problem(path, "`e` is Euler's number here; leave out NIST's error term `+ e`", offset=error.start(1))
    names = set(_NAME.findall(model))
    missing = [name for name in data.parameters if name not in names]
    if missing and names <= {*known, "n", *CONSTANTS}:
        yield Problem(path, f"the model has no {', '.join(missing)}; the data file gives {', '.join(data.parameters)}")


def _parts(data: NistData, block: Mapping[str, Any]) -> dict[str, Any]:
    """The function and where it is checked: at both starts and at the certified parameters."""
    response = block.get("response", data.response)
    observed = {
        name: {"shape": ["n"], "value": [float(cell) for cell in cells], "grad": False}
        for name, cells in data.columns.items()
    }
    first, second = data.starts
    value = {"value": data.residual_sum_of_squares} if _determined(data) else {}
    certified = {"name": "certified", "at": data.certified, "claims": {"stationary": True, **value}}
    return {
        "dims": {"n": {"fixed": data.rows}},
        "inputs": {**observed, **{name: {"value": float(text)} for name, text in second.items()}},
        "residuals": f"({response}) - ({block['model']})",
        "points": [{"name": "start 1", "at": first}, {"name": "start 2", "at": second}, certified],
    }


def _determined(data: NistData) -> bool:
    largest = max(abs(float(cell)) for cell in data.columns[data.response])
    return math.sqrt(float(data.residual_sum_of_squares) / data.rows) > DETERMINED * largest


def _with_descents(data: dict[str, Any], document: Document, found: NistData) -> Document:
    """Return the document with every descent written out for both starts, towards the certified parameters."""
    verify = data.get("verify", {})
    if isinstance(verify, dict):
        data["verify"] = {"points": 0, **verify}
    entries = data.get("converge", [{"optimizer": "LeastSquares"}])
    if not isinstance(entries, list):
        return replace(document, data=data)
    data["converge"], origins = [], []
    for place, entry in enumerate(entries):
        for descent in _descents(entry, found):
            data["converge"].append(descent)
            origins.append(place)
    return _moved(replace(document, data=data), origins)


def _descents(entry: Any, found: NistData) -> Iterator[Any]:
    if not isinstance(entry, dict):
        yield entry
        return
    certified = {name: float(text) for name, text in found.certified.items()}
    towards = {"minimum": certified} if "minimum" not in entry else {}
    exact = {"digits": DIGITS} if "digits" not in entry and "within" not in entry else {}
    if "start" in entry:
        yield {**entry, **towards, **exact}
        return
    for start in found.starts:
        yield {**entry, **towards, **exact, "start": {name: float(text) for name, text in start.items()}}


def _moved(document: Document, origins: list[int]) -> Document:
    """Return the document with the places of each descent those of the entry it was written out from."""

    def moved(places: dict[documents.Path, documents.Place]) -> dict[documents.Path, documents.Place]:
        kept = {path: place for path, place in places.items() if path[:1] != ("converge",) or len(path) < 2}
        for after, before in enumerate(origins):
            kept |= {
                ("converge", after, *path[2:]): place
                for path, place in places.items()
                if path[:2] == ("converge", before)
            }
        return kept

    return replace(document, values=moved(document.values), keys=moved(document.keys), texts=moved(document.texts))
