"""Update rules against steps worked out by hand: nothing of PyTorch takes part."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from harness.optimizers.lbfgs import two_loop
from harness.optimizers.rules import RULES
from harness.optimizers.rules.muon import newton_schulz

ONE = np.asarray([1.0])


def _moves(name, gradients, **options):
    """What a rule moves in each step from 1."""
    path = [1.0, *(float(at[0]) for at in RULES[name](ONE, (np.asarray([g]) for g in gradients), **options))]
    return [before - after for before, after in itertools.pairwise(path)]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("SGD", {"lr": 0.1}, [0.2, 0.4]),
        ("SGD", {"lr": 0.1, "momentum": 0.5}, [0.2, 0.5]),
        ("SGD", {"lr": 0.1, "momentum": 0.5, "dampening": 0.5}, [0.2, 0.3]),
        ("SGD", {"lr": 0.1, "momentum": 0.5, "nesterov": True}, [0.3, 0.65]),
        ("Adam", {"lr": 0.1, "eps": 0.0}, [0.1, 0.1 * ((0.9 * 0.2 + 0.4) / 0.19) / np.sqrt(0.019996 / 0.001999)]),
        ("AdamW", {"lr": 0.1, "eps": 0.0, "weight_decay": 0.5}, [0.15]),
        ("Adamax", {"lr": 0.1, "eps": 0.0}, [0.1, 0.1 / 0.19 * 0.58 / 4]),
        ("RMSprop", {"lr": 0.1, "alpha": 0.75, "eps": 0.0}, [0.2, 0.4 / np.sqrt(0.75 + 4)]),
        ("Adagrad", {"lr": 0.1, "eps": 0.0, "lr_decay": 1.0}, [0.1, 0.05 * 4 / np.sqrt(20)]),
        ("Adadelta", {"eps": 1.0, "rho": 0.5}, [2 / np.sqrt(3)]),
        ("RAdam", {"lr": 0.1}, [0.2, 0.1 * 0.58 / 0.19]),
        ("Rprop", {"lr": 0.1}, [0.1, 0.12]),
        ("ASGD", {"lr": 0.1, "lambd": 0.0}, [0.2, 0.4]),
        ("Adafactor", {"lr": 0.1, "eps": (0.0, 0.0)}, [0.1]),
    ],
)
def test_first_steps(name, options, expected):
    """Gradients 2 and 4 from θ = 1."""
    assert np.allclose(_moves(name, [2.0, 4.0], **options)[: len(expected)], expected, rtol=1e-12)


def test_rprop_waits_where_the_sign_turns():
    """After a turn the step is left out, and the next one is half as long."""
    assert np.allclose(_moves("Rprop", [1.0, -1.0, -1.0], lr=0.1), [0.1, 0.0, -0.05])


def test_sparse_adam_leaves_absent_rows():
    """A row without an entry keeps its value; the other takes Adam's first step."""
    start, present = np.ones((2, 1)), np.asarray([[True], [False]])
    path = list(RULES["SparseAdam"](start, [(present, np.full((2, 1), 3.0))], lr=0.1, eps=1e-20))
    assert np.allclose(path[0], [[0.9], [1.0]])


def test_newton_schulz_makes_singular_values_alike():
    """With the cubic's coefficients the iteration converges to the orthogonal factor."""
    matrix = np.random.default_rng(0).standard_normal((3, 5))
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    assert np.allclose(newton_schulz(matrix, (1.5, -0.5, 0.0), 60, 1e-7), left @ right, atol=1e-10)


def test_two_loop_satisfies_the_secant_equation():
    """H·y = s for the newest pair, and H = s·s/s·y where there is one direction only."""
    noise = np.random.default_rng(1)
    basis = noise.standard_normal((4, 4))
    hessian = basis @ basis.T + np.eye(4)
    steps = noise.standard_normal((3, 4))
    pairs = [(s, hessian @ s) for s in steps]
    assert np.allclose(two_loop(pairs[-1][1], pairs), pairs[-1][0])
