"""YAML text → plain data with the position of every part; never an object of any other kind.

Nodes are composed by ruamel.yaml and turned into data here, so that duplicate keys, foreign tags and aliases that
expand without bound are faults at a place. What the data must look like is `explain`'s and `crosscheck`'s job.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]
"""Keys and list positions from a document's top to one of its parts."""

MAX_PARTS = 100_000
MAX_DEPTH = 60
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one part of a document.

    `offset` is a 0-based character inside a text; `at_key` points at the part's key instead of its value.
    """

    path: Path
    message: str
    offset: int | None = None
    at_key: bool = False
    place: Place | None = None
    """Where it is, when the path alone does not tell."""


@dataclass(slots=True)
class Document:
    """One YAML document: its data, and where every part of it stands."""

    data: Any = None
    start: Place = field(default_factory=lambda: Place(1, 1))
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    texts: dict[Path, Place] = field(default_factory=dict)
    """Where the first character stands of texts that are written on one line just as they read."""
    problems: list[Problem] = field(default_factory=list)

    def locate(self, problem: Problem) -> Place:
        """The place to jump to for a problem: its part, or the nearest part around it."""
        path = problem.path
        if problem.place is not None:
            return problem.place
        if problem.offset is not None and path in self.texts:
            place = self.texts[path]
            return Place(place.line, place.column + problem.offset)
        if problem.at_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, self.start)


@dataclass(frozen=True, slots=True)
class Broken:
    """What stopped the reading of a file."""

    place: Place
    message: str


AsText = Callable[[Path, str], bool]
"""Whether a number (of the kind "int" or "float") at a path is kept as the text it was written as."""


def read_documents(text: str, *, as_text: AsText) -> Iterator[Document | Broken]:
    """Read every document of a YAML file; a `Broken` comes last, when the file cannot be read to its end."""
    yaml = YAML(typ="safe", pure=True)
    lines = text.splitlines()
    budget = [MAX_PARTS]
    try:
        for node in yaml.compose_all(text):
            if node is not None:
                yield _Builder(lines=lines, as_text=as_text, budget=budget).document(node)
    except MarkedYAMLError as error:
        yield _broken(error, lines)
    except RecursionError:
        yield Broken(Place(1, 1), "the file is nested too deeply")
    except (YAMLError, ValueError) as error:
        yield Broken(Place(1, 1), f"this is not YAML: {str(error).splitlines()[0]}")


def _broken(error: MarkedYAMLError, lines: list[str]) -> Broken:
    mark = error.problem_mark or error.context_mark
    place = Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return Broken(place, "a tab indents this line; indent with spaces")
    context = f" {error.context}" if error.context else ""
    return Broken(place, f"this is not YAML: {error.problem or 'unreadable'}{context}")


@dataclass(slots=True)
class _Builder:
    """Turns the nodes of one document into data, noting where each part stands."""

    lines: list[str]
    as_text: AsText
    budget: list[int]
    result: Document = field(default_factory=Document)

    def document(self, node: Node) -> Document:
        self.result.start = _place(node)
        try:
            self.result.data = self.build(node, ())
        except _UnboundedError:
            bounds = f"more than {MAX_PARTS:,} parts, or more than {MAX_DEPTH} inside each other"
            message = f"the file expands to {bounds}; use fewer aliases (*name)"
            self.complain((), message, _place(node))
        return self.result

    def build(self, node: Node, path: Path) -> Any:
        self.result.values[path] = _place(node)
        self.budget[0] -= 1
        if self.budget[0] < 0 or len(path) > MAX_DEPTH:
            raise _UnboundedError
        match node:
            case MappingNode() if _kind(node) == "map":
                return self.mapping(node, path)
            case SequenceNode() if _kind(node) == "seq":
                return [self.build(part, (*path, index)) for index, part in enumerate(node.value)]
            case ScalarNode():
                return self.scalar(node, path)
            case _:
                return self.complain(path, f"the tag {_kind(node)!r} is not allowed", _place(node))

    def complain(self, path: Path, message: str, place: Place) -> None:
        self.result.problems.append(Problem(path, message, place=place))

    def mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node, path)
            if key is None:
                continue
            inner = (*path, key)
            if key in data:
                first = self.result.keys[inner].line
                self.complain(inner, f"duplicate key {key!r}; it stands in line {first} already", _place(key_node))
                continue
            self.result.keys[inner] = _place(key_node)
            data[key] = self.build(value_node, inner)
            if isinstance(value_node, ScalarNode) and value_node.start_mark.index == value_node.end_mark.index:
                self.result.values[inner] = self.result.keys[inner]  # nothing is there; its own mark is on a later line
        return data

    def key(self, node: Node, path: Path) -> str | None:
        """A mapping's key, which must be text."""
        if isinstance(node, ScalarNode) and _kind(node) == "str":
            return str(node.value)
        is_merge = isinstance(node, ScalarNode) and node.value == "<<"
        shown = f"{node.value!r}; put it in quotes" if isinstance(node, ScalarNode) else "a list or a mapping"
        message = (
            "merge keys (<<) are not allowed; write the keys out" if is_merge else f"a key must be text, not {shown}"
        )
        self.complain(path, message, _place(node))
        return None

    def scalar(self, node: ScalarNode, path: Path) -> Any:
        kind, text = _kind(node), str(node.value)
        if (
            kind in ("int", "float")
            and self.as_text(path, kind)
            and not re.search(r"nan|inf|[xo]", text, re.IGNORECASE)
        ):
            kind, text = "str", text.replace("_", "")
        if kind == "str":
            self.note_text(node, path)
            return text
        try:
            return _SCALARS[kind](text)
        except KeyError:
            return self.complain(path, f"the tag {kind!r} is not allowed", _place(node))
        except OverflowError:
            return self.complain(path, f"{text[:40]}… is too large for double precision", _place(node))
        except ValueError:
            return self.complain(path, f"{text[:40]!r} cannot be read as {kind}; put text in quotes", _place(node))

    def note_text(self, node: ScalarNode, path: Path) -> None:
        """Remember where a text starts, if it stands on one line exactly as it reads."""
        start, end = node.start_mark, node.end_mark
        if start.line != end.line or start.line >= len(self.lines):
            return
        raw = self.lines[start.line][start.column : end.column]
        quote = 1 if node.style in ("'", '"') else 0
        if raw[quote : len(raw) - quote] == node.value:
            self.result.texts[path] = Place(start.line + 1, start.column + 1 + quote)


class _UnboundedError(Exception):
    """The data has grown beyond what a case file may hold."""


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _kind(node: Node) -> str:
    """A node's tag without YAML's own prefix."""
    return str(node.tag).removeprefix(_TAG)


def _integer(text: str) -> int:
    value = int(text.replace("_", ""), 0 if re.match(r"[-+]?0[xob]", text) else 10)
    float(value)  # raises OverflowError where no tensor can hold it
    return value


def _float(text: str) -> float:
    match text.lower().lstrip("+-"):
        case ".inf":
            return float("-inf") if text.startswith("-") else float("inf")
        case ".nan":
            return float("nan")
        case _:
            return float(text.replace("_", ""))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "int": _integer,
    "float": _float,
    "bool": lambda text: text.lower() in ("true", "yes", "on"),
    "null": lambda _: None,
    "timestamp": date.fromisoformat,
}
