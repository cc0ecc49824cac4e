"""Tests of harness.report.mathml: what is set is well-formed, means what the text means, and is escaped."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.case.expression import parse
from harness.report.mathml import equation_mathml, expression_mathml, text_mathml

INVISIBLE = {"\u2062": "", "\u2061": "", "−": "-"}


def linear(element: ElementTree.Element) -> str:
    """A `<math>` tree on one line: scripts as ^{} and _{}, fractions as {}/{}."""
    parts = [linear(child) for child in element]
    text = element.text or ""
    match element.tag:
        case "mo" | "mi" | "mn" | "mtext":
            return INVISIBLE.get(text, text)
        case "mfrac":
            return f"{{{parts[0]}}}/{{{parts[1]}}}"
        case "msup":
            return f"{parts[0]}^{{{parts[1]}}}"
        case "msub":
            return f"{parts[0]}_{{{parts[1]}}}"
        case "msubsup":
            return f"{parts[0]}_{{{parts[1]}}}^{{{parts[2]}}}"
        case "msqrt":
            return "√{" + "".join(parts) + "}"
        case "mtr":
            return " & ".join(parts) + ";"
        case _:
            return "".join(parts)


def shown(text: str, *names: str) -> str:
    """An expression's MathML on one line."""
    return linear(ElementTree.fromstring(expression_mathml(parse(text, names=names))))


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("(x-2)**2", "x", "(x-2)^{2}"),
        ("2*w1*w2 + w2*cos(w1)", "w1 w2", "2w_{1}w_{2}+w_{2}cos(w_{1})"),
        ("sin((w+1)**3)", "w", "sin((w+1)^{3})"),
        ("(r @ r)/n", "r n", "{r⋅r}/{n}"),
        ("-2/n * X.T @ r", "X r n", "-{2}/{n}X^{T}r"),
        ("1/sqrt(x)", "x", "{1}/{√{x}}"),
        ("w[0]*x**2 + w[1]*x + w[2]", "w x", "w_{0}x^{2}+w_{1}x+w_{2}"),
    ],
)
def test_seed_formulas(text: str, names: str, expected: str) -> None:
    """The formulas of the seed cases must be set as a textbook sets them."""
    assert shown(text, *names.split()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a - (b - c)", "a-(b-c)"),
        ("a + (b - c)", "a+b-c"),
        ("a * (-b)", "a(-b)"),
        ("a + -b", "a+(-b)"),
        ("(-a)**2", "(-a)^{2}"),
        ("-a**2", "-a^{2}"),
        ("a**b**c", "a^{b^{c}}"),
        ("(a**b)**c", "(a^{b})^{c}"),
        ("2*3", "2⋅3"),
        ("a*2", "a⋅2"),
        ("(a+b)*c", "(a+b)c"),
        ("(a/b)**2", "({a}/{b})^{2}"),
        ("sin(a)**2", "sin^{2}(a)"),
        ("exp(a)**2", "(e^{a})^{2}"),
        ("exp(-a)", "e^{-a}"),
        ("log(a)", "ln(a)"),
        ("abs(a - b)", "|a-b|"),
        ("norm(a)", "‖a‖"),
        ("norm(a, p=1)", "‖a‖_{1}"),
        ("sum((a - b)**2)", "∑(a-b)^{2}"),
        ("sum(a + b)", "∑(a+b)"),
        ("sum(a, dim=0)", "sum_{0}(a)"),
        ("sum(a) * 2", "(∑a)⋅2"),
        ("2 * sum(a)", "2∑a"),
        ("2 * sum(a) * b", "(2∑a)b"),
        ("sum(a) + b", "∑a+b"),
        ("b - sum(a)", "b-∑a"),
        ("-sum(a)", "-∑a"),
        ("softmax(a, dim=1)", "softmax_{1}(a)"),
        ("a[0, 1:]", "a_{0,1:}"),
        ("a.T", "a^{T}"),
        ("(a + b).T", "(a+b)^{T}"),
        ("(a > b) * c", "[a>b]c"),
        ("where(a > 0, a, 0)", "{a & if\u2002a>0;0 & otherwise;"),
        ("stack([a, 2])", "[a;2;]"),
        ("a * (b @ c)", "a(b⋅c)"),
        ("(a * b) @ c", "(ab)c"),
        ("1e-8*a", "10^{-8}a"),
        ("2.5e20", "2.5×10^{20}"),
        ("pi * e", "πe"),
        ("inf", "∞"),
        ("a // 2", "⌊{a}/{2}⌋"),
        ("layer_norm(a, eps=2)", "layer-norm(a,eps=2)"),
        ("(a > 0) & (b < 1)", "a>0∧b<1"),
    ],
)
def test_notation(text: str, expected: str) -> None:
    """Operators, functions and indices must be set with minimal and sufficient parentheses."""
    assert shown(text, "a", "b", "c") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("theta", "θ"),
        ("theta_1", "θ_{1}"),
        ("lambda_", "λ"),
        ("w12", "w_{12}"),
        ("x_max", "x_{max}"),
        ("rate", "rate"),
        ("e", "e"),
    ],
)
def test_names(name: str, expected: str) -> None:
    """Greek names and subscripts must be recognised in names."""
    assert shown(name, name) == expected


