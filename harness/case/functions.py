"""The functions and constants an expression may use, as a table; nothing outside it can be called.

A row says how a function is called, which torch callable computes it, and, where the function is a scalar one, what it
is in SymPy and mpmath. The table holds names only: torch and SymPy are imported when a row is first used. How calls are
checked is `expression`'s job, how they are run is `evaluate`'s.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

CONSTANTS: Mapping[str, float] = MappingProxyType({"pi": math.pi, "e": math.e, "tau": math.tau, "inf": math.inf})

TEXT_KEYWORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"reduction": ("mean", "sum", "none"), "approximate": ("none", "tanh")}
)
"""The keywords that take a word, and the words each takes."""

Casts = Literal["all", "first", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One callable of the expression language.

    Args:
        name: what an expression calls it.
        target: dotted name of the callable that computes it on tensors.
        least: smallest number of positional arguments.
        most: largest number of positional arguments; None is any number.
        keywords: keyword arguments it takes.
        casts: which arguments are made floating-point tensors first: plain numbers and integer tensors among them
            become tensors of the evaluation's dtype.
        context: whether the target takes the evaluation's dtype and device as a keyword ``context``.
        sympy: name of the SymPy function that is the same scalar function.
        mpmath: name of the mpmath function that is the same scalar function.
        formula: the function in terms of others of this table, over arguments ``a``, ``b``; for scalar functions
            that SymPy or mpmath does not name.
    """

    name: str
    target: str
    least: int = 1
    most: int | None = 1
    keywords: frozenset[str] = frozenset()
    casts: Casts = "all"
    context: bool = False
    sympy: str | None = None
    mpmath: str | None = None
    formula: str | None = None

    @property
    def torch(self) -> Callable[..., Any]:
        """The callable that computes the function on tensors."""
        return _resolve(self.target)

    @property
    def symbolic(self) -> Callable[..., Any] | None:
        """A callable on SymPy expressions, or None where the function is not a scalar one SymPy can differentiate."""
        return self._scalar("sympy", self.sympy)

    @property
    def precise(self) -> Callable[..., Any] | None:
        """A callable on mpmath numbers, or None where there is none."""
        return self._scalar("mpmath", self.mpmath)

    def _scalar(self, library: Literal["sympy", "mpmath"], name: str | None) -> Callable[..., Any] | None:
        if name is not None:
            return _resolve(f"{library}.{name}")
        return None if self.formula is None else _from_formula(self.formula, library)


@cache
def _resolve(dotted: str) -> Callable[..., Any]:
    """The object a dotted name stands for; only ever called with names of this table."""
    module, _, name = dotted.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _from_formula(formula: str, library: Literal["sympy", "mpmath"]) -> Callable[..., Any]:
    """A callable that computes `formula` over its arguments with the scalar functions of `library`."""
    from harness.case.scalars import evaluate_formula

    def function(*arguments: Any) -> Any:
        return evaluate_formula(formula, arguments, library)

    return function


def _row(
    name: str,
    target: str,
    count: tuple[int, int | None] = (1, 1),
    keywords: str = "",
    **rest: Any,
) -> Function:
    least, most = count
    return Function(name=name, target=target, least=least, most=most, keywords=frozenset(keywords.split()), **rest)


_ONE_NAME = (
    "sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh exp log sqrt erf erfc erfinv digamma floor sign"
)
_REDUCED = "dim keepdim"
_ANY = (1, None)


