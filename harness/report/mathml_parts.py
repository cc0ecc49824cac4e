"""The pieces presentation MathML is put together from: numbers, names, fences, fractions, powers, roots.

Every piece knows how tightly it binds, which is what decides where parentheses are needed. What an expression's syntax
means is `mathml`'s job; nothing here reads a syntax tree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from html import escape
from math import isinf, isnan

_SPELLED = {
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu": "αβγδεζηθικλμ",
    "nu xi omicron rho sigma tau upsilon phi chi psi omega pi": "νξορστυφχψωπ",
    "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega": "ΓΔΘΛΞΠΣΥΦΨΩ",
    "eps lam lambd": "ελλ",
}
GREEK = {
    name: letter for names, letters in _SPELLED.items() for name, letter in zip(names.split(), letters, strict=True)
}
"""Spelled-out letters, with the usual ways around Python's keyword `lambda`."""

MINUS = '<mo form="prefix">−</mo>'
TIMES = "<mo>&#x2062;</mo>"
THIN = '<mspace width="0.1667em"/>'
APPLY = "<mo>&#x2061;</mo>"


class Level(IntEnum):
    """How tightly a piece holds together, from loosest to tightest."""

    LIST = 0
    LOGIC = 1
    COMPARISON = 2
    SUM = 3
    OPEN = 4
    """A product that ends in a large operator such as ∑, which takes in what follows."""
    PRODUCT = 5
    POWER = 6
    """Fractions, roots and powers: safe in a product, not under a further exponent."""
    ATOM = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Markup with what its neighbours have to know.

    Args:
        markup: MathML elements, without a wrapper.
        level: how tightly they hold together.
        negative: whether they start with a minus sign.
        digit: whether they start with a digit.
        word_first: whether they start with a word, such as a function's name.
        word_last: whether they end with a word.
    """

    markup: str
    level: Level = Level.ATOM
    negative: bool = False
    digit: bool = False
    word_first: bool = False
    word_last: bool = False


def row(*parts: Part | str) -> str:
    """Group markup into one element, as fractions, roots and scripts need it."""
    return "<mrow>" + "".join(part if isinstance(part, str) else part.markup for part in parts) + "</mrow>"


def fenced(part: Part, left: str = "(", right: str = ")") -> Part:
    """Put delimiters around a piece that grow with it."""
    marks = [
        f'<mo form="{form}" fence="true" stretchy="true">{mark}</mo>'
        for form, mark in (("prefix", left), ("postfix", right))
    ]
    return Part(markup=row(marks[0], part, marks[1]))


def bound(part: Part, level: Level) -> Part:
    """Put parentheses (Iverson brackets around a comparison) where a piece holds less tightly than its place needs."""
    if part.level >= level:
        return part
    return fenced(part, "[", "]") if part.level is Level.COMPARISON else fenced(part)


def number(value: int | float | complex) -> Part:  # noqa: PYI041 - mypy takes the tower literally
    """Set a non-negative number; powers of ten are written out."""
    if isinstance(value, complex):
        return Part(markup=row(number(value.imag), "<mi>i</mi>"), digit=True)
    if isinstance(value, float) and (isinf(value) or isnan(value)):
        return Part(markup="<mi>∞</mi>" if isinf(value) else "<mtext>NaN</mtext>")
    mantissa, _, exponent = (str(value) if isinstance(value, int) else repr(value).removesuffix(".0")).partition("e")
    if not exponent:
        return Part(markup=f"<mn>{mantissa}</mn>", digit=True)
    sign = MINUS if int(exponent) < 0 else ""
    ten = f"<msup><mn>10</mn>{row(sign, f'<mn>{abs(int(exponent))}</mn>')}</msup>"
    lead = "" if mantissa == "1" else f"<mn>{mantissa}</mn><mo>×</mo>"
    return Part(markup=row(lead, ten) if lead else ten, level=Level.PRODUCT if lead else Level.POWER, digit=True)


def identifier(name: str) -> Part:
    """Set a variable: Greek letters, w1 and x_max with subscripts, longer words upright."""
    match = re.fullmatch(r"([A-Za-z]+?)_?(\d+)", name) or re.fullmatch(r"([A-Za-z]+?)_([A-Za-z0-9_]+)", name)
    if match and match[1]:
        base, below = _letter(match[1]), _below(match[2])
        return Part(markup=f"<msub>{base}{below}</msub>", word_first=_is_word(match[1]))
    plain = name.rstrip("_") or name
    return Part(markup=_letter(plain), word_first=_is_word(plain), word_last=_is_word(plain))


def _letter(word: str) -> str:
    return f"<mi>{GREEK.get(word, escape(word))}</mi>"


def _below(text: str) -> str:
    return f"<mn>{text}</mn>" if text.isdigit() else f"<mi>{escape(GREEK.get(text, text.replace('_', ' ')))}</mi>"


def _is_word(word: str) -> bool:
    return len(GREEK.get(word, word)) > 1


def word(text: str) -> Part:
    """Set the name of a function or an abbreviation, upright."""
    style = ' mathvariant="normal"' if len(text) == 1 else ""
    return Part(markup=f"<mi{style}>{escape(text)}</mi>", word_first=True, word_last=True)


def plain_text(text: str) -> Part:
    """Set text that is not understood as mathematics, as it is."""
    return Part(markup=f"<mtext>{escape(text)}</mtext>", word_first=True, word_last=True)


def fraction(numerator: Part, denominator: Part) -> Part:
    """Set one piece over another."""
    return Part(markup=f"<mfrac>{row(numerator)}{row(denominator)}</mfrac>", level=Level.POWER)


def root(radicand: Part, degree: int = 2) -> Part:
    """Set a square root, or one of a higher degree."""
    if degree == 2:
        return Part(markup=f"<msqrt>{row(radicand)}</msqrt>", level=Level.POWER)
    return Part(markup=f"<mroot>{row(radicand)}<mn>{degree}</mn></mroot>", level=Level.POWER)


def power(base: Part, exponent: Part | str) -> Part:
    """Raise a piece; a base that carries a subscript carries the exponent above it."""
    held = bound(base, Level.ATOM)
    above = row(exponent)
    if held.markup.startswith("<msub>") and held.markup.count("<msub>") == 1:
        return replace(
            held, markup=f"<msubsup>{held.markup[6:-7]}{above}</msubsup>", level=Level.POWER, word_last=False
        )
    raised = f"<msup>{held.markup}{above}</msup>"
    return replace(held, markup=raised, level=Level.POWER, word_last=False, digit=held.digit)


def subscript(base: Part, below: str) -> Part:
    """Put markup below a piece; one that already has a subscript is put in parentheses first."""
    held = bound(base, Level.ATOM)
    held = fenced(held) if held.markup.startswith(("<msub", "<msup")) else held
    return Part(markup=f"<msub>{held.markup}{row(below)}</msub>", word_first=held.word_first)


def negated(part: Part) -> Part:
    """Put a minus sign before a piece."""
    held = fenced(part) if part.level < Level.OPEN or part.negative else part
    level = min(held.level, Level.PRODUCT)
    return Part(markup=MINUS + held.markup, level=level, negative=True, word_last=held.word_last)


def product(left: Part, right: Part, sign: str | None = None) -> Part:
    """Multiply two pieces: side by side where that can be read, otherwise with a dot.

    Args:
        left: first factor.
        right: second factor.
        sign: an operator to write between them in any case.
    """
    first = bound(left, Level.PRODUCT)
    second = fenced(right) if right.negative else bound(right, Level.OPEN)
    if sign is None and second.digit:
        sign = "⋅"
    silent = TIMES + (THIN if first.word_last or second.word_first else "")
    between = silent if sign is None else f"<mo>{sign}</mo>"
    return Part(
        markup=first.markup + between + second.markup,
        level=min(second.level, Level.PRODUCT),
        negative=first.negative,
        digit=first.digit,
        word_first=first.word_first,
        word_last=second.word_last,
    )


def added(left: Part, right: Part, sign: str) -> Part:
    """Add or subtract: `sign` is + or −."""
    first = bound(left, Level.SUM)
    loose = right.level < Level.SUM or right.negative or (sign == "−" and right.level is Level.SUM)
    second = bound(right, Level.SUM) if right.level < Level.SUM else fenced(right) if loose else right
    return Part(
        markup=f"{first.markup}<mo>{sign}</mo>{second.markup}",
        level=Level.SUM,
        negative=first.negative,
        digit=first.digit,
        word_first=first.word_first,
    )


def joined(parts: Sequence[Part], separator: str = '<mo separator="true">,</mo>') -> Part:
    """List pieces, with commas by default."""
    return Part(markup=separator.join(part.markup for part in parts), level=Level.LIST)


def applied(function: Part, *arguments: Part) -> Part:
    """Apply a function, always with parentheses, so that its reach is plain."""
    markup = function.markup + APPLY + fenced(joined(arguments)).markup
    return Part(markup=markup, level=Level.POWER, word_first=True)


def matrix(rows: Sequence[Sequence[Part]]) -> Part:
    """Set rows of pieces in brackets."""
    cells = ("".join(f"<mtd>{row(cell)}</mtd>" for cell in cells) for cells in rows)
    return fenced(Part(markup="<mtable>" + "".join(f"<mtr>{line}</mtr>" for line in cells) + "</mtable>"), "[", "]")


def cases(rows: Sequence[Sequence[Part]]) -> Part:
    """Set alternatives behind one brace: a value and its condition on each line."""
    cells = ("".join(f'<mtd style="text-align: left">{row(cell)}</mtd>' for cell in cells) for cells in rows)
    table = "<mtable>" + "".join(f"<mtr>{line}</mtr>" for line in cells) + "</mtable>"
    return Part(markup=row('<mo form="prefix" fence="true" stretchy="true">{</mo>', table), level=Level.POWER)
