"""What is wrong with a document's form, in plain words: pydantic's findings → problems with paths.

A union (an expression, or a list of them, or `{python: …}`) makes pydantic complain once per member; here the member
the author most likely meant is picked, so that one mistake gives one message.
"""

from __future__ import annotations

import types
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typing_extensions
from pydantic import BaseModel, ValidationError

from harness.case.documents import Path, Problem
from harness.case.expression import nearest
from harness.case.schema import CaseModel

_EXPECTED: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "date_type": "a date such as 2026-01-31",
    "none_required": "nothing",
    "finite_number": "a finite number",
}
"""Errors that say the data is of another type than asked for, with that type in plain words."""

_PATTERNS: Mapping[str, str] = {
    "^[A-Za-z_][A-Za-z0-9_]*$": "must be a name: letters, digits and _, not starting with a digit",
    "^[A-Za-z0-9][A-Za-z0-9._-]*$": "must be made of letters, digits, dots, hyphens and _",
    "^[^:]+:[A-Za-z_][A-Za-z0-9_.]*$": 'must look like "package.module:name" or "./file.py:name"',
}

_LEAVES = frozenset({"source", "tags", "points", "verify", "converge", "benchmark", "expected"})
"""Parts of a case that no other part refers to."""


class _Error:
    """One of pydantic's findings, with what is left of its location."""

    __slots__ = ("context", "kind", "rest")

    def __init__(self, rest: tuple[str | int, ...], kind: str, context: Mapping[str, Any]) -> None:
        self.rest, self.kind, self.context = rest, kind, context

    def inside(self) -> _Error:
        """The same finding, one step further down."""
        return _Error(self.rest[1:], self.kind, self.context)

    @property
    def mismatched(self) -> bool:
        """Whether it says that the data right here is of the wrong type."""
        return not self.rest and self.kind in _EXPECTED


def validate(data: Any) -> tuple[CaseModel | None, list[Problem]]:
    """Check a document's form.

    Returns:
        The model and every problem found. Where the problems lie only in parts nothing else refers to, the model is the
        document's without those parts, so that the rest can still be checked; otherwise it is None.
    """
    if not isinstance(data, dict):
        return None, [
            Problem((), f"a case must be a mapping with keys such as case, title, inputs, function, not {_shown(data)}")
        ]
    try:
        return CaseModel.model_validate(data), []
    except ValidationError as error:
        raw = [_Error(item["loc"], item["type"], item.get("ctx", {})) for item in error.errors(include_url=False)]
        problems = list(_problems((), data, raw))
        return _without(data, problems), problems


def _without(data: Mapping[str, Any], problems: Sequence[Problem]) -> CaseModel | None:
    """The model of what is left of a document without the parts that have problems, if nothing else refers to them."""
    broken = {problem.path[0] if problem.path else "" for problem in problems}
    if not broken <= _LEAVES:
        return None
    try:
        return CaseModel.model_validate({key: value for key, value in data.items() if key not in broken})
    except ValidationError:
        return None


def known_keys(path: Path) -> list[str]:
    """The keys a mapping at `path` of a case document may have, where a model says so."""
    annotations: list[Any] = [CaseModel]
    for part in path:
        annotations = [inner for annotation in annotations for inner in _step(annotation, part)]
    models = [annotation for annotation in annotations if _is_model(annotation)]
    return [field.alias or name for model in models for name, field in model.model_fields.items()]


def _problems(path: Path, data: Any, errors: Sequence[_Error]) -> Iterator[Problem]:
    """Problems of one part of the document, from the findings in and below it."""
    here = [error for error in errors if not error.rest or error.rest == ("[key]",)]
    children: dict[str | int, list[_Error]] = defaultdict(list)
    branches: dict[str | int, list[_Error]] = defaultdict(list)
    missing: list[str] = []
    for error in errors:
        if not error.rest or error in here:
            continue
        head = error.rest[0]
        if _holds(data, head):
            children[head].append(error.inside())
        elif error.kind == "missing" and len(error.rest) == 1:
            missing.append(str(head))
        else:
            branches[head].append(error.inside())
    for error in here:
        yield Problem(path, f"{_name(path)} {_message(error, data)}", at_key=bool(error.rest))
    yield from _keys(path, missing, [key for key, found in children.items() if _is_unknown(found)])
    for key, found in children.items():
        if not _is_unknown(found):
            yield from _problems((*path, key), data[key], found)
    if branches:
        yield from _union(path, data, list(branches.values()))