def _elementwise() -> Iterable[Function]:
    """Functions applied entry by entry."""
    for name in _ONE_NAME.split():
        yield _row(name, f"torch.{name}", sympy=name, mpmath=name)
    yield _row("atan2", "torch.atan2", (2, 2), sympy="atan2", mpmath="atan2")
    yield _row("expm1", "torch.expm1", mpmath="expm1", formula="exp(a) - 1")
    yield _row("exp2", "torch.exp2", formula="2**a")
    yield _row("log1p", "torch.log1p", mpmath="log1p", formula="log(1 + a)")
    yield _row("log2", "torch.log2", formula="log(a)/log(2)")
    yield _row("log10", "torch.log10", mpmath="log10", formula="log(a)/log(10)")
    yield _row("rsqrt", "torch.rsqrt", formula="1/sqrt(a)")
    yield _row("cbrt", "harness.case.operations.cbrt", formula="sign(a)*abs(a)**(1/3)")
    yield _row("abs", "torch.abs", sympy="Abs", mpmath="fabs", casts="none")
    yield _row("square", "torch.square", formula="a**2")
    yield _row("pow", "torch.pow", (2, 2), formula="a**b")
    yield _row("reciprocal", "torch.reciprocal", formula="1/a")
    yield _row("sigmoid", "torch.sigmoid", formula="1/(1 + exp(-a))")
    yield _row("logsigmoid", "torch.nn.functional.logsigmoid", formula="-log(1 + exp(-a))")
    yield _row("softplus", "torch.nn.functional.softplus", (1, 1), "beta threshold", formula="log(1 + exp(a))")
    yield _row("relu", "torch.relu", formula="maximum(a, 0)")
    yield _row("leaky_relu", "torch.nn.functional.leaky_relu", (1, 2), "negative_slope")
    yield _row("elu", "torch.nn.functional.elu", (1, 1), "alpha")
    yield _row("gelu", "torch.nn.functional.gelu", (1, 1), "approximate", formula="a/2*(1 + erf(a/sqrt(2)))")
    yield _row("silu", "torch.nn.functional.silu", formula="a/(1 + exp(-a))")
    yield _row("lgamma", "torch.lgamma", sympy="loggamma", mpmath="loggamma")
    yield _row("sinc", "torch.sinc", formula="sin(pi*a)/(pi*a)")
    yield _row("heaviside", "torch.heaviside", (2, 2), sympy="Heaviside")
    yield _row("ceil", "torch.ceil", sympy="ceiling", mpmath="ceil")
    yield _row("round", "torch.round", (1, 1), "decimals")
    yield _row("trunc", "torch.trunc")
    yield _row("clamp", "harness.case.operations.clamp", (1, 3), "min max")
    yield _row("minimum", "torch.minimum", (2, 2), sympy="Min")
    yield _row("maximum", "torch.maximum", (2, 2), sympy="Max")
    yield _row("where", "torch.where", (3, 3), casts="none")
    yield _row("hypot", "torch.hypot", (2, 2), mpmath="hypot", formula="sqrt(a**2 + b**2)")
    yield _row("logaddexp", "torch.logaddexp", (2, 2), formula="log(exp(a) + exp(b))")
    yield _row("xlogy", "torch.xlogy", (2, 2), formula="a*log(b)")
    yield _row("detach", "torch.detach", casts="none")


def _reductions() -> Iterable[Function]:
    """Functions over the entries along some dims, or along all."""
    for name in ("sum", "mean", "prod"):
        yield _row(name, f"torch.{name}", (1, 2), _REDUCED)
    for name in ("var", "std"):
        yield _row(name, f"torch.{name}", (1, 2), _REDUCED + " correction unbiased")
    for name in ("all", "any"):
        yield _row(name, f"torch.{name}", (1, 2), _REDUCED, casts="none")
    for name in ("argmax", "argmin"):
        yield _row(name, f"torch.{name}", (1, 2), _REDUCED)
    for name in ("max", "min", "logsumexp"):
        yield _row(name, f"harness.case.operations.{name}", (1, 2), _REDUCED)
    yield _row("norm", "harness.case.operations.norm", (1, 2), _REDUCED + " p")
    for name in ("cumsum", "cumprod", "softmax", "log_softmax", "sort"):
        yield _row(name, f"harness.case.operations.{name}", (1, 2), "dim")
    yield _row("diff", "torch.diff", (1, 2), "dim")


