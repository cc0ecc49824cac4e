"""How each function of the expression language is set as mathematics.

A table from names to builders of MathML pieces; a function without a row is set upright, with its arguments in
parentheses. Parsing and keywords are `mathml`'s job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from harness.report.mathml_parts import (
    Level,
    Part,
    added,
    applied,
    bound,
    fenced,
    fraction,
    negated,
    number,
    power,
    product,
    root,
    subscript,
    word,
)

Build = Callable[..., Part]
ONE = number(1)
E = word("e")

UPRIGHT: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in ["sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc", "det"]},
        **{f"a{name}": f"arc{name}" for name in ["sin", "cos", "tan"]},
        **{f"a{name}": f"ar{name}" for name in ["sinh", "cosh", "tanh"]},
        "log": "ln",
        "sign": "sgn",
        "trace": "tr",
        "angle": "arg",
        "real": "Re",
        "imag": "Im",
        "relu": "ReLU",
        "maximum": "max",
        "minimum": "min",
        "sigmoid": "σ",
        "digamma": "ψ",
        "heaviside": "H",
        "gelu": "GELU",
        "silu": "SiLU",
        "elu": "ELU",
        "argmax": "arg max",
        "argmin": "arg min",
        "logsumexp": "log-sum-exp",
    }
)
"""Names that differ from, or are settled ways of, writing the function; `sin(x)**2` raises the name."""

RAISED = frozenset(["sin", "cos", "tan", "sinh", "cosh", "tanh", "log"])
"""Functions whose powers are written on the name, as in sin²(x)."""


def _exp(argument: Part) -> Part:
    return power(E, argument)


def _ln(argument: Part) -> Part:
    return applied(word("ln"), argument)


def _based(base: int) -> Build:
    return lambda argument: applied(subscript(word("log"), f"<mn>{base}</mn>"), argument)


def _infix(sign: str) -> Build:
    return lambda left, right: product(left, right, sign)


def _fence(left: str, right: str) -> Build:
    return lambda argument: fenced(argument, left, right)


def _big(sign: str) -> Build:
    def build(argument: Part) -> Part:
        held = fenced(argument) if argument.negative else bound(argument, Level.PRODUCT)
        return Part(markup=f'<mo largeop="true">{sign}</mo>{held.markup}', level=Level.OPEN, word_first=True)

    return build


def _transposed(argument: Part, *dims: Part) -> Part:
    return applied(word("transpose"), argument, *dims) if dims else transpose(argument)


def transpose(argument: Part) -> Part:
    """Set a transposed matrix."""
    return Part(markup=power(argument, word("T").markup).markup)


def _sized(symbol: str) -> Build:
    def build(*sizes: Part) -> Part:
        below = "<mo>×</mo>".join(size.markup for size in sizes)
        return subscript(Part(markup=f'<mi mathvariant="normal">{symbol}</mi>'), below)

    return build


def column(entries: Part, *_: Part) -> Part:
    """Set what was stacked; a bracketed list of entries is already a column."""
    return entries


BUILDERS: Mapping[str, Build] = MappingProxyType(
    {
        "sqrt": root,
        "cbrt": lambda a: root(a, 3),
        "rsqrt": lambda a: fraction(ONE, root(a)),
        "reciprocal": lambda a: fraction(ONE, a),
        "square": lambda a: power(a, number(2)),
        "pow": power,
        "abs": _fence("|", "|"),
        "norm": _fence("‖", "‖"),
        "floor": _fence("⌊", "⌋"),
        "ceil": _fence("⌈", "⌉"),
        "exp": _exp,
        "exp2": lambda a: power(number(2), a),
        "expm1": lambda a: added(_exp(a), ONE, "−"),
        "log1p": lambda a: _ln(added(ONE, a, "+")),
        "log2": _based(2),
        "log10": _based(10),
        "logaddexp": lambda a, b: _ln(added(_exp(a), _exp(b), "+")),
        "xlogy": lambda a, b: product(a, _ln(b)),
        "hypot": lambda a, b: root(added(power(a, number(2)), power(b, number(2)), "+")),
        "lgamma": lambda a: _ln(applied(word("Γ"), a)),
        "logdet": lambda a: _ln(applied(word("det"), a)),
        "sum": _big("∑"),
        "prod": _big("∏"),
        "dot": _infix("⋅"),
        "matmul": product,
        "mv": product,
        "outer": _infix("⊗"),
        "kron": _infix("⊗"),
        "cross": _infix("×"),
        "inv": lambda a: power(a, negated(ONE)),
        "transpose": _transposed,
        "conj": lambda a: power(a, "<mo>∗</mo>"),
        "complex": lambda a, b: added(a, product(Part(markup="<mi>i</mi>"), b), "+"),
        "eye": _sized("I"),
        "zeros": _sized("0"),
        "ones": _sized("1"),
        "stack": column,
        "tensor": column,
    }
)
"""Functions with a notation of their own; each builder takes the positional arguments as pieces."""
