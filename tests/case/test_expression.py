"""Expressions: what is allowed computes what torch computes; what is not is refused at its place."""

from __future__ import annotations

import math
import pickle

import pytest
import torch

from harness.case.expression import CONSTANTS, FUNCTIONS, ExpressionError, parse

NAMES = {"x", "w", "X", "y", "labels", "n"}


def _values(dtype: torch.dtype) -> dict[str, torch.Tensor | int]:
    generator = torch.Generator().manual_seed(0)
    return {
        "x": torch.tensor(0.7, dtype=dtype),
        "w": torch.rand(3, dtype=torch.float64, generator=generator).to(dtype) + 0.5,
        "X": torch.rand(4, 3, dtype=torch.float64, generator=generator).to(dtype),
        "y": torch.rand(4, dtype=torch.float64, generator=generator).to(dtype),
        "labels": torch.tensor([0, 2, 1, 0]),
        "n": 4,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2*x**2 - 3/x + 1", lambda v: 2 * v["x"] ** 2 - 3 / v["x"] + 1),
        ("-2/n * X.T @ (y - X @ w)", lambda v: -2 / 4 * v["X"].T @ (v["y"] - v["X"] @ v["w"])),
        ("sum(X, dim=0, keepdim=True)", lambda v: v["X"].sum(0, keepdim=True)),
        ("X[..., 0] + X[:, -1] + X[0:4:1, 1]", lambda v: v["X"][:, 0] + v["X"][:, -1] + v["X"][:, 1]),
        ("w[None, :]", lambda v: v["w"][None]),
        ("X[arange(n), labels]", lambda v: v["X"][torch.arange(4), v["labels"]]),
        ("where((w > 1) & (w < 2), w, 0)", lambda v: torch.where((v["w"] > 1) & (v["w"] < 2), v["w"], 0)),
        ("stack([w[0], x, 2])", lambda v: torch.stack([v["w"][0], v["x"], torch.tensor(2.0).to(v["x"])])),
        ("cross_entropy(X, labels)", lambda v: torch.nn.functional.cross_entropy(v["X"], v["labels"])),
        ("labels / 2", lambda v: v["labels"].to(v["x"].dtype) / 2),
        ("0.5 * labels", lambda v: 0.5 * v["labels"].to(v["x"].dtype)),
        ("reshape(X, n//2, -1)", lambda v: v["X"].reshape(2, -1)),
        ("maximum(w, 1)", lambda v: v["w"].clamp(min=1)),
        ("real((1 + 2j) * w)", lambda v: v["w"]),
        ("tensor([[1, 2], [x, x]])", lambda v: torch.stack([torch.tensor([1.0, 2.0]).to(v["x"]), v["x"].expand(2)])),
        ("norm(w) + logsumexp(X)", lambda v: v["w"].norm() + v["X"].flatten().logsumexp(0)),
        ("max(X, dim=1)", lambda v: v["X"].max(1).values),
        ("w.T + (w > 1) * w", lambda v: v["w"] + (v["w"] > 1) * v["w"]),
        ("  x\n + 1 ", lambda v: v["x"] + 1),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_expression_computes_what_torch_does(text, expected, dtype):
    """An allowed expression gives torch's own result, in the dtype of the inputs."""
    values = _values(dtype)
    result = parse(text, names=NAMES).evaluate(values)
    assert result.dtype == dtype
    torch.testing.assert_close(result, expected(values))


@pytest.mark.parametrize(
    "text", ["pi*x", "x/3 + e", "zeros(3) + w", "sqrt(2)*x", "w + arange(3)", "x ** 0.5", "2 ** w"]
)
def test_constants_never_widen_a_low_precision_tensor(text):
    """Constants and new tensors take the dtype of the inputs."""
    values = _values(torch.bfloat16)
    assert parse(text, names=NAMES).evaluate(values).dtype == torch.bfloat16


def test_constants_alone_are_float64():
    """Without inputs an expression is computed in float64."""
    result = parse("pi - 1", names=()).evaluate({})
    assert result.dtype == torch.float64
    assert result.item() == math.pi - 1


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("__import__('os')", 0, "unknown function '__import__'"),
        ("().__class__.__bases__", 0, "attribute .__bases__"),
        ("x.__class__", 0, "attribute .__class__"),
        ("1 + x.data", 4, "only .T, .mT, .real, .imag"),
        ("x.sum()", 0, "write sum(…)"),
        ("torch.sin(x)", 0, "write sin(…)"),
        ("1 + (lambda: 1)", 5, "lambda"),
        ("stack([w for q in w])", 6, "comprehensions"),
        ("f'{x}'", 0, "f-strings"),
        ("(q := 1)", 1, "assignment"),
        ("q = 1", 2, "let"),
        ("sum(*w)", 4, "starred"),
        ("sum(w, **x)", 0, "starred"),
        ("snn(x)", 0, "did you mean 'sin'?"),
        ("1 + foo(x)", 4, "unknown function 'foo'"),
        ("x + zz", 4, "unknown name 'zz'"),
        ("sum(w, dmi=0)", 7, "did you mean 'dim'?"),
        ("sin(x, dim=0)", 7, "takes no keyword 'dim'"),
        ("sin(x, x)", 0, "takes 1 argument, not 2"),
        ("sin + x", 0, "is a function"),
        ("9**9**9", 3, "exponent is too large"),
        ("x**1001", 3, "exponent is too large"),
        ("x**(500*3)", 4, "exponent is too large"),
        ("x/(1 - 1)", 3, "division by zero"),
        ("0 < x < 1", 0, "chained comparisons"),
        ("1 if n else 2", 0, "where(c, a, b)"),
        ("x and w", 0, "&"),
        ("not x", 0, "~(a)"),
        ("x ^ 2", 0, "x**2"),
        ("x if", 0, "not an expression"),
        ("w, x", 0, "list of texts"),
        ("[w]", 0, "inside a call"),
        ("'text'", 0, "is not a number"),
        ("True", 0, "is not a number"),
        ("1e999", 0, "too large"),
        ("1" + "0" * 30, 0, "2**63"),
        ("2x", 0, "not an expression"),
        ("2(x)", 0, "* is never left out"),
        ("x(2)", 0, "* is never left out"),
        ("", 0, "empty"),
        ("x # y", 2, "comments"),
        ("x\0", 0, "null"),
        ("-" * 10_000 + "x", 0, "deep"),
        ("+".join(["x"] * 200), 0, "nested more than 100 deep"),
        ("w + stack([" + "x," * 5000 + "])", 0, "parts"),
        ("x" * 10_000_000, 0, "10,000,000 characters"),
        ("import os", 0, "not an expression"),
        ("gelu(w, approximate='exact')", 20, "'none', 'tanh'"),
        ("x in w", 0, "compare"),
        ("x << 2", 0, "LShift"),
    ],
)
def test_what_is_not_allowed_is_refused(text, offset, words):
    """Everything outside the whitelist is refused in one clear message."""
    with pytest.raises(ExpressionError) as caught:
        parse(text, names=NAMES)
    assert words in caught.value.message
    if offset:
        assert caught.value.offset == offset