def _holds(data: Any, key: str | int) -> bool:
    if isinstance(data, dict):
        return key in data
    return isinstance(data, list) and isinstance(key, int) and key < len(data)


def _is_unknown(errors: Sequence[_Error]) -> bool:
    return any(error.kind == "extra_forbidden" and not error.rest for error in errors)


def _keys(path: Path, missing: Sequence[str], unknown: Sequence[str | int]) -> Iterator[Problem]:
    """Unknown and missing keys; a misspelt key is reported once, not as unknown and missing."""
    known = known_keys(path)
    explained = set()
    for key in unknown:
        hint = nearest(str(key), known)
        explained.add(hint)
        listed = f"; known keys are: {', '.join(known)}"
        yield Problem((*path, key), f"unknown key {key!r}{hint or listed}", at_key=True)
    for key in missing:
        if f"; did you mean {key!r}?" not in explained:
            yield Problem(path, f"{_name(path)} lacks the key {key!r}")


def _union(path: Path, data: Any, branches: Sequence[list[_Error]]) -> Iterator[Problem]:
    """Problems of the union member that fits the data best; one message when none fits."""
    whole = isinstance(data, (dict, list))  # which no word of a choice is
    fitting = [
        errors
        for errors in branches
        if not any(error.mismatched or (whole and error.kind == "literal_error" and not error.rest) for error in errors)
    ]
    if fitting:
        strange = [sum(error.kind == "extra_forbidden" and len(error.rest) == 1 for error in part) for part in fitting]
        best = min(range(len(fitting)), key=lambda place: (strange[place], len(fitting[place])))
        yield from _problems(path, data, fitting[best])
        return
    kinds = dict.fromkeys(_EXPECTED[error.kind] for errors in branches for error in errors if error.mismatched)
    yield Problem(path, f"{_name(path)} must be {_either(list(kinds))}, not {_shown(data)}")


def _message(error: _Error, data: Any) -> str:
    context = error.context
    match error.kind:
        case kind if kind in _EXPECTED:
            return f"must be {_EXPECTED[kind]}, not {_shown(data)}"
        case "literal_error":
            words = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
            return f"must be one of {', '.join(words)}, not {_shown(data)}{nearest(str(data), words)}"
        case "string_pattern_mismatch":
            return f"{_PATTERNS.get(str(context['pattern']), 'is not of the right form')}, not {_shown(data)}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {_shown(data)}"
        case "greater_than":
            return f"must be above {context['gt']}, not {_shown(data)}"
        case "less_than_equal":
            return f"must be at most {context['le']}, not {_shown(data)}"
        case "too_short" | "string_too_short":
            return (
                "must not be empty"
                if context.get("min_length") == 1
                else f"must have at least {context.get('min_length')} entries"
            )
        case "too_long" | "string_too_long":
            return f"must have at most {context.get('max_length')} entries or characters"
        case kind:
            return f"is not allowed ({kind.replace('_', ' ')}): {_shown(data)}"


def _name(path: Path) -> str:
    """A path as people write it: verify.dtypes[0]."""
    if not path:
        return "the case"
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _shown(data: Any) -> str:
    """A short description of data of any kind."""
    match data:
        case None:
            return "nothing"
        case bool():
            return f"the truth value {str(data).lower()}"
        case int() | float():
            return f"the number {data}"
        case str():
            return f"the text {data if len(data) <= 40 else data[:37] + '...'!r}"
        case date():
            return f"the date {data} (put text in quotes)"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return type(data).__name__


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _step(annotation: Any, part: str | int) -> Iterator[Any]:
    """The annotations one step down a path, models and unions unfolded."""
    if _is_model(annotation):
        if part in annotation.model_fields:
            yield from _members(annotation.model_fields[str(part)].annotation)
        return
    arguments = get_args(annotation)
    if get_origin(annotation) is list and isinstance(part, int):
        yield from _members(arguments[0])
    elif get_origin(annotation) is dict and isinstance(part, str):
        yield from _members(arguments[1])


def _members(annotation: Any) -> Iterator[Any]:
    """What a possibly annotated, possibly united type is made of; values' own recursion is not followed."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    elif not isinstance(annotation, typing_extensions.TypeAliasType) and origin is not Literal:
        yield annotation
