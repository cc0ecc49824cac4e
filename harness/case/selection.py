"""Which cases a caller wants: the grammar of ``-k`` (as pytest's), and tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from harness.case.case import Case
from harness.errors import UsageError


class Named(Protocol):
    """What a keyword can match: a case, or one of PyTorch's operators."""

    @property
    def id(self) -> str:
        """Its unique name."""

    @property
    def title(self) -> str:
        """What it is called for people."""


Predicate = Callable[[Named], bool]

_TOKEN = re.compile(r"\s*(?:(?P<bracket>[()])|(?P<word>[^\s()]+))")


def select(cases: Sequence[Case], *, keyword: str | None, tags: Sequence[str]) -> tuple[Case, ...]:
    """The cases that match a keyword expression and carry every one of some tags.

    Args:
        cases: the cases to choose from.
        keyword: words joined by ``and``, ``or``, ``not`` and parentheses; a word matches a case whose id or title holds
            it, whatever its case.
        tags: tags a case must all carry.

    Raises:
        UsageError: the keyword expression is malformed.
    """
    matches = keyword_predicate(keyword) if keyword and keyword.strip() else None
    return tuple(case for case in cases if set(tags) <= set(case.model.tags) and (matches is None or matches(case)))


def keyword_predicate(text: str) -> Predicate:
    """A predicate for a keyword expression.

    Raises:
        UsageError: the expression is malformed.
    """
    parser = _Parser(text)
    predicate = parser.either()
    parser.end()
    return predicate


class _Parser:
    """A parser by recursive descent: or binds weaker than and, and weaker than not."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [match.group().strip() for match in _TOKEN.finditer(text)]
        self.depth = 0

    def take(self, *words: str) -> bool:
        if self.tokens and self.tokens[0] in words:
            self.tokens.pop(0)
            return True
        return False

    def either(self) -> Predicate:
        left = self.both()
        while self.take("or"):
            left = _either(left, self.both())
        return left

    def both(self) -> Predicate:
        left = self.one()
        while self.take("and"):
            left = _both(left, self.one())
        return left

    def one(self) -> Predicate:
        self.depth += 1
        if self.depth > 200:
            raise self.malformed("is nested too deeply")
        if self.take("not"):
            inner = self.one()
            return lambda case: not inner(case)
        if self.take("("):
            inner = self.either()
            if not self.take(")"):
                raise self.malformed("lacks a closing parenthesis")
            return inner
        if not self.tokens or self.tokens[0] in ("and", "or", ")"):
            raise self.malformed(f"lacks a word {'at its end' if not self.tokens else f'before {self.tokens[0]!r}'}")
        return _word(self.tokens.pop(0))

    def end(self) -> None:
        if self.tokens:
            raise self.malformed(f"does not say how {self.tokens[0]!r} is joined to what is before it")

    def malformed(self, why: str) -> UsageError:
        return UsageError(f"Cannot select cases: keyword={self.text[:80]!r} {why}. Join words with and, or, not, ( ).")


def _word(word: str) -> Predicate:
    wanted = word.lower()
    return lambda case: wanted in case.id.lower() or wanted in case.title.lower()


def _either(left: Predicate, right: Predicate) -> Predicate:
    return lambda case: left(case) or right(case)


def _both(left: Predicate, right: Predicate) -> Predicate:
    return lambda case: left(case) and right(case)