def test_offsets_count_characters_not_bytes():
    """The offset of a fault after non-ASCII letters counts characters."""
    with pytest.raises(ExpressionError) as caught:
        parse(" é + zz", names={"é"})
    assert caught.value.offset == 5


def test_names_hide_constants():
    """An input may be called e; it is then the input."""
    assert parse("e + 0", names={"e"}).evaluate({"e": torch.tensor(1.5)}).item() == 1.5
    assert "e" in CONSTANTS


@pytest.mark.parametrize(
    "text", ["zeros(10**4, 10**4)", "ones(n*10**7)", "arange(1e9)", "eye(10**5)", "expand(x, 10**8)"]
)
def test_arrays_are_bounded(text):
    """Constructors refuse arrays beyond their bound, with an error of ours and not an exhausted memory."""
    from harness.errors import UsageError

    with pytest.raises(UsageError, match="Cannot make"):
        parse(text, names=NAMES).evaluate(_values(torch.float64))


def test_division_of_sizes_by_zero_is_ieee():
    """1/(n − 1) at n = 1 is infinite, as it would be on tensors, and no exception."""
    assert math.isinf(parse("1/(n - 1)", names={"n"}).evaluate({"n": 1}).item())


def test_large_powers_of_sizes_stay_small():
    """A power of sizes never builds a huge integer."""
    assert math.isinf(parse("(n*n)**n", names={"n"}).evaluate({"n": 10_000_000}).item())


def test_every_function_is_there():
    """Every row of the table names a callable that exists."""
    for function in FUNCTIONS.values():
        assert callable(function.torch), function.name


@pytest.mark.parametrize("name", [name for name, row in FUNCTIONS.items() if row.sympy or row.formula])
def test_symbolic_twin_agrees_with_torch(name):
    """The SymPy form of a function has the function's value."""
    function = FUNCTIONS[name]
    arguments = [0.625, 0.375][: function.least]
    if name == "acosh":
        arguments = [1.625]
    expected = function.torch(*(torch.tensor(value, dtype=torch.float64) for value in arguments)).item()
    assert function.symbolic is not None
    assert float(function.symbolic(*arguments)) == pytest.approx(expected, rel=1e-12)


def test_expressions_survive_pickling():
    """An expression can travel to a worker process and still run there."""
    again = pickle.loads(pickle.dumps(parse("x + pi", names={"x"})))
    assert again.evaluate({"x": torch.tensor(0.0)}).item() == pytest.approx(math.pi)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch imports it itself
def test_expressions_run_under_vmap_and_forward_mode():
    """Expressions are plain torch code: torch.func transforms them."""
    program = parse("sum(where(w > 0, log(w), 0)) + minimum(w[0], 2)", names={"w"}).evaluate
    rows = torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    batched = torch.func.vmap(torch.func.jacfwd(lambda w: program({"w": w})))(rows)
    expected = 1 / rows + torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(batched, expected)


def test_gradients_flow_into_built_tensors():
    """A tensor built of inputs carries their gradients."""
    x = torch.tensor(2.0, requires_grad=True)
    result = parse("sum(tensor([[x, 1], [0, x*x]]))", names={"x"}).evaluate({"x": x})
    assert torch.autograd.grad(result, x)[0].item() == 5.0


def test_T_of_more_than_two_dims_is_refused():  # noqa: N802
    """`.T` has one meaning only; with more dims it asks for `.mT`."""
    from harness.errors import UsageError

    with pytest.raises(UsageError, match=r"\.mT"):
        parse("a.T", names={"a"}).evaluate({"a": torch.zeros(2, 2, 2)})