atoms = st.sampled_from(["a", "b", "w1", "2", "3", "0.5"])
expressions = st.recursive(
    atoms,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner).map(lambda t: f"({t[0]}){t[1]}({t[2]})")
        | inner.map(lambda text: f"-({text})")
        | inner.map(lambda text: f"exp({text})")
        | inner.map(lambda text: f"sqrt({text})")
        | inner.map(lambda text: f"reciprocal({text})")
    ),
    max_leaves=8,
)
VALUES = {"a": 1.7, "b": 0.6, "w1": 2.3, "exp": math.exp, "sqrt": math.sqrt, "reciprocal": lambda x: 1 / x}


def readable(element: ElementTree.Element) -> str:
    """A `<math>` tree as Python, read only with the usual precedence of what stands on the page."""
    parts = [readable(child) for child in element]
    text = element.text or ""
    match element.tag:
        case "mo":
            return {"−": "-", "\u2062": "*", "⋅": "*"}.get(text, text)
        case "mi":
            return "math.e" if text == "e" else text
        case "mfrac":
            return f"(({parts[0]})/({parts[1]}))"
        case "msup":
            return f"{parts[0]}**({parts[1]})"
        case "msub":
            return parts[0] + parts[1]
        case "msubsup":
            return f"{parts[0]}{parts[1]}**({parts[2]})"
        case "msqrt":
            return f"sqrt({''.join(parts)})"
        case "mrow" | "math":
            return "".join(parts)
        case _:
            return text


@given(expressions)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_what_is_set_means_what_was_written(text: str) -> None:
    """Reading the typeset formula with the usual precedence must give the expression's value."""
    python = readable(ElementTree.fromstring(text_mathml(text)))
    try:
        expected = eval(text, dict(VALUES))
    except (OverflowError, ZeroDivisionError, ValueError, TypeError):
        assume(False)
    assume(isinstance(expected, float | int))
    actual = eval(python, {**VALUES, "math": math})
    assert actual == pytest.approx(expected, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    "text",
    ["not an expression", "</math><script>alert(1)</script>", "'<b>' + x", "x = 1", "(" * 500, "x.y", "lambda: 0"],
)
def test_what_is_not_understood_stays_as_escaped_text(text: str) -> None:
    """Text that is no expression must come out as text and never as markup."""
    root = ElementTree.fromstring(text_mathml(text))
    assert {element.tag for element in root.iter()} <= {"math", "mrow", "mtext", "mo", "mi"}


def test_lines_stand_below_each_other() -> None:
    """Several outputs, one on each line, must become one row each."""
    root = ElementTree.fromstring(text_mathml("x**2\nx*y"))
    assert [linear(line) for line in root.iter("mtr")] == ["x^{2};", "xy;"]


@pytest.mark.parametrize(
    ("lhs", "expected"),
    [("f(x)", "f(x)=x^{2}"), ("∂f/∂w1", "{∂f}/{∂w_{1}}=x^{2}"), ("r", "r=x^{2}"), ("a name", "a name=x^{2}")],
)
def test_equations(lhs: str, expected: str) -> None:
    """Both sides must be set, a derivative on the left as a fraction."""
    for right in ("x**2", parse("x**2", names=["x"])):
        assert linear(ElementTree.fromstring(equation_mathml(lhs, right))) == expected