def _linear_algebra() -> Iterable[Function]:
    """Products, factorisations and solves."""
    for name in ("dot", "matmul", "mv", "outer", "kron"):
        yield _row(name, f"torch.{name}", (2, 2))
    yield _row("cross", "torch.linalg.cross", (2, 2), "dim")
    yield _row("trace", "torch.trace")
    yield _row("logdet", "torch.logdet")
    for name in ("det", "inv", "cholesky", "eigvalsh", "svdvals"):
        yield _row(name, f"torch.linalg.{name}")
    yield _row("solve", "torch.linalg.solve", (2, 2))
    for name in ("diag", "tril", "triu"):
        yield _row(name, f"torch.{name}", (1, 2), "diagonal", casts="none")


def _shapes() -> Iterable[Function]:
    """Functions that only move entries."""
    for name in ("stack", "cat"):
        yield _row(name, f"harness.case.operations.{name}", (1, 2), "dim", context=True, casts="none")
    for name in ("reshape", "view", "expand", "permute"):
        yield _row(name, f"harness.case.operations.{name}", (2, None), casts="none")
    yield _row("transpose", "harness.case.operations.transpose", (1, 3), casts="none")
    yield _row("flatten", "torch.flatten", (1, 3), "start_dim end_dim", casts="none")
    yield _row("unsqueeze", "torch.unsqueeze", (1, 2), "dim", casts="none")
    yield _row("squeeze", "torch.squeeze", (1, 2), "dim", casts="none")
    yield _row("flip", "harness.case.operations.flip", (1, 2), "dims", casts="none")
    yield _row("roll", "torch.roll", (2, 3), "dims", casts="none")
    yield _row("gather", "torch.gather", (3, 3), casts="none")


def _constructors() -> Iterable[Function]:
    """New tensors, in the dtype and on the device of the inputs."""
    for name, count in (("zeros", _ANY), ("ones", _ANY), ("eye", (1, 2)), ("arange", (1, 3)), ("linspace", (3, 3))):
        yield _row(name, f"harness.case.operations.{name}", count, casts="none", context=True)
    yield _row("full", "harness.case.operations.full", (2, 2), casts="none", context=True)
    yield _row("tensor", "harness.case.operations.tensor", casts="none", context=True)
    yield _row("zeros_like", "torch.zeros_like")
    yield _row("ones_like", "torch.ones_like")


def _layers() -> Iterable[Function]:
    """Losses and layers of torch.nn.functional."""
    for name in ("mse_loss", "l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"):
        yield _row(name, f"torch.nn.functional.{name}", (2, 2), "reduction")
    yield _row("huber_loss", "torch.nn.functional.huber_loss", (2, 2), "reduction delta")
    yield _row("smooth_l1_loss", "torch.nn.functional.smooth_l1_loss", (2, 2), "reduction beta")
    cross = "reduction label_smoothing"
    yield _row("cross_entropy", "torch.nn.functional.cross_entropy", (2, 2), cross, casts="first")
    yield _row("nll_loss", "torch.nn.functional.nll_loss", (2, 2), "reduction", casts="first")
    yield _row("layer_norm", "harness.case.operations.layer_norm", (1, 4), "weight bias eps")
    yield _row("linear", "torch.nn.functional.linear", (2, 3))
    for name in ("conv1d", "conv2d"):
        yield _row(name, f"torch.nn.functional.{name}", (2, 3), "stride padding dilation groups")


def _complex() -> Iterable[Function]:
    """Complex numbers."""
    yield _row("complex", "torch.complex", (2, 2))
    yield _row("angle", "torch.angle")
    for name in ("real", "conj"):
        yield _row(name, f"torch.{name}")
    yield _row("imag", "harness.case.operations.imag")


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        function.name: function
        for group in (_elementwise, _reductions, _linear_algebra, _shapes, _constructors, _layers, _complex)
        for function in group()
    }
)
