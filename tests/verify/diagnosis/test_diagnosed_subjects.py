"""Whole subjects with a planted fault: the verdict's findings name it, and right ones are left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.case.expression import parse
from harness.case.subject import Input, Point, Subject
from harness.records import Finding, Outcome
from harness.verify.api import check
from harness.verify.check import verify_subject
from harness.verify.options import VerifyOptions
from harness.verify.scene import Labels


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


Backward = Callable[..., tuple[Tensor | None, ...]]


def with_backward(function: Callable[..., Tensor], change: Backward) -> Callable[..., Tensor]:
    """A function whose backward is changed: `change` gets the true gradients, the cotangent and the inputs."""

    class Changed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Tensor) -> Tensor:
            ctx.save_for_backward(*inputs)
            return function(*inputs)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, g: Tensor) -> Any:
            inputs = [value.detach().requires_grad_(True) for value in ctx.saved_tensors]
            with torch.enable_grad():
                true = torch.autograd.grad(function(*inputs), inputs, g)
            return change(true, g, *(value.detach() for value in inputs))

    return lambda *inputs: Changed.apply(*inputs)  # type: ignore[no-untyped-call]


def softplus(x: Tensor) -> Tensor:
    """log(1 + eˣ)."""
    return torch.nn.functional.softplus(x)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Σ a² b."""
    return (a * a * b).sum()


def loss(z: Tensor) -> Tensor:
    """A loss per row."""
    return z.logsumexp(1)


def shift(x: Tensor, b: Tensor) -> Tensor:
    """A bias added to every row, then cubed."""
    return (x + b) ** 3


SQUARE = {"x": normal(4, 4)}
PAIR = {"a": normal(4, 3, seed=1), "b": normal(4, 3, seed=2)}
ROWS = {"z": normal(5, 4, seed=3)}
BIAS = {"x": normal(5, 3, seed=4), "b": normal(3, seed=5)}
LONG = {"x": 2 * normal(37, seed=6)}
FAULTS: dict[str, tuple[Callable[..., Tensor], Backward, Mapping[str, Tensor], str, str]] = {
    "doubled": (softplus, lambda t, g, x: (2 * t[0],), SQUARE, "factor", "a factor 2 too many?"),
    "sign": (product, lambda t, g, a, b: (-t[0], t[1]), PAIR, "sign", "a wrong sign?"),
    "zero": (product, lambda t, g, a, b: (t[0], 0 * t[1]), PAIR, "zero", "is a path cut"),
    "mean": (loss, lambda t, g, z: (t[0] / 5,), ROWS, "factor", "a mean instead of a sum?"),
    "transposed": (softplus, lambda t, g, x: (t[0].T,), SQUARE, "transpose", "the transpose of the true gradient"),
    "swapped": (product, lambda t, g, a, b: (t[1], t[0]), PAIR, "swapped", "each other's place"),
    "ignored": (softplus, lambda t, g, x: (t[0] / g,), SQUARE, "cotangent", "is it ignored?"),
    "first of all": (
        loss,
        lambda t, g, z: (t[0] / g[:, None] * g[0],),
        ROWS,
        "cotangent",
        "is grad_out[0] used for all?",
    ),
    "not summed": (
        shift,
        lambda t, g, x, b: (t[0], (3 * g * (x + b) ** 2)[0]),
        BIAS,
        "not summed",
        "the output's first slice along axis 0",
    ),
    "tail": (
        softplus,
        lambda t, g, x: (torch.cat([t[0][:32], 0 * t[0][32:]]),),
        LONG,
        "tail",
        "the tail past a multiple of 32?",
    ),
    "threshold": (
        softplus,
        lambda t, g, x: (torch.where(x > 1, 0.5 * t[0], t[0]),),
        LONG,
        "threshold",
        "there it is 0.5 × the true gradient",
    ),
    "flipped": (softplus, lambda t, g, x: (t[0].flip(0),), LONG, "flip", "flipped along axis 0"),
    "absolute": (product, lambda t, g, a, b: (t[0].abs(), t[1]), PAIR, "sign", "absolute value"),
}


