"""`harness.check`: what it takes, every outcome it gives, misuse, seeds, and unusual but right functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

import harness
from harness.case.subject import Input
from harness.errors import CheckFailedError, HarnessError, UsageError
from harness.records import Outcome
from harness.verify.api import check


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Seeded normal numbers, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_the_package_s_own_entry() -> None:
    """`harness.check` is this function."""
    assert harness.check is check


# Misuse

MISUSE: dict[str, tuple[Callable[[], object], str]] = {
    "an unknown effort": (lambda: check(torch.sin, {"x": normal(2)}, effort="huge"), "effort='huge'"),
    "no function": (lambda: check(3, {"x": normal(2)}), "fn=3"),  # type: ignore[arg-type]
    "no inputs": (lambda: check(torch.sin, {}), "inputs="),
    "inputs that are no mapping": (lambda: check(torch.sin, [normal(2)]), "inputs="),  # type: ignore[arg-type]
    "an input that is no tensor": (lambda: check(torch.sin, {"x": "one"}), "input x='one'"),
    "nothing to differentiate": (lambda: check(torch.abs, {"x": torch.tensor([1, 2])}), "no input is differentiable"),
    "a size without a value": (lambda: check(torch.sin, {"x": Input(shape=("n",))}), "'n' is not in dims"),
    "a stray gradient": (lambda: check(torch.sin, {"x": normal(2)}, gradient={"y": torch.cos}), "'y' is no input"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_names_the_argument(name: str) -> None:
    """Misuse raises, and the message says which argument and what it was."""
    misuse, words = MISUSE[name]
    with pytest.raises(UsageError) as caught:
        misuse()
    assert words in str(caught.value)


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_messages_have_one_form(name: str) -> None:
    """Every message of misuse begins alike."""
    with pytest.raises(HarnessError, match=r"^Cannot "):
        MISUSE[name][0]()


def test_an_unknown_draw_is_misuse() -> None:
    """A draw there is none of is refused, with the draws there are."""
    with pytest.raises(UsageError, match=r"gauss.*normal, uniform"):
        check(torch.sin, {"x": Input(shape=(2,), draw="gauss")})


# Outcomes

OUTCOMES: dict[str, tuple[Callable[..., Any], Tensor, Outcome]] = {
    "a right gradient": (torch.sin, normal(3), Outcome.PASS),
    "a cut path": (lambda x: x.sin() + (x**2).detach(), normal(3), Outcome.FAIL),
    "a constant": (lambda x: 0 * x + 3, normal(3), Outcome.VACUOUS),
    "nothing but ties": (torch.amax, torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64), Outcome.VACUOUS),
    "a value that is not finite": (torch.log, torch.tensor([-1.0], dtype=torch.float64), Outcome.SKIPPED),
    "no numbers": (torch.sin, torch.zeros(0, dtype=torch.float64), Outcome.SKIPPED),
    "a frequency beyond the ladder": (
        lambda x: torch.sin(1e14 * x) * 1.0,
        torch.tensor([0.7], dtype=torch.float64),
        Outcome.INCONCLUSIVE,
    ),
    "a function that raises": (lambda x: x.nonsense(), normal(3), Outcome.ERROR),
    "no path at all": (lambda x: x.detach() * 2, normal(3), Outcome.FAIL),
    "integers": (torch.argmax, normal(3), Outcome.FAIL),
    "a bare number": (lambda x: float(x.sum()), normal(3), Outcome.ERROR),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcomes(name: str) -> None:
    """Every outcome is seen where it belongs."""
    function, x, outcome = OUTCOMES[name]
    verdict = check(function, {"x": x})
    assert verdict.outcome is outcome, verdict.message


def test_a_skipped_verdict_says_why() -> None:
    """The message gives the reason, not only that nothing was checked."""
    assert "not finite" in check(torch.log, {"x": torch.tensor([-1.0], dtype=torch.float64)}).message


def test_a_pass_does_not_raise() -> None:
    """raise_if_failed lets a pass through."""
    check(torch.sin, {"x": normal(2)}).raise_if_failed()


def test_a_failure_raises_with_the_finding() -> None:
    """raise_if_failed is a failed assertion that names entry, numbers and bar."""
    with pytest.raises(CheckFailedError, match=r"∂f/∂x\[\d\] is .* by autograd but .* by finite differences") as caught:
        check(lambda x: (x.sin() * x.detach()).sum(), {"x": normal(3)}).raise_if_failed()
    assert isinstance(caught.value, AssertionError)


@pytest.mark.parametrize("name", ["a constant", "a value that is not finite", "a frequency beyond the ladder"])
def test_anything_but_a_pass_raises(name: str) -> None:
    """A verdict that is not PASS is no passed test."""
    function, x, _ = OUTCOMES[name]
    with pytest.raises(CheckFailedError):
        check(function, {"x": x}).raise_if_failed()


# Seeds


def test_the_same_seed_gives_equal_findings() -> None:
    """A check can be repeated exactly."""
    one, two = (check(torch.sin, {"x": Input(shape=(3,))}, seed=5, name="s") for _ in range(2))
    assert one == two


def test_another_seed_draws_other_points() -> None:
    """Another seed is another sample."""
    one, two = (check(torch.sin, {"x": Input(shape=(3,))}, seed=seed, name="s") for seed in (5, 6))
    assert [f.actual for f in one.findings] != [f.actual for f in two.findings]


def test_the_global_generator_is_left_alone() -> None:
    """A check neither reads nor moves torch's global random state."""
    before = torch.get_rng_state()
    check(torch.sin, {"x": Input(shape=(3,))})
    assert torch.equal(before, torch.get_rng_state())


