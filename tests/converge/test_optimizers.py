"""Optimizers by name, their options, and the recurrences they must follow."""

from __future__ import annotations

import pytest
import torch

from harness.converge.optimizers import check_options, describe, make_optimizer, optimizer_classes
from harness.errors import UsageError


def follow(name: str, options: dict, gradient, x0: float, steps: int) -> list[float]:
    """Return x₀ … x_steps of an optimizer on a function of one number, given its derivative."""
    x = torch.tensor([x0], dtype=torch.float64, requires_grad=True)
    stepper, path = make_optimizer(name, options, [x]), [x0]
    for _ in range(steps):
        x.grad = gradient(x.detach())
        stepper.step()
        path.append(x.item())
    return path


def test_every_optimizer_of_torch_is_known() -> None:
    """Whatever torch.optim exports as an optimizer can be named, and GD as well."""
    names = set(optimizer_classes())
    assert {"GD", "SGD", "Adam", "AdamW", "LBFGS", "RMSprop", "Rprop", "Adafactor", "SparseAdam"} <= names
    assert "Optimizer" not in names


@pytest.mark.parametrize(
    "name", sorted(set(optimizer_classes()) - {"GD", "LBFGS", "LeastSquares", "Muon", "SparseAdam"})
)
def test_optimizers_take_plain_parameters(name: str) -> None:
    """Every optimizer for dense parameters of any shape makes a step downhill with its default options."""
    path = follow(name, {}, lambda x: 2 * x, 1.0, 2)
    assert path[2] < 1.0


def test_muon_on_a_vector_says_why_not() -> None:
    """Muon takes matrices only, which its error message says in words."""
    with pytest.raises(UsageError, match=r"Cannot use Muon\(\) on parameters of shape \(3,\).*2D"):
        make_optimizer("Muon", {}, [torch.zeros(3, requires_grad=True)])


def test_gradient_descent_is_geometric() -> None:
    """GD on ½λx² gives x_k = (1−ηλ)ᵏ x₀."""
    path = follow("GD", {"lr": 0.1}, lambda x: 3.0 * x, 2.0, 30)
    assert path == pytest.approx([2.0 * 0.7**k for k in range(31)], rel=1e-13)


def test_gradient_descent_equals_sgd() -> None:
    """GD and SGD without options are the same to rounding (torch fuses the multiplication with the addition)."""
    sgd = follow("SGD", {"lr": 0.1}, torch.sin, 2.0, 30)
    assert follow("GD", {"lr": 0.1}, torch.sin, 2.0, 30) == pytest.approx(sgd, rel=1e-14)


def test_momentum_follows_its_recurrence() -> None:
    """SGD with momentum on ½λx² gives x_{k+1} = (1+μ−ηλ)x_k − μx_{k−1} with x_{−1} = x₀."""
    expected = [1.0, 1.0]
    for _ in range(20):
        expected.append((1 + 0.8 - 0.1 * 2.0) * expected[-1] - 0.8 * expected[-2])
    path = follow("SGD", {"lr": 0.1, "momentum": 0.8}, lambda x: 2.0 * x, 1.0, 20)
    assert path == pytest.approx(expected[1:], rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", ["Adam", "Adamax"])
def test_adam_on_a_constant_gradient_steps_by_its_rate(name: str) -> None:
    """With a constant gradient g every step of Adam and Adamax is η·|g|/(|g|+ε)."""
    path = follow(name, {"lr": 0.1, "betas": [0.9, 0.99], "eps": 1e-8}, lambda x: torch.full_like(x, 3.0), 0.0, 12)
    assert path == pytest.approx([-0.1 * 3.0 / (3.0 + 1e-8) * k for k in range(13)], rel=1e-9)


def test_lists_become_tuples() -> None:
    """A YAML list of betas reaches the optimizer as the tuple it wants."""
    stepper = make_optimizer("Adam", {"betas": [0.8, 0.9]}, [torch.zeros(1, requires_grad=True)])
    assert stepper.param_groups[0]["betas"] == (0.8, 0.9)


@pytest.mark.parametrize(("option", "nearest"), [("momentun", "momentum"), ("learning_rate", "lr"), ("LR", "lr")])
def test_misspelt_options_name_the_nearest(option: str, nearest: str) -> None:
    """An unknown option is refused, with the one probably meant."""
    with pytest.raises(UsageError, match=f"option {option}=0.1.*Did you mean {nearest}"):
        check_options("SGD", {option: 0.1})


def test_a_refused_value_is_named() -> None:
    """A value the optimizer itself refuses is reported with its own reason."""
    with pytest.raises(UsageError, match=r"Cannot use SGD\(lr=-1\).*learning rate"):
        make_optimizer("SGD", {"lr": -1}, [torch.zeros(1, requires_grad=True)])


def test_gradient_descent_needs_a_rate() -> None:
    """GD has no default learning rate, and says so."""
    with pytest.raises(UsageError, match="option lr is missing"):
        check_options("GD", {})


def test_unknown_optimizers_name_the_nearest() -> None:
    """A misspelt optimizer is refused, with the nearest one's name."""
    with pytest.raises(UsageError, match="Did you mean Adam"):
        check_options("adm", {})


def test_description_is_what_people_write() -> None:
    """Optimizers are shown as calls."""
    assert describe("Adam", {"lr": 0.1, "betas": [0.9, 0.99]}) == "Adam(lr=0.1, betas=(0.9, 0.99))"