def failing(findings: tuple[Finding, ...]) -> list[Finding]:
    """First-order failures of the subject's own gradient."""
    return [f for f in findings if f.outcome is Outcome.FAIL and f.route == "autograd" and f.order == 1]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_by_check(name: str) -> None:
    """A subject with one planted fault must fail, with findings that name it and none that names another."""
    function, change, inputs, pattern, words = FAULTS[name]
    reference = function if name in ("not summed", "ignored") else None
    subject = with_backward(function, change)
    verdict = check(subject, inputs, reference=reference, effort="quick", name=name)
    assert verdict.outcome is Outcome.FAIL
    told = {f.diagnosis.pattern for f in failing(verdict.findings) if f.diagnosis is not None}
    assert told == {pattern}
    assert any(words in f.message for f in failing(verdict.findings))


@pytest.mark.parametrize("seed", range(3))
def test_a_fault_without_a_pattern_gets_no_name(seed: int) -> None:
    """Noise in a gradient must fail without a diagnosis."""
    subject = with_backward(product, lambda t, g, a, b: (t[0] + 0.1 * normal(4, 3, seed=50 + seed), t[1]))
    verdict = check(subject, PAIR, effort="quick", name="noise")
    assert verdict.outcome is Outcome.FAIL
    assert [f.diagnosis for f in failing(verdict.findings) if f.diagnosis is not None] == []


def test_a_right_subject_has_no_diagnosis() -> None:
    """Nothing is diagnosed where nothing fails."""
    verdict = check(softplus, SQUARE)
    assert verdict.outcome is Outcome.PASS
    assert all(f.diagnosis is None for f in verdict.findings)


def expression(text: str, gradient: str, *, let: Mapping[str, str] | None = None) -> tuple[Finding, ...]:
    """Check an expression of x (5 numbers) and a (a number) with a gradient for x somebody wrote."""
    known = ["x", "a", *(let or {})]
    lets = {name: parse(value, names=known) for name, value in (let or {}).items()}
    whole, wrong = parse(text, names=known), parse(gradient, names=["x", "a", "cotangent"])

    def values(tensors: Mapping[str, Tensor]) -> dict[str, Tensor | int]:
        found: dict[str, Tensor | int] = dict(tensors)
        for name, value in lets.items():
            found[name] = value.evaluate(found)
        return found

    subject = Subject(
        name="expression",
        inputs={"x": Input(shape=(5,)), "a": Input()},
        function=lambda tensors: (whole.evaluate(values(tensors)),),
        gradient=lambda tensors, cotangents: {"x": wrong.evaluate({**tensors, "cotangent": cotangents[0]})},
        expressions=(whole,),
        let=lets,
        gradient_expressions={"x": wrong},
    )
    point = Point(name="random 0", values={"x": normal(5, seed=8), "a": normal(1, seed=9)[0]}, sizes={}, seed=0)
    checked = verify_subject(
        subject, [point], Labels(case="expression", seed=0, device="cpu"), VerifyOptions(orders=(1,))
    )
    return tuple(f for f in checked.findings if f.check == "analytic ~ finite differences" and f.input == "x")


@pytest.mark.parametrize(
    ("text", "gradient", "pattern", "words"),
    [
        ("sum(x**3 + a*sin(x))", "3*x**2", "missing part", "lacks what comes through the term a * sin(x)"),
        ("sum(x**3 - a*sin(x))", "3*x**2 + a*cos(x)", "sign of a part", "through the term a * sin(x)"),
        ("sum(x**3 + a*sin(x))", "6*x**2 + a*cos(x)", "doubled part", "through the term x ** 3"),
        ("sum(x*exp(x))", "exp(x)", "missing part", "x in exp(x)"),
        ("sum(sin(x)*u)", "cos(x)*exp(a*x)", "missing part", "x in a * x"),
    ],
)
def test_a_missing_part_of_an_expression_is_named(text: str, gradient: str, pattern: str, words: str) -> None:
    """A term, or one half of a product rule, that an author forgot is told by the piece of the function it is in."""
    (finding,) = expression(text, gradient, let={"u": "exp(a*x)"})
    assert finding.outcome is Outcome.FAIL
    assert finding.diagnosis is not None
    assert finding.diagnosis.pattern == pattern
    assert words in finding.message


def test_no_part_is_named_when_none_is_missing() -> None:
    """An unlike formula is not explained by parts."""
    (finding,) = expression("sum(x**3 + a*sin(x))", "3*x**2 + a*sin(x)")
    assert finding.outcome is Outcome.FAIL
    assert finding.diagnosis is None