def test_inputs_are_left_alone() -> None:
    """A subject that overwrites its inputs changes neither the caller's tensors nor the verdict's numbers."""
    x = normal(3)
    kept = x.clone()
    check(lambda x: x.data.mul_(2).sum() * x.sum(), {"x": x})
    assert torch.equal(x, kept)


def test_gradients_of_the_caller_are_left_alone() -> None:
    """The caller's own .grad is not touched."""
    x = normal(3).requires_grad_(True)
    check(lambda x: (x**2).sum(), {"x": x})
    assert x.grad is None


# What may be given

GRADIENTS: dict[str, object] = {
    "one tensor": lambda x: 2 * x,
    "with the cotangent": lambda x, cotangent: 2 * x * cotangent,
    "a mapping of functions": {"x": lambda x: 2 * x},
    "a function that returns a mapping": lambda x: {"x": 2 * x},
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_forms_of_an_analytic_gradient(name: str) -> None:
    """Every form of a gradient is understood, and compared."""
    verdict = check(lambda x: (x**2).sum(), {"x": normal(3)}, gradient=GRADIENTS[name])  # type: ignore[arg-type]
    assert verdict.outcome is Outcome.PASS
    assert any("analytic" in f.check for f in verdict.findings)


def test_a_wrong_analytic_gradient_is_blamed() -> None:
    """When autograd and finite differences agree, the message blames the analytic gradient."""
    verdict = check(lambda x: (x**2).sum(), {"x": normal(3)}, gradient=lambda x: 3 * x)
    assert verdict.outcome is Outcome.FAIL
    assert "analytic gradient is wrong" in verdict.message


def test_a_reference_is_compared() -> None:
    """A reference with another value fails."""
    verdict = check(lambda x: (x**2).sum(), {"x": normal(3)}, reference=lambda x: (x**2).sum() + 1)
    assert verdict.outcome is Outcome.FAIL


def test_a_right_reference_passes() -> None:
    """A reference of the same function passes."""
    assert check(lambda x: (x * x).sum(), {"x": normal(3)}, reference=lambda x: (x**2).sum()).outcome is Outcome.PASS


def test_arguments_by_name() -> None:
    """A function gets its inputs by name where the names fit, in whatever order they are given."""
    verdict = check(lambda a, b: a / b, {"b": normal(2).abs() + 1, "a": normal(2)}, gradient=None)
    assert verdict.outcome is Outcome.PASS


@pytest.mark.parametrize("outputs", [tuple, list, lambda parts: dict(zip("ab", parts, strict=True))])
def test_several_outputs(outputs: Callable[[Any], Any]) -> None:
    """Tuples, lists and mappings of tensors are differentiated together."""
    verdict = check(lambda x: outputs([x.sin(), (x**2).sum()]), {"x": normal(3)})
    assert verdict.outcome is Outcome.PASS


def test_one_wrong_output_of_several() -> None:
    """A fault in the last output is seen."""
    assert check(lambda x: (x.sin(), (x.detach() * x).sum()), {"x": normal(3)}).outcome is Outcome.FAIL


def test_an_input_without_a_gradient() -> None:
    """Integer inputs are passed on and not differentiated."""
    verdict = check(lambda x, i: x[i] ** 2, {"x": normal(4), "i": torch.tensor([0, 2])})
    assert verdict.outcome is Outcome.PASS


def test_numbers_and_arrays_are_inputs() -> None:
    """Whatever torch makes a tensor of may be given."""
    verdict = check(lambda x, c: x.sum() * c, {"x": np.array([1.0, 2.0]), "c": 3.0})
    assert verdict.outcome is Outcome.PASS


def test_sizes_are_swept() -> None:
    """A list of sizes gives points of each."""
    verdict = check(lambda x: (x**2).sum(), {"x": Input(shape=("n",))}, dims={"n": [1, 4]})
    assert {f.dims for f in verdict.findings} == {"n=1", "n=4"}


def test_parameters_of_a_module() -> None:
    """A module's parameters are inputs like others."""
    layer = torch.nn.Linear(3, 2).double()

    def loss(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,)).pow(2).sum()

    values = {name: p.detach() for name, p in layer.named_parameters()}
    assert check(loss, {"x": normal(4, 3), **values}).outcome is Outcome.PASS


@pytest.mark.parametrize("effort", ["quick", "standard", "thorough"])
def test_efforts(effort: str) -> None:
    """Every effort gives a verdict."""
    assert check(torch.sin, {"x": Input(shape=(2,))}, effort=effort).outcome is Outcome.PASS


def test_more_effort_checks_more() -> None:
    """A thorough check has more findings than a quick one."""
    counts = [
        len(check(torch.sin, {"x": Input(shape=(2,))}, effort=e).findings) for e in ("quick", "standard", "thorough")
    ]
    assert counts == sorted(set(counts))


# Right functions that look unusual


def recurrent(x: Tensor, w: Tensor) -> Tensor:
    """A state that is carried along."""
    state = torch.zeros_like(x[0])
    for row in x:
        state = torch.tanh(row + state * w)
    return state


Z = torch.complex(normal(3), normal(3, seed=1))
SPD = normal(3, 3) @ normal(3, 3).T + torch.eye(3, dtype=torch.float64)
RIGHT: dict[str, tuple[Callable[..., Any], dict[str, Tensor]]] = {
    "branches on its values": (lambda x: x.sum() if x.sum() > 0 else (x**2).sum(), {"x": normal(3)}),
    "as long as its values say": (lambda x: x[x > 0] ** 2, {"x": normal(5)}),
    "raises off the point": (
        lambda x: torch.linalg.cholesky((x + x.T) / 2),
        {"x": torch.eye(2, dtype=torch.float64) * 0.1},
    ),
    "works in place on a copy": (lambda x: x.clone().mul_(2).add_(x), {"x": normal(3)}),
    "returns its input": (lambda x: x, {"x": normal(3)}),
    "stacks views": (lambda a, b: torch.stack([a, 2 * b]), {"a": normal(1, 2), "b": normal(1, 2, seed=1)}),
    "complex product": (lambda z, w: z * w.conj(), {"z": Z, "w": Z.flip(0)}),
    "complex inverse": (torch.linalg.inv, {"z": torch.complex(normal(3, 3), normal(3, 3, seed=4))}),
    "complex in, real out": (lambda z: z.abs(), {"z": Z}),
    "real in, complex out": (torch.fft.rfft, {"x": normal(5)}),
    "a maximum": (torch.amax, {"x": normal(5)}),
    "a tiny maximum": (torch.amax, {"x": 1e-6 * normal(5)}),
    "a largest norm": (lambda x: torch.linalg.vector_norm(x, float("inf")), {"x": normal(5)}),
    "smallest and largest": (torch.aminmax, {"x": normal(5)}),
    "a quantile": (lambda x: torch.quantile(x, 0.3), {"x": normal(7)}),
    "distances to itself": (lambda x: torch.cdist(x, x), {"x": normal(3, 2)}),
    "sorted": (lambda x: x.sort().values, {"x": normal(5)}),
    "a kink": (torch.relu, {"x": torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)}),
    "eigenvalues": (lambda x: torch.linalg.eigvalsh((x + x.T) / 2), {"x": SPD}),
    "a matrix exponential": (torch.linalg.matrix_exp, {"x": 5 * normal(3, 3)}),
    "recurrent": (recurrent, {"x": normal(4, 3), "w": normal(3, seed=1)}),
    "far out": (lambda x: x**2, {"x": 1e8 * normal(3)}),
    "tiny": (lambda x: x**2, {"x": 1e-8 * normal(3)}),
    "below float32": (lambda x: 3 * x, {"x": 1e-200 * normal(3)}),
    "cross entropy": (lambda x: F.cross_entropy(x, torch.tensor([0, 2, 1])), {"x": 5 * normal(3, 4)}),
    "convolution": (F.conv2d, {"input": normal(1, 2, 4, 4), "weight": normal(3, 2, 3, 3)}),
    "convolution of lattice numbers": (
        F.conv1d,
        {"input": normal(2, 3, 7).bfloat16().double(), "weight": normal(4, 3, 3)},
    ),
    "attention": (F.scaled_dot_product_attention, {"q": normal(1, 3, 4), "k": normal(1, 3, 4), "v": normal(1, 3, 4)}),
    "embedding": (lambda w: F.embedding(torch.tensor([0, 2, 2]), w), {"w": normal(4, 3)}),
    "float32": (lambda x: x.softmax(-1), {"x": normal(3, 4).float()}),
    "float16": (lambda x: (x * x).sum(), {"x": normal(6).half()}),
    "bfloat16": (lambda x: (x * x).sum(), {"x": normal(6).bfloat16()}),
    "strided": (lambda x: x.t().reshape(-1) * torch.arange(6), {"x": normal(2, 3)}),
    "broadcast": (lambda x, b: x + b, {"x": normal(4, 3), "b": normal(3)}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_no_false_alarms(name: str) -> None:
    """A function that PyTorch differentiates rightly passes."""
    function, inputs = RIGHT[name]
    verdict = check(function, inputs)
    assert verdict.outcome is Outcome.PASS, verdict.message


def test_functions_that_depend_on_their_calls_are_noticed() -> None:
    """A function with a memory is not differentiated in silence."""
    calls = {"n": 0}

    def drifting(x: Tensor) -> Tensor:
        calls["n"] += 1
        return (x**2).sum() * calls["n"]

    assert check(drifting, {"x": normal(3)}).outcome is not Outcome.PASS


def test_findings_are_plain_records() -> None:
    """Findings can be copied and compared: they hold no tensors."""
    found = check(torch.sin, {"x": normal(2)}).findings[0]
    assert replace(found) == found


def test_a_transposed_gradient_is_a_verdict() -> None:
    """An analytic gradient of another shape than its input fails and says so; it raises nothing."""
    verdict = check(lambda x: (x**2).sum(), {"x": normal(2, 3)}, gradient=lambda x: 2 * x.T)
    assert verdict.outcome is Outcome.FAIL
    assert "has shape [3, 2], but x has shape [2, 3]: it is transposed" in verdict.message


def test_a_verdict_prints_as_one_line():
    """Its findings, of which there are dozens, are asked for by name."""
    verdict = check(torch.sin, {"x": torch.tensor([0.3, 0.4], dtype=torch.float64)}, name="sine", effort="quick")
    assert str(verdict) == f"sine: pass: {verdict.message}" and "\n" not in str(verdict)
